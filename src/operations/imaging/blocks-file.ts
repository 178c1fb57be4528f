import { createHash, randomBytes } from 'node:crypto'
import { crc32c } from '../../binary/checksum.js'
import { isPowerOfTwo } from '../../binary/integers.js'
import { ascii, bytes, offset64, struct, u32, u64 } from '../../binary/struct.js'
import { isZero } from '../../binary/zero.js'
import { FileStore, writeError } from '../../block/file-store.js'
import type { BlockSource, Extent } from '../../block/types.js'
import type { PartDigests, PartTags } from '../../engine/copy.js'
import { tagKeyLength, tagLength } from '../../engine/part-tags.js'
import { blockLength, treeDigestLength, digestOfParts, leafLength, TreeHash } from '../../engine/tree-hash.js'
import { corrupt, isImageError, printable } from '../../errors.js'
import { partialName, removePartial } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { folderPart, inFolder, lastPart } from '../../sys/host-path.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import type { Label } from '../../errors.js'
import { blocksPath } from './companions.js'

/** docs/incremental.md, "The file of block digests". Little-endian; the digests begin at `digestsAt`. */
const blocksHeader = struct('little', 136, {
  magic: ascii(0, 8),
  version: u32(8),
  blockLength: u32(12),
  diskSize: offset64(16, 'the size of the disk'),
  count: u64(24),
  root: bytes(32, treeDigestLength),
  chain: bytes(64, treeDigestLength),
  /** CRC-32C of the header with zeros here. */
  checksum: u32(128),
})
const magic = 'vdiskblk'
const version = 2
/** The last version without tags. */
const untagged = 1
/** The key of the tags. A damaged one makes tags that no block has, and the digests are asked. */
const keyAt = 136
const digestsAt = 4096
/** Digests, and tags, that are read or written at once: digests of 512 MiB of the disk. */
const pageLength = 65536

/** Bytes of a disk that one digest is of, in the files that continue no other. */
const digestedLength = 262144

/** A file that an image's content lies in. */
export interface ChainFile {
  readonly path: string
}

/**
 * What the files of an image and its parents are like now: another size or time of change means that somebody changed
 * or copied one of them. @throws ImageError target when one is gone.
 */
function chainStamp(files: readonly ChainFile[]): Uint8Array {
  const hash = createHash('sha256')
  for (const { path } of files) {
    try {
      const { size, mtimeNs } = fs.statSync(path, { bigint: true })
      hash.update(`${size} ${mtimeNs}\n`)
    } catch (cause) {
      throw writeError(path, 'is not where it was', cause)
    }
  }
  return hash.digest()
}

interface Head {
  readonly blockLength: number
  readonly diskSize: number
  readonly root: Uint8Array
  readonly chain: Uint8Array
  /** Undefined: the file has no tags. */
  readonly key: Uint8Array | undefined
}

function headBytes({ blockLength: length, diskSize, root, chain, key }: Head): Uint8Array {
  const values = {
    magic,
    version: key === undefined ? untagged : version,
    blockLength: length,
    diskSize,
    count: BigInt(Math.ceil(diskSize / length)),
    root,
    chain,
    checksum: 0,
  }
  const bytes = blocksHeader.write({ ...values, checksum: crc32c(blocksHeader.write(values)) })
  return key === undefined ? bytes : Buffer.concat([bytes, key])
}

/** Entries of one length, one for each block, that are written in order, a page at a time. What is left out is zero. */
class EntriesWriter {
  readonly #store: FileStore
  readonly #start: number
  readonly #length: number
  readonly #page = new Uint8Array(pageLength)
  #pageAt: number
  #filled = 0

  /** @param start where the first entry is to stand. @param length bytes of an entry. */
  constructor(store: FileStore, start: number, length: number) {
    this.#store = store
    this.#start = start
    this.#length = length
    this.#pageAt = start
  }

  take(index: number, entries: Uint8Array): void {
    if (isZero(entries)) return
    const position = this.#start + index * this.#length
    if (position !== this.#pageAt + this.#filled || this.#filled + entries.length > pageLength) {
      this.flush()
      this.#pageAt = position
    }
    this.#page.set(entries, this.#filled)
    this.#filled += entries.length
  }

