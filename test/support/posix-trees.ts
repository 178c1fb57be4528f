/** Trees of files with all that POSIX knows of them: as the kernel sees them, and as our readers do. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import type { FileNode, FileTree } from '../../src/filesystem/types.js'
import { diskLike, sha256 } from './content.js'
import { fill } from './file-trees.js'
import { run } from './tools.js'
import { content } from './volumes.js'

const mebibyte = 1048576

/** What is compared of a file. Times in nanoseconds. */
export interface PosixFacts {
  readonly kind: FileNode['kind']
  readonly mode?: number
  readonly owner?: number
  readonly group?: number
  readonly modified: bigint
  readonly size?: number
  readonly sha256?: string
  readonly target?: string
  readonly links?: number
  /** The first path of the file, where it has several. */
  readonly same?: string
}

/** Files of all kinds and sizes, with rights, owners and times. */
export function fillPosix(folder: string, extra: (at: (name: string) => string) => void = () => undefined): void {
  fill(folder, (at) => {
    fs.linkSync(at('one'), at('a/hard link'))
    fs.symlinkSync('../one', at('a/symbolic'))
    for (const length of [1, 59, 60, 61, 155, 255, 1000])
      fs.symlinkSync('x/'.repeat(length).slice(0, length), at(`a/link of ${length}`))
    for (const length of [59, 60, 61, 100, 150, 4095, 4096, 4097])
      fs.writeFileSync(at(`a/file of ${length}`), 'y'.repeat(length))
    fs.mkdirSync(at('few'))
    for (const name of ['p', 'q', 'r']) fs.writeFileSync(at(`few/${name}`), name)
    fs.mkdirSync(at('nothing'), 0o700)
    const sparse = fs.openSync(at('a/sparse'), 'w')
    for (const offset of [0, 12 * 1024, 300 * 1024, 5 * mebibyte]) fs.writeSync(sparse, 'here', offset)
    fs.ftruncateSync(sparse, 6 * mebibyte + 5)
    fs.closeSync(sparse)
    fs.writeFileSync(at('a/text'), 'All work and no play makes Jack a dull boy. '.repeat(20000))
    fs.writeFileSync(at('a/mixed'), Buffer.concat([diskLike(200_000, 3), Buffer.alloc(300_000), diskLike(70_001, 4)]))
    fs.chmodSync(at('lower.txt'), 0o4755)
    fs.chmodSync(at('one'), 0o600)
    run('mkfifo', at('a/pipe'))
    if (process.getuid?.() === 0) {
      fs.chownSync(at('UPPER.TXT'), 1000, 70_000)
      run('mknod', at('a/device'), 'c', '1', '3')
    }
    extra(at)
    fs.lutimesSync(at('a/symbolic'), 1_000_000_000, 1_111_111_111.5)
    fs.utimesSync(at('few'), 1_000_000_000, 999_999_999)
  })
}

/** Every file below a folder of the host. */
export function hostFacts(folder: string): Map<string, PosixFacts> {
  const facts = new Map<string, PosixFacts>()
  const first = new Map<string, string>()
  const walk = (path: string): void => {
    for (const name of fs.readdirSync(join(folder, path)).sort()) {
      const place = join(folder, path, name)
      const stat = fs.lstatSync(place, { bigint: true })
      const kind = stat.isFile()
        ? 'file'
        : stat.isDirectory()
          ? 'directory'
          : stat.isSymbolicLink()
            ? 'link'
            : stat.isCharacterDevice() || stat.isBlockDevice()
              ? 'device'
              : 'other'
      const id = `${stat.dev} ${stat.ino}`
      const same = kind === 'file' && stat.nlink > 1n ? (first.get(id) ?? path + name) : undefined
      if (same !== undefined) first.set(id, same)
      facts.set(path + name, {
        kind,
        mode: Number(stat.mode) & 0xfff,
        owner: Number(stat.uid),
        group: Number(stat.gid),
        modified: stat.mtimeNs,
        ...(kind === 'file' ? { size: Number(stat.size), sha256: sha256(fs.readFileSync(place)) } : {}),
        ...(kind === 'link' ? { target: fs.readlinkSync(place) } : {}),
        ...(kind === 'file' ? { links: Number(stat.nlink) } : {}),
        ...(same === undefined ? {} : { same }),
      })
      if (kind === 'directory') walk(`${path}${name}/`)
    }
  }
  walk('')
  return facts
}

