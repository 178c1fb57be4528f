import { corrupt, type ImageError } from '../../errors.js'

const windowLength = 262144

/** Reads bytes of a file: fills `target` whole from `position`. */
export type ReadBytes = (position: number, target: Uint8Array) => void

/** The compressed bytes of a stream, in order, from any place on. Positions are bytes of the file. */
export class Input {
  readonly name: string
  readonly end: number
  readonly #read: ReadBytes
  readonly #window: Uint8Array
  #start = 0
  #length = 0
  #position: number

  /** @param start the lowest position that will be asked for. @param window bytes that are read at a time. */
  constructor(name: string, read: ReadBytes, start: number, end: number, window = windowLength) {
    this.#window = new Uint8Array(Math.min(window, end - start))
    this.name = name
    this.#read = read
    this.#position = start
    this.end = end
  }

  get position(): number {
    return this.#position
  }

  set position(position: number) {
    this.#position = position
  }

  get remaining(): number {
    return this.end - this.#position
  }

  /** The next bytes without taking them: `length`, or fewer at the end. The memory is used again by the next call. */
  peek(length: number): Uint8Array {
    const wanted = Math.min(length, this.remaining, this.#window.length)
    if (this.#position < this.#start || this.#position + wanted > this.#start + this.#length) {
      this.#start = this.#position
      this.#length = Math.min(this.#window.length, this.remaining)
      this.#read(this.#start, this.#window.subarray(0, this.#length))
    }
    const at = this.#position - this.#start
    return this.#window.subarray(at, at + wanted)
  }

  /** The next bytes, taken. @throws ImageError corrupt E_TRUNCATED when there are fewer. */
  take(length: number, what: string): Uint8Array {
    if (length > this.remaining) throw this.cut(what)
    const bytes = this.peek(length)
    this.#position += length
    return bytes
  }

  /** The same as a copy, which may be longer than the window. @throws ImageError corrupt E_TRUNCATED. */
  takeCopy(length: number, what: string): Uint8Array {
    if (length > this.remaining) throw this.cut(what)
    const copy = new Uint8Array(length)
    for (let at = 0; at < length;) {
      const bytes = this.some(length - at)
      copy.set(bytes, at)
      at += bytes.length
    }
    return copy
  }

  /** Up to `length` bytes, taken; none at the end. */
  some(length: number): Uint8Array {
    const bytes = this.peek(length)
    this.#position += bytes.length
    return bytes
  }

  skip(length: number, what: string): void {
    if (length > this.remaining) throw this.cut(what)
    this.#position += length
  }

  /** Whether nothing but zeros follows: padding of tapes and of tools that write whole blocks. Takes nothing. */
  onlyZeros(): boolean {
    const at = this.#position
    try {
      while (this.remaining > 0) if (this.some(windowLength).some((byte) => byte !== 0)) return false
      return true
    } finally {
      this.#position = at
    }
  }

  /** The error for a file that ends too early. */
  cut(what: string): ImageError {
    return corrupt('E_TRUNCATED', `${this.name} is cut off: it ends at byte ${this.end}, in the middle of ${what}`, {
      hint: 'Copy or download it again.',
      details: { size: this.end },
    })
  }

  /** The error for damage. @param position of the file; where reading stands when left out. */
  damaged(why: string, position = this.#position): ImageError {
    return corrupt('E_COMPRESSED', `${this.name} is damaged at byte ${position}: ${why}`, {
      hint: 'Copy or download it again.',
      details: { position },
    })
  }

  /** The error for bytes behind the end that are neither padding nor another stream. */
  trailing(format: string): ImageError {
    return corrupt(
      'E_TRAILING_DATA',
      `${this.name}: the ${format} data ends at byte ${this.#position}, and what follows is neither more of it nor ` +
        'padding: a part of the content may be missing',
      {
        hint: `If it does not belong to the file, cut it off: head -c ${this.#position} FILE`,
        details: { position: this.#position },
      },
    )
  }
}

export function littleWord(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  )
}

/** A 64-bit number; those beyond 2^53 are not exact, and larger than any file. */
export function littleLong(bytes: Uint8Array, at: number): number {
  return littleWord(bytes, at) + littleWord(bytes, at + 4) * 4294967296
}
