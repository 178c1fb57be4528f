import { viewOf } from '../binary/integers.js'
import { corrupt } from '../errors.js'
import type { Codec } from '../block/types.js'
import { entropyTable, lmdTables, type EntropyTable } from './lzfse-tables.js'
import { readHeader1, readHeader2, type LzfseHeader } from './lzfse-header.js'
import { decodeLzvn } from './lzvn.js'

const blockMagic = { end: 0x24787662, raw: 0x2d787662, v1: 0x31787662, v2: 0x32787662, lzvn: 0x6e787662 } as const

function damaged(why: string): Error {
  return corrupt('E_COMPRESSED', `the LZFSE data is damaged: ${why}`)
}

/** LZFSE (Apple's reference implementation, lzfse_decode_base.c): blocks of five kinds, one behind the other. */
export const lzfseCodec: Codec = {
  id: 'lzfse',
  decode(stored, target) {
    const view = viewOf(stored)
    let at = 0
    let done = 0
    const need = (length: number): void => {
      if (at + length > stored.length) throw damaged(`it ends after ${done} of ${target.length} bytes`)
    }
    for (;;) {
      need(4)
      const magic = view.getUint32(at, true)
      if (magic === blockMagic.end) break
      need(12)
      const length = view.getUint32(at + 4, true)
      if (done + length > target.length) throw damaged(`a block of ${length} bytes passes the end of the content`)
      let end: number
      if (magic === blockMagic.raw) {
        at += 8
        need(length)
        target.set(stored.subarray(at, at + length), done)
        at += length
        end = done + length
      } else if (magic === blockMagic.lzvn) {
        const size = view.getUint32(at + 8, true)
        at += 12
        need(size)
        end = decodeLzvn(stored.subarray(at, at + size), target, done, done + length)
        at += size
      } else if (magic === blockMagic.v1 || magic === blockMagic.v2) {
        const header = (magic === blockMagic.v1 ? readHeader1 : readHeader2)(stored.subarray(at))
        at += header.size
        need(header.literalBytes + header.lmdBytes)
        end = decodeBlock(header, stored.subarray(at, at + header.literalBytes + header.lmdBytes), target, done)
        at += header.literalBytes + header.lmdBytes
      } else throw damaged(`no block begins with 0x${magic.toString(16)}`)
      if (end !== done + length) throw damaged(`a block gives ${end - done} bytes instead of ${length}`)
      done = end
    }
    if (done !== target.length) throw damaged(`it gives ${done} bytes instead of ${target.length}`)
  },
}

/** Bits, taken from the end of a range to its start. */
class Bits {
  readonly #view: DataView
  readonly #start: number
  #position: number

  /** @param spare bits of the last byte that are not used, negative. */
  constructor(padded: DataView, start: number, end: number, spare: number) {
    this.#view = padded
    this.#start = start * 8
    this.#position = end * 8 + spare
    if (spare > 0 || spare < -7 || this.#position < this.#start) throw damaged('its bits begin nowhere')
  }

  /** Up to 25 bits. */
  pull(count: number): number {
    const position = this.#position - count
    if (position < this.#start) throw damaged('it has too few bits')
    this.#position = position
    return (this.#view.getUint32(position >> 3, true) >>> (position & 7)) & ((1 << count) - 1)
  }
}

/** A state of the entropy coder gives a symbol, and with further bits the next state. */
class Coder {
  readonly #table: EntropyTable
  #state: number

  constructor(table: EntropyTable, state: number) {
    this.#table = table
    this.#state = state
    if (state >= table.states) throw damaged(`a state is ${state} of ${table.states}`)
  }

  /** The next value: the base of its symbol, and the extra bits that the symbol has. */
  next(bits: Bits): number {
    const { stateBits, deltas, bases, extraBits } = this.#table
    const state = this.#state
    const extra = extraBits[state] ?? 0
    const pulled = bits.pull((stateBits[state] ?? 0) + extra)
    this.#state = (deltas[state] ?? 0) + (pulled >>> extra)
    return (bases[state] ?? 0) + (pulled & ((1 << extra) - 1))
  }
}

function decodeBlock(header: LzfseHeader, payload: Uint8Array, target: Uint8Array, from: number): number {
  // The last words are read past the end.
  const padded = new Uint8Array(payload.length + 8)
  padded.set(payload)
  const view = viewOf(padded)
  const literals = decodeLiterals(header, view)
  const bits = new Bits(view, header.literalBytes, payload.length, header.lmdBits)
  const tables = lmdTables(header)
  const [lengths, matches, distances] = [
    new Coder(tables.l, header.lState),
    new Coder(tables.m, header.mState),
    new Coder(tables.d, header.dState),
  ]
  let taken = 0
  let done = from
  let distance = 0
  for (let count = 0; count < header.matches; count++) {
    const length = lengths.next(bits)
    const match = matches.next(bits)
    const next = distances.next(bits)
    if (next !== 0) distance = next
    if (taken + length > header.literals || done + length + match > from + header.rawBytes)
      throw damaged('a match passes the end of its block')
    target.set(literals.subarray(taken, taken + length), done)
    taken += length
    done += length
    if (match === 0) continue
    if (distance === 0 || distance > done) throw damaged(`a copy from ${distance} bytes before the content`)
    for (let copied = 0; copied < match; copied++, done++) target[done] = target[done - distance] ?? 0
  }
  return done
}

/** Four coders take turns. */
function decodeLiterals(header: LzfseHeader, view: DataView): Uint8Array {
  const literals = new Uint8Array(header.literals + 4)
  const table = entropyTable(1024, header.literalFrequencies)
  const bits = new Bits(view, 0, header.literalBytes, header.literalBits)
  const coders = header.literalStates.map((state) => new Coder(table, state))
  for (let at = 0; at < header.literals;)
    for (const coder of coders) {
      literals[at] = coder.next(bits)
      at++
    }
  return literals
}
