import type { Note } from '../../block/types.js'
import { isImageError, printable } from '../../errors.js'
import type { Location } from '../../location/location.js'
import type { DeviceTarget, NamedDevice } from './argument.js'
import { recordAt, type RecordedSource } from '../imaging/record.js'

/** Whether a target is the disk that an image was made of, as the record beside the image has it. */
export interface TargetOrigin {
  /** `unknown`: neither of the two has a serial number or world-wide name to be known by. */
  readonly verdict: 'same' | 'other' | 'unknown'
  /** The disk or partition that the image was made of, and when that was done (ISO 8601, UTC). */
  readonly source: RecordedSource
  readonly ended: string
  /** For people: `this is the disk the image was made of …`. */
  readonly message: string
  /** How the two differ, or what has become of the same disk since, a sentence each. */
  readonly differences: readonly string[]
}

/**
 * What the record of an image says of a target; undefined when there is none. A record that cannot be read is reported.
 */
export function originOf(
  image: { readonly location: Location; readonly named: Location },
  target: DeviceTarget,
  notes: Note[],
): TargetOrigin | undefined {
  try {
    const record = recordAt(image.location, image.named)
    if (record === undefined) return undefined
    const now = recordedSource(target.named)
    const { source, ended } = record
    const [verdict, differences] = [verdictOf(source, now), differencesFrom(source, now)]
    return {
      verdict,
      message: messageOf(
        verdict,
        `${source.kind} the image was made of (${source.path}, ${ended.slice(0, 10)})`,
        differences,
      ),
      source,
      ended,
      differences,
    }
  } catch (error) {
    // It only says where the image came from.
    if (!isImageError(error)) throw error
    notes.push({ code: 'W_RECORD', message: `which disk the image was made of is not known: ${error.message}` })
    return undefined
  }
}

function messageOf(verdict: TargetOrigin['verdict'], what: string, differences: readonly string[]): string {
  const why = differences.length === 0 ? '' : `: ${differences.join('; ')}`
  if (verdict === 'same') return `this is the ${what}${why}`
  return verdict === 'other' ? `this is not the ${what}${why}` : `whether this is the ${what} is not known${why}`
}

function verdictOf(then: RecordedSource, now: RecordedSource): TargetOrigin['verdict'] {
  for (const [before, after] of [
    [then.serial, now.serial],
    [then.wwn, now.wwn],
  ] as const) {
    if (before !== undefined && after !== undefined)
      return before === after && then.size === now.size ? 'same' : 'other'
  }
  return then.size === now.size && (then.model === now.model || then.model === undefined || now.model === undefined)
    ? 'unknown'
    : 'other'
}

/**
 * How a disk or partition differs from the one in a record, a sentence each; empty: it does not. The path is not
 * compared: systems assign it anew. What only one of the two knows is not compared either.
 */
export function differencesFrom(recorded: RecordedSource, now: RecordedSource): string[] {
  return differencesIn(recorded, now, () => true)
}

/** The same, for a disk that may have grown or been cut since: sizes are not compared. */
export function identityDifferences(recorded: RecordedSource, now: RecordedSource): string[] {
  return differencesIn(recorded, now, (name) => name !== 'size' && name !== 'size of the partition')
}

/** Whether both of two disks or partitions have something to be known by. */
export function areKnown(recorded: RecordedSource, now: RecordedSource): boolean {
  return [
    [recorded.serial, now.serial],
    [recorded.wwn, now.wwn],
    [recorded.table?.diskId, now.table?.diskId],
    [recorded.partition?.uuid, now.partition?.uuid],
  ].some(([then, found]) => then !== undefined && found !== undefined)
}

function differencesIn(recorded: RecordedSource, now: RecordedSource, isCompared: (name: string) => boolean): string[] {
  const facts: readonly (readonly [string, string | number | undefined, string | number | undefined])[] = [
    ['serial number', recorded.serial, now.serial],
    ['world-wide name', recorded.wwn, now.wwn],
    ['model', recorded.model, now.model],
    ['size', recorded.size, now.size],
    ['logical sector size', recorded.logicalSectorSize, now.logicalSectorSize],
    ['disk id', recorded.table?.diskId, now.table?.diskId],
    ['start of the partition', recorded.partition?.start, now.partition?.start],
    ['size of the partition', recorded.partition?.size, now.partition?.size],
    ['id of the partition', recorded.partition?.uuid, now.partition?.uuid],
  ]
  const kind = recorded.kind === now.kind ? [] : [`the image is of a ${recorded.kind}, and this is a ${now.kind}`]
  return [
    ...kind,
    ...facts.flatMap(([name, then, found]) =>
      then === undefined || found === undefined || then === found || !isCompared(name)
        ? []
        : [`its ${name} is ${printable(String(found))}, and was ${printable(String(then))}`],
    ),
  ]
}

/** What a record says of a disk or partition that is imaged. */
export function recordedSource({ kind, name, disk, entry, device, table, start, size }: NamedDevice): RecordedSource {
  const { model, vendor, serial, wwn, bus } = disk
  const number = device?.number ?? entry?.number ?? 0
  return {
    kind,
    path: device?.path ?? (kind === 'disk' ? disk.path : name),
    model,
    vendor,
    serial,
    wwn,
    bus,
    size: disk.size,
    logicalSectorSize: disk.logicalSectorSize,
    physicalSectorSize: disk.physicalSectorSize,
    table: table === undefined ? undefined : { scheme: table.scheme, diskId: table.diskId },
    ...(kind === 'disk' ? {} : { partition: { number, start, size, uuid: entry?.uuid, label: entry?.label } }),
  }
}
