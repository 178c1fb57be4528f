import { createHash } from 'node:crypto'
import { Recent } from '../../binary/recent.js'
import { eachPiece } from '../../block/pieces.js'
import { ExtentReader } from '../../block/read.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import type { BlockSource, ByteStore, Extent } from '../../block/types.js'
import { finish, type Work } from '../../block/work.js'
import { decodeZstdUpTo } from '../../codec/zstd.js'
import { corrupt, hints, isImageError, reference, type ImageError, type Label } from '../../errors.js'
import type { BackupSet, SetFile } from './backup-set.js'
import { BlockMap } from './block-map.js'
import type { DescribedPartition } from './description.js'
import { readIndex, type IndexLists, type StoredBlock } from './elements.js'
import { metadataOf } from './layout.js'

const keptBytes = 4 * 1024 * 1024

/** A partition of a disk in the backup: what it is called in every file of the set. */
export interface PartitionPlace {
  readonly disk: number
  readonly partition: number
}

/** The blocks of a partition; its index is read and verified when something of it is asked for. */
export class BackedPartition implements BlockSource {
  readonly capacity: number
  readonly grain = 512
  readonly described: DescribedPartition
  readonly #set: BackupSet
  readonly #place: PartitionPlace
  readonly #reader = new ExtentReader(this)
  #opened: { readonly reserved: BlockStore; readonly blocks: BlockStore } | undefined

  constructor(
    set: BackupSet,
    place: PartitionPlace,
    described: DescribedPartition,
    readonly sectorSize: 512 | 4096,
  ) {
    this.#set = set
    this.#place = place
    this.described = described
    this.capacity = described.length
  }