  flush(): void {
    if (this.#filled > 0) this.#store.write(this.#pageAt, this.#page.subarray(0, this.#filled))
    this.#pageAt += this.#filled
    this.#filled = 0
  }
}

/** The same, read: a page at a time. What is behind the last is zero. */
class EntriesReader {
  readonly #store: FileStore
  readonly #start: number
  readonly #length: number
  readonly #end: number
  readonly #page = new Uint8Array(pageLength)
  #pageAt = -1

  constructor(store: FileStore, start: number, length: number, count: number) {
    this.#store = store
    this.#start = start
    this.#length = length
    this.#end = start + count * length
  }

  /** Valid until the next one is asked for. */
  at(index: number): Uint8Array {
    const at = index * this.#length
    const pageAt = at - (at % pageLength)
    if (pageAt !== this.#pageAt) {
      const available = this.#end - this.#start - pageAt
      this.#page.fill(0)
      if (available > 0) this.#store.read(this.#start + pageAt, this.#page.subarray(0, Math.min(pageLength, available)))
      this.#pageAt = pageAt
    }
    return this.#page.subarray(at - pageAt, at - pageAt + this.#length)
  }
}

/** Where the tags begin, which follow the digests. */
const tagsAt = (diskSize: number, length: number): number => digestsAt + Math.ceil(diskSize / length) * treeDigestLength

/** Writes the digests of a disk's blocks while they go by; the file appears whole, or not at all. */
export class BlocksWriter implements PartDigests, Disposable {
  readonly length: number
  readonly known?: (offset: number, count: number) => Uint8Array
  readonly tags: PartTags
  readonly #path: string
  readonly #partial: string
  readonly #diskSize: number
  readonly #store: FileStore
  readonly #digestEntries: EntriesWriter
  readonly #tagEntries: EntriesWriter
  #done = false

  /**
   * @param imagePath the image that the file is to lie beside. @param diskSize bytes. @param known the digests that the
   * blocks had; the new ones are of blocks of the same length. @throws ImageError target E_WRITE
   */
  constructor(imagePath: string, diskSize: number, known?: KnownBlocks) {
    // Digests of blocks of another length would be those of other places.
    this.length = known?.blockLength ?? digestedLength
    if (known !== undefined) this.known = (offset, count) => known.digests(offset, count, diskSize)
    this.tags = {
      key: known?.tagKey ?? randomBytes(tagKeyLength),
      known: known?.tagKey === undefined ? undefined : (offset, count) => known.tags(offset, count, diskSize),
    }
    this.#path = blocksPath(imagePath)
    this.#partial = inFolder(folderPart(this.#path), partialName(lastPart(this.#path)))
    this.#diskSize = diskSize
    this.#store = FileStore.create(this.#partial, true, this.#path, 0o600)
    this.#digestEntries = new EntriesWriter(this.#store, digestsAt, treeDigestLength)
    this.#tagEntries = new EntriesWriter(this.#store, tagsAt(diskSize, this.length), tagLength)
  }

  /** @param tags left out: there are none, and who compares goes by the digests. */
  take(offset: number, digests: Uint8Array, tags?: Uint8Array): void {
    this.#digestEntries.take(offset / this.length, digests)
    if (tags !== undefined) this.#tagEntries.take(offset / this.length, tags)
  }

