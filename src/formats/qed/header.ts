import { isPowerOfTwo } from '../../binary/integers.js'
import type { FieldRow } from '../../binary/struct.js'
import type { ByteStore, Note } from '../../block/types.js'
import { corrupt, hints, unsupported } from '../../errors.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import { hostName } from '../../sys/host-fs.js'
import { hasFeature, unknownFeatures } from './entries.js'
import { feature, header as layout, magic, type HeaderValues } from './structs.js'

/** A judged header. Positions and sizes in bytes. */
export interface Header {
  readonly values: HeaderValues
  readonly clusterSize: number
  /** Bytes and entries of a table, L1 and L2 alike. */
  readonly tableBytes: number
  readonly entries: number
  readonly l1Position: number
  readonly capacity: number
  readonly backing?: { readonly name: string; readonly isRaw: boolean }
  readonly notes: readonly Note[]
  readonly rows: readonly FieldRow[]
}

const mostNameBytes = 4096

/** @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_OVERLAP, E_TOO_LARGE; unsupported E_UNSUPPORTED_FEATURE. */
export function readHeader(store: ByteStore): Header {
  const { name, size } = store
  const bytes = headerBytes(store, layout.size, 'a QED header')
  const values = layout.read(bytes)
  const bad = badField(name)
  // The last byte of the mark is a NUL, which is no part of the text that is read.
  if (values.magic !== magic.slice(0, 3)) throw bad('no QED header', 0)
  const { clusterSize, tableSize, headerSize, features, l1TableOffset, imageSize } = values
  if (!isPowerOfTwo(clusterSize) || clusterSize < 4096 || clusterSize > 2 ** 26)
    throw bad(`the cluster size is ${clusterSize}, expected a power of two from 4096 to 64 MiB`, 4)
  if (!isPowerOfTwo(tableSize) || tableSize > 16) throw bad(`a table has ${tableSize} clusters, expected 1 to 16`, 8)
  if (headerSize === 0 || headerSize * clusterSize > size) throw bad(`the header has ${headerSize} clusters`, 12)
  const unknown = unknownFeatures(features)
  if (unknown !== 0n)
    throw unsupported('E_UNSUPPORTED_FEATURE', `${name}: unknown features 0x${unknown.toString(16)} (header byte 16)`, {
      details: { position: 16 },
    })
  const tableBytes = tableSize * clusterSize
  const entries = tableBytes / 8
  if (imageSize > entries * entries * clusterSize)
    throw bad(`the disk has ${imageSize} bytes, more than the tables can map`, 48)
  if (l1TableOffset % clusterSize !== 0) throw bad(`the L1 table is at byte ${l1TableOffset}, inside a cluster`, 40)
  if (l1TableOffset < headerSize * clusterSize)
    throw corrupt('E_OVERLAP', `${name}: the L1 table at byte ${l1TableOffset} lies on the header (header byte 40)`)
  if (l1TableOffset + tableBytes > size)
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the L1 table takes bytes ${l1TableOffset} to ${l1TableOffset + tableBytes}, but the ` +
        `file ends at byte ` +
        `${size}`,
      { details: { position: l1TableOffset, size }, hint: hints.incomplete },
    )
  const notes: Note[] = hasFeature(features, feature.needCheck)
    ? [{ code: 'W_DIRTY', message: `${name}: the image was not closed: clusters may be lost or shared` }]
    : []
  return {
    values,
    clusterSize,
    tableBytes,
    entries,
    l1Position: l1TableOffset,
    capacity: imageSize,
    backing: hasFeature(features, feature.backingFile) ? backingName(store, values, bad) : undefined,
    notes,
    rows: layout.rows(bytes, 0),
  }
}

function backingName(
  store: ByteStore,
  { backingFilenameOffset: position, backingFilenameSize: length, headerSize, clusterSize, features }: HeaderValues,
  bad: (message: string, position: number) => Error,
): Header['backing'] {
  if (length === 0 || length > mostNameBytes || position < layout.size || position + length > headerSize * clusterSize)
    throw bad(`the name of the backing file takes ${length} bytes at byte ${position}, not inside the header`, 56)
  const bytes = new Uint8Array(length)
  store.read(position, bytes)
  return { name: hostName(bytes), isRaw: hasFeature(features, feature.backingIsRaw) }
}
