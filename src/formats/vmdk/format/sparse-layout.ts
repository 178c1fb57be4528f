import { ceilDivide, isPowerOfTwo } from '../../../binary/integers.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, unsupported, type ImageError } from '../../../errors.js'
import { hasFlag, unknownFlags } from './entries.js'
import { gdAtEnd, newlineBytes, sectorLength, sparseHeader, sparseMagic, type SparseHeaderValues } from './structs.js'

/** Where everything of a hosted sparse extent is. Positions and lengths in bytes. */
export interface SparseLayout {
  readonly values: SparseHeaderValues
  /** The header that counts: at 0, or the footer. */
  readonly headerPosition: number
  readonly bytes: Uint8Array
  readonly capacity: number
  readonly grainSize: number
  readonly entriesPerTable: number
  /** Bytes of the disk that one table maps. */
  readonly coverage: number
  readonly tables: number
  readonly gdPosition: number
  /** Undefined where there is no second directory. */
  readonly rgdPosition: number | undefined
  readonly zeroedGrains: boolean
  readonly compressed: boolean
  readonly markers: boolean
  /** Before it no grain can be. */
  readonly overhead: number
  readonly notes: readonly Note[]
}

/** The most that a grain directory takes, in bytes. */
export const maximumDirectory = 64 * 1024 * 1024
const maximumCapacity = 2n ** 43n

/** The embedded descriptor's place, in bytes; undefined where there is none. */
export function embeddedDescriptor(values: SparseHeaderValues): { position: number; length: number } | undefined {
  if (values.descriptorOffset === 0n) return undefined
  return {
    position: Number(values.descriptorOffset) * sectorLength,
    length: (values.descriptorSize === 0n ? 20 : Number(values.descriptorSize)) * sectorLength,
  }
}

/**
 * The header at byte 0, as far as it says what the file is.
 * @throws ImageError corrupt E_TRUNCATED, E_HEADER; unsupported E_VERSION, E_UNSUPPORTED_FEATURE.
 */
