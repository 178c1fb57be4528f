import { createHash } from 'node:crypto'
import { ceilDivide, roundUp } from '../../binary/integers.js'
import type { FieldRow } from '../../binary/struct.js'
import type { ByteStore, Note } from '../../block/types.js'
import { corrupt, hints, unsupported } from '../../errors.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import {
  dirtyBitmap,
  extensionHeader,
  extensionMagic,
  featureHeader,
  header as layout,
  inUse,
  newMagic,
  oldMagic,
  sectorLength,
  type HeaderValues,
} from './structs.js'

/** A judged header. Positions and sizes in bytes. */
export interface Header {
  readonly values: HeaderValues
  readonly isExtended: boolean
  readonly clusterSize: number
  /** What an entry of the table counts in. */
  readonly unit: number
  readonly capacity: number
  readonly dataPosition: number
  readonly notes: readonly Note[]
  readonly rows: readonly FieldRow[]
}

export const tablePosition = 64

/** @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_TOO_LARGE; unsupported E_VERSION, E_UNSUPPORTED_FEATURE. */
export function readHeader(store: ByteStore): Header {
  const { name, size } = store
  const bytes = headerBytes(store, layout.size, 'a Parallels header')
  const values = layout.read(bytes)
  const bad = badField(name)
  const isExtended = values.magic === newMagic
  if (!isExtended && values.magic !== oldMagic) throw bad('no Parallels header', 0)
  if (values.version !== 2)
    throw unsupported(
      'E_VERSION',
      `${name}: the header has version ${values.version}, only 2 is known (header byte 16)`,
    )
  const { tracks, batEntries } = values
  if (tracks === 0 || tracks > 2 ** 31 / sectorLength) throw bad(`a cluster has ${tracks} sectors`, 28)
  const clusterSize = tracks * sectorLength
  // Of the old kind only 32 bits are valid.
  const sectors = isExtended ? values.sectors : BigInt.asUintN(32, values.sectors)
  if (sectors > BigInt(2 ** 44))
    throw corrupt('E_TOO_LARGE', `${name}: the disk has ${sectors} sectors (header byte 36)`)
  const capacity = Number(sectors) * sectorLength
  if (batEntries < ceilDivide(capacity, clusterSize))
    throw bad(`the table has ${batEntries} entries, the disk needs ${ceilDivide(capacity, clusterSize)}`, 32)
  const tableEnd = tablePosition + batEntries * 4
  if (tableEnd > size)
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the table of ${batEntries} entries takes bytes ${tablePosition} to ${tableEnd}, but the file ends at ` +
        `byte ${size}`,
      { details: { position: tablePosition, size }, hint: hints.incomplete },
    )
  const stated = values.dataOffset * sectorLength
  if (stated !== 0 && stated < tableEnd) throw bad(`the data begins at byte ${stated}, inside the table`, 48)
  const notes: Note[] =
    values.inUse === inUse
      ? [{ code: 'W_DIRTY', message: `${name}: the image was not closed: clusters may be lost or shared` }]
      : []
  notes.push(...extensionNotes(store, values, clusterSize))
  return {
    values,
    isExtended,
    clusterSize,
    unit: isExtended ? clusterSize : sectorLength,
    capacity,
    dataPosition: stated === 0 ? roundUp(tableEnd, sectorLength) : stated,
    notes,
    rows: layout.rows(bytes, 0),
  }
}

/** The format extension: features that must be understood, and some that need not be. */
function extensionNotes(store: ByteStore, { extensionOffset }: HeaderValues, clusterSize: number): Note[] {
  if (extensionOffset === 0) return []
  const position = extensionOffset * sectorLength
  const note = (why: string): Note[] => [
    { code: 'W_EXTENSION_DAMAGED', message: `${store.name}: the format extension at byte ${position} ${why}; ignored` },
  ]
  if (clusterSize > 64 * 1024 * 1024 || position + clusterSize > store.size) return note('is not whole in the file')
  const bytes = new Uint8Array(clusterSize)
  store.read(position, bytes)
  if (extensionHeader.read(bytes).magic !== extensionMagic) return note('has another mark')
  if (!createHash('md5').update(bytes.subarray(24)).digest().equals(bytes.subarray(8, 24)))
    return note('has a wrong checksum')
  for (let at = 24; at + featureHeader.size <= bytes.length;) {
    const feature = featureHeader.read(bytes, at)
    if (feature.magic === 0n) break
    if (feature.magic !== dirtyBitmap && feature.flags % 2n === 1n)
      throw unsupported(
        'E_UNSUPPORTED_FEATURE',
        `${store.name}: the unknown feature 0x${feature.magic.toString(16)} must be understood (byte ${position + at})`,
        { details: { position: position + at } },
      )
    at += featureHeader.size + roundUp(feature.dataSize, 8)
  }
  return []
}
