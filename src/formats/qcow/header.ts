import { ceilDivide, safeNumber } from '../../binary/integers.js'
import type { FieldRow } from '../../binary/struct.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints } from '../../errors.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import { header as layout, magic } from './structs.js'
import { hostName } from '../../sys/host-fs.js'

/** The judged header of a QCOW version 1 image. Positions and sizes in bytes. */
export interface Header {
  readonly capacity: number
  readonly clusterBits: number
  readonly clusterSize: number
  /** Entries of an L2 table. */
  readonly entriesPerTable: number
  /** Guest bytes that one L2 table maps. */
  readonly tableCoverage: number
  readonly l1Position: number
  readonly l1Entries: number
  readonly cryptMethod: number
  readonly backingFile: string | undefined
  readonly rows: readonly FieldRow[]
}

/** qemu's limit is 2^31 entries; a table that large could not be held. */
const maximumL1Bytes = 32 * 1024 * 1024
const maximumNameBytes = 1023

/** @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_TOO_LARGE. */
export function readHeader(store: ByteStore): Header {
  const bad = badField(store.name)
  const bytes = headerBytes(store, layout.size, 'a QCOW header')
  const values = layout.read(bytes)
  if (values.magic !== magic || values.version !== 1) throw bad('no QCOW version 1 header', 0)
  const { clusterBits, l2Bits } = values
  if (clusterBits < 9 || clusterBits > 16) throw bad(`cluster_bits is ${clusterBits}, expected 9 to 16`, 32)
  if (l2Bits < 6 || l2Bits > 13) throw bad(`l2_bits is ${l2Bits}, expected 6 to 13`, 33)
  const capacity = safeNumber(values.size, `${store.name}: size (header byte 24)`)
  const clusterSize = 2 ** clusterBits
  const entriesPerTable = 2 ** l2Bits
  const tableCoverage = clusterSize * entriesPerTable
  const l1Entries = ceilDivide(capacity, tableCoverage)
  if (l1Entries * 8 > maximumL1Bytes)
    throw bad(
      `a disk of ${capacity} bytes needs an L1 table of ${l1Entries} entries, more than the ` +
        `${maximumL1Bytes / 8} that are allowed`,
      24,
    )
  const l1Position = safeNumber(values.l1TableOffset, `${store.name}: l1_table_offset (header byte 40)`)
  if (l1Entries > 0) {
    if (l1Position < layout.size)
      throw corrupt(
        'E_OVERLAP',
        `${store.name}: the L1 table at byte ${l1Position} lies on the header (header byte 40)`,
        { details: { position: l1Position } },
      )
    if (l1Position + l1Entries * 8 > store.size) {
      throw corrupt(
        'E_TRUNCATED',
        `${store.name}: the L1 table takes bytes ${l1Position} to ${l1Position + l1Entries * 8}, but the file ` +
          `ends at byte ${store.size}`,
        {
          details: { position: l1Position, size: store.size },
          hint: hints.incomplete,
        },
      )
    }
  }
  return {
    capacity,
    clusterBits,
    clusterSize,
    entriesPerTable,
    tableCoverage,
    l1Position,
    l1Entries,
    cryptMethod: values.cryptMethod,
    backingFile: readBackingName(store, values.backingFileOffset, values.backingFileSize, bad),
    rows: layout.rows(bytes, 0),
  }
}

function readBackingName(
  store: ByteStore,
  recorded: bigint,
  size: number,
  bad: (message: string, position: number) => Error,
): string | undefined {
  if (recorded === 0n || size === 0) return undefined
  const offset = safeNumber(recorded, `${store.name}: backing_file_offset (header byte 8)`)
  if (size > maximumNameBytes)
    throw bad(`backing_file_size is ${size}, the name may have ${maximumNameBytes} bytes`, 16)
  if (offset < layout.size || offset + size > store.size)
    throw bad(`backing_file_offset is ${offset}, the name (${size} bytes) must lie in the file after the header`, 8)
  const name = new Uint8Array(size)
  store.read(offset, name)
  const end = name.indexOf(0)
  const text = hostName(end < 0 ? name : name.subarray(0, end))
  return text === '' ? undefined : text
}
