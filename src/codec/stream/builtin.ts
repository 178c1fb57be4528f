/** The ways of compressing whole files that can be decoded, one line each. */
export { bzip2Stream } from './bzip2.js'
export { deflateStream, gzipStream } from './gzip.js'
export { lz4Stream } from './lz4.js'
export { lzmaStream } from './lzma-alone.js'
export { lzopStream } from './lzop.js'
export { xzStream } from './xz.js'
export { zstdStream } from './zstd.js'
