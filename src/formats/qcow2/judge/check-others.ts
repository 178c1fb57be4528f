import { safeNumber, viewOf } from '../../../binary/integers.js'
import type { ReferenceMap } from '../../../binary/reference-map.js'
import { isImageError, printable } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import { maximumBitmaps, readBitmaps, type Bitmap } from '../format/bitmaps.js'
import { hasBit } from '../../../binary/flags.js'
import { decodeBitmapEntry } from '../format/entries.js'
import { snapshotDisk } from '../format/snapshots.js'
import { autoclear } from '../format/structs.js'
import { countClusters, damage, owner, type ImageParts } from '../format/owners.js'

/** Bytes of a bitmap's table that are read at a time. */
const pieceBytes = 65536
/** The largest table of a bitmap, as in qemu: 2^29 bits of 8 bytes an entry are far more than a disk can need. */
const maximumTableEntries = 2 ** 24

/** The snapshot table: what its entries say, and that v3 has the extra data it asks for. */
export function* checkSnapshots({ store, header, snapshots, snapshotFault }: ImageParts): Generator<Finding> {
  if (snapshotFault !== undefined)
    yield damage(
      snapshotFault.code,
      'snapshot table',
      60,
      `${snapshotFault.message.replace(`${store.name}: `, '')}; of ${header.snapshots.count} snapshots ` +
        `${snapshots.length} can be read`,
    )
  const ids = new Set<string>()
  for (const [index, snapshot] of snapshots.entries()) {
    const structure = `snapshot ${printable(snapshot.id)}`
    if (ids.has(snapshot.id))
      yield {
        severity: 'warning',
        code: 'W_SNAPSHOT_ID',
        structure: `snapshot table entry ${index}`,
        position: snapshot.position,
        message: `its id ${printable(snapshot.id)} is that of another snapshot`,
      }
    ids.add(snapshot.id)
    if (header.version >= 3 && snapshot.extraLength < 16)
      yield damage(
        'E_SNAPSHOT_TABLE',
        structure,
        snapshot.position,
        `has ${snapshot.extraLength} bytes of extra data, where version 3 asks for 16: the size of its disk ` +
          'is not recorded',
      )
    try {
      snapshotDisk(store, header, snapshot)
    } catch (error) {
      if (!isImageError(error)) throw error
      yield damage(
        error.code,
        structure,
        snapshot.position,
        error.message.replace(`${store.name}: snapshot ${printable(snapshot.id)}`, 'it').replace(/^it: /, ''),
      )
    }
  }
  if (header.dataFile && snapshots.length > 0)
    yield damage(
      'E_SNAPSHOT_TABLE',
      'header',
      60,
      `there are ${snapshots.length} snapshots, which an external data file does not allow`,
    )
}

/** What the header says beside the disk itself: extensions, the name of the data file. */
export function* checkHeader({ header }: ImageParts): Generator<Finding> {
  const { extensions, dataFile } = header
  const { fault } = extensions
  if (fault !== undefined)
    yield damage(
      'E_HEADER_EXTENSION',
      'header',
      fault.position,
      `the ${fault.message}: neither it nor what follows it can be read`,
    )
  if (dataFile && (extensions.dataFile ?? '') === '')
    yield damage(
      'E_DATA_FILE',
      'header',
      72,
      'the content is in an external data file, whose name is not recorded: the disk cannot be read',
    )
}

/**
 * Whether the bitmaps are those of the disk as it is: a program that did not know them has changed the image otherwise.
 */
function bitmapsAreCurrent({ header }: ImageParts): boolean {
  return hasBit(header.autoclearFeatures, autoclear.bitmaps)
}

/**
 * Counts what is neither table nor data: snapshot table, encryption header, bitmaps. Reports what is wrong with it when
 * asked to.
 */
export function* countOthers(imageParts: ImageParts, map: ReferenceMap, reports: boolean): Generator<Finding | number> {
  const { store, header, snapshots, planned } = imageParts
  if (planned !== undefined) countClusters(imageParts, map, { ...planned, kind: owner.other })
  const last = snapshots.at(-1)
  if (last !== undefined)
    countClusters(imageParts, map, {
      position: header.snapshots.position,
      length: last.position + last.length - header.snapshots.position,
      kind: owner.other,
    })
  const { crypto, bitmaps } = header.extensions
  if (crypto !== undefined) {
    const { offset, length } = crypto
    const fits = offset + length <= BigInt(store.size) && Number(offset) % header.geometry.clusterSize === 0
    if (fits) countClusters(imageParts, map, { position: Number(offset), length: Number(length), kind: owner.other })
    else if (reports)
      yield damage(
        'E_CRYPTO_HEADER',
        'encryption header',
        0,
        `is said to have ${length} bytes at byte ${offset}, which is no place in the file of ${store.size} bytes`,
      )
  }
  if (bitmaps === undefined) return
  if (bitmapsAreCurrent(imageParts)) yield* countBitmaps(imageParts, map, reports)
  else if (reports)
    yield {
      severity: 'warning',
      code: 'W_BITMAPS_STALE',
      structure: 'bitmaps',
      position: 88,
      message:
        'a program that does not know bitmaps has changed the image: they are not to be trusted, and their ' +
        'clusters count as leaked',
    }
}

