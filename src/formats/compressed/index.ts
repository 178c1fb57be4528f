/** Compressed files around any image, one line each. */
export { gzip } from './gzip.js'
export { bzip2, lz4, lzma } from './others.js'
export { lzop } from './lzop.js'
export { xz } from './xz.js'
export { zip } from './zip.js'
export { zstd } from './zstd.js'
