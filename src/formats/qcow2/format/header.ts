import { safeNumber, viewOf } from '../../../binary/integers.js'
import type { FieldRow } from '../../../binary/struct.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints, isImageError, printable, unsupported } from '../../../errors.js'
import { bitsOf, hasBit } from '../../../binary/flags.js'
import { readExtensions, type Extensions } from './extensions.js'
import {
  geometryOf,
  l1EntriesFor,
  maximumClusterBits,
  maximumL1Bytes,
  maximumNameBytes,
  maximumRefcountTableBytes,
  minimumClusterBits,
  minimumExtendedClusterBits,
  type Geometry,
} from './layout.js'
import {
  autoclear,
  compatible,
  headerV2,
  headerV3,
  headerV3Compression,
  incompatible,
  knownFeatures,
  magic,
} from './structs.js'
import { hostName } from '../../../sys/host-fs.js'

/** The header, judged: every number has been checked against the file and its limits. */
export interface Header {
  readonly version: 2 | 3
  readonly geometry: Geometry
  /** Bytes of the virtual disk. */
  readonly capacity: number
  /** 0 none, 1 AES, 2 LUKS, others unknown. */
  readonly cryptMethod: number
  readonly l1: TableLocation
  readonly refcountTable: TableLocation
  readonly refcountBits: number
  readonly refcountOrder: number
  readonly snapshots: { readonly count: number; readonly position: number }
  readonly incompatibleFeatures: bigint
  readonly compatibleFeatures: bigint
  readonly autoclearFeatures: bigint
  readonly dirty: boolean
  readonly corrupt: boolean
  readonly dataFile: boolean
  readonly rawDataFile: boolean
  readonly extendedL2: boolean
  readonly lazyRefcounts: boolean
  readonly compression: 'zlib' | 'zstd'
  readonly backingFile: string | undefined
  readonly extensions: Extensions
  readonly rows: readonly FieldRow[]
}

/** `position` in bytes, `entries` of eight bytes each. */
export interface TableLocation {
  readonly position: number
  readonly entries: number
}

/**
 * Reads and judges the header cluster.
 * @param purpose `read` ends the extensions before one that is damaged, which `write` refuses; to `mend`, a refcount
 * table that is nowhere counts as none besides.
 * @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_OVERLAP, E_TOO_LARGE; unsupported
 * E_UNSUPPORTED_VERSION, E_UNSUPPORTED_FEATURE.
 */
