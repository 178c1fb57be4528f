import type { ByteStore } from '../../../block/types.js'
import type { Finding } from '../../driver.js'
import { readCandidate, type CurrentHeader } from '../format/header.js'
import { readCopy } from '../format/regions.js'
import {
  fileIdentifier,
  header as headerStruct,
  headerPositions,
  maximumTableEntries,
  mebibyte,
  nilUuid,
  regionEntry,
  regionTableHeader,
  regionTablePositions,
  tableSize,
} from '../format/structs.js'

/** Where the fields of the header end; what follows in its 4 KiB is reserved (MS-VHDX 2.2.2). */
const headerFieldsEnd = 80
const areaLength = 65536

/**
 * The file identifier, both headers, and the reserved space of the first MiB. The log never changes them: they are read
 * from the file itself.
 */
export function* checkHeaders(file: ByteStore, current: CurrentHeader): Generator<Finding> {
  yield* checkReserved(file, 'file identifier', fileIdentifier.size, areaLength)
  for (const [index, position] of headerPositions.entries()) {
    const structure = `header ${index + 1}`
    const { fault } = readCandidate(file, position)
    if (fault !== undefined)
      yield {
        severity: 'error',
        code: 'E_HEADER_INVALID',
        structure,
        position,
        message: `it is unusable (${fault}): only the other one, at byte ${current.position}, is left`,
      }
    else yield* checkReserved(file, structure, position + headerFieldsEnd, position + headerStruct.size)
    yield* checkReserved(file, `space after ${structure}`, position + headerStruct.size, position + areaLength)
  }
  const { values, position } = current
  const structure = position === headerPositions[0] ? 'header 1' : 'header 2'
  if (values.logVersion !== 0)
    yield {
      severity: 'warning',
      code: 'W_LOG_VERSION',
      structure,
      position: position + 64,
      message: `the log is of version ${values.logVersion}, only 0 is known; it is empty, so nothing is lost`,
    }
  if (values.dataWriteGuid === nilUuid)
    yield {
      severity: 'warning',
      code: 'W_GUID_ZERO',
      structure,
      position: position + 32,
      message: 'DataWriteGuid is all zero: children cannot recognise the disk',
    }
  yield* checkReserved(file, 'reserved space', regionTablePositions[1] + tableSize, mebibyte)
}

/** Both region tables. What they say was checked when the image was opened. */
export function* checkRegionTables(store: ByteStore): Generator<Finding> {
  const copies = regionTablePositions.map((position) => readCopy(store, position))
  const used = copies.find(({ fault }) => fault === undefined)
  for (const [index, { position, bytes, fault }] of copies.entries()) {
    const structure = `region table ${index + 1}`
    if (fault !== undefined) {
      const first = index === 0
      yield {
        severity: 'error',
        code: first ? 'E_REGION_TABLE_COPY_USED' : 'E_REGION_TABLE_INVALID',
        structure,
        position,
        message:
          `it is unusable (${fault}): only the other one is ` + `left${first ? ', and QEMU cannot open the file' : ''}`,
      }
      continue
    }
    if (used !== undefined && position !== used.position && Buffer.compare(bytes, used.bytes) !== 0) {
      yield {
        severity: 'error',
        code: 'E_REGION_TABLES_DIFFER',
        structure,
        position: position + bytes.findIndex((byte, at) => byte !== used.bytes[at]),
        message:
          `it differs from the one at byte ${used.position}, though both are intact: which one is right ` +
          'cannot be known',
      }
    }
    const { entryCount, reserved } = regionTableHeader.read(bytes)
    if (reserved !== 0) yield reservedFinding(structure, position + 12)
    for (let entry = 0; entry < Math.min(entryCount, maximumTableEntries); entry++) {
      const at = regionTableHeader.size + entry * regionEntry.size
      const { required } = regionEntry.read(bytes, at)
      if (required > 1n) yield reservedFinding(structure, position + at + 28)
    }
  }
}

/** At most one finding for the bytes [from, to) of the file, which should be zero. */
function* checkReserved(file: ByteStore, structure: string, from: number, to: number): Generator<Finding> {
  const bytes = new Uint8Array(to - from)
  file.read(from, bytes)
  const stray = bytes.findIndex((byte) => byte !== 0)
  if (stray >= 0) yield reservedFinding(structure, from + stray)
}

export function reservedFinding(structure: string, position: number): Finding {
  return { severity: 'warning', code: 'W_RESERVED', structure, position, message: 'reserved bytes are not zero' }
}
