import { viewOf } from '../binary/integers.js'
import type { StructValues } from '../binary/struct.js'
import { asPrimary, readBase, type BaseBlock } from './base.js'
import type { HiveBytes, PagedBytes } from './bytes.js'
import { hiveUnsupported } from './damage.js'
import { isDirty, logHash } from './entries.js'
import { baseBlockLength, binHeader, fileTypes, logEntry } from './structs.js'

/** Logs of Windows have some MiB. */
const longestLog = 64 * 1048576
/** What logs change is kept in memory, and one entry of them at a time. */
const mostChanged = 64 * 1048576

/** A log whose base block is valid. */
interface Log {
  readonly base: BaseBlock
  /** Its base block, as it stands in the log. */
  readonly baseBytes: Uint8Array
  readonly file: HiveBytes
}

interface Entry {
  readonly head: StructValues<typeof logEntry>
  readonly content: Uint8Array
}

/** What came of replaying logs. */
export interface LogReplay {
  /** Entries (of logs in the new format) or logs (in the old one) that were laid over the file. */
  readonly applied: number
  /** The base block that counts now; undefined: none is valid. */
  readonly base?: BaseBlock
}

/**
 * Lays what the logs of a dirty hive hold over its file, as Windows does at the next start (the specification, "Dirty
 * state of a hive" and "Multiple transaction log files"). Nothing is written.
 * @param own the base block of the file, where it is valid. @param files the logs, .LOG1 before .LOG2.
 * @throws ImageError unsupported E_HIVE_FEATURE: a log that is too long.
 */
export function replayLogs(
  hive: PagedBytes,
  own: BaseBlock | undefined,
  files: readonly HiveBytes[],
  title: string,
): LogReplay {
  const logs = files.flatMap((file) => readLog(file, title) ?? [])
  const current = logs.filter(({ base }) => base.fileType === fileTypes.newLog)
  if (current.length > 0) return replayEntries(hive, own, current, title)
  const old = logs.find(({ base }) => appliesTo(base, hive, own))
  return old === undefined ? { applied: 0, base: own } : replayPages(hive, own, old, title)
}

function readLog(file: HiveBytes, title: string): Log | undefined {
  const read = readBase(file)
  if (read === undefined || !read.valid) return undefined
  if (file.size > longestLog) throw hiveUnsupported(title, `it is dirty, and a log of it has ${file.size} bytes`)
  return { base: read.base, baseBytes: read.bytes, file }
}

/** Bytes of a log; those past its end are left out. */
function logBytes(file: HiveBytes, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, file.size - position)))
  if (bytes.length > 0) file.read(position, bytes)
  return bytes
}

/** The valid entries of a log of the new format, in their order; what follows a bad one does not count. */
function* entriesOf({ base, file }: Log): Generator<Entry> {
  let wanted = base.primarySequence
  for (let at = 512; at + logEntry.size <= file.size;) {
    const { signature, size, sequence } = logEntry.read(logBytes(file, at, logEntry.size))
    if (signature !== 'HvLE' || size % 512 !== 0 || size < logEntry.size || at + size > file.size) return
    if (sequence !== wanted) return
    const bytes = logBytes(file, at, size)
    const head = logEntry.read(bytes)
    const content = bytes.subarray(logEntry.size)
    if (head.binsSize % 4096 !== 0 || !fits(head, content)) return
    if (logHash(content) !== head.contentHash) return
    if (logHash(bytes.subarray(0, 32)) !== head.headHash) return
    yield { head, content }
    wanted++
    at += size
  }
}

/** Whether the pages of an entry lie in it, and in the bins. */
function fits({ pages, binsSize }: Entry['head'], content: Uint8Array): boolean {
  const view = viewOf(content)
  let needed = pages * 8
  if (needed > content.length) return false
  for (let page = 0; page < pages; page++) {
    const offset = view.getUint32(page * 8, true)
    const size = view.getUint32(page * 8 + 4, true)
    needed += size
    if (offset + size > binsSize) return false
  }
  return needed <= content.length
}

