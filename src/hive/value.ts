import { viewOf } from '../binary/integers.js'
import type { StructValues } from '../binary/struct.js'
import type { Cell, Cells } from './cells.js'
import { hiveUnsupported } from './damage.js'
import { dataSize, isPlainValueName } from './entries.js'
import { stages, type HivePatch } from './patch.js'
import type { HiveSpace } from './space.js'
import { bigData, keyValue, segmentLength } from './structs.js'

/** Types of values (winnt.h). Others are allowed; they are numbers without a meaning here. */
export const valueTypes = {
  none: 0,
  text: 1,
  expandableText: 2,
  binary: 3,
  dword: 4,
  bigEndianDword: 5,
  link: 6,
  texts: 7,
  qword: 11,
} as const

const longestData = 16 * 1048576

/** A value of a key. */
export class HiveValue {
  readonly name: string
  readonly type: number
  /** Bytes of its data. */
  readonly length: number
  readonly #cells: Cells
  readonly #cell: Cell
  readonly #head: StructValues<typeof keyValue>
  readonly #splits: boolean
  #pieces: readonly Cell[] | undefined

  /** @param splits whether long data lies in segments, which the hive's version says. */
  constructor(cells: Cells, offset: number, splits: boolean) {
    this.#cells = cells
    this.#splits = splits
    this.#cell = cells.cell(offset)
    const { bytes, position } = this.#cell
    if (bytes.length < keyValue.size) throw cells.damaged('a value is cut off', position)
    this.#head = keyValue.read(bytes)
    const { signature, nameLength, flags, type } = this.#head
    if (signature !== 'vk') throw cells.damaged('there is no value where a list of values leads', position)
    this.name = nameInCell(cells, this.#cell, keyValue.size, nameLength, isPlainValueName(flags))
    this.type = type
    this.length = dataSize(this.#head.dataSize).length
  }

  /** @throws ImageError corrupt E_HIVE_CORRUPT; unsupported E_HIVE_FEATURE: more than 16 MiB. */
  data(): Uint8Array {
    const pieces = this.#data()
    const [only] = pieces
    if (pieces.length === 1 && only !== undefined) return only.bytes
    const data = new Uint8Array(this.length)
    let at = 0
    for (const { bytes } of pieces) {
      data.set(bytes, at)
      at += bytes.length
    }
    return data
  }

  /** The text of a value of a type with text, up to its end mark; of other types undefined. */
  get text(): string | undefined {
    const { text, expandableText, link } = valueTypes
    if (this.type !== text && this.type !== expandableText && this.type !== link) return undefined
    return wideText(this.data()).replace(/\0.*$/s, '')
  }

  /** The texts of a list of them. */
  get texts(): string[] | undefined {
    if (this.type !== valueTypes.texts) return undefined
    const all = wideText(this.data()).split('\0')
    while (all.at(-1) === '') all.pop()
    return all
  }

  /** The number of a value of 32 or 64 bits. */
  get number(): bigint | undefined {
    const { dword, bigEndianDword, qword } = valueTypes
    if (this.type === qword && this.length === 8) return viewOf(this.data()).getBigUint64(0, true)
    if ((this.type !== dword && this.type !== bigEndianDword) || this.length !== 4) return undefined
    return BigInt(viewOf(this.data()).getUint32(0, this.type === dword))
  }

  /** What is to be written so that the data has other bytes from `offset` on; its length stays. */
  patches(offset: number, bytes: Uint8Array): HivePatch[] {
    if (offset < 0 || offset + bytes.length > this.length)
      throw new RangeError(`${bytes.length} bytes at ${offset} leave a value of ${this.length}`)
    let start = 0
    return this.#data().flatMap(({ bytes: own, position }) => {
      const from = Math.max(0, offset - start)
      const to = Math.min(own.length, offset + bytes.length - start)
      const first = start + from - offset
      start += own.length
      return from >= to
        ? []
        : [{ position: position + from, old: own.slice(from, to), bytes: bytes.slice(first, first + to - from) }]
    })
  }

