// A Debian package of vdisk: `node packaging/debian.js [FOLDER]`, on the kind of machine that it is for.
//
// It holds the bundle, the packages it needs as npm installed them here (without what only development needs), manual
// pages and completions for bash, zsh and fish. Needs dpkg-deb and gzip; no network, no root.
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { writeManPages } from './man-pages.js'
import { inNewFolder, root, run } from './run.js'

/**
 * Builds the package.
 * @param folder where to put it
 * @returns the path of the .deb
 */
export function debianPackage(folder) {
  const { version, author } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const architecture = run('dpkg', ['--print-architecture']).trim()
  return inNewFolder('vdisk-deb-', (tree) => {
    const program = join(tree, 'usr/lib/vdisk')
    copyPackage(program)
    copyDependencies(program)
    mkdirSync(join(tree, 'usr/bin'), { recursive: true })
    symlinkSync('../lib/vdisk/bin/run.js', join(tree, 'usr/bin/vdisk'))
    writeManual(join(tree, 'usr/share/man/man1'))
    writeCompletions(join(tree, 'usr/share'))
    writeNotices(join(tree, 'usr/share/doc/vdisk'))
    setModes(tree)
    mkdirSync(join(tree, 'DEBIAN'))
    writeFileSync(
      join(tree, 'DEBIAN/control'),
      control(version, architecture, maintainer(author), sizeOf(join(tree, 'usr'))),
    )
    const path = join(folder, `vdisk_${version}_${architecture}.deb`)
    mkdirSync(folder, { recursive: true })
    run('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', tree, path])
    return path
  })
}

/** What `npm publish` would publish. */
function copyPackage(program) {
  const [{ files }] = JSON.parse(run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']))
  for (const { path } of files) {
    // Declarations are for programs that are compiled; the manual is in usr/share/doc.
    if (path.endsWith('.d.ts') || path.startsWith('docs/')) continue
    cpSync(join(root, path), join(program, path))
  }
}

function copyDependencies(program) {
  const folders = run('npm', ['ls', '--omit=dev', '--all', '--parseable']).split('\n').filter(Boolean)
  for (const folder of folders) {
    const inside = relative(root, folder)
    if (!inside.startsWith('node_modules')) continue
    // @types serve compilers only, and koffi carries the sources of itself.
    if (inside.includes('@types')) continue
    cpSync(folder, join(program, inside), { recursive: true, filter: (path) => needed(relative(folder, path)) })
  }
}

/** What a program needs of a package: no sources, no documentation; licences stay. */
function needed(path) {
  if (/(^|\/)(licen[cs]e|copying|notice)/i.test(path)) return true
  if (/\.(md|map|ts|cts|mts|c|cc|cpp|h|hh|markdown|tsbuildinfo)$/.test(path)) return false
  return !/(^|\/)(node_modules|\.github|docs?|test)(\/|$)/.test(path)
}

function writeManual(folder) {
  for (const name of writeManPages(folder, root)) {
    const path = join(folder, name)
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }))
    rmSync(path)
  }
}

function writeCompletions(share) {
  for (const [shell, path] of [
    ['bash', 'bash-completion/completions/vdisk'],
    ['zsh', 'zsh/vendor-completions/_vdisk'],
    ['fish', 'fish/vendor_completions.d/vdisk.fish'],
  ]) {
    mkdirSync(dirname(join(share, path)), { recursive: true })
    const script = run(process.execPath, [join(root, 'bin/run.js'), 'autocomplete', shell])
    writeFileSync(
      join(share, path),
      shell === 'zsh' && !script.startsWith('#compdef') ? `#compdef vdisk\n${script}` : script,
    )
  }
}

function writeNotices(folder) {
  mkdirSync(folder, { recursive: true })
  const licence = readFileSync(join(root, 'LICENSE'), 'utf8')
  const header = 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: vdisk\n\n'
  const body = licence
    .trim()
    .split('\n')
    .map((line) => ` ${line.trim() === '' ? '.' : line}`)
  writeFileSync(
    join(folder, 'copyright'),
    `${header}Files: *\nCopyright: ${/Copyright.*/.exec(licence)?.[0] ?? 'the authors of vdisk'}\n` +
      `License: Expat\n${body.join('\n')}\n`,
  )
  writeFileSync(join(folder, 'changelog.gz'), gzipSync(readFileSync(join(root, 'CHANGELOG.md')), { level: 9 }))
  for (const name of readdirSync(join(root, 'docs')).filter((one) => one.endsWith('.md')))
    cpSync(join(root, 'docs', name), join(folder, name))
}

/** Modes do not depend on the umask of the user who builds. */
function setModes(tree) {
  for (const entry of readdirSync(tree, { recursive: true })) {
    const path = join(tree, entry)
    const found = lstatSync(path)
    if (found.isSymbolicLink()) continue
    chmodSync(path, found.isDirectory() || entry.endsWith('bin/run.js') ? 0o755 : 0o644)
  }
  chmodSync(tree, 0o755)
}

function sizeOf(folder) {
  let bytes = 0
  for (const entry of readdirSync(folder, { recursive: true })) bytes += lstatSync(join(folder, entry)).size
  return Math.ceil(bytes / 1024)
}

/** Debian wants a name and an address; what is built before anybody publishes has neither. */
function maintainer(author) {
  if (author === undefined) return 'The vdisk authors <vdisk@localhost>'
  return typeof author === 'string' ? author.replace(/\s*\(.*\)$/, '') : `${author.name} <${author.email}>`
}

const control = (version, architecture, maintainer, kib) => `Package: vdisk
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${kib}
Depends: nodejs (>= 20.19)
Recommends: libisal2, libdeflate0, libzstd1
Suggests: fuse3, ntfs-3g
Section: utils
Priority: optional
Description: converter, inspector and imager for virtual and physical disks
 vdisk converts disk images between formats (raw, VHD, VHDX, QCOW2, VMDK, VDI
 and more), looks into them, checks, compares, repairs, mounts and serves
 them, and images, clones and restores physical disks, with guards against
 writing to the wrong one.
`

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(`${debianPackage(process.argv[2] ?? process.cwd())}\n`)
