import { unsupported } from '../../errors.js'
import { bzip2Stream } from './bzip2.js'
import { deflateStream, gzipStream } from './gzip.js'
import { lz4Stream } from './lz4.js'
import { lzmaStream } from './lzma-alone.js'
import type { StreamCodec } from './types.js'
import { xzStream } from './xz.js'
import { zstdStream } from './zstd.js'

/** The ways of compressing whole files that can be decoded, one line each. */
const streamCodecs: readonly StreamCodec[] = [
  gzipStream,
  deflateStream,
  bzip2Stream,
  xzStream,
  lzmaStream,
  zstdStream,
  lz4Stream,
]

/** @throws ImageError unsupported E_CODEC. */
export function streamCodecFor(id: string): StreamCodec {
  const found = streamCodecs.find((codec) => codec.id === id)
  if (found === undefined) throw unsupported('E_CODEC', `no stream codec is called ${id}`)
  return found
}
