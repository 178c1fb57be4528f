import type { HiveBytes } from './bytes.js'
import { viewOf } from '../binary/integers.js'
import { hiveDamaged, hiveUnsupported } from './damage.js'
import { baseBlockLength, noCell } from './structs.js'

/** The longest list has 65535 entries of 8 bytes. */
const longestCell = 1048576
/** A SOFTWARE hive has some millions of cells; nothing here looks at more than a few thousand. */
const mostCells = 200000
const mostBytes = 256 * 1048576

/** A cell in use. */
export interface Cell {
  readonly bytes: Uint8Array
  /** Where `bytes` stand in the file. */
  readonly position: number
}

/** The cells of a hive, read one by one, each checked. Bounded: a hive that leads round in circles is refused. */
export class Cells {
  readonly title: string
  readonly #file: HiveBytes
  readonly #binsSize: number
  #left = mostCells
  #bytesLeft = mostBytes

  constructor(file: HiveBytes, binsSize: number, title: string) {
    this.#file = file
    this.#binsSize = binsSize
    this.title = title
  }

  /** @throws ImageError corrupt E_HIVE_CORRUPT: no cell in use is there; unsupported E_HIVE_FEATURE: too many. */
  cell(offset: number): Cell {
    if (this.#left-- <= 0) throw hiveUnsupported(this.title, `more than ${mostCells} cells of it are needed`)
    const position = baseBlockLength + offset
    if (offset === noCell || offset % 8 !== 0 || offset < 32 || offset + 8 > this.#binsSize)
      throw this.damaged(`an offset of ${offset} leads to no cell`, position)
    const head = new Uint8Array(4)
    this.#file.read(position, head)
    const size = viewOf(head).getInt32(0, true)
    if (size >= 0) throw this.damaged('a cell is needed that is free', position)
    const length = -size
    if (length % 8 !== 0 || offset + length > this.#binsSize)
      throw this.damaged(`a cell of ${length} bytes does not fit there`, position)
    if (length > longestCell) throw hiveUnsupported(this.title, `a cell has ${length} bytes`)
    this.#bytesLeft -= length
    if (this.#bytesLeft < 0) throw hiveUnsupported(this.title, `more than ${mostBytes} bytes of its cells are needed`)
    const bytes = new Uint8Array(length - 4)
    this.#file.read(position + 4, bytes)
    return { bytes, position: position + 4 }
  }

  damaged(message: string, position?: number): Error {
    return hiveDamaged(this.title, message, position)
  }
}
