import { corrupt, isImageError, printable, type HostPath } from '../../errors.js'
import { noSet, settingsName } from '../../location/backup-set.js'
import { writeWhole } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'
import { JsonChecker } from '../imaging/json-checker.js'
import { snapshotChoices, type SnapshotChoice } from '../imaging/snapshot-choice.js'
import { recordedSourceOf, type RecordedSource } from '../imaging/record.js'

/** Which points of a set are kept. */
export interface Policy {
  /** The newest points. */
  readonly keepLast?: number
  /** The newest point of each of so many days, weeks (ISO 8601) and months that have one; UTC. */
  readonly keepDaily?: number
  readonly keepWeekly?: number
  readonly keepMonthly?: number
}

/** Formats of the images: those whose children a power cut cannot split when points are taken away. */
export const setFormats = ['qcow2', 'vhdx'] as const

/** What a backup set is made of, and how. */
export interface SetSettings extends Policy {
  /** The disk or partition. */
  readonly source: RecordedSource
  readonly format: (typeof setFormats)[number]
  /** `zstd:3`; only of qcow2. */
  readonly compress?: string
  readonly usedOnly: boolean
  readonly dropSwap: boolean
  /** The partitions to keep; the others read as zero. */
  readonly parts?: readonly number[]
  /** What each run reads in place of the source; absent: the source itself. */
  readonly snapshot?: SnapshotChoice
  /** So many incremental images after a full one, then the next full one; absent: only the first is full. */
  readonly fullEvery?: number
}

const schema = 'vdisk.backup-set'
const schemaVersion = 1
const largest = 1048576
const mostParts = 4096

/** Writes the settings of a set; whole or not at all. @throws ImageError target */
export function writeSettings(folder: HostPath, settings: SetSettings): void {
  writeWhole(
    inFolder(folder, settingsName),
    `${JSON.stringify({ schema, schemaVersion, ...settings }, undefined, 2)}\n`,
  )
}

/** @throws ImageError usage E_NO_SET; corrupt E_SET_SETTINGS */
export function readSetSettings(folder: HostPath): SetSettings {
  const path = inFolder(folder, settingsName)
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) throw noSet(folder)
  try {
    if (!stat.isFile() || stat.size > largest) throw new Error('it is no small file')
    return parseSettings(fs.readFileSync(path, 'utf8'))
  } catch (cause) {
    if (isImageError(cause)) throw cause
    throw corrupt(
      'E_SET_SETTINGS',
      `the settings of the backup set, ${printable(path)}, cannot be understood: ` +
        printable(cause instanceof Error ? cause.message : String(cause)),
      { cause, hint: 'Its images can be read as they are; vdisk backup init --force writes new settings.' },
    )
  }
}

function parseSettings(text: string): SetSettings {
  const top = JsonChecker.parse(text)
  if (top.text('schema') !== schema) throw new Error(`its schema is not ${schema}`)
  if (top.integer('schemaVersion') !== schemaVersion)
    throw new Error(`it has version ${top.integer('schemaVersion')}; this vdisk knows version ${schemaVersion}`)
  return {
    source: recordedSourceOf(top.object('source')),
    format: top.choice('format', setFormats),
    ...top.optionalTexts(['compress']),
    usedOnly: top.boolean('usedOnly'),
    dropSwap: top.boolean('dropSwap'),
    parts: top.integers('parts', mostParts),
    snapshot: top.optionalChoice('snapshot', snapshotChoices),
    fullEvery: top.optionalInteger('fullEvery'),
    keepLast: top.optionalInteger('keepLast'),
    keepDaily: top.optionalInteger('keepDaily'),
    keepWeekly: top.optionalInteger('keepWeekly'),
    keepMonthly: top.optionalInteger('keepMonthly'),
  }
}
