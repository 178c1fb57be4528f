import { viewOf } from '../binary/integers.js'
import { Recent } from '../binary/recent.js'
import type { BlockSource } from '../block/types.js'
import { damaged } from './damage.js'

const pageSize = 16384
/** 8 MiB in all. */
const keptPages = 512

interface Page {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Small reads of a volume: checked against its end, and kept by page. Integers are little-endian. */
export class VolumeReader {
  /** Bytes of the volume. */
  readonly size: number
  /** The filesystem's name, for messages. */
  readonly title: string
  readonly #volume: BlockSource
  readonly #pages: Recent<Page>

  constructor(volume: BlockSource, title: string) {
    this.#volume = volume
    this.size = volume.capacity
    this.title = title
    this.#pages = new Recent(keptPages, (index) => this.#page(index))
  }

  /**
   * A copy of the bytes at `position`, through the cache. @throws ImageError corrupt E_FS_CORRUPT past the volume's
   * end.
   */
  bytes(position: number, length: number): Uint8Array {
    this.#check(position, length)
    const target = new Uint8Array(length)
    for (let done = 0; done < length;) {
      const at = position + done
      const { bytes } = this.#pages.get(Math.floor(at / pageSize))
      const within = at % pageSize
      const piece = bytes.subarray(within, within + length - done)
      target.set(piece, done)
      done += piece.length
    }
    return target
  }

  /**
   * Fills `target` past the cache: for content and long tables. @throws ImageError corrupt E_FS_CORRUPT past the
   * volume's end.
   */
  read(position: number, target: Uint8Array): void {
    this.#check(position, target.length)
    this.#volume.read(position, target)
  }

  u8(position: number): number {
    this.#check(position, 1)
    return this.#pages.get(Math.floor(position / pageSize)).view.getUint8(position % pageSize)
  }

  u16(position: number): number {
    const within = position % pageSize
    if (within > pageSize - 2) return viewOf(this.bytes(position, 2)).getUint16(0, true)
    this.#check(position, 2)
    return this.#pages.get(Math.floor(position / pageSize)).view.getUint16(within, true)
  }

  u32(position: number): number {
    const within = position % pageSize
    if (within > pageSize - 4) return viewOf(this.bytes(position, 4)).getUint32(0, true)
    this.#check(position, 4)
    return this.#pages.get(Math.floor(position / pageSize)).view.getUint32(within, true)
  }

  #check(position: number, length: number): void {
    if (Number.isSafeInteger(position) && position >= 0 && position + length <= this.size) return
    throw damaged(
      this.title,
      `${length} bytes at byte ${position} are needed, and the volume has ${this.size}`,
      position,
    )
  }

  #page(index: number): Page {
    const bytes = new Uint8Array(Math.min(pageSize, this.size - index * pageSize))
    this.#volume.read(index * pageSize, bytes)
    return { bytes, view: viewOf(bytes) }
  }
}

/** The bytes at a position of a volume; undefined when they do not lie in it. For marks, before anything is known. */
export function bytesAt(volume: BlockSource, position: number, length: number): Uint8Array | undefined {
  if (!Number.isSafeInteger(position) || position < 0 || position + length > volume.capacity) return undefined
  const bytes = new Uint8Array(length)
  volume.read(position, bytes)
  return bytes
}