  /**
   * What is to be written so that the data is another, also of another length: in its own cell where that has room, or
   * in a free one. Undefined: there is no room, or the data does not lie in one cell.
   */
  replaced(data: Uint8Array, space: HiveSpace): HivePatch[] | undefined {
    const { dataSize: word, dataOffset: offset } = this.#head
    if (dataSize(word).inline || this.length === 0 || data.length <= 4 || this.#data().length !== 1) return undefined
    const own = this.#cells.cell(offset)
    const fits = data.length <= own.bytes.length
    const place = fits ? offset : space.put(data)
    if (place === undefined) return undefined
    const at = keyValue.fields.dataSize.offset
    const head = new Uint8Array(8)
    viewOf(head).setUint32(0, data.length, true)
    viewOf(head).setUint32(4, place, true)
    const { bytes, position } = this.#cell
    const old = bytes.slice(at, at + head.length)
    const changed = { position: position + at, old, bytes: head, stage: stages.value }
    if (fits) return [changed, { position: own.position, old: own.bytes.slice(0, data.length), bytes: data }]
    space.release({ offset, size: own.bytes.length + 4 })
    return [changed]
  }

  /** The data in its pieces: one, or the segments of big data. */
  #data(): readonly Cell[] {
    this.#pieces ??= this.#find()
    return this.#pieces
  }

  #find(): Cell[] {
    const { length, inline } = dataSize(this.#head.dataSize)
    const { bytes, position } = this.#cell
    if (length === 0) return []
    if (inline) {
      if (length > 4) throw this.#cells.damaged(`a value has ${length} bytes where 4 have room`, position)
      const at = keyValue.fields.dataOffset.offset
      return [{ bytes: bytes.subarray(at, at + length), position: position + at }]
    }
    if (length > longestData) throw hiveUnsupported(this.#cells.title, `a value has ${length} bytes`)
    const cell = this.#cells.cell(this.#head.dataOffset)
    if (length > segmentLength && this.#splits && cell.bytes.length < length) return this.#segments(cell, length)
    if (cell.bytes.length < length)
      throw this.#cells.damaged(`a value has ${length} bytes, and its cell ${cell.bytes.length}`, cell.position)
    return [{ bytes: cell.bytes.subarray(0, length), position: cell.position }]
  }

  #segments({ bytes, position }: Cell, length: number): Cell[] {
    const { signature, count, list } = bigData.read(bytes)
    if (signature !== 'db' || count !== Math.ceil(length / segmentLength))
      throw this.#cells.damaged(`${length} bytes of a value do not lie in segments`, position)
    const offsets = this.#cells.cell(list)
    if (offsets.bytes.length < count * 4)
      throw this.#cells.damaged(`a list has no room for ${count} segments`, offsets.position)
    const view = viewOf(offsets.bytes)
    return Array.from({ length: count }, (_unused, index) => {
      const wanted = Math.min(segmentLength, length - index * segmentLength)
      const segment = this.#cells.cell(view.getUint32(index * 4, true))
      if (segment.bytes.length < wanted)
        throw this.#cells.damaged('a segment of a value is too short', segment.position)
      return { bytes: segment.bytes.subarray(0, wanted), position: segment.position }
    })
  }
}

/** A name behind the head of its structure: Latin-1, or UTF-16. */
export function nameInCell(
  cells: Cells,
  { bytes, position }: Cell,
  at: number,
  length: number,
  plain: boolean,
): string {
  if (at + length > bytes.length) throw cells.damaged(`a name of ${length} bytes leaves its cell`, position)
  const stored = bytes.subarray(at, at + length)
  return plain ? Buffer.from(stored).toString('latin1') : wideText(stored)
}

function wideText(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 2))).toString('utf16le')
}