export function readSparseHeader(store: ByteStore): {
  readonly values: SparseHeaderValues
  readonly bytes: Uint8Array
} {
  const { name } = store
  if (store.size < sparseHeader.size)
    throw corrupt('E_TRUNCATED', `${name}: the header of a sparse VMDK has 512 bytes, the file ${store.size}`, {
      details: { size: store.size },
    })
  const bytes = new Uint8Array(sparseHeader.size)
  store.read(0, bytes)
  const values = sparseHeader.read(bytes)
  if (values.magic !== sparseMagic)
    throw corrupt('E_HEADER', `${name}: its header is not finished: what wrote it was interrupted`, {
      hint: 'Make the image again.',
      details: { position: 0 },
    })
  if (values.version < 1 || values.version > 3)
    throw unsupported('E_VERSION', `${name}: version ${values.version} of a sparse VMDK is not known, only 1 to 3`, {
      details: { position: 4, version: values.version },
    })
  const { newlines, flags } = values
  if (hasFlag(flags, 'newlineTest') && Buffer.compare(newlines, newlineBytes) !== 0)
    throw corrupt(
      'E_HEADER',
      `${name}: bytes 73 to 76 are ${Buffer.from(newlines).toString('hex')}, expected 0a200d0a: the file was changed ` +
        'by a transfer as text (FTP in ASCII mode)',
      { hint: 'Copy it again, as binary.', details: { position: 73 } },
    )
  if (unknownFlags(flags) !== 0n)
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${name}: the flags at byte 8 are 0x${flags.toString(16)}, of which ` +
        `0x${unknownFlags(flags).toString(16)} are not known`,
      { details: { position: 8, flags } },
    )
  return { values, bytes }
}

/**
 * Judges a header, or a footer, and says where everything is.
 * @param withDirectory false where grains are found without one.
 * @throws ImageError corrupt E_DISK_SIZE, E_HEADER, E_TRUNCATED; unsupported E_UNSUPPORTED_FEATURE.
 */
export function sparseLayout(
  store: ByteStore,
  { values, bytes }: { readonly values: SparseHeaderValues; readonly bytes: Uint8Array },
  headerPosition: number,
  withDirectory = true,
): SparseLayout {
  const { name } = store
  const { flags, grainSize, gtesPerGt } = values
  const bad = (at: number, message: string): ImageError =>
    corrupt('E_HEADER', `${name}: ${message}`, { details: { position: headerPosition + at } })
  if (values.capacity === 0n || values.capacity > maximumCapacity)
    throw corrupt('E_DISK_SIZE', `${name}: its header says that the disk has ${values.capacity} sectors`, {
      details: { position: headerPosition + 12 },
    })
  checkFields(name, values, bad, headerPosition)
  const grain = Number(grainSize)
  const compressed = hasFlag(flags, 'compressed')
  const capacity = Number(values.capacity) * sectorLength
  const coverage = grain * gtesPerGt * sectorLength
  const tables = ceilDivide(capacity, coverage)
  if (tables * 4 > maximumDirectory)
    throw bad(44, `the grain directory would have ${tables} entries, more than ${maximumDirectory / 4}`)
  const redundant = hasFlag(flags, 'redundantTable') && values.rgdOffset !== 0n
  const inFile = (sector: bigint): number | undefined =>
    sector > 0n && sector * BigInt(sectorLength) + BigInt(tables * 4) <= BigInt(store.size)
      ? Number(sector) * sectorLength
      : undefined
  if (withDirectory && values.gdOffset === gdAtEnd)
    throw bad(56, 'the footer says that the grain directory is in a footer')
  const found = withDirectory ? inFile(values.gdOffset) : 0
  const rgdPosition = redundant ? inFile(values.rgdOffset) : undefined
  const gdPosition = found ?? rgdPosition
  if (gdPosition === undefined)
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the grain directory of ${tables * 4} bytes is to lie at sector ${values.gdOffset}, and the file has ` +
        `${store.size} bytes`,
      {
        details: { position: headerPosition + 56, size: store.size },
        hint: 'The file is incomplete; copy it again.',
      },
    )
  return {
    values,
    headerPosition,
    bytes,
    capacity,
    grainSize: grain * sectorLength,
    entriesPerTable: gtesPerGt,
    coverage,
    tables,
    gdPosition,
    rgdPosition: rgdPosition === gdPosition ? undefined : rgdPosition,
    zeroedGrains: hasFlag(flags, 'zeroedGrain'),
    compressed,
    markers: hasFlag(flags, 'markers'),
    overhead: overheadOf(values, store.size),
    notes: found === undefined ? [copyUsed(name)] : [],
  }
}

function copyUsed(name: string): Note {
  return {
    code: 'W_GD_COPY_USED',
    message: `${name}: the grain directory would lie outside the file; its copy is used`,
  }
}

/** Grains, tables and compression. @throws ImageError corrupt E_HEADER; unsupported E_UNSUPPORTED_FEATURE. */
function checkFields(
  name: string,
  { flags, grainSize, gtesPerGt, compression }: SparseHeaderValues,
  bad: (at: number, message: string) => ImageError,
  headerPosition: number,
): void {
  const grain = Number(grainSize)
  if (grainSize > 2048n || !isPowerOfTwo(grain))
    throw bad(20, `a grain has ${grainSize} sectors, expected a power of two from 1 to 2048`)
  if (!isPowerOfTwo(gtesPerGt) || gtesPerGt < 128 || gtesPerGt > 65536)
    throw bad(44, `a grain table has ${gtesPerGt} entries, expected a power of two from 128 to 65536`)
  const compressed = hasFlag(flags, 'compressed')
  if (compression > 1)
    throw unsupported('E_UNSUPPORTED_FEATURE', `${name}: compression ${compression} is not known, only 1 (deflate)`, {
      details: { position: headerPosition + 77 },
    })
  if (compressed !== (compression === 1))
    throw bad(77, `the flags say ${compressed ? '' : 'not '}compressed, the algorithm is ${compression}`)
}

/** Before this byte no grain can be: behind the header at least. */
function overheadOf({ overhead }: SparseHeaderValues, size: number): number {
  const position = overhead * BigInt(sectorLength)
  return position > 0n && position <= BigInt(size) ? Number(position) : sectorLength
}