function replayEntries(hive: PagedBytes, own: BaseBlock | undefined, logs: readonly Log[], title: string): LogReplay {
  const ordered = [...logs].sort((one, other) => one.base.primarySequence - other.base.primarySequence)
  let base = own
  let usable = ordered
  if (base === undefined) {
    // Without a base block of its own, only the log that goes further counts.
    const latest = ordered.at(-1)
    if (latest === undefined) return { applied: 0 }
    usable = [latest]
    hive.change(0, asPrimary(latest.baseBytes))
    base = { ...latest.base, fileType: fileTypes.primary }
  }
  const { secondarySequence } = base
  let applied = 0
  let last: number | undefined
  for (const log of usable) {
    for (const entry of entriesOf(log)) {
      const { sequence, binsSize } = entry.head
      if (last === undefined && sequence < secondarySequence) break
      if (last !== undefined && sequence !== last + 1) return { applied, base }
      applyEntry(hive, entry, title)
      base = { ...base, binsSize }
      last = sequence
      applied++
    }
  }
  return { applied, base }
}

function applyEntry(hive: PagedBytes, { head, content }: Entry, title: string): void {
  const view = viewOf(content)
  let at = head.pages * 8
  for (let page = 0; page < head.pages; page++) {
    const size = view.getUint32(page * 8 + 4, true)
    apply(hive, view.getUint32(page * 8, true), content.subarray(at, at + size), title)
    at += size
  }
}

function apply(hive: PagedBytes, offset: number, bytes: Uint8Array, title: string): void {
  hive.change(baseBlockLength + offset, bytes)
  if (hive.changedBytes > mostChanged) throw hiveUnsupported(title, 'its logs change too much of it')
}

/** Whether a log of the old format belongs to the state of the file: both were written at the same time. */
function appliesTo(
  { fileType, primarySequence, secondarySequence, written }: BaseBlock,
  hive: PagedBytes,
  own?: BaseBlock,
) {
  if (fileType !== fileTypes.oldLog && fileType !== fileTypes.oldestLog) return false
  if (primarySequence !== secondarySequence) return false
  if (own !== undefined) return own.written === written
  // The first bin has a copy of the time.
  if (hive.size < baseBlockLength + binHeader.size) return false
  const head = new Uint8Array(binHeader.size)
  hive.read(baseBlockLength, head)
  return binHeader.read(head).written === written
}

/** Pages of 512 bytes, which a map of bits names. */
function replayPages(hive: PagedBytes, own: BaseBlock | undefined, log: Log, title: string): LogReplay {
  const { base, baseBytes, file } = log
  const sector = 512 * Math.min(Math.max(1, base.clustering), 8)
  const count = base.binsSize / 512
  const mapLength = Math.ceil(count / 8)
  const map = logBytes(file, sector + 4, mapLength)
  let at = Math.ceil((sector + 4 + mapLength) / sector) * sector
  const mark = Buffer.from(logBytes(file, sector, 4)).toString('latin1')
  if (mark !== 'DIRT' || base.binsSize % 4096 !== 0 || map.length < mapLength) return { applied: 0, base: own }
  // A log that is cut off is not laid over in part.
  let pages = 0
  for (let page = 0; page < count; page++) if (isDirty(map, page)) pages++
  if (at + pages * 512 > file.size) return { applied: 0, base: own }
  for (let page = 0; page < count; page++) {
    if (!isDirty(map, page)) continue
    apply(hive, page * 512, logBytes(file, at, 512), title)
    at += 512
  }
  if (own === undefined) hive.change(0, asPrimary(baseBytes))
  return {
    applied: 1,
    base: { ...(own ?? base), fileType: fileTypes.primary, binsSize: base.binsSize, rootCell: base.rootCell },
  }
}
