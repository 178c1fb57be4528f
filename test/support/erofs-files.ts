import fs from 'node:fs'
import { join } from 'node:path'
import { diskLike } from './content.js'

const lines = (first: number, last: number): string =>
  Array.from({ length: last - first }, (_each, index) => `${(first + index) * 7}\n`).join('')

/**
 * Files whose content has ends, repetitions and noise, as packed filesystems treat each in another way. The recordings
 * of mkfs.erofs 1.8.6 hold them (fixtures/recordings/erofs).
 */
export const erofsFiles: Readonly<Record<string, Uint8Array>> = {
  numbers: Buffer.from(lines(0, 8000)),
  'numbers, and an end': Buffer.from(`${lines(0, 8000)}end`),
  'later numbers': Buffer.from(lines(4000, 7500)),
  'zeros, then more': Buffer.concat([Buffer.alloc(30_000), Buffer.from(lines(9000, 9900))]),
  noise: diskLike(6001, 3),
  empty: Buffer.alloc(0),
  ...Object.fromEntries(
    [1, 100, 4095, 4096, 4097, 12_345].map((length) => [
      `text of ${length}`,
      Buffer.from('text, '.repeat(length).slice(0, length)),
    ]),
  ),
}

/** By the name of the recording. */
export const erofsRecordings: Readonly<Record<string, string>> = {
  'lzma.erofs': '-zlzma',
  'lzma-large.erofs': '-zlzma,level=9 -C65536 -Eztailpacking',
  'deflate.erofs': '-zdeflate,level=9',
  'deflate-large.erofs': '-zdeflate,level=9 -C16384 -Efragments',
  'zstd.erofs': '-zzstd -Eztailpacking',
  'zstd-large.erofs': '-zzstd,level=19 -C65536 -Eall-fragments',
  'lz4-fragments.erofs': '-zlz4hc -Eall-fragments,legacy-compress',
  'lzma-fragments-tails.erofs': '-zlzma -C32768 -Efragments,ztailpacking',
  'lz4-shared.erofs': '-zlz4hc -Ededupe',
  'deflate-shared.erofs': '-zdeflate -C16384 -Ededupe,fragments',
  'zstd-shared.erofs': '-zzstd -C16384 -Ededupe',
  'lzma-shared.erofs': '-zlzma -C16384 -Ededupe',
  'lz4-small-blocks.erofs': '-zlz4 -b512',
  'zstd-small-blocks.erofs': '-zzstd -b1024 -C4096',
}

/** Writes the files into a folder, from which mkfs.erofs makes an image. */
export function writeErofsFiles(folder: string): void {
  for (const [name, bytes] of Object.entries(erofsFiles)) fs.writeFileSync(join(folder, name), bytes)
}
