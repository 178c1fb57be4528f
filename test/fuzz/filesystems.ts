/** Filesystems in the fuzzer: made by their own tools where installed, changed, and walked as far as they go. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixturesFolder } from '../../fixtures/manifest.js'
import { RangeSource } from '../../src/block/range-source.js'
import { identifyFilesystems, openLogicalVolume, volumeGroups, volumeNames } from '../../src/filesystem/index.js'
import type { FileNode, FileTree } from '../../src/filesystem/types.js'
import { isImageError } from '../../src/errors.js'
import { linearSegment, physicalVolume, rootVolume } from '../support/lvm-bytes.js'
import { hfsPlus } from '../support/small-volumes.js'
import { BufferStore } from './buffer-store.js'
import type { SeedImage, Word } from './seeds.js'

export const filesystemSubject = 'filesystems'

const mebibyte = 1048576
const mostNodes = 300
const mostRuns = 2000
const mostLengthened = 2
/** More than any block has. */
const longerBy = new Uint8Array(100_000)
/** mkfs.xfs makes small ones only for its own tests. */
const environment = {
  ...process.env,
  TEST_DIR: '/tmp',
  TEST_DEV: '/dev/null',
  QA_CHECK_FS: '1',
  MTOOLS_SKIP_CHECK: '1',
}

/** Name, bytes of the volume, and what makes it: `IMAGE` and `FOLDER` are put in. */
const makers: readonly (readonly [string, number, readonly string[]])[] = [
  ['ext4', 4, ['mke2fs', '-q', '-F', '-t', 'ext4', '-d', 'FOLDER', 'IMAGE']],
  ['ext4 inline', 4, ['mke2fs', '-q', '-F', '-t', 'ext4', '-O', 'inline_data', '-I', '512', '-d', 'FOLDER', 'IMAGE']],
  ['ext2', 2, ['mke2fs', '-q', '-F', '-t', 'ext2', '-d', 'FOLDER', 'IMAGE']],
  ['xfs', 16, ['mkfs.xfs', '-q', '-p', 'PROTO', 'IMAGE']],
  ['btrfs', 16, ['mkfs.btrfs', '-q', '--mixed', '--rootdir', 'FOLDER', 'IMAGE']],
  ['squashfs', 0, ['mksquashfs', 'FOLDER', 'IMAGE', '-noappend', '-quiet', '-no-progress']],
  ['erofs', 0, ['mkfs.erofs', '-Enoinline_data', 'IMAGE', 'FOLDER']],
  ['erofs lz4', 0, ['mkfs.erofs', '-zlz4', '-Eztailpacking', 'IMAGE', 'FOLDER']],
  ['iso', 0, ['genisoimage', '-quiet', '-R', '-J', '-udf', '-o', 'IMAGE', 'FOLDER']],
  ['fat', 2, ['mkfs.vfat', 'IMAGE']],
  ['ntfs', 4, ['mkntfs', '-q', '-F', 'IMAGE']],
  ['udf', 4, ['mkudffs', 'IMAGE']],
]

/** What Debian's mkfs.erofs does not make everywhere. */
const recordings = ['lzma-fragments-tails', 'zstd-shared', 'deflate-large']

