import { ceilDivide, roundUp, safeNumber } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, isImageError, printable, refused, usage } from '../../../errors.js'
import { hasBit } from '../../../binary/flags.js'
import { decodeBitmapEntry } from './entries.js'
import { readTable, type Header } from './header.js'
import { autoclear, bitmapEntry } from './structs.js'
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

/** The largest table of a bitmap: far more than a disk can need. */
const maximumTableEntries = 2 ** 24

/**
 * The clusters that the bitmaps take: directory, tables, data. Undefined where something of them is damaged or used
 * twice: what is whose is not known then.
 */
export function bitmapClusters(store: ByteStore, header: Header): ReadonlySet<number> | undefined {
  const extension = header.extensions.bitmaps
  if (extension === undefined || extension.count > maximumBitmaps) return undefined
  const { clusterSize } = header.geometry
  const clusters = new Set<number>()
  const add = (position: number, length: number): boolean => {
    if (position % clusterSize !== 0 || position + length > roundUp(store.size, clusterSize)) return false
    for (let cluster = position / clusterSize; cluster * clusterSize < position + length; cluster++) {
      if (clusters.has(cluster)) return false
      clusters.add(cluster)
    }
    return true
  }
  try {
    if (!add(Number(extension.directoryOffset), Number(extension.directorySize))) return undefined
    for (const { tablePosition, tableEntries } of readBitmaps(store, header, maximumBitmaps)) {
      const place = { position: Number(tablePosition), entries: tableEntries }
      if (tableEntries > maximumTableEntries || place.position + tableEntries * 8 > store.size) return undefined
      if (!add(place.position, tableEntries * 8)) return undefined
      const table = readTable(store, place)
      for (let index = 0; index < tableEntries; index++) {
        const { position, reserved } = decodeBitmapEntry(table, index)
        if (reserved || (position !== 0 && !add(position, clusterSize))) return undefined
      }
    }
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
  return clusters
}

/** Whether all bitmaps are as long as a disk of that capacity needs them: what is added to it is clear in them. */
export function bitmapsFit(store: ByteStore, header: Header, capacity: number): boolean {
  const perCluster = header.geometry.clusterSize * 8
  return readBitmaps(store, header, maximumBitmaps).every(
    ({ granularity, tableEntries, inUse }) =>
      !inUse && tableEntries === ceilDivide(ceilDivide(capacity, granularity), perCluster),
  )
}

/**
 * What a bitmap says has changed, as runs of the disk's bytes in ascending order.
 * @throws ImageError usage E_NO_BITMAP; refused E_BITMAP_STALE where it was not written back, and says nothing that can
 * be relied on; corrupt E_BITMAPS.
 */
export function* dirtyRuns(
  store: ByteStore,
  header: Header,
  name: string,
  capacity: number,
): Generator<{ readonly offset: number; readonly length: number }> {
  const { granularity, tablePosition, tableEntries } = trustedBitmap(store, header, name)
  const { clusterSize } = header.geometry
  const perCluster = clusterSize * 8
  const damaged = (): Error => corrupt('E_BITMAPS', `${store.name}: the table of the bitmap ${name} is damaged`)
  if (tableEntries > maximumTableEntries || tableEntries < ceilDivide(ceilDivide(capacity, granularity), perCluster))
    throw damaged()
  const table = readTable(store, { position: Number(tablePosition), entries: tableEntries })
  const bits = new Uint8Array(clusterSize)
  let start = -1
  for (let index = 0; index < tableEntries; index++) {
    const { position, reserved, allSet } = decodeBitmapEntry(table, index)
    if (reserved || position % clusterSize !== 0 || position + clusterSize > roundUp(store.size, clusterSize))
      throw damaged()
    if (position === 0) bits.fill(allSet ? 0xff : 0)
    else store.read(position, bits)
    for (let bit = 0; bit < perCluster; bit++) {
      const offset = (index * perCluster + bit) * granularity
      if (offset >= capacity) break
      // Eight clear ones at once: most are.
      if (start < 0 && bit % 8 === 0 && bits[bit / 8] === 0) {
        bit += 7
        continue
      }
      const isSet = Math.floor((bits[Math.floor(bit / 8)] ?? 0) / 2 ** (bit % 8)) % 2 === 1
      if (isSet && start < 0) start = offset
      if (isSet || start < 0) continue
      yield { offset: start, length: offset - start }
      start = -1
    }
  }
  if (start >= 0) yield { offset: start, length: capacity - start }
}

/** The names of the bitmaps that were written back. @throws ImageError as {@link readBitmaps}. */
export function trustedNames(store: ByteStore, header: Header): string[] {
  if (!hasBit(header.autoclearFeatures, autoclear.bitmaps)) return []
  return readBitmaps(store, header, maximumBitmaps).flatMap(({ name, inUse }) => (inUse ? [] : [name]))
}

/** The bitmap of a name. */
function trustedBitmap(store: ByteStore, header: Header, name: string): Bitmap {
  const bitmaps = readBitmaps(store, header, maximumBitmaps)
  const found = bitmaps.find((bitmap) => bitmap.name === name)
  if (found === undefined)
    throw usage('E_NO_BITMAP', `${store.name} has no bitmap ${printable(name)}`, {
      hint:
        bitmaps.length === 0
          ? 'It has none: QEMU makes them (qemu-img bitmap --add).'
          : `It has ${bitmaps.map((bitmap) => printable(bitmap.name)).join(', ')}.`,
    })
  if (!found.inUse && hasBit(header.autoclearFeatures, autoclear.bitmaps)) return found
  throw refused(
    'E_BITMAP_STALE',
    `the bitmap ${printable(name)} of ${store.name} was not written back: what has changed is not known from it`,
    { hint: 'Stop the virtual machine cleanly; if it was, make a whole image and a new bitmap.' },
  )
}
