import { unsupported } from '../../errors.js'
import * as builtin from './builtin.js'
import type { StreamCodec } from './types.js'

const streamCodecs: readonly StreamCodec[] = Object.values(builtin)

/** @throws ImageError unsupported E_CODEC. */
export function streamCodecFor(id: string): StreamCodec {
  const found = streamCodecs.find((codec) => codec.id === id)
  if (found === undefined) throw unsupported('E_CODEC', `no stream codec is called ${id}`)
  return found
}
