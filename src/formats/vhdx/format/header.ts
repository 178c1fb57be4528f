import { hex32 } from '../../../binary/hex.js'
import { crc32c } from '../../../binary/checksum.js'
import { safeNumber } from '../../../binary/integers.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, unsupported } from '../../../errors.js'
import {
  fileIdentifier,
  fileSignature,
  header,
  headerPositions,
  headerSignature,
  mebibyte,
  nilUuid,
} from './structs.js'
import type { Header } from './structs.js'

/** The current header and what its place in the file was. */
export interface CurrentHeader {
  readonly values: Header
  readonly position: number
  readonly bytes: Uint8Array
  readonly identifier: Uint8Array
  readonly creator: string
  /** Bytes; where the log lies, both multiples of 1 MiB when the log is to be replayed. */
  readonly logOffset: number
  readonly logLength: number
  /** Whether the log holds something to replay. */
  readonly dirty: boolean
}

/** One of the two headers; `fault` says why it is unusable. */
export interface Candidate {
  readonly values: Header
  readonly position: number
  readonly bytes: Uint8Array
  readonly fault: string | undefined
}

/**
 * Reads the file identifier and both headers, and picks the current one (MS-VHDX 2.2.1, 2.2.2). @throws ImageError
 * E_NOT_VHDX, E_TRUNCATED, E_HEADER…
 */
export function readHeader(store: ByteStore, notes: Note[]): CurrentHeader {
  if (store.size < mebibyte) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: the file has only ${store.size} bytes; identifier, headers and region tables of a VHDX ` +
        `take its first ${mebibyte}`,
      { details: { size: store.size } },
    )
  }
  const identifier = new Uint8Array(fileIdentifier.size)
  store.read(0, identifier)
  const { signature, creator } = fileIdentifier.read(identifier)
  if (signature !== fileSignature)
    throw corrupt('E_NOT_VHDX', `${store.name}: no VHDX: "${fileSignature}" was expected at byte 0`)

  const candidates = headerPositions.map((position) => readCandidate(store, position))
  const good = candidates.filter((candidate) => candidate.fault === undefined)
  const current = newest(store, good)
  if (current === undefined) {
    const faults = candidates
      .map((candidate) => `header at byte ${candidate.position}: ${candidate.fault ?? ''}`)
      .join('; ')
    const versions = candidates.some((candidate) => candidate.fault?.startsWith('version'))
    const message = `${store.name}: neither VHDX header is usable (${faults})`
    const details = { position: headerPositions[0] }
    throw versions ? unsupported('E_VERSION', message, { details }) : corrupt('E_HEADER', message, { details })
  }
  for (const candidate of candidates) {
    if (candidate.fault !== undefined)
      notes.push({
        code: 'W_HEADER_INVALID',
        message:
          `the header at byte ${candidate.position} is unusable (${candidate.fault}); the one at byte ` +
          `${current.position} is used`,
      })
  }
  return { ...current, identifier, creator, ...logPlace(store, current.values, current.position, notes) }
}

export function readCandidate(store: ByteStore, position: number): Candidate {
  const bytes = new Uint8Array(header.size)
  store.read(position, bytes)
  const values = header.read(bytes)
  const checksum = crc32c(header.without('checksum', bytes))
  let fault: string | undefined
  if (values.signature !== headerSignature) fault = `no "${headerSignature}" signature`
  else if (values.checksum !== checksum) fault = `checksum 0x${hex32(values.checksum)}, computed 0x${hex32(checksum)}`
  else if (values.version !== 1) fault = `version ${values.version}, only 1 is known`
  return { values, position, bytes, fault }
}

function newest(store: ByteStore, good: readonly Candidate[]): Candidate | undefined {
  const [first, second] = good
  if (first === undefined || second === undefined) return first
  if (first.values.sequenceNumber !== second.values.sequenceNumber)
    return first.values.sequenceNumber > second.values.sequenceNumber ? first : second
  if (Buffer.compare(first.bytes, second.bytes) !== 0) {
    throw corrupt(
      'E_HEADER_AMBIGUOUS',
      `${store.name}: the headers at bytes ${first.position} and ${second.position} differ but both have ` +
        `sequence number ${first.values.sequenceNumber}: which is current cannot be known`,
      {
        details: { position: first.position, sequenceNumber: first.values.sequenceNumber },
      },
    )
  }
  return first
}

function logPlace(
  store: ByteStore,
  values: Header,
  position: number,
  notes: Note[],
): Pick<CurrentHeader, 'logOffset' | 'logLength' | 'dirty'> {
  const dirty = values.logGuid !== nilUuid
  const at = `in the header at byte ${position}`
  if (dirty && values.logVersion !== 0) {
    throw unsupported(
      'E_LOG_VERSION',
      `${store.name}: the log is of version ${values.logVersion} (${at}), only 0 is known, and it holds ` +
        'changes that are not in the file yet',
      { details: { position } },
    )
  }
  const logOffset = safeNumber(values.logOffset, `${store.name}: LogOffset ${at}`)
  const { logLength } = values
  if (logLength > 0 && (logOffset < mebibyte || logOffset % mebibyte !== 0)) {
    throw corrupt(
      'E_LOG_RANGE',
      `${store.name}: LogOffset ${logOffset} (${at}) is not a multiple of 1 MiB from 1 MiB on`,
      { details: { position, logOffset } },
    )
  }
  if (logLength === 0 || logLength % mebibyte !== 0) {
    const message = `LogLength ${logLength} (${at}) is not a positive multiple of 1 MiB`
    if (dirty) throw corrupt('E_LOG_RANGE', `${store.name}: ${message}`, { details: { position, logLength } })
    notes.push({ code: 'W_LOG_LENGTH', message: `${message}; the log is empty, so nothing is lost` })
  }
  if (logOffset + logLength > store.size) {
    const message =
      `the log at bytes ${logOffset} to ${logOffset + logLength} (${at}) passes the end of the ` +
      `file at ${store.size}`
    if (dirty)
      throw corrupt('E_TRUNCATED', `${store.name}: ${message}`, {
        details: { position, logOffset, logLength, size: store.size },
      })
    notes.push({ code: 'W_LOG_BEYOND_END', message: `${message}; the log is empty, so nothing is lost` })
  }
  return { logOffset, logLength, dirty }
}
