import { viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { ShortUnitDecoder } from '../../codec/short-units.js'
import { damaged } from '../damage.js'
import type { VolumeReader } from '../volume-reader.js'
import { metadataHead } from './entries.js'

const blockSize = 8192
/** 4 MiB of them. */
const keptBlocks = 512

interface MetadataBlock {
  readonly bytes: Uint8Array
  /** Byte of the volume where the next one begins. */
  readonly next: number
}

/** Blocks of metadata: 8 KiB each when they are unpacked, one behind the other. */
export class MetadataBlocks {
  readonly #reader: VolumeReader
  readonly #decode: ShortUnitDecoder
  readonly #blocks = new Recent<MetadataBlock>(keptBlocks, (position) => this.#read(position))

  constructor(reader: VolumeReader, decode: ShortUnitDecoder) {
    this.#reader = reader
    this.#decode = decode
  }

  /** A cursor at a byte of a block that begins at `position` of the volume. */
  at(position: number, offset: number): MetadataCursor {
    return new MetadataCursor((start) => this.#blocks.get(start), position, offset)
  }

  #read(position: number): MetadataBlock {
    const { length, isPacked } = metadataHead(this.#reader.u16(position))
    if (length > blockSize) throw damaged('squashfs', `a block of metadata is said to have ${length} bytes`, position)
    const stored = this.#reader.bytes(position + 2, length)
    const next = position + 2 + length
    if (!isPacked) return { bytes: stored, next }
    const bytes = new Uint8Array(blockSize)
    return { bytes: bytes.subarray(0, this.#decode(stored, bytes)), next }
  }
}

/** Takes bytes of metadata in their order, over the ends of blocks. */
export class MetadataCursor {
  readonly #block: (position: number) => MetadataBlock
  #position: number
  #offset: number

  constructor(block: (position: number) => MetadataBlock, position: number, offset: number) {
    this.#block = block
    this.#position = position
    this.#offset = offset
  }

  /** @throws ImageError corrupt: they are not there. */
  take(length: number): Uint8Array {
    const taken = new Uint8Array(length)
    for (let done = 0; done < length;) {
      const { bytes, next } = this.#block(this.#position)
      if (this.#offset >= bytes.length) {
        // A block that gives nothing would be asked again and again.
        if (bytes.length === 0 || this.#offset > bytes.length)
          throw damaged('squashfs', `byte ${this.#offset} of a block of ${bytes.length} bytes is named`, this.#position)
        this.#position = next
        this.#offset = 0
        continue
      }
      const piece = bytes.subarray(this.#offset, this.#offset + length - done)
      taken.set(piece, done)
      done += piece.length
      this.#offset += piece.length
    }
    return taken
  }

  u32(): number {
    return viewOf(this.take(4)).getUint32(0, true)
  }
}
