import { blockFlags } from './structs.js'

/** What the flags of a metadata block say. */
export function decodeFlags(flags: number): {
  readonly last: boolean
  readonly compressed: boolean
  readonly encrypted: boolean
} {
  return {
    last: (flags & blockFlags.last) !== 0,
    compressed: (flags & blockFlags.compressed) !== 0,
    encrypted: (flags & blockFlags.encrypted) !== 0,
  }
}
