import { diskLike } from './content.js'
import { HandImage, type FileBytes, type HandShape } from './qcow2-bytes.js'

/** Sets refcounts in the first block of a hand-made image, 16 bits each. */
export function refcount<File extends FileBytes>(file: File, cluster: number, count: number, clusterSize = 4096): File {
  file.u16(2 * clusterSize + cluster * 2, count)
  return file
}

/** Gives every cluster of a hand-made image a refcount of one: it is sound when each has one owner. */
export function counted<File extends HandImage>(file: File, except: Readonly<Record<number, number>> = {}): File {
  const clusters = Math.ceil(file.size / file.cluster)
  for (let cluster = 0; cluster < clusters; cluster++) refcount(file, cluster, except[cluster] ?? 1, file.cluster)
  return file
}

/** A sound image: clusters of 4 KiB, guest clusters 0, 1 and 2 in host clusters 5, 6 and 7. */
export function soundImage(shape: HandShape = {}, except: Readonly<Record<number, number>> = {}): HandImage {
  const file = new HandImage({ clusterBits: 12, size: 8 * 4096, ...shape })
  for (let guest = 0; guest < 3; guest++) file.data(guest, 5 + guest, diskLike(file.cluster, guest + 1))
  return counted(file, except)
}

/** Adds the table entry of a snapshot at `position`; gives where the next one goes. */
export function snapshotEntry(
  file: FileBytes,
  position: number,
  parts: {
    readonly l1: number
    readonly entries: number
    readonly id: string
    readonly size: number
    readonly extra?: number
  },
): number {
  const { l1, entries, id, size, extra = 16 } = parts
  file
    .u64(position, l1)
    .u32(position + 8, entries)
    .u16(position + 12, id.length)
    .u16(position + 14, 1)
    .u32(position + 36, extra)
  if (extra >= 16) file.u64(position + 48, size)
  file.put(position + 40 + extra, `${id}s`)
  return position + Math.ceil((40 + extra + id.length + 1) / 8) * 8
}

/** The sound image with a snapshot of all of it: table in cluster 8, its L1 table in cluster 9. */
export function snapshotImage(shape: HandShape = {}, id = '1'): HandImage {
  const file = soundImage(shape)
  file.u32(60, 1).u64(64, 8 * 4096)
  snapshotEntry(file, 8 * 4096, { l1: 9 * 4096, entries: 1, id, size: 8 * 4096 })
  file.u64(9 * 4096, 4 * 4096).pad(10 * 4096)
  // Everything is shared now: no flag of a refcount of one.
  file.u64(file.l1, 4 * 4096)
  for (let guest = 0; guest < 3; guest++) file.map(guest, (5 + guest) * 4096)
  return counted(file, { 4: 2, 5: 2, 6: 2, 7: 2 })
}

/** The data of a bitmaps extension. */
export function bitmapsExtension(count: number, size: number, position: number): Buffer {
  const data = Buffer.alloc(24)
  data.writeUInt32BE(count, 0)
  data.writeBigUInt64BE(BigInt(size), 8)
  data.writeBigUInt64BE(BigInt(position), 16)
  return data
}

/**
 * The sound image with a bitmap: directory in cluster 8, table in 9, bits in 10. `current`: whether the header says
 * that it is.
 */
export function bitmapImage(
  current = true,
  parts: { readonly count?: number; readonly size?: number } = {},
): HandImage {
  const file = soundImage({
    extensions: [[0x23852875, bitmapsExtension(parts.count ?? 1, parts.size ?? 32, 8 * 4096)]],
  })
  file
    .u64(8 * 4096, 9 * 4096)
    .u32(8 * 4096 + 8, 1)
    .u8(8 * 4096 + 16, 1)
    .u8(8 * 4096 + 17, 16)
    .u16(8 * 4096 + 18, 2)
    .put(8 * 4096 + 24, 'b0')
  file.u64(9 * 4096, 10 * 4096).pad(11 * 4096)
  return counted(file.u64(88, current ? 1 : 0))
}
