// Start-up of this tree beside that of another revision, in pairs of processor time:
//
//   npm run build && node scripts/compare-start.js [REVISION] [RUNS]
//
// Both are packed and installed as a user has them; npm's registry is asked. Each command line is run with both in
// turn, RUNS times (20) after a first pair that is not counted. Printed are the medians of user and system time, and
// the ratio of both, for the revision of issue 16 (793597c2) where none is given. The size of both is printed too.
import { spawnSync } from 'node:child_process'
import { cpSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inNewFolder, root, run } from '../packaging/run.js'

const [revision = '793597c2', runs = '20'] = process.argv.slice(2)
const lines = ['info disk.vhdx', 'info disk.vhdx --json', '--help', '--version', 'convert --help', 'check disk.vhdx']

/** Clones and builds a revision. @returns its folder. */
function built(place, commit) {
  const folder = join(place, 'source')
  run('git', ['clone', '--quiet', '--no-checkout', root, folder])
  run('git', ['checkout', '--quiet', commit], { cwd: folder })
  run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: folder })
  return folder
}

/** Installs the package of a folder with what it depends on. */
function installed(place, folder, name) {
  const prefix = join(place, name)
  mkdirSync(prefix)
  const output = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', prefix], { cwd: folder })
  const [{ filename, size, entryCount }] = JSON.parse(output)
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--prefix', prefix]
  run('npm', ['install', '--global', ...flags, join(prefix, filename)], { cwd: place })
  const modules = join(prefix, 'lib/node_modules')
  const entries = readdirSync(modules, { recursive: true, withFileTypes: true })
  const isPackage = ({ name: file, parentPath }) =>
    file === 'package.json' && /node_modules\/(?:@[^/]+\/)?[^/]+$/.test(parentPath)
  const bytes = entries.reduce(
    (sum, { parentPath, name: file }) => sum + lstatSync(join(parentPath, file)).blocks * 512,
    0,
  )
  const packages = entries.filter(isPackage).length
  return { name, program: join(modules, 'vdisk/bin/run.js'), size, files: entryCount, packages, bytes }
}

/** Milliseconds of processor time of one run, of all its threads. */
function cost(program, line, hook, cwd) {
  const { status, output } = spawnSync(process.execPath, ['--require', hook, program, ...line.split(' ')], {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, LANG: 'C.UTF-8' },
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  if (status !== 0) throw new Error(`${program} ${line}: ${output[2]}`)
  const { user, system } = JSON.parse(output[3])
  return (user + system) / 1000
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

inNewFolder('vdisk-start-', (place) => {
  cpSync(join(root, 'fixtures/partitioned-disk.vhdx'), join(place, 'disk.vhdx'))
  const hook = join(place, 'hook.cjs')
  writeFileSync(hook, "process.on('exit', () => require('fs').writeSync(3, JSON.stringify(process.cpuUsage())))\n")
  const old = installed(place, built(place, revision), 'before')
  const now = installed(place, root, 'now')
  for (const { name, size, files, packages, bytes } of [old, now])
    process.stdout.write(
      `${name}: packed ${size} bytes in ${files} files, ` +
        `installed ${(bytes / 2 ** 20).toFixed(1)} MiB, ${packages} packages\n`,
    )
  process.stdout.write(`\n| command | ${revision} | now | ratio |\n| --- | --- | --- | --- |\n`)
  for (const line of lines) {
    const times = [[], []]
    for (let round = 0; round <= Number(runs); round++)
      for (const [index, { program }] of [old, now].entries()) {
        const time = cost(program, line, hook, place)
        if (round > 0) times[index].push(time)
      }
    const [before, after] = times.map(median)
    const cells = [`\`${line}\``, `${before.toFixed(0)} ms`, `${after.toFixed(0)} ms`, (after / before).toFixed(2)]
    process.stdout.write(`| ${cells.join(' | ')} |\n`)
  }
})