export function filesystemSeeds(): SeedImage[] {
  const folder = fs.mkdtempSync(join(tmpdir(), 'vdisk-fuzz-'))
  try {
    const tree = join(folder, 'tree')
    fs.mkdirSync(join(tree, 'etc/deep'), { recursive: true })
    fs.writeFileSync(join(tree, 'etc/fstab'), 'UUID=0 / ext4 defaults 0 1\n')
    fs.writeFileSync(join(tree, 'large'), Buffer.alloc(40_000, 'content '))
    fs.symlinkSync('etc/fstab', join(tree, 'link'))
    for (let index = 0; index < 40; index++) fs.writeFileSync(join(tree, 'etc/deep', `file number ${index}`), '')
    const file = join(folder, 'proto')
    fs.writeFileSync(
      file,
      `/x\n0 0\nd--755 0 0\nfstab ---644 0 0 ${tree}/etc/fstab\nlarge ---644 0 0 ${tree}/large\n$\n`,
    )
    const made = makers.flatMap(([name, size, [program = '', ...flags]]) => {
      const image = join(folder, name)
      if (size > 0) {
        fs.writeFileSync(image, '')
        fs.truncateSync(image, size * mebibyte)
      }
      const places: Readonly<Record<string, string>> = { IMAGE: image, FOLDER: tree, PROTO: file }
      const { status } = spawnSync(
        program,
        flags.map((flag) => places[flag] ?? flag),
        { env: environment },
      )
      return status === 0 ? [seed(name, fs.readFileSync(image))] : []
    })
    const group = physicalVolume(rootVolume(linearSegment(0, 4, 3) + linearSegment(4, 2, 20)))
    const packed = recordings.map((name) =>
      seed(`erofs ${name}`, fs.readFileSync(join(fixturesFolder, `recordings/erofs/${name}.erofs`))),
    )
    return [...made, ...packed, seed('hfsplus', hfsPlus(64, [0, 1, 2, 3, 63], 'label')), seed('lvm2', group)]
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** The words that are not zero, at most so many of them, from all parts of the volume. */
function seed(path: string, bytes: Buffer): SeedImage {
  const words: Word[] = []
  for (let at = 0; at + 4 <= bytes.length; at += 4)
    if (bytes.readUInt32LE(at) !== 0) words.push({ position: at, length: 4 }, { position: at, length: 2 })
  const step = Math.max(1, Math.floor(words.length / 20_000))
  return { path, store: new BufferStore(path, bytes), words: words.filter((_word, index) => index % step === 0) }
}

/** Recognises, maps and walks what is on a volume. @throws ImageError, and nothing else. */
export function exerciseFilesystem(store: BufferStore): void {
  const volume = new RangeSource(store)
  for (const filesystem of identifyFilesystems(volume)) {
    tried(() => {
      let runs = 0
      for (const run of filesystem.usedRuns?.({ allowDirty: true }) ?? [])
        if (run.length <= 0 || ++runs > mostRuns) break
    })
    tried(() => {
      const tree = filesystem.openTree?.()
      tried(() => tree?.defaultFolder)
      if (tree !== undefined) new Walk(tree).walk(tree.root)
    })
  }
  const groups = volumeGroups([volume])
  for (const name of volumeNames(groups)) tried(() => openLogicalVolume(groups, name, 'the disk'))
}

/** What is refused in one way is looked at in the others too. */
function tried(look: () => unknown): void {
  try {
    look()
  } catch (error) {
    if (!isImageError(error)) throw error
  }
}

class Walk {
  readonly #tree: FileTree
  #nodes = 0
  #lengthened = 0

  constructor(tree: FileTree) {
    this.#tree = tree
  }

  walk(folder: FileNode): void {
    for (const entry of this.#tree.entries(folder)) {
      if (++this.#nodes > mostNodes) return
      tried(() => {
        const node = entry.open()
        if (node.kind === 'directory') this.walk(node)
        else if (node.kind === 'file') this.#file(node)
      })
    }
  }

  /** Also what would be written to change it, which stays inside the volume. */
  #file(node: FileNode): void {
    const bytes = new Uint8Array(Math.min(node.size, 65536))
    tried(() => this.#tree.read(node, 0, bytes))
    tried(() => {
      let runs = 0
      for (const { length } of this.#tree.dataRuns(node)) if (length <= 0 || ++runs > mostRuns) break
    })
    for (const [offset, size] of [
      [0, node.size],
      [node.size, node.size + 1],
    ] as const)
      if (size > offset) tried(() => this.#tree.rewrite?.(node, [{ offset, bytes: new Uint8Array(1) }], size))
    // Looks at all bitmaps: of a few files.
    if (this.#lengthened++ < mostLengthened) tried(() => this.#tree.append?.(node, longerBy))
  }
}