export function readHeader(store: ByteStore, purpose: 'read' | 'write' | 'mend' = 'write'): Header {
  const bad = (message: string, position: number): Error =>
    corrupt('E_HEADER', `${store.name}: ${message} (header byte ${position})`, { details: { position } })
  if (store.size < headerV2.size) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: a QCOW2 header has ${headerV2.size} bytes, the file only ${store.size}`,
      { details: { position: 0, size: store.size } },
    )
  }
  const fixed = new Uint8Array(Math.min(store.size, headerV3Compression.size))
  store.read(0, fixed)
  const values = headerV2.read(fixed)
  if (values.magic !== magic) throw bad('no QCOW magic', 0)
  const { version } = values
  if (version !== 2 && version !== 3) {
    throw unsupported(
      'E_UNSUPPORTED_VERSION',
      `${store.name}: QCOW version ${version} is not known, only 2 and 3 (1 is the format qcow)`,
      { details: { version, position: 4 } },
    )
  }
  const place = (value: bigint, name: string, position: number): number =>
    safeNumber(value, `${store.name}: ${name} (header byte ${position})`)

  if (version === 3 && store.size < headerV3.size) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: a QCOW2 version 3 header has ${headerV3.size} bytes, the file only ${store.size}`,
      { details: { position: 0, size: store.size } },
    )
  }
  const later =
    version === 3
      ? headerV3.read(fixed)
      : {
          ...values,
          incompatibleFeatures: 0n,
          compatibleFeatures: 0n,
          autoclearFeatures: 0n,
          refcountOrder: 4,
          headerLength: headerV2.size,
        }
  const { clusterBits } = values
  if (clusterBits < minimumClusterBits || clusterBits > maximumClusterBits)
    throw bad(`cluster_bits is ${clusterBits}, expected ${minimumClusterBits} to ${maximumClusterBits}`, 20)
  const clusterSize = 2 ** clusterBits
  const { headerLength } = later
  if (version === 3 && (headerLength < headerV3.size || headerLength % 8 !== 0 || headerLength > clusterSize)) {
    throw bad(
      `header_length is ${headerLength}, expected a multiple of 8 from ${headerV3.size} to the cluster size ` +
        `${clusterSize}`,
      100,
    )
  }
  if (headerLength > store.size)
    throw corrupt('E_TRUNCATED', `${store.name}: the header has ${headerLength} bytes, the file only ${store.size}`, {
      details: { position: 0, size: store.size },
    })

  // The name and the extensions first: an unknown feature is to be refused by its name.
  const cluster = new Uint8Array(Math.min(store.size, clusterSize))
  store.read(0, cluster)
  const backingOffset = place(values.backingFileOffset, 'backing_file_offset', 8)
  const backingFile = readBackingName(cluster, backingOffset, values.backingFileSize, headerLength, clusterSize, bad)
  const extensions = readExtensions(
    cluster,
    headerLength,
    backingOffset === 0 ? cluster.length : Math.min(backingOffset, cluster.length),
  )
  if (extensions.fault !== undefined && purpose === 'write')
    throw corrupt('E_HEADER', `${store.name}: the ${extensions.fault.message}`, {
      hint: hints.repair,
      details: { position: extensions.fault.position },
    })

  const features = later.incompatibleFeatures
  const unknown = bitsOf(features).filter(
    (bit) => !knownFeatures.some((feature) => feature.type === 0 && feature.bit === bit),
  )
  if (unknown.length > 0) {
    const names = unknown.map(
      (bit) => `bit ${bit} (${printable(extensions.featureNames.get(`0/${bit}`) ?? 'no name recorded')})`,
    )
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${store.name}: uses incompatible features that are not known: ${names.join(', ')} (header byte 72)`,
      { details: { position: 72, features } },
    )
  }
  const compressionType =
    version === 3 && headerLength >= headerV3Compression.size ? headerV3Compression.read(fixed).compressionType : 0
  const declared = hasBit(features, incompatible.compressionType)
  if (compressionType > 1)
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${store.name}: compression type ${compressionType} is not known, only 0 (zlib) and 1 (zstd) (header byte 104)`,
      { details: { position: 104, compressionType } },
    )
  if ((compressionType !== 0) !== declared)
    throw bad(
      `the compression type is ${compressionType}, but the incompatible feature bit 3 that must go with any ` +
        `other than 0 is ${declared ? 'set' : 'not set'}`,
      104,
    )
  const extendedL2 = hasBit(features, incompatible.extendedL2)
  if (extendedL2 && clusterBits < minimumExtendedClusterBits)
    throw bad(`cluster_bits is ${clusterBits}, but extended L2 entries need at least ${minimumExtendedClusterBits}`, 20)
  if (later.refcountOrder > 6) throw bad(`refcount_order is ${later.refcountOrder}, expected 0 to 6`, 96)

  const geometry = geometryOf(clusterBits, extendedL2)
  const capacity = place(values.size, 'size', 24)
  const needed = l1EntriesFor(capacity, geometry)
  if (values.l1Size * 8 > maximumL1Bytes)
    throw bad(`l1_size is ${values.l1Size} entries, more than the ${maximumL1Bytes / 8} that are allowed`, 36)
  if (values.l1Size < needed)
    throw bad(`l1_size is ${values.l1Size} entries, too few for a disk of ${capacity} bytes, which needs ${needed}`, 36)
  const readRefcountTable = (): TableLocation => {
    const table = {
      position: place(values.refcountTableOffset, 'refcount_table_offset', 48),
      entries: values.refcountTableClusters * (clusterSize / 8),
    }
    if (table.entries * 8 > maximumRefcountTableBytes)
      throw bad(
        `refcount_table_clusters is ${values.refcountTableClusters}, more than the ` +
          `${maximumRefcountTableBytes} bytes that are allowed`,
        56,
      )
    checkTable(store, 'refcount table', table.position, table.entries * 8, clusterSize, 48)
    return table
  }
  const l1 = { position: place(values.l1TableOffset, 'l1_table_offset', 40), entries: values.l1Size }
  checkTable(store, 'L1 table', l1.position, l1.entries * 8, clusterSize, 40)

  const refcountTable = purpose === 'mend' ? orNone(readRefcountTable) : readRefcountTable()

  return {
    version,
    geometry,
    capacity,
    cryptMethod: values.cryptMethod,
    l1,
    refcountTable,
    refcountBits: 2 ** later.refcountOrder,
    refcountOrder: later.refcountOrder,
    snapshots: { count: values.nbSnapshots, position: Number(values.snapshotsOffset) },
    incompatibleFeatures: features,
    compatibleFeatures: later.compatibleFeatures,
    autoclearFeatures: later.autoclearFeatures,
    dirty: hasBit(features, incompatible.dirty),
    corrupt: hasBit(features, incompatible.corrupt),
    dataFile: hasBit(features, incompatible.dataFile),
    rawDataFile: hasBit(later.autoclearFeatures, autoclear.rawDataFile),
    extendedL2,
    lazyRefcounts: hasBit(later.compatibleFeatures, compatible.lazyRefcounts),
    compression: compressionType === 1 ? 'zstd' : 'zlib',
    backingFile,
    extensions,
    rows: (version === 2 ? headerV2 : headerLength >= headerV3Compression.size ? headerV3Compression : headerV3).rows(
      fixed,
      0,
    ),
  }
}

