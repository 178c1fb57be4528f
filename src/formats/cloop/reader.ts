import type { Work } from '../../block/work.js'
import { viewOf } from '../../binary/integers.js'
import { struct, u32 } from '../../binary/struct.js'
import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Codec, Extent, Note, Section } from '../../block/types.js'
import { corrupt, hints } from '../../errors.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import type { CheckOptions, DiskImage, Finding } from '../driver.js'

/** Behind 128 bytes of a shell script, big-endian. */
const header = struct('big', 136, { blockSize: u32(128), blocks: u32(132) })
const sectorLength = 512
const mostBlockSize = 64 * 1024 * 1024
/** Offsets in memory: 64 MiB. */
const mostBlocks = 8 * 1024 * 1024

/** A compressed loop image: blocks of one size, each a zlib stream, and a table of where they begin. */
export class CloopImage extends ExtentSource implements DiskImage {
  readonly format = 'cloop'
  readonly subformat = 'v2'
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[] = []
  readonly #codec: Codec
  readonly #blockSize: number
  readonly #blocks: number
  readonly #offsets: DataView
  readonly #bytes: Uint8Array

  /** @throws ImageError corrupt E_TRUNCATED, E_HEADER. */
  constructor(store: ByteStore, codec: Codec) {
    super(store)
    const { name, size } = store
    this.#bytes = headerBytes(store, header.size, 'a cloop header')
    const { blockSize, blocks } = header.read(this.#bytes)
    const bad = badField(name)
    if (blockSize === 0 || blockSize % sectorLength !== 0 || blockSize > mostBlockSize)
      throw bad(`the block size is ${blockSize}, expected whole sectors up to 64 MiB`, 128)
    if (blocks > mostBlocks) throw bad(`there are ${blocks} blocks, at most ${mostBlocks} are read`, 132)
    const end = header.size + (blocks + 1) * 8
    if (end > size)
      throw corrupt(
        'E_TRUNCATED',
        `${name}: the offsets of ${blocks} blocks take bytes ${header.size} to ${end}, but the file ` +
          `ends at byte ${size}`,
        { details: { position: header.size, size }, hint: hints.incomplete },
      )
    const offsets = new Uint8Array((blocks + 1) * 8)
    store.read(header.size, offsets)
    this.#offsets = viewOf(offsets)
    this.#codec = codec
    this.#blockSize = blockSize
    this.#blocks = blocks
    this.capacity = blocks * blockSize
    this.grain = blockSize
  }

  protected runAt(offset: number, end: number): Extent {
    const blockSize = this.#blockSize
    const block = Math.floor(offset / blockSize)
    const start = this.#offset(block)
    const stop = this.#offset(block + 1)
    const fault = (message: string): Error =>
      corrupt('E_MAP', `${this.store.name}: block ${block} ${message} (offset at byte ${header.size + block * 8})`, {
        details: { position: header.size + block * 8, block },
      })
    if (start < header.size + (this.#blocks + 1) * 8) throw fault(`begins at byte ${start}, in the table of offsets`)
    if (stop <= start) throw fault(`takes bytes ${start} to ${stop}`)
    // zlib never makes more of what it cannot compress.
    if (stop - start > blockSize + Math.ceil(blockSize / 1000) + 64)
      throw fault(`takes ${stop - start} bytes, more than its content can`)
    if (stop > this.store.size)
      throw corrupt(
        'E_TRUNCATED',
        `${this.store.name}: block ${block} takes bytes ${start} to ${stop}, but the file ends at ` +
          `byte ${this.store.size}`,
        { details: { position: start, size: this.store.size } },
      )
    const unitOffset = block * blockSize
    return {
      kind: 'packed',
      offset,
      length: Math.min(end, unitOffset + blockSize) - offset,
      store: this.store,
      position: start,
      storedLength: stop - start,
      codec: this.#codec,
      unitOffset,
      unitLength: blockSize,
    }
  }

  describe(): Section[] {
    return [
      {
        title: 'cloop',
        facts: [
          { name: 'blockSize', value: this.#blockSize, unit: 'bytes' },
          { name: 'blocks', value: this.#blocks, unit: 'count' },
        ],
        fields: header.rows(this.#bytes, 0),
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    for (const item of extentFaults(this, this.#blockSize, deep))
      if ('error' in item)
        yield {
          severity: 'error',
          code: item.error.code,
          structure: `block ${Math.floor(item.offset / this.#blockSize)}`,
          message: item.error.message,
        }
      else yield item
  }

  /** Where a block begins; more than any file has bytes is past its end. */
  #offset(block: number): number {
    return this.#offsets.getUint32(block * 8) * 2 ** 32 + this.#offsets.getUint32(block * 8 + 4)
  }
}
