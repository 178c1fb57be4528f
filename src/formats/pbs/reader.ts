import { createHash } from 'node:crypto'
import { badField, headerBytes } from '../../block/header-bytes.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints, reference, unsupported } from '../../errors.js'
import type { DiskImage, Finding, OpenContext } from '../driver.js'
import { beginsWith } from '../../binary/begins-with.js'
import { isPowerOfTwo } from '../../binary/integers.js'
import { chunkFolder, ChunkStore } from './chunk-store.js'
import { backupFacts } from './manifest.js'
import { chunkDigestLength, dynamicIndexMark, fixedIndexMark, indexHeader } from './structs.js'

const largestChunk = 64 * 1024 * 1024
const longestIndex = 1024 * 1024 * 1024
const chunksPerStep = 1024
const longestRun = 64 * 1024 * 1024

/** A disk in a datastore of Proxmox Backup Server: an index, and the chunks that it names by their digests. */
export class FixedIndexImage extends ExtentSource implements DiskImage {
  readonly format = 'pbs'
  readonly subformat = 'fixed'
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[] = []
  readonly #chunks: ChunkStore
  readonly #header: Uint8Array
  readonly #facts: Section['facts']

  /** @throws ImageError corrupt; reference E_PART_MISSING; unsupported E_NOT_A_DISK_IMAGE, E_ENCRYPTED. */
  constructor(store: ByteStore, context: OpenContext) {
    super(store)
    const { name, size } = store
    this.#header = headerBytes(store, indexHeader.size, 'the header of an index')
    const bad = badField(name)
    if (beginsWith(this.#header, dynamicIndexMark))
      throw unsupported('E_NOT_A_DISK_IMAGE', `${name} is an index of an archive of files, not of a disk`, {
        hint: 'Mount or restore the files with proxmox-backup-client.',
      })
    if (!beginsWith(this.#header, fixedIndexMark)) throw bad('this is no index of Proxmox Backup Server', 0)
    const values = indexHeader.read(this.#header)
    const { chunkSize } = values
    if (!isPowerOfTwo(chunkSize) || chunkSize < 4096 || chunkSize > largestChunk)
      throw bad(`chunks have ${chunkSize} bytes, expected a power of two from 4 KiB to 64 MiB`, 72)
    if (values.size === 0) throw bad('the disk has no bytes', 64)
    const length = Math.ceil(values.size / chunkSize) * chunkDigestLength
    if (indexHeader.size + length > size || length > longestIndex)
      throw corrupt('E_TRUNCATED', `${name}: the index has ${size} bytes, expected ${indexHeader.size + length}`, {
        details: { position: 64, size },
        hint: hints.incomplete,
      })
    if (indexHeader.size + length < size)
      throw corrupt('E_TRAILING_DATA', `${name}: the index has ${size} bytes, expected ${indexHeader.size + length}`)
    const digests = new Uint8Array(length)
    store.read(indexHeader.size, digests)
    if (Buffer.compare(createHash('sha256').update(digests).digest(), values.indexDigest) !== 0)
      throw corrupt('E_CHECKSUM', `${name}: the SHA-256 of the index is another than the one stored`)
    const folder = context.self.path === undefined ? undefined : chunkFolder(context.self.path)
    if (folder === undefined)
      throw reference('E_PART_MISSING', `${name}: no folder .chunks is beside it, or in a folder above`, {
        hint: 'Name the index inside its datastore: DATASTORE/vm/100/TIME/drive-scsi0.img.fidx',
      })
    this.capacity = values.size
    this.grain = chunkSize
    this.#chunks = new ChunkStore(name, folder, { digests, chunkSize, size: values.size })
    this.#facts = backupFacts(context, name)
    context.include?.(this.#chunks, [])
  }

  protected runAt(offset: number, end: number): Extent {
    const chunk = Math.floor(offset / this.grain)
    const isZero = this.#chunks.isZero(chunk)
    const last = Math.min(end, offset + longestRun)
    let next = chunk + 1
    while (next * this.grain < last && this.#chunks.isZero(next) === isZero) next++
    const length = Math.min(last, next * this.grain) - offset
    if (isZero) return { kind: 'zero', offset, length }
    return { kind: 'data', offset, length, store: this.#chunks, position: offset }
  }

  /** Looks whether all chunks are there. @throws ImageError reference E_PART_MISSING. */
  *prepare(offset: number, length: number): Work<void> {
    const total = Math.ceil(Math.min(this.capacity, offset + length) / this.grain)
    for (let chunk = Math.floor(offset / this.grain); chunk < total; chunk++) {
      const problem = this.#chunks.problemOf(chunk)
      if (problem !== undefined) throw problem
      if (chunk % chunksPerStep === 0) yield { done: chunk, total }
    }
  }

  describe(): Section[] {
    const { chunkSize, created } = indexHeader.read(this.#header)
    return [
      {
        title: 'Proxmox Backup Server',
        facts: [
          ...this.#facts,
          ...(created > 0 && created < 8.64e12
            ? [{ name: 'savedAt', value: new Date(created * 1000).toISOString() }]
            : []),
          { name: 'chunkSize', value: chunkSize, unit: 'bytes' },
          { name: 'chunks', value: Math.ceil(this.capacity / chunkSize), unit: 'count' },
        ],
        fields: indexHeader.rows(this.#header, 0),
      },
    ]
  }

  /** Chunks that are missing; those that are there are verified by what reads the disk. */
  *check(): Work<void, Finding> {
    const total = Math.ceil(this.capacity / this.grain)
    for (let chunk = 0; chunk < total; chunk++) {
      const problem = this.#chunks.problemOf(chunk)
      if (problem !== undefined)
        yield { severity: 'error', code: problem.code, structure: `chunk ${chunk}`, message: problem.message }
      if (chunk % chunksPerStep === 0) yield { done: chunk, total }
    }
  }
}
