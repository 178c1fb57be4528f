import { printable } from '../../errors.js'
import type { RecordedSource } from './record.js'

/**
 * What tells a disk or partition from the one that a record speaks of, a sentence each; empty: nothing does. The path
 * is not compared:
 * systems give it anew. What only one of the two knows tells nothing.
 */
export function differencesFrom(recorded: RecordedSource, now: RecordedSource): string[] {
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
      then === undefined || found === undefined || then === found
        ? []
        : [`its ${name} is ${printable(String(found))}, and was ${printable(String(then))}`],
    ),
  ]
}