  /**
   * Completes the file, and binds it to its image.
   * @param root the digest `tree1` of the disk, hexadecimal. @param files of the image and its parents, as they stay.
   * @throws ImageError target
   */
  commit(root: string, files: readonly ChainFile[]): void {
    this.#digestEntries.flush()
    this.#tagEntries.flush()
    const count = Math.ceil(this.#diskSize / this.length)
    this.#store.truncate(tagsAt(this.#diskSize, this.length) + count * tagLength)
    this.#store.write(
      0,
      headBytes({
        blockLength: this.length,
        diskSize: this.#diskSize,
        root: Buffer.from(root, 'hex'),
        chain: chainStamp(files),
        key: this.tags.key,
      }),
    )
    this.#store.flush()
    this.#store[Symbol.dispose]()
    try {
      fs.renameSync(this.#partial, this.#path)
    } catch (cause) {
      throw writeError(this.#path, 'cannot be written', cause)
    }
    this.#done = true
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
    if (!this.#done) removePartial(this.#partial, this.#path)
    this.#done = true
  }
}

/** The digests of the blocks of an image's disk, as the file beside it has them. */
export class KnownBlocks implements Disposable {
  readonly blockLength: number
  readonly diskSize: number
  /** The digest `tree1` of the disk, hexadecimal. */
  readonly root: string
  /** What its tags are made with; undefined where the file has none. */
  readonly tagKey: Uint8Array | undefined
  readonly #store: FileStore
  readonly #head: Head
  readonly #digestEntries: EntriesReader
  readonly #tagEntries: EntriesReader

  /**
   * Opens the file beside an image, and recomputes the digest of the disk from those of its blocks.
   * @throws ImageError usage E_NOT_FOUND; corrupt E_BLOCKS when it is damaged.
   */
  constructor(imagePath: string) {
    const path = blocksPath(imagePath)
    this.#store = FileStore.openRead(path)
    try {
      this.#head = this.#readHead()
      ;({ blockLength: this.blockLength, diskSize: this.diskSize, key: this.tagKey } = this.#head)
      const count = Math.ceil(this.diskSize / this.blockLength)
      const tags = tagsAt(this.diskSize, this.blockLength)
      this.#digestEntries = new EntriesReader(this.#store, digestsAt, treeDigestLength, count)
      this.#tagEntries = new EntriesReader(this.#store, tags, tagLength, this.tagKey === undefined ? 0 : count)
      this.root = Buffer.from(this.#head.root).toString('hex')
      if (this.#recomputed() !== this.root) throw this.#damaged('its digests do not give the digest of the disk')
    } catch (error) {
      this.#store[Symbol.dispose]()
      throw error
    }
  }

  /** Whether the files of the image and its parents are what they were when this file was made. */
  isOf(files: readonly ChainFile[]): boolean {
    return Buffer.compare(chainStamp(files), this.#head.chain) === 0
  }

  /**
   * The digests of `count` blocks from `offset` on, of a disk of `diskSize` bytes by now. A block that is longer or
   * shorter by now has one that nothing has.
   */
  digests(offset: number, count: number, diskSize: number): Uint8Array {
    const found = new Uint8Array(count * treeDigestLength)
    const first = offset / this.blockLength
    for (let index = 0; index < count; index++) {
      const place = found.subarray(index * treeDigestLength, (index + 1) * treeDigestLength)
      place.set(this.#digestEntries.at(first + index))
      if (!isZero(place) && !this.#hasItsLength(first + index, diskSize)) place.fill(0xff)
    }
    return found
  }

  /** The tags of these blocks; zeros for a block that has none, or is longer or shorter by now. */
  tags(offset: number, count: number, diskSize: number): Uint8Array {
    const found = new Uint8Array(count * tagLength)
    if (this.tagKey === undefined) return found
    const first = offset / this.blockLength
    for (let index = 0; index < count; index++)
      if (this.#hasItsLength(first + index, diskSize)) found.set(this.#tagEntries.at(first + index), index * tagLength)
    return found
  }

  #hasItsLength(block: number, diskSize: number): boolean {
    const start = block * this.blockLength
    return (
      start < this.diskSize &&
      Math.min(this.blockLength, diskSize - start) === Math.min(this.blockLength, this.diskSize - start)
    )
  }

  /** The run of blocks at an offset that are all zero, or all not; to the end of the page at most. */
  runAt(offset: number): { readonly zero: boolean; readonly end: number } {
    const first = Math.floor(offset / this.blockLength)
    const zero = isZero(this.#digestEntries.at(first))
    let next = first + 1
    while (next * this.blockLength < this.diskSize && (next * treeDigestLength) % pageLength !== 0) {
      if (isZero(this.#digestEntries.at(next)) !== zero) break
      next++
    }
    return { zero, end: Math.min(this.diskSize, next * this.blockLength) }
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
  }

  #readHead(): Head {
    const { size } = this.#store
    if (size < digestsAt && size < blocksHeader.size) throw this.#damaged(`it has ${size} bytes`)
    const bytes = new Uint8Array(keyAt + tagKeyLength)
    this.#store.read(0, bytes.subarray(0, Math.min(bytes.length, size)))
    const raw = bytes.subarray(0, blocksHeader.size)
    const head = blocksHeader.read(raw)
    if (head.magic !== magic) throw this.#damaged('it does not begin as such a file does')
    if (head.version !== version && head.version !== untagged)
      throw this.#damaged(`it has version ${head.version}, and this vdisk knows ${version}`)
    if (crc32c(blocksHeader.without('checksum', raw)) !== head.checksum)
      throw this.#damaged('the checksum of its header is wrong')
    const { blockLength: length, diskSize } = head
    if (!isPowerOfTwo(length) || length < leafLength || length > blockLength)
      throw this.#damaged(`its blocks have ${length} bytes`)
    const count = Math.ceil(diskSize / length)
    const key = head.version === untagged ? undefined : bytes.slice(keyAt)
    const end = tagsAt(diskSize, length) + (key === undefined ? 0 : count * tagLength)
    if (head.count !== BigInt(count) || size !== end)
      throw this.#damaged(`${count} digests of a disk of ${diskSize} bytes were expected`)
    return { ...head, key }
  }

  #recomputed(): string {
    const tree = new TreeHash(this.diskSize)
    const each = blockLength / this.blockLength
    for (let offset = 0; offset < this.diskSize; offset += blockLength) {
      const parts = this.digests(offset, each, this.diskSize)
      if (isZero(parts)) continue
      tree.add(offset, digestOfParts(parts, this.blockLength, Math.min(blockLength, this.diskSize - offset)))
    }
    return Buffer.from(tree.digest()).toString('hex')
  }

  #damaged(why: string): Error {
    return corrupt('E_BLOCKS', `${this.#store.name} is no whole file of block digests: ${why}`, {
      hint: 'Delete it: the next incremental image then compares the disk with the image itself.',
    })
  }
}

/**
 * The digests beside an image, if they can be trusted to be those of its disk; else why not.
 * @param files of the image and its parents. @param root what the record beside the image has for its disk.
 */
export function trustedBlocks(imagePath: string, files: readonly ChainFile[], root: string): KnownBlocks | string {
  const name = printable(blocksPath(imagePath))
  let known: KnownBlocks
  try {
    known = new KnownBlocks(imagePath)
  } catch (error) {
    if (!isImageError(error)) throw error
    return error.code === 'E_NOT_FOUND' ? `there is no ${name}` : error.message
  }
  const why =
    known.root !== root
      ? `${name} is of another disk than the record beside the image`
      : known.isOf(files)
        ? undefined
        : `the image, or one of its parents, was changed or copied since ${name} was made`
  if (why === undefined) return known
  known[Symbol.dispose]()
  return why
}

/** Binds the digests beside an image to its files as they are now: for who changed them and knows the content. */
export function rebindBlocks(imagePath: string, files: readonly ChainFile[]): void {
  const path = blocksPath(imagePath)
  if (!fs.existsSync(path)) return
  let head: Head
  {
    using known = new KnownBlocks(imagePath)
    head = {
      blockLength: known.blockLength,
      diskSize: known.diskSize,
      root: Buffer.from(known.root, 'hex'),
      chain: chainStamp(files),
      key: known.tagKey,
    }
  }
  using store = FileStore.openWrite(path)
  store.write(0, headBytes(head))
  store.flush()
}

/** What a disk was like, as far as its digests say: where it was zero. Its content cannot be read. */
export class DigestedDisk implements BlockSource {
  readonly capacity: number
  readonly grain: number
  readonly #known: KnownBlocks
  readonly #store: DigestedStore

  constructor(
    known: KnownBlocks,
    readonly sectorSize: 512 | 4096,
  ) {
    this.#known = known
    this.capacity = known.diskSize
    this.grain = known.blockLength
    this.#store = new DigestedStore(known.diskSize)
  }

  extentAt(offset: number, limit: number): Extent {
    const { zero, end } = this.#known.runAt(offset)
    const length = Math.min(limit, end - offset)
    return zero
      ? { kind: 'zero', offset, length }
      : { kind: 'data', offset, length, store: this.#store, position: offset }
  }

  read(): never {
    throw new TypeError('of a disk that is known by its digests there is nothing to read')
  }

  [Symbol.dispose](): void {
    // The digests belong to the caller.
  }
}

class DigestedStore extends ReadOnlyStore {
  readonly name = 'block digests' as Label

  constructor(readonly size: number) {
    super()
  }

  read(): never {
    throw new TypeError('block digests are no content')
  }

  [Symbol.dispose](): void {
    // Nothing is open.
  }
}
