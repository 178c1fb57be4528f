import { safeNumber, viewOf } from '../../../binary/integers.js'
import type { FieldRow, StructValues } from '../../../binary/struct.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints, isImageError, printable, unsupported, type ImageError } from '../../../errors.js'
import { badField } from '../../../block/header-bytes.js'
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
  const fixed = readFixed(store)
  const { version, values, clusterSize, compressed } = fixed
  // The name and the extensions first: an unknown feature is to be refused by its name.
  const { backingFile, extensions } = readVariable(store, fixed, purpose)
  const features = values.incompatibleFeatures
  refuseUnknown(store.name, features, extensions)
  const compression = compressionOf(store.name, fixed)
  const extendedL2 = hasBit(features, incompatible.extendedL2)
  if (extendedL2 && values.clusterBits < minimumExtendedClusterBits)
    throw bad(
      store.name,
      `cluster_bits is ${values.clusterBits}, but extended L2 entries need at least ${minimumExtendedClusterBits}`,
      20,
    )
  if (values.refcountOrder > 6) throw bad(store.name, `refcount_order is ${values.refcountOrder}, expected 0 to 6`, 96)
  const geometry = geometryOf(values.clusterBits, extendedL2)
  const { capacity, l1 } = readDisk(store, fixed, geometry)
  const refcounts = (): TableLocation => refcountTableOf(store, values, clusterSize)
  return {
    version,
    geometry,
    capacity,
    cryptMethod: values.cryptMethod,
    l1,
    refcountTable: purpose === 'mend' ? orNone(refcounts) : refcounts(),
    refcountBits: 2 ** values.refcountOrder,
    refcountOrder: values.refcountOrder,
    snapshots: { count: values.nbSnapshots, position: Number(values.snapshotsOffset) },
    incompatibleFeatures: features,
    compatibleFeatures: values.compatibleFeatures,
    autoclearFeatures: values.autoclearFeatures,
    dirty: hasBit(features, incompatible.dirty),
    corrupt: hasBit(features, incompatible.corrupt),
    dataFile: hasBit(features, incompatible.dataFile),
    rawDataFile: hasBit(values.autoclearFeatures, autoclear.rawDataFile),
    extendedL2,
    lazyRefcounts: hasBit(values.compatibleFeatures, compatible.lazyRefcounts),
    compression,
    backingFile,
    extensions,
    rows: (version === 2 ? headerV2 : compressed ? headerV3Compression : headerV3).rows(fixed.bytes, 0),
  }
}

function bad(name: string, message: string, position: number): ImageError {
  return badField(name)(message, position)
}

function place(name: string, value: bigint, field: string, position: number): number {
  return safeNumber(value, `${name}: ${field} (header byte ${position})`)
}

/** The fields of a fixed size, those of version 3 with what they mean in version 2. */
interface Fixed {
  readonly bytes: Uint8Array
  readonly version: 2 | 3
  readonly values: StructValues<typeof headerV3>
  readonly clusterSize: number
  /** Whether the header is long enough for the compression type. */
  readonly compressed: boolean
}

function readFixed(store: ByteStore): Fixed {
  const { name, size } = store
  if (size < headerV2.size)
    throw corrupt('E_TRUNCATED', `${name}: a QCOW2 header has ${headerV2.size} bytes, the file only ${size}`, {
      details: { position: 0, size },
    })
  const bytes = new Uint8Array(Math.min(size, headerV3Compression.size))
  store.read(0, bytes)
  const old = headerV2.read(bytes)
  if (old.magic !== magic) throw bad(name, 'no QCOW magic', 0)
  const { version, clusterBits } = old
  if (version !== 2 && version !== 3)
    throw unsupported(
      'E_UNSUPPORTED_VERSION',
      `${name}: QCOW version ${version} is not known, only 2 and 3 (1 is the format qcow)`,
      { details: { version, position: 4 } },
    )
  if (version === 3 && size < headerV3.size)
    throw corrupt(
      'E_TRUNCATED',
      `${name}: a QCOW2 version 3 header has ${headerV3.size} bytes, the file only ${size}`,
      { details: { position: 0, size } },
    )
  const values = version === 3 ? headerV3.read(bytes) : { ...old, ...version2 }
  if (clusterBits < minimumClusterBits || clusterBits > maximumClusterBits)
    throw bad(name, `cluster_bits is ${clusterBits}, expected ${minimumClusterBits} to ${maximumClusterBits}`, 20)
  const clusterSize = 2 ** clusterBits
  const { headerLength } = values
  if (version === 3 && (headerLength < headerV3.size || headerLength % 8 !== 0 || headerLength > clusterSize))
    throw bad(
      name,
      `header_length is ${headerLength}, expected a multiple of 8 from ${headerV3.size} to the cluster size ` +
        `${clusterSize}`,
      100,
    )
  if (headerLength > size)
    throw corrupt('E_TRUNCATED', `${name}: the header has ${headerLength} bytes, the file only ${size}`, {
      details: { position: 0, size },
    })
  return { bytes, version, values, clusterSize, compressed: version === 3 && headerLength >= headerV3Compression.size }
}

