import type { WrapperDriver } from '../driver.js'
import { gzip } from './gzip.js'
import { bzip2, lz4, lzma } from './others.js'
import { xz } from './xz.js'
import { zip } from './zip.js'
import { zstd } from './zstd.js'

/** Compressed files around any image, one line each. */
export const compressedFiles: readonly WrapperDriver[] = [gzip, bzip2, xz, lzma, zstd, lz4, zip]
