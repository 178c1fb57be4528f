import { unsupported } from '../errors.js'
import type { Codec } from '../block/types.js'
import { deflateRaw, inflateRawCodec } from './deflate.js'
import { prepareZstd, zstdCodec, zstdCompress } from './zstd.js'

/** Makes one compressed unit, or undefined when the result would not be smaller than the unit. */
export type Compressor = (bytes: Uint8Array) => Uint8Array | undefined

/** The codec of an id, in whatever thread. @throws ImageError unsupported E_CODEC. */
export function codecFor(id: string): Codec {
  if (id === inflateRawCodec.id) return inflateRawCodec
  if (id === zstdCodec.id) return zstdCodec
  throw unsupported('E_CODEC', `no decompressor for ${id}`)
}

/** Whether {@link codecFor} knows the id: units of other codecs are decoded by the driver that made them. */
export function isKnownCodec(id: string): boolean {
  return id === inflateRawCodec.id || id === zstdCodec.id
}

/**
 * The compressor of an id. @param level the codec's own scale; its usual level when left out. @throws ImageError
 * unsupported E_CODEC.
 */
export function compressorFor(id: string, level?: number): Compressor {
  if (id === inflateRawCodec.id) return (bytes) => smaller(deflateRaw(bytes, level), bytes)
  if (id === zstdCodec.id) return (bytes) => smaller(zstdCompress(bytes, level), bytes)
  throw unsupported('E_CODEC', `no compressor for ${id}`)
}

/**
 * Loads what a codec needs (a WebAssembly module where Node has no zstd of its own); must be awaited before first use
 * in each thread.
 */
export async function prepareCodec(id: string): Promise<void> {
  if (id === zstdCodec.id) await prepareZstd()
}

function smaller(packed: Uint8Array, plain: Uint8Array): Uint8Array | undefined {
  return packed.length < plain.length ? packed : undefined
}