/** What the fields of version 3 are in version 2. */
const version2 = {
  incompatibleFeatures: 0n,
  compatibleFeatures: 0n,
  autoclearFeatures: 0n,
  refcountOrder: 4,
  headerLength: headerV2.size,
} as const

/** The rest of the header cluster: the name of the backing file, and extensions. */
function readVariable(
  store: ByteStore,
  { values, clusterSize }: Fixed,
  purpose: 'read' | 'write' | 'mend',
): Pick<Header, 'backingFile' | 'extensions'> {
  const cluster = new Uint8Array(Math.min(store.size, clusterSize))
  store.read(0, cluster)
  const { headerLength } = values
  const offset = place(store.name, values.backingFileOffset, 'backing_file_offset', 8)
  const backingFile = readBackingName(store.name, cluster, {
    offset,
    size: values.backingFileSize,
    headerLength,
    clusterSize,
  })
  const end = offset === 0 ? cluster.length : Math.min(offset, cluster.length)
  const extensions = readExtensions(cluster, headerLength, end)
  if (extensions.fault !== undefined && purpose === 'write')
    throw corrupt('E_HEADER', `${store.name}: the ${extensions.fault.message}`, {
      hint: hints.repair,
      details: { position: extensions.fault.position },
    })
  return { backingFile, extensions }
}

function refuseUnknown(name: string, features: bigint, extensions: Extensions): void {
  const unknown = bitsOf(features).filter(
    (bit) => !knownFeatures.some((feature) => feature.type === 0 && feature.bit === bit),
  )
  if (unknown.length === 0) return
  const names = unknown.map(
    (bit) => `bit ${bit} (${printable(extensions.featureNames.get(`0/${bit}`) ?? 'no name recorded')})`,
  )
  throw unsupported(
    'E_UNSUPPORTED_FEATURE',
    `${name}: uses incompatible features that are not known: ${names.join(', ')} (header byte 72)`,
    { details: { position: 72, features } },
  )
}

function compressionOf(name: string, { bytes, values, compressed }: Fixed): Header['compression'] {
  const compressionType = compressed ? headerV3Compression.read(bytes).compressionType : 0
  if (compressionType > 1)
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${name}: compression type ${compressionType} is not known, only 0 (zlib) and 1 (zstd) (header byte 104)`,
      { details: { position: 104, compressionType } },
    )
  const declared = hasBit(values.incompatibleFeatures, incompatible.compressionType)
  if ((compressionType !== 0) !== declared)
    throw bad(
      name,
      `the compression type is ${compressionType}, but the incompatible feature bit 3 that must go with any ` +
        `other than 0 is ${declared ? 'set' : 'not set'}`,
      104,
    )
  return compressionType === 1 ? 'zstd' : 'zlib'
}

/** The size of the disk, and the L1 table that maps it. */
function readDisk(
  store: ByteStore,
  { values, clusterSize }: Fixed,
  geometry: Geometry,
): Pick<Header, 'capacity' | 'l1'> {
  const { name } = store
  const capacity = place(name, values.size, 'size', 24)
  const needed = l1EntriesFor(capacity, geometry)
  const { l1Size: entries } = values
  if (entries * 8 > maximumL1Bytes)
    throw bad(name, `l1_size is ${entries} entries, more than the ${maximumL1Bytes / 8} that are allowed`, 36)
  if (entries < needed)
    throw bad(name, `l1_size is ${entries} entries, too few for a disk of ${capacity} bytes, which needs ${needed}`, 36)
  const position = place(name, values.l1TableOffset, 'l1_table_offset', 40)
  checkTable(store, 'L1 table', position, entries * 8, clusterSize, 40)
  return { capacity, l1: { position, entries } }
}

function refcountTableOf(store: ByteStore, values: Fixed['values'], clusterSize: number): TableLocation {
  const position = place(store.name, values.refcountTableOffset, 'refcount_table_offset', 48)
  const entries = values.refcountTableClusters * (clusterSize / 8)
  if (entries * 8 > maximumRefcountTableBytes)
    throw bad(
      store.name,
      `refcount_table_clusters is ${values.refcountTableClusters}, more than the ` +
        `${maximumRefcountTableBytes} bytes that are allowed`,
      56,
    )
  checkTable(store, 'refcount table', position, entries * 8, clusterSize, 48)
  return { position, entries }
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
  name: string,
  cluster: Uint8Array,
  place: {
    readonly offset: number
    readonly size: number
    readonly headerLength: number
    readonly clusterSize: number
  },
): string | undefined {
  const { offset, size, headerLength, clusterSize } = place
  if (offset === 0) return undefined
  if (size > maximumNameBytes)
    throw bad(name, `backing_file_size is ${size}, the name may have ${maximumNameBytes} bytes`, 16)
  if (offset < headerLength || offset + size > clusterSize)
    throw bad(
      name,
      `backing_file_offset is ${offset}, the name (${size} bytes) must lie in the first cluster after the header`,
      8,
    )
  if (offset + size > cluster.length)
    throw bad(name, `the backing file name at byte ${offset} passes the end of the file`, 8)
  const stored = cluster.subarray(offset, offset + size)
  const end = stored.indexOf(0)
  const text = hostName(end < 0 ? stored : stored.subarray(0, end))
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