/** The same, of a tree that is read here. */
export function treeFacts(tree: FileTree): Map<string, PosixFacts> {
  const facts = new Map<string, PosixFacts>()
  const first = new Map<string, string>()
  const walk = (folder: FileNode, path: string): void => {
    const entries = [...tree.entries(folder)].sort((one, other) => (one.name < other.name ? -1 : 1))
    for (const entry of entries) {
      const node = entry.open()
      // Of inodes that are ordered by their number; a subvolume of btrfs has another.
      if (entry.order !== undefined && /^inode \d+$/.test(node.id)) assert.equal(node.id, `inode ${entry.order}`)
      const { kind, mode, owner, group, modified, size, links = 1 } = node
      const same = kind === 'file' && links > 1 ? (first.get(node.id) ?? path + entry.name) : undefined
      if (same !== undefined) first.set(node.id, same)
      const bytes = kind === 'file' ? content(tree, node) : undefined
      if (bytes !== undefined) assertRuns(tree, node, bytes)
      facts.set(path + entry.name, {
        kind,
        mode,
        owner,
        group,
        modified,
        ...(bytes === undefined ? {} : { size, sha256: sha256(bytes) }),
        ...(kind === 'link' ? { target: node.target } : {}),
        ...(kind === 'file' ? { links } : {}),
        ...(same === undefined ? {} : { same }),
      })
      if (kind === 'directory') walk(node, `${path}${entry.name}/`)
    }
  }
  walk(tree.root, '')
  return facts
}

/** What lies between the runs of a file reads as zero, and reading begins anywhere. */
function assertRuns(tree: FileTree, node: FileNode, bytes: Buffer): void {
  const rest = Buffer.from(bytes)
  let end = 0
  for (const { offset, length } of tree.dataRuns(node)) {
    assert.ok(length > 0 && offset >= end && offset + length <= node.size)
    end = offset + length
    rest.fill(0, offset, end)
  }
  assert.ok(
    rest.every((byte) => byte === 0),
    'a hole has content',
  )
  for (let at = 1; at < bytes.length; at += Math.ceil(bytes.length / 5)) {
    const piece = Buffer.alloc(Math.min(777, bytes.length - at))
    tree.read(node, at, piece)
    assert.deepEqual(piece, bytes.subarray(at, at + piece.length))
  }
}

/** Both have the same files. @param without names of members that the peer has in another way. */
export function assertSameFacts(
  ours: ReadonlyMap<string, PosixFacts>,
  theirs: ReadonlyMap<string, PosixFacts>,
  message: string,
  change: (facts: PosixFacts, path: string) => unknown = (facts) => facts,
): void {
  const list = (of: ReadonlyMap<string, PosixFacts>): [string, unknown][] =>
    [...of]
      .map(([path, facts]): [string, unknown] => [path, change(facts, path)])
      .sort(([one], [two]) => (one < two ? -1 : 1))
  const [mine, others] = [list(ours), list(theirs)]
  assert.deepEqual(
    [...ours.keys()].filter((path) => !theirs.has(path)),
    [],
    `${message}: only ours`,
  )
  assert.deepEqual(
    [...theirs.keys()].filter((path) => !ours.has(path)),
    [],
    `${message}: only theirs`,
  )
  for (const [index, entry] of mine.entries()) assert.deepEqual(entry, others[index], message)
}
