import { isImageError, printable, type HostPath } from '../../errors.js'
import { writeWhole } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { recordDifference, sourceDifference, type SourceFacts } from '../resume/facts.js'

/** What a file was made of, and what it was like when it was complete. Decimal numbers. */
export interface MadeRecord {
  readonly schema: 'vdisk.made'
  readonly schemaVersion: 1
  readonly source: SourceFacts
  readonly options: Readonly<Record<string, string>>
  readonly target: { readonly size: string; readonly modified: string }
}

/** Most bytes that a record may have. */
const largest = 4 * 1024 * 1024

/** Where the record of a file lies. */
function madeRecordPath(target: HostPath): HostPath {
  return `${target}.made.json`
}

/** Remembers what a file that is complete was made of. @throws ImageError target. */
export function writeMadeRecord(target: HostPath, made: Pick<MadeRecord, 'source' | 'options'>): void {
  const record: MadeRecord = { schema: 'vdisk.made', schemaVersion: 1, ...made, target: stateOf(target) }
  writeWhole(madeRecordPath(target), `${JSON.stringify(record, undefined, 2)}\n`)
}

/**
 * What keeps a file that is there from being what would be made, an end of a sentence; undefined where its record says
 * that it was made of the same source with the same options, and was not changed since.
 */
export function madeDifference(target: HostPath, now: Pick<MadeRecord, 'source' | 'options'>): string | undefined {
  const record = readRecord(madeRecordPath(target))
  if (record === undefined) return `there is no record of what it was made of (${printable(madeRecordPath(target))})`
  return (
    sourceDifference(record.source, now.source) ??
    recordDifference(record.options, now.options) ??
    recordDifference({ ...record.target }, { ...stateOf(target) })
  )
}

function stateOf(target: HostPath): MadeRecord['target'] {
  const { size, mtimeNs } = fs.statSync(target, { bigint: true })
  return { size: String(size), modified: String(mtimeNs) }
}

/** Undefined where there is none, or none that is whole. */
function readRecord(path: HostPath): MadeRecord | undefined {
  try {
    if (fs.statSync(path).size > largest) return undefined
    const record = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<MadeRecord> | null
    return record?.schema === 'vdisk.made' && Array.isArray(record.source?.files) ? (record as MadeRecord) : undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof SyntaxError || isImageError(error) || code === 'ENOENT') return undefined
    throw error
  }
}
