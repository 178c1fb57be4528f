import { moveNumbers } from '../binary/move-numbers.js'
import { unsupported } from '../errors.js'
import type { ByteRun } from './types.js'
import type { VolumeReader } from './volume-reader.js'

const hole = -1
/** 128 MiB of them. */
const maximumPieces = 8 * 1024 * 1024

/**
 * Where the bytes of a file lie in the volume: pieces in ascending order without gaps, some of them holes. Sixteen
 * bytes a piece.
 */
export class FileMap {
  #starts = new Float64Array(4)
  #positions = new Float64Array(4)
  #count = 0
  #length = 0

  /** Bytes that are mapped. */
  get length(): number {
    return this.#length
  }

  /** How many pieces there are. */
  get pieces(): number {
    return this.#count
  }

  /**
   * Adds `length` bytes at the end, which lie at `position` of the volume; undefined: a hole. @throws ImageError
   * unsupported E_FS_LIMIT: too many pieces.
   */
  push(length: number, position: number | undefined): void {
    if (length === 0) return
    const last = this.#count - 1
    const lastPosition = this.#positions[last] ?? hole
    const joins =
      last >= 0 &&
      (position === undefined
        ? lastPosition === hole
        : lastPosition !== hole && lastPosition + this.#length - (this.#starts[last] ?? 0) === position)
    if (!joins) {
      if (this.#count === maximumPieces)
        throw unsupported('E_FS_LIMIT', `a file lies in more than ${maximumPieces} pieces`)
      if (this.#count === this.#starts.length) {
        this.#starts = moveNumbers(this.#starts, new Float64Array(this.#count * 2))
        this.#positions = moveNumbers(this.#positions, new Float64Array(this.#count * 2))
      }
      this.#starts[this.#count] = this.#length
      this.#positions[this.#count] = position ?? hole
      this.#count++
    }
    this.#length += length
  }

  /** The piece at `offset` < length, from there on; `position` is undefined in a hole. */
  at(offset: number): { readonly length: number; readonly position: number | undefined } {
    const index = this.#find(offset)
    const start = this.#starts[index] ?? 0
    const end = index + 1 < this.#count ? (this.#starts[index + 1] ?? 0) : this.#length
    const position = this.#positions[index] ?? hole
    return { length: end - offset, position: position === hole ? undefined : position + offset - start }
  }

  /** Fills `target` with the bytes at `offset`; holes, and what lies past the map, are zero. */
  read(reader: Pick<VolumeReader, 'read'>, offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      if (offset + done >= this.#length) {
        target.fill(0, done)
        return
      }
      const { length, position } = this.at(offset + done)
      const piece = target.subarray(done, done + length)
      if (position === undefined) piece.fill(0)
      else reader.read(position, piece)
      done += piece.length
    }
  }

  /** The runs of the file below `end` that are no holes; neighbours are joined. */
  *dataRuns(end: number): Generator<ByteRun> {
    let run: ByteRun | undefined
    for (let offset = 0; offset < Math.min(end, this.#length);) {
      const { length, position } = this.at(offset)
      const piece = Math.min(length, end - offset)
      if (position !== undefined)
        run = run === undefined ? { offset, length: piece } : { offset: run.offset, length: run.length + piece }
      else if (run !== undefined) {
        yield run
        run = undefined
      }
      offset += piece
    }
    if (run !== undefined) yield run
  }

  #find(offset: number): number {
    let low = 0
    let high = this.#count - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}
