/** The codecs built in, one line each: a `Codec`, or a list of them. */
export { deflateCodec } from './deflate.js'
export { gzipMemberCodec, xzBlockCodecs, zstdFrameCodec } from './stream-units.js'
export { zlibCodec, zlibTailCodec } from './zlib.js'
export { zstdCodec } from './zstd.js'
