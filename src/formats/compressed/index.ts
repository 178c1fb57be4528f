/** Compressed files around any image, one line each. */
export { bzip2 } from './bzip2.js'
export { gzip } from './gzip.js'
export { lz4, lzma } from './others.js'
export { lzop } from './lzop.js'
export { xz } from './xz.js'
export { zip } from './zip.js'
export { zstd } from './zstd.js'
