import { cowdMagic, sparseMagic, unfinishedMagic } from './structs.js'

/** What a file begins with. */
export type Beginning = 'hosted' | 'unfinished' | 'cowd' | 'seSparse' | 'other'

export function beginningOf(head: Uint8Array): Beginning {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(4, head.length)).toString('latin1')
  if (text === sparseMagic) return 'hosted'
  if (text === unfinishedMagic) return 'unfinished'
  if (text === cowdMagic) return 'cowd'
  return text === '\xbe\xba\xfe\xca' && head.length >= 8 && head.subarray(4, 8).every((byte) => byte === 0)
    ? 'seSparse'
    : 'other'
}
