/** The codecs built in, one line each: a `Codec`, or a list of them. */
export { adcCodec } from './adc.js'
export { deflateCodec } from './deflate.js'
export { lzfseCodec } from './lzfse.js'
export { ntfscloneCodec } from './ntfsclone.js'
export { gzipMemberCodec, xzBlockCodecs, zstdFrameCodec } from './stream-units.js'
export { bzip2UnitCodec, xzUnitCodec } from './whole-streams.js'
export { zlibCodec, zlibTailCodec } from './zlib.js'
export { zstdCodec } from './zstd.js'