function orNone(read: () => TableLocation): TableLocation {
  try {
    return read()
  } catch (error) {
    if (!isImageError(error)) throw error
    return { position: 0, entries: 0 }
  }
}

/** The name up to its first NUL, as qemu takes it; undefined where there is none. */
function readBackingName(
  cluster: Uint8Array,
  offset: number,
  size: number,
  headerLength: number,
  clusterSize: number,
  bad: (message: string, position: number) => Error,
): string | undefined {
  if (offset === 0) return undefined
  if (size > maximumNameBytes)
    throw bad(`backing_file_size is ${size}, the name may have ${maximumNameBytes} bytes`, 16)
  if (offset < headerLength || offset + size > clusterSize)
    throw bad(
      `backing_file_offset is ${offset}, the name (${size} bytes) must lie in the first cluster after the header`,
      8,
    )
  if (offset + size > cluster.length) throw bad(`the backing file name at byte ${offset} passes the end of the file`, 8)
  const name = cluster.subarray(offset, offset + size)
  const end = name.indexOf(0)
  const text = hostName(end < 0 ? name : name.subarray(0, end))
  return text === '' ? undefined : text
}

/** A table that the header names: aligned, not over the header, and inside the file. An empty one may be anywhere. */
function checkTable(
  store: ByteStore,
  what: string,
  position: number,
  length: number,
  clusterSize: number,
  field: number,
): void {
  if (length === 0) return
  const details = { position, length, size: store.size }
  if (position % clusterSize !== 0)
    throw corrupt(
      'E_HEADER',
      `${store.name}: the ${what} at byte ${position} is not aligned to the cluster size ${clusterSize} ` +
        `(header byte ${field})`,
      { details },
    )
  if (position === 0)
    throw corrupt('E_OVERLAP', `${store.name}: the ${what} lies on the header (header byte ${field})`, { details })
  if (position + length > store.size) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: the ${what} takes bytes ${position} to ${position + length}, but the file ends at byte ` +
        `${store.size}`,
      { details, hint: hints.incomplete },
    )
  }
}

/** Reads a table of 64-bit entries whole. The location has been checked. */
export function readTable(store: ByteStore, location: TableLocation): DataView {
  const bytes = new Uint8Array(location.entries * 8)
  store.read(location.position, bytes)
  return viewOf(bytes)
}
