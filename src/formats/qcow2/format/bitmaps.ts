import { safeNumber } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt } from '../../../errors.js'
import { hasBit } from './entries.js'
import type { Header } from './header.js'
import { bitmapEntry } from './structs.js'
import { hostName } from '../../../sys/host-fs.js'

/** A persistent dirty bitmap, as its directory says. */
export interface Bitmap {
  readonly name: string
  /** Guest bytes of one bit. */
  readonly granularity: number
  /** It was not written back: its content is not to be trusted. */
  readonly inUse: boolean
  readonly auto: boolean
  /** Where its directory entry and its table begin in the file; the table has entries of eight bytes. */
  readonly position: number
  readonly tablePosition: bigint
  readonly tableEntries: number
}

/** The most that qemu allows. */
export const maximumBitmaps = 65535

/**
 * The bitmaps ("Bitmaps"), `most` of them. Reading the disk needs none.
 * @throws ImageError corrupt E_BITMAPS, E_TRUNCATED.
 */
export function readBitmaps(store: ByteStore, header: Header, most: number): Bitmap[] {
  const extension = header.extensions.bitmaps
  if (extension === undefined) return []
  const start = safeNumber(extension.directoryOffset, `${store.name}: the position of the bitmap directory`)
  const end = start + safeNumber(extension.directorySize, `${store.name}: the size of the bitmap directory`)
  if (end > store.size)
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: the bitmap directory takes bytes ${start} to ${end}, but the file ends at byte ${store.size}`,
    )
  const bitmaps: Bitmap[] = []
  let position = start
  for (let index = 0; index < Math.min(extension.count, most); index++) {
    if (position + bitmapEntry.size > end)
      throw corrupt(
        'E_BITMAPS',
        `${store.name}: the bitmap directory ends at byte ${end}, before entry ${index} of ${extension.count}`,
      )
    const fixed = new Uint8Array(bitmapEntry.size)
    store.read(position, fixed)
    const entry = bitmapEntry.read(fixed)
    const length = bitmapEntry.size + entry.extraSize + entry.nameSize
    if (entry.nameSize > 1023 || position + length > end || entry.granularityBits > 52)
      throw corrupt('E_BITMAPS', `${store.name}: the bitmap directory entry at byte ${position} is damaged`)
    const name = new Uint8Array(entry.nameSize)
    store.read(position + bitmapEntry.size + entry.extraSize, name)
    const flags = BigInt(entry.flags)
    bitmaps.push({
      name: hostName(name),
      granularity: 2 ** entry.granularityBits,
      inUse: hasBit(flags, 0),
      auto: hasBit(flags, 1),
      position,
      tablePosition: entry.tableOffset,
      tableEntries: entry.tableSize,
    })
    position += length + ((8 - (length % 8)) % 8)
  }
  return bitmaps
}