function* countBitmaps(imageParts: ImageParts, map: ReferenceMap, reports: boolean): Generator<Finding | number> {
  const { store, header } = imageParts
  const extension = header.extensions.bitmaps
  if (extension === undefined) return
  let bitmaps: readonly Bitmap[]
  try {
    const position = safeNumber(extension.directoryOffset, 'the position of the bitmap directory')
    const length = safeNumber(extension.directorySize, 'the size of the bitmap directory')
    if (!countClusters(imageParts, map, { position, length, kind: owner.other }) && reports)
      yield damage(
        'E_TRUNCATED',
        'bitmap directory',
        0,
        `takes bytes ${position} to ${position + length}, but the file ends at byte ${store.size}`,
      )
    bitmaps = readBitmaps(store, header, maximumBitmaps)
  } catch (error) {
    if (!isImageError(error)) throw error
    if (reports) yield damage('E_BITMAPS', 'bitmap directory', 0, error.message.replace(`${store.name}: `, ''))
    return
  }
  if (extension.count > maximumBitmaps && reports)
    yield damage(
      'E_BITMAPS',
      'bitmap directory',
      0,
      `is said to have ${extension.count} entries, at most ${maximumBitmaps} are allowed`,
    )
  for (const bitmap of bitmaps) yield* countBitmap(imageParts, map, bitmap, reports)
}

function* countBitmap(
  imageParts: ImageParts,
  map: ReferenceMap,
  bitmap: Bitmap,
  reports: boolean,
): Generator<Finding | number> {
  const { store, header } = imageParts
  const { name, position, tableEntries, inUse } = bitmap
  const structure = `bitmap ${printable(name)}`
  if (inUse && reports)
    yield {
      severity: 'warning',
      code: 'W_BITMAP_IN_USE',
      structure,
      position,
      message: 'was not written back by the program that used it: it is not to be trusted',
    }
  const tablePosition = Number(bitmap.tablePosition)
  const inside =
    tablePosition % header.geometry.clusterSize === 0 &&
    tableEntries <= maximumTableEntries &&
    tablePosition + tableEntries * 8 <= store.size
  if (
    !inside ||
    !countClusters(imageParts, map, { position: tablePosition, length: tableEntries * 8, kind: owner.other })
  ) {
    if (reports)
      yield damage(
        'E_BITMAPS',
        structure,
        position,
        `is said to have a table of ${tableEntries} entries at byte ${bitmap.tablePosition}, which is no ` +
          `place in the file of ${store.size} bytes`,
      )
    return
  }
  const bytes = new Uint8Array(Math.min(pieceBytes, tableEntries * 8))
  for (let done = 0; done < tableEntries; done += pieceBytes / 8) {
    const piece = bytes.subarray(0, Math.min(pieceBytes / 8, tableEntries - done) * 8)
    store.read(tablePosition + done * 8, piece)
    const view = viewOf(piece)
    for (let at = 0; at < piece.length / 8; at++) {
      const found = countBitmapEntry(imageParts, map, view, at)
      if (found === undefined || !reports) continue
      const index = done + at
      yield damage(found.code, `${structure}, table entry ${index}`, tablePosition + index * 8, found.message)
    }
    yield 1
  }
}

/** Counts the cluster of a bitmap's table entry; gives what is wrong with it. */
function countBitmapEntry(
  imageParts: ImageParts,
  map: ReferenceMap,
  table: DataView,
  index: number,
): { readonly code: string; readonly message: string } | undefined {
  const { clusterSize } = imageParts.header.geometry
  const { position, reserved } = decodeBitmapEntry(table, index)
  if (reserved) return { code: 'E_BITMAPS', message: 'has reserved bits set' }
  if (position % clusterSize !== 0)
    return { code: 'E_BITMAPS', message: `leads to byte ${position}, which begins no cluster` }
  if (position === 0 || countClusters(imageParts, map, { position, length: clusterSize, kind: owner.other }))
    return undefined
  return {
    code: 'E_TRUNCATED',
    message: `leads to byte ${position}, but the file ends at byte ${imageParts.store.size}`,
  }
}