  extentAt(offset: number, limit: number): Extent {
    const { start, blocksAt, reservedAt, reservedLength } = this.described
    const { reserved, blocks } = this.#stores()
    const end = Math.min(offset + limit, this.capacity)
    const blocksStart = blocksAt - start
    if (offset >= blocksStart) return blocks.extentAt(offset, end, blocksStart)
    const reservedStart = reservedAt - start
    const reservedEnd = Math.min(reservedStart + reservedLength, blocksStart)
    if (offset >= reservedStart && offset < reservedEnd)
      return reserved.extentAt(offset, Math.min(end, reservedEnd), reservedStart)
    const next = offset < reservedStart && reservedLength > 0 ? Math.min(reservedStart, blocksStart) : blocksStart
    return { kind: 'absent', offset, length: Math.min(end, next) - offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  /** Reads the index, and finds every file that it names. @throws ImageError corrupt; reference E_PART_MISSING. */
  *prepare(): Work<void> {
    if (this.#opened !== undefined) return
    const [base, ...deltas] = this.#set.chain()
    if (base === undefined) throw new RangeError('a set has at least one file')
    const whole = yield* this.#listsOf(base)
    const changes: IndexLists[] = []
    for (const delta of deltas) changes.push(yield* this.#listsOf(delta))
    const { blockSize, length, start, blocksAt } = this.described
    const reserved = new BlockMap((changes.at(-1) ?? whole).reserved, [], Infinity)
    const blocks = new BlockMap(
      whole.blocks,
      changes.map((lists) => lists.blocks),
      Math.ceil((length - (blocksAt - start)) / blockSize),
    )
    for (const number of [...reserved.files, ...blocks.files]) this.#set.file(number)
    this.#opened = {
      reserved: new BlockStore(this.#set, reserved, blockSize),
      blocks: new BlockStore(this.#set, blocks, blockSize),
    }
  }

  [Symbol.dispose](): void {
    // The files belong to the set.
  }

  #stores(): { readonly reserved: BlockStore; readonly blocks: BlockStore } {
    if (this.#opened === undefined) finish(this.prepare())
    if (this.#opened === undefined) throw new TypeError('the index was not read')
    return this.#opened
  }

  /** The index of this partition in a file of the set. */
  *#listsOf(file: SetFile): Work<IndexLists> {
    const { disks, delta } = file.description
    const at = disks.findIndex(({ number }) => number === this.#place.disk)
    const within = disks[at]?.partitions.findIndex(({ number }) => number === this.#place.partition) ?? -1
    const described = disks[at]?.partitions[within]
    const index = metadataOf(file)[at]?.indexes[within]
    if (described === undefined || index === undefined)
      throw reference(
        'E_PART_OTHER_SET',
        `${file.store.name} holds no partition ${this.#place.partition} of disk ${this.#place.disk}, which the ` +
          'backup goes on from',
      )
    if (described.blockSize !== this.described.blockSize)
      throw reference(
        'E_PART_OTHER_SET',
        `${file.store.name} has blocks of ${described.blockSize} bytes, the backup of ${this.described.blockSize}`,
      )
    return yield* readIndex(file.store, index, delta)
  }
}

/** The content of blocks, one behind the other: each is decoded and verified when it is read. */
class BlockStore extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly #set: BackupSet
  readonly #map: BlockMap
  readonly #blockSize: number
  readonly #kept: Recent<Uint8Array>
  readonly #at: StoredBlock = { file: 0, position: 0, length: 0, digest: new Uint8Array(0) }

  constructor(set: BackupSet, map: BlockMap, blockSize: number) {
    super()
    this.name = set.own.store.name
    this.size = map.count * blockSize
    this.#set = set
    this.#map = map
    this.#blockSize = blockSize
    this.#kept = new Recent(Math.max(2, Math.floor(keptBytes / blockSize)), (block) => this.#decoded(block))
  }

  /** The run at an offset of the partition. @param start where the first block begins there. */
  extentAt(offset: number, end: number, start: number): Extent {
    const block = Math.floor((offset - start) / this.#blockSize)
    if (block >= this.#map.count) return { kind: 'absent', offset, length: end - offset }
    const lastBlock = Math.min(this.#map.count, Math.ceil((end - start) / this.#blockSize))
    const next = this.#map.runEnd(block, lastBlock)
    const length = Math.min(end, start + next * this.#blockSize) - offset
    if (!this.#map.isStored(block)) return { kind: 'absent', offset, length }
    return { kind: 'data', offset, length, store: this, position: offset - start }
  }

  read(position: number, target: Uint8Array): void {
    eachPiece(position, target.length, this.#blockSize, (block, within, done, length) => {
      target.set(this.#kept.get(block).subarray(within, within + length), done)
    })
  }

  changed(): string | undefined {
    return this.#set.own.store.changed?.()
  }

  [Symbol.dispose](): void {
    // The files belong to the set.
  }

  #decoded(block: number): Uint8Array {
    const at = this.#at
    this.#map.locate(block, at)
    const { store, description } = this.#set.file(at.file)
    const { position, length } = at
    const size = this.#blockSize
    if (length > 2 * size + 65536) throw this.#bad(store, block, `has ${length} bytes, its content only ${size}`)
    if (position + length > store.size)
      throw corrupt('E_TRUNCATED', `${store.name}: block ${block} passes the end of the file (byte ${store.size})`, {
        details: { position, size: store.size },
        hint: hints.incomplete,
      })
    const stored = new Uint8Array(length)
    store.read(position, stored)
    const content = new Uint8Array(size)
    let decoded = length
    if (description.compressed) decoded = unpacked(stored, content, store, position)
    else if (length > size) throw this.#bad(store, block, `has ${length} bytes, at most ${size}`)
    else content.set(stored)
    if (Buffer.compare(createHash('md5').update(content.subarray(0, decoded)).digest(), at.digest) !== 0)
      throw corrupt(
        'E_CHECKSUM',
        `${store.name}: the MD5 of block ${block} at byte ${position} is another than the one stored`,
        { details: { position, block } },
      )
    return content
  }

  #bad({ name }: ByteStore, block: number, why: string): ImageError {
    return corrupt('E_MAP', `${name}: block ${block} ${why}`, { details: { block } })
  }
}

function unpacked(stored: Uint8Array, content: Uint8Array, { name }: ByteStore, position: number): number {
  try {
    return decodeZstdUpTo(stored, content)
  } catch (cause) {
    if (!isImageError(cause)) throw cause
    throw corrupt('E_COMPRESSED', `${name}: the block at byte ${position} does not decode: ${cause.message}`, {
      details: { position },
    })
  }
}
