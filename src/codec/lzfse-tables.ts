import { corrupt } from '../errors.js'

/** For each state: bits of the next state, what is added to them, and the value: its base and its extra bits. */
export interface EntropyTable {
  readonly states: number
  readonly stateBits: Uint8Array
  readonly deltas: Int32Array
  readonly bases: Uint32Array
  readonly extraBits: Uint8Array
}

interface Values {
  readonly bases: readonly number[]
  readonly extraBits: readonly number[]
}

/** Extra bits of literal lengths, match lengths and distances; made when they are first needed. */
const makeValues = (): Readonly<Record<'l' | 'm' | 'd', Values>> => {
  const sixteenZeros = Array.from({ length: 16 }, () => 0)
  return {
    l: valuesOf([...sixteenZeros, 2, 3, 5, 8]),
    m: valuesOf([...sixteenZeros, 3, 5, 8, 11]),
    d: valuesOf(Array.from({ length: 64 }, (_, symbol) => symbol >> 2)),
  }
}
let values: ReturnType<typeof makeValues> | undefined

/** Each symbol begins where the one before ends. */
function valuesOf(extraBits: readonly number[]): Values {
  let base = 0
  const bases = extraBits.map((bits) => {
    const own = base
    base += 2 ** bits
    return own
  })
  return { bases, extraBits }
}

/**
 * The decoding table of a finite state entropy coder (lzfse_fse.c, fse_init_decoder_table).
 * @throws ImageError corrupt E_COMPRESSED where the frequencies are more than the states.
 */
export function entropyTable(states: number, frequencies: Uint16Array, values?: Values): EntropyTable {
  const table = {
    states,
    stateBits: new Uint8Array(states),
    deltas: new Int32Array(states),
    bases: new Uint32Array(states),
    extraBits: new Uint8Array(states),
  }
  const leading = Math.clz32(states)
  let state = 0
  for (const [symbol, frequency] of frequencies.entries()) {
    if (frequency === 0) continue
    if (state + frequency > states)
      throw corrupt('E_COMPRESSED', `the LZFSE data is damaged: more frequencies than the ${states} states`)
    const bits = Math.clz32(frequency) - leading
    const split = ((2 * states) >> bits) - frequency
    for (let index = 0; index < frequency; index++, state++) {
      const isLong = index < split
      table.stateBits[state] = isLong ? bits : bits - 1
      table.deltas[state] = isLong ? ((frequency + index) << bits) - states : (index - split) << (bits - 1)
      table.bases[state] = values?.bases[symbol] ?? symbol
      table.extraBits[state] = values?.extraBits[symbol] ?? 0
    }
  }
  return table
}

export function lmdTables(header: {
  readonly lFrequencies: Uint16Array
  readonly mFrequencies: Uint16Array
  readonly dFrequencies: Uint16Array
}): { readonly l: EntropyTable; readonly m: EntropyTable; readonly d: EntropyTable } {
  const { l, m, d } = (values ??= makeValues())
  return {
    l: entropyTable(64, header.lFrequencies, l),
    m: entropyTable(64, header.mFrequencies, m),
    d: entropyTable(256, header.dFrequencies, d),
  }
}
