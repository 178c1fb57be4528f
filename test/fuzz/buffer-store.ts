import { printable, type Label } from '../../src/errors.js'
import type { ByteStore } from '../../src/block/types.js'
import { corrupt } from '../../src/errors.js'

/** A file in one buffer that is put back as it was after each case: only the blocks that were touched are copied. */
export class BufferStore implements ByteStore {
  readonly growable = true
  readonly alignment = 1
  readonly zeroed = true
  readonly #original: Buffer
  readonly #room: Buffer
  readonly #touched = new Set<number>()
  readonly name: Label
  #size: number

  constructor(name: string, contents: Buffer) {
    this.name = printable(name)
    this.#original = contents
    this.#size = contents.length
    // Room to grow: a case writes past the end, or claims to.
    this.#room = Buffer.concat([contents, Buffer.alloc(growth)])
  }

  get size(): number {
    return this.#size
  }

  /** The bytes as they are, to be looked at only. */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.#size)
  }

  read(position: number, target: Uint8Array): void {
    if (!(position >= 0 && position + target.length <= this.#size))
      throw corrupt(
        'E_TRUNCATED',
        `${this.name}: ${target.length} bytes at byte ${position} lie outside its ${this.#size} bytes`,
      )
    target.set(this.#room.subarray(position, position + target.length))
  }

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length
    if (!(position >= 0 && end <= this.#room.length)) throw new NoRoom(`${bytes.length} bytes at ${position}`)
    this.#touch(position, end)
    this.#room.set(bytes, position)
    this.#size = Math.max(this.#size, end)
  }

  truncate(size: number): void {
    if (!(size >= 0 && size <= this.#room.length)) throw new NoRoom(`a size of ${size}`)
    const [from, to] = size < this.#size ? [size, this.#size] : [this.#size, size]
    this.#touch(from, to)
    this.#room.fill(0, from, to)
    this.#size = size
  }

  flush(): void {
    // There is no medium below.
  }

  restore(): void {
    for (const block of this.#touched) {
      const at = block * blockLength
      const end = Math.min(at + blockLength, this.#room.length)
      this.#room.fill(0, at, end)
      if (at < this.#original.length) this.#original.copy(this.#room, at, at, Math.min(end, this.#original.length))
    }
    this.#touched.clear()
    this.#size = this.#original.length
  }

  [Symbol.dispose](): void {
    // The case's images close it; the next case uses it again.
  }

  #touch(from: number, to: number): void {
    for (let block = Math.floor(from / blockLength); block * blockLength < to; block++) this.#touched.add(block)
  }
}

/** The case asks for more room than the fuzzer gives: no fault of the code that is tested. */
export class NoRoom extends Error {}

const blockLength = 4096
const growth = 8 * 1024 * 1024
