/**
 * What streams begin with, apart from their decoders: asking a file what it is loads none of those.
 */
export const xzMagic = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] as const
/** Bytes of the header of an xz stream, and of its footer. */
export const xzHeaderLength = 12
/** Bytes before the stream of an old .lzma file. */
export const lzmaHeaderLength = 13
export const zstdMagic = 0xfd2fb528
export const lzopMagic = '\x89LZO\0\r\n\x1a\n'
/** Bytes; lzop itself makes blocks of 256 KiB. */
export const largestLzopBlock = 64 * 1024 * 1024

export function isSkippable(magic: number): boolean {
  return magic >= 0x184d2a50 && magic <= 0x184d2a5f
}
