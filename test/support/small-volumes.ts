/** Volumes written from their specifications, for tests without the systems' tools. */

/**
 * HFS+ of blocks of 4 KiB, with a map of one bit a block and a catalog of which the first record is the root folder's
 * (TN1150).
 */
export function hfsPlus(blocks: number, used: readonly number[], label: string): Buffer {
  const bytes = Buffer.alloc(blocks * 4096)
  const header = 1024
  bytes.write('H+', header)
  bytes.writeUInt16BE(4, header + 2)
  bytes.writeUInt32BE(0x100, header + 4)
  bytes.writeUInt32BE(4096, header + 40)
  bytes.writeUInt32BE(blocks, header + 44)
  bytes.writeUInt32BE(blocks - used.length, header + 48)
  Buffer.from('0123456789abcdef', 'hex').copy(bytes, header + 104)
  const fork = (at: number, start: number, count: number): void => {
    bytes.writeBigUInt64BE(BigInt(count * 4096), at)
    bytes.writeUInt32BE(count, at + 12)
    bytes.writeUInt32BE(start, at + 16)
    bytes.writeUInt32BE(count, at + 20)
  }
  fork(header + 112, 1, 1)
  fork(header + 272, 2, 2)
  for (const block of used) bytes[4096 + Math.floor(block / 8)]! |= 0x80 >> (block % 8)
  bytes.writeUInt32BE(1, 2 * 4096 + 24)
  bytes.writeUInt16BE(4096, 2 * 4096 + 32)
  const leaf = 3 * 4096
  bytes[leaf + 8] = 0xff
  bytes.writeUInt16BE(1, leaf + 10)
  bytes.writeUInt16BE(6 + label.length * 2, leaf + 14)
  bytes.writeUInt32BE(1, leaf + 16)
  bytes.writeUInt16BE(label.length, leaf + 20)
  Buffer.from(label, 'utf16le')
    .swap16()
    .copy(bytes, leaf + 22)
  bytes.copy(bytes, bytes.length - 1024, header, header + 512)
  return bytes
}

/** A swap area of version 1: a head, and pages of `fill`. */
export function swapArea(pages: number, fill: number, mark = 'SWAPSPACE2'): Buffer {
  const bytes = Buffer.alloc(pages * 4096, fill)
  bytes.fill(0, 0, 4096)
  bytes.writeUInt32LE(1, 1024)
  bytes.writeUInt32LE(pages - 1, 1028)
  bytes.write(mark.padEnd(10, '\0'), 4086, 'latin1')
  return bytes
}

/**
 * A disk with an MBR, and volumes in its primary partitions. Positions in sectors; `length` where it is not that of the
 * volume.
 */
export function mbrDisk(
  sectors: number,
  volumes: readonly { readonly start: number; readonly bytes: Uint8Array; readonly length?: number }[],
  fill = 0,
): Buffer {
  const disk = Buffer.alloc(sectors * 512, fill)
  disk.fill(0, 0, 512)
  for (const [index, { start, bytes, length = bytes.length / 512 }] of volumes.entries()) {
    const entry = 446 + index * 16
    disk[entry + 4] = 0x83
    disk.writeUInt32LE(start, entry + 8)
    disk.writeUInt32LE(length, entry + 12)
    disk.set(bytes.subarray(0, disk.length - start * 512), start * 512)
  }
  disk.writeUInt32LE(0x12345678, 440)
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}
