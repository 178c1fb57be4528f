import { foldedCase } from '../binary/folded-case.js'
import { viewOf } from '../binary/integers.js'
import type { StructValues } from '../binary/struct.js'
import type { Cell, Cells } from './cells.js'
import { isPlainKeyName, isPredefinedHandle, nameHash } from './entries.js'
import { keyNode, keySecurity, noCell } from './structs.js'
import { HiveValue, nameInCell } from './value.js'

/** What a hive's version says of its structures. */
export interface HiveTraits {
  /** Whether data of more than 16344 bytes lies in segments. */
  readonly splits: boolean
}

/** Windows allows no more. */
const deepest = 512

/** A key of a hive. Names are compared without regard to case, as Windows does. */
export class HiveKey {
  readonly name: string
  /** 100 ns since 1601. */
  readonly written: bigint
  readonly #cells: Cells
  readonly #traits: HiveTraits
  readonly #cell: Cell
  readonly #head: StructValues<typeof keyNode>
  readonly #depth: number

  /** @param depth keys above it. @throws ImageError corrupt E_HIVE_CORRUPT: there is no key. */
  constructor(cells: Cells, offset: number, traits: HiveTraits, depth = 0) {
    this.#cells = cells
    this.#traits = traits
    this.#depth = depth
    this.#cell = cells.cell(offset)
    const { bytes, position } = this.#cell
    if (bytes.length < keyNode.size) throw cells.damaged('a key is cut off', position)
    this.#head = keyNode.read(bytes)
    const { signature, flags, nameLength, written } = this.#head
    if (signature !== 'nk') throw cells.damaged('there is no key where a list of keys leads', position)
    this.name = nameInCell(cells, this.#cell, keyNode.size, nameLength, isPlainKeyName(flags))
    this.written = written
  }

  /** The class, which few keys have. */
  get className(): string | undefined {
    const { className, classLength } = this.#head
    if (className === noCell || classLength === 0) return undefined
    return nameInCell(this.#cells, this.#cells.cell(className), 0, classLength, false)
  }

  /** The security descriptor, as it is stored. */
  get security(): Uint8Array | undefined {
    if (this.#head.security === noCell) return undefined
    const { bytes, position } = this.#cells.cell(this.#head.security)
    const { signature, length } = keySecurity.read(bytes)
    if (signature !== 'sk' || keySecurity.size + length > bytes.length)
      throw this.#cells.damaged('a key has no security descriptor where it should', position)
    return bytes.subarray(keySecurity.size, keySecurity.size + length)
  }

  /** @throws ImageError corrupt E_HIVE_CORRUPT. */
  *subkeys(): Generator<HiveKey> {
    let count = 0
    for (const [offset] of this.#entries()) {
      count++
      yield this.#below(offset)
    }
    if (count !== this.#head.subkeyCount)
      throw this.#cells.damaged(
        `a key has ${this.#head.subkeyCount} subkeys, and its lists ${count}`,
        this.#cell.position,
      )
  }

  subkey(name: string): HiveKey | undefined {
    const folded = foldedCase(name)
    // Writers differ in what they make of other letters.
    const hash = /^[ -~]*$/.test(folded) ? nameHash(folded) : undefined
    for (const [offset, stored] of this.#entries()) {
      if (hash !== undefined && stored !== undefined && stored !== hash) continue
      const key = this.#below(offset)
      if (foldedCase(key.name) === folded) return key
    }
    return undefined
  }

  /** The key at a path of names with `\` between them. */
  at(path: string): HiveKey | undefined {
    return path.split('\\').reduce<HiveKey | undefined>((key, name) => key?.subkey(name), this)
  }

  *values(): Generator<HiveValue> {
    const { valueCount, valueList, flags } = this.#head
    if (valueCount === 0 || isPredefinedHandle(flags)) return
    const { bytes, position } = this.#cells.cell(valueList)
    if (bytes.length < valueCount * 4)
      throw this.#cells.damaged(`a key has ${valueCount} values, and its list no room for them`, position)
    const view = viewOf(bytes)
    for (let index = 0; index < valueCount; index++)
      yield new HiveValue(this.#cells, view.getUint32(index * 4, true), this.#traits.splits)
  }

  /** The value of a name; the empty one is the key's own. */
  value(name: string): HiveValue | undefined {
    const folded = foldedCase(name)
    for (const value of this.values()) if (foldedCase(value.name) === folded) return value
    return undefined
  }

  #below(offset: number): HiveKey {
    if (this.#depth >= deepest) throw this.#cells.damaged(`its keys lie more than ${deepest} deep`, this.#cell.position)
    return new HiveKey(this.#cells, offset, this.#traits, this.#depth + 1)
  }

  /** Offsets of the subkeys, and the hashes of their names where the list has them. */
  *#entries(): Generator<readonly [offset: number, hash: number | undefined]> {
    const { subkeyCount, subkeyList } = this.#head
    if (subkeyCount === 0) return
    const list = this.#cells.cell(subkeyList)
    if (signatureOf(list) !== 'ri') {
      yield* this.#leaf(list)
      return
    }
    for (const [offset] of this.#list(list, 4)) yield* this.#leaf(this.#cells.cell(offset))
  }

  *#leaf(list: Cell): Generator<readonly [offset: number, hash: number | undefined]> {
    switch (signatureOf(list)) {
      case 'li':
        for (const [offset] of this.#list(list, 4)) yield [offset, undefined]
        return
      case 'lf':
        for (const [offset] of this.#list(list, 8)) yield [offset, undefined]
        return
      case 'lh':
        yield* this.#list(list, 8)
        return
      default:
        throw this.#cells.damaged('there is no list of subkeys where a key has one', list.position)
    }
  }

  *#list({ bytes, position }: Cell, stride: number): Generator<readonly [number, number]> {
    const view = viewOf(bytes)
    const count = view.getUint16(2, true)
    if (4 + count * stride > bytes.length)
      throw this.#cells.damaged(`a list of ${count} keys has no room for them`, position)
    for (let at = 4; at < 4 + count * stride; at += stride)
      yield [view.getUint32(at, true), stride === 8 ? view.getUint32(at + 4, true) : 0]
  }
}

function signatureOf({ bytes }: Cell): string {
  return Buffer.from(bytes.subarray(0, 2)).toString('latin1')
}
