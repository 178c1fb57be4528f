// From nothing: `npm pack`, a global install into a clean prefix, and then every page of docs/tutorials, typed word for
// word into a shell: node scripts/try-tutorials.js [--node 20,22,24] [--user root,65534] [--json]
//
// Prints a table. A guess is a line that fails, or shows something else than its page. Left out: this Node, this user.
// Other versions of Node come from npm. As another user than root, the lines that begin with `sudo` are run as root,
// with the PATH of the user (`sudo env "PATH=$PATH"`).
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inNewFolder, root, run } from '../packaging/run.js'
import { typedLines } from './tutorial-steps.js'

const tutorials = join(root, 'docs/tutorials')

/** Tries every page with each Node and user. @returns the package's size, and one row for each page. */
function tryTutorials({ nodes, users }) {
  return inNewFolder('vdisk-tutorials-', (place) => {
    chmodSync(place, 0o755)
    const packed = packedIn(place)
    const rows = nodes.flatMap((version) => {
      const bin = nodeFolder(place, version)
      return users.flatMap((uid) => tryAs({ place, bin, version, uid, packed: packed.path }))
    })
    return { packed: { size: packed.size, files: packed.files }, rows }
  })
}

function packedIn(place) {
  const output = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', place])
  const [{ filename, size, entryCount }] = JSON.parse(output)
  return { path: join(place, filename), size, files: entryCount }
}

/** A folder with `node` and `npm` of a version, which every user can run. */
function nodeFolder(place, version) {
  const bin = join(place, `node-${version}`)
  mkdirSync(bin)
  const own = process.versions.node.split('.')[0]
  const program =
    version === own
      ? process.execPath
      : run('npx', ['--yes', '-p', `node@${version}`, 'node', '-p', 'process.execPath'], { cwd: place }).trim()
  copyFileSync(realpathSync(program), join(bin, 'node'))
  chmodSync(join(bin, 'node'), 0o755)
  const npm = join(run('npm', ['root', '--global'], { cwd: place }).trim(), 'npm/bin/npm-cli.js')
  const cli = existsSync(npm) ? npm : '/usr/share/nodejs/npm/bin/npm-cli.js'
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\nexec "${bin}/node" "${cli}" "$@"\n`, { mode: 0o755 })
  return bin
}

function tryAs({ place, bin, version, uid, packed }) {
  const home = join(place, `home-${version}-${uid}`)
  mkdirSync(home, { recursive: true })
  const isOther = uid !== process.getuid()
  if (isOther) chownSync(home, uid, uid)
  const as = isOther ? { uid, gid: uid } : {}
  const prefix = join(home, 'vdisk')
  const env = {
    ...(process.env.NODE_EXTRA_CA_CERTS && { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS }),
    HOME: home,
    PATH: `${prefix}/bin:${bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
    LANG: 'C.UTF-8',
    NO_COLOR: '1',
    COLUMNS: '120',
  }
  const begun = process.hrtime.bigint()
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', ...(isOther ? [] : ['--cache', npmCache()])]
  const installed = spawnSync('npm', ['install', '--global', '--prefix', prefix, ...flags, packed], {
    cwd: home,
    env,
    ...as,
    encoding: 'utf8',
  })
  if (installed.status !== 0) throw new Error(`npm install: ${installed.stderr}`)
  const installSeconds = secondsSince(begun)
  const { bytes, packages } = sizeOf(join(prefix, 'lib/node_modules'))
  const shared = { node: version, user: uid, installSeconds, installedBytes: bytes, packages }
  const pages = readdirSync(tutorials).sort()
  return pages.map((name) => ({ ...shared, name, ...typePage(join(tutorials, name), { home, env, as }) }))
}

/** Types a page. @returns the lines typed, the seconds, and the guesses: lines that did something else. */
function typePage(path, { home, env, as }) {
  const page = readFileSync(path, 'utf8')
  const left = /^\$ sudo /m.test(page) ? practiceMissing() : undefined
  if (left !== undefined) return { lines: 0, seconds: 0, guesses: [], left }
  const cwd = mkdtempSync(join(home, 'work-'))
  if (as.uid !== undefined) chownSync(cwd, as.uid, as.uid)
  const type = (line) =>
    line.startsWith('sudo ')
      ? spawnSync('sh', ['-c', line.slice('sudo '.length)], { cwd, env, encoding: 'utf8' })
      : spawnSync('sh', ['-c', line], { cwd, env, ...as, encoding: 'utf8' })
  const begun = process.hrtime.bigint()
  const typed = [...typedLines(page, type)]
  const guesses = typed.filter(({ status, isAsShown }) => status !== 0 || !isAsShown)
  return { lines: typed.length, seconds: secondsSince(begun), guesses }
}

/** Why there can be no practice disk here. */
function practiceMissing() {
  if (process.getuid() !== 0) return 'needs root'
  if (!existsSync('/dev/shm')) return 'needs /dev/shm'
  return spawnSync('losetup', ['--find']).status === 0 ? undefined : 'needs loop devices'
}

function sizeOf(folder) {
  let bytes = 0
  let packages = 0
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    bytes += lstatSync(path).blocks * 512
    if (entry.name === 'package.json' && /node_modules\/(?:@[^/]+\/)?[^/]+$/.test(entry.parentPath)) packages++
  }
  return { bytes, packages }
}

const npmCache = () => run('npm', ['config', 'get', 'cache']).trim()

const secondsSince = (begun) => Number(process.hrtime.bigint() - begun) / 1e9

function table({ packed, rows }) {
  const mebibytes = (bytes) => `${(bytes / 1048576).toFixed(1)} MiB`
  const lines = rows.map((row) => [
    row.node,
    row.user === 0 ? 'root' : `user ${row.user}`,
    row.name,
    `${row.installSeconds.toFixed(1)} s`,
    row.left ?? String(row.lines),
    `${row.seconds.toFixed(1)} s`,
    String(row.guesses.length),
  ])
  const head = ['Node', 'as', 'page', 'npm install', 'lines', 'typed in', 'guessed']
  const [{ installedBytes, packages }] = rows
  return [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => ' --- |').join('')}`,
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    `Packed ${mebibytes(packed.size)} in ${packed.files} files; ` +
      `installed ${mebibytes(installedBytes)} in ${packages} packages.`,
    ...rows.flatMap(({ name, guesses }) =>
      guesses.map(({ command, status, stdout, stderr }) => `${name}: ${command}\nexit ${status}\n${stdout}${stderr}`),
    ),
  ].join('\n')
}

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? otherwise : process.argv[at + 1].split(',')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const users = option('user', [String(process.getuid())]).map((user) => (user === 'root' ? 0 : Number(user)))
  const tried = tryTutorials({ nodes: option('node', [process.versions.node.split('.')[0]]), users })
  process.stdout.write(`${process.argv.includes('--json') ? JSON.stringify(tried) : table(tried)}\n`)
  if (tried.rows.some(({ guesses }) => guesses.length > 0)) process.exitCode = 1
}
