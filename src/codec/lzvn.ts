import { corrupt } from '../errors.js'

function damaged(why: string): Error {
  return corrupt('E_COMPRESSED', `the LZVN data is damaged: ${why}`)
}

/** An operation: literals from the stream, then a copy from `distance` bytes before. */
interface Operation {
  readonly size: number
  readonly literals: number
  readonly match: number
  /** 0: that of the operation before. */
  readonly distance: number
}

/**
 * LZVN, the simpler half of LZFSE (Apple, lzfse, lzvn_decode_base.c).
 * @param from where the output goes on in `target`; copies may reach before it. @returns where it ends.
 */
export function decodeLzvn(stored: Uint8Array, target: Uint8Array, from: number, end: number): number {
  let at = 0
  let done = from
  let distance = 0
  while (done < end) {
    const code = stored[at]
    if (code === undefined) throw damaged(`the stream ends after ${done - from} of ${end - from} bytes`)
    if (code === 0x06) break
    if (code === 0x0e || code === 0x16) {
      at++
      continue
    }
    const operation = operationAt(stored, at, code)
    at += operation.size
    const { literals, match } = operation
    if (operation.distance > 0) distance = operation.distance
    if (at + literals > stored.length || done + literals + match > end) throw damaged('an operation passes the end')
    target.set(stored.subarray(at, at + literals), done)
    at += literals
    done += literals
    if (match === 0) continue
    if (distance === 0 || distance > done) throw damaged(`a copy from ${distance} bytes before the output`)
    for (let count = 0; count < match; count++, done++) target[done] = target[done - distance] ?? 0
  }
  return done
}

function operationAt(stored: Uint8Array, at: number, code: number): Operation {
  const next = stored[at + 1] ?? 0
  const word = next + (stored[at + 2] ?? 0) * 256
  const high = code >> 4
  if (high === 0xe) {
    const literals = code & 15
    return literals === 0
      ? { size: 2, literals: next + 16, match: 0, distance: 0 }
      : { size: 1, literals, match: 0, distance: 0 }
  }
  if (high === 0xf) {
    const match = code & 15
    return match === 0
      ? { size: 2, literals: 0, match: next + 16, distance: 0 }
      : { size: 1, literals: 0, match, distance: 0 }
  }
  if (high === 0xa || high === 0xb) {
    const match = ((code & 7) << 2) + (word & 3) + 3
    return withDistance({ size: 3, literals: (code >> 3) & 3, match, distance: word >> 2 })
  }
  if (high === 0x7 || high === 0xd) throw damaged(`the operation 0x${code.toString(16)} means nothing`)
  const literals = code >> 6
  const match = ((code >> 3) & 7) + 3
  switch (code & 7) {
    case 7:
      return withDistance({ size: 3, literals, match, distance: word })
    case 6:
      if (literals === 0) throw damaged(`the operation 0x${code.toString(16)} means nothing`)
      return { size: 1, literals, match, distance: 0 }
    default:
      return withDistance({ size: 2, literals, match, distance: ((code & 7) << 8) + next })
  }
}

function withDistance(operation: Operation): Operation {
  if (operation.distance === 0) throw damaged('a copy from 0 bytes before')
  return operation
}
