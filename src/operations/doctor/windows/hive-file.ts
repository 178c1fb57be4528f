import { corrupt, isImageError } from '../../../errors.js'
import { openHive, type Hive, type HiveBytes, type HivePatch, type HiveSpace } from '../../../hive/index.js'
import type { VolumeFiles } from '../../files/volume-files.js'
import type { GuestVolume } from '../guest.js'
import type { DoctorReport, FileEdit } from '../report.js'
import { placeText } from '../boot-menu.js'

/** A hive in a file of the guest. */
export interface HiveFile {
  readonly open: GuestVolume
  readonly path: string
  readonly hive: Hive
}

/** What Windows keeps beside a hive, the newer ways first. */
const logs = ['.LOG1', '.LOG2', '.LOG']

/** Opens a hive with its logs. Undefined: there is no such file, or it cannot be read, which is reported. */
export function openHiveFile(open: GuestVolume, path: string, report: DoctorReport): HiveFile | undefined {
  const file = fileBytes(open.files, path)
  if (file === undefined) return undefined
  const beside = logs.flatMap((extension) => fileBytes(open.files, `${path}${extension}`) ?? [])
  const hive = attempt({ open, path }, report, () => openHive(file, beside, path))
  return hive === undefined ? undefined : { open, path, hive }
}

/** Looks into a hive; damage is something that was not looked into. */
export function attempt<Answer>(
  { open, path }: Pick<HiveFile, 'open' | 'path'>,
  report: DoctorReport,
  look: () => Answer,
): Answer | undefined {
  try {
    return look()
  } catch (error) {
    if (!isImageError(error)) throw error
    report.skip(`${path} in ${placeText(open)}`, error.message, true)
    return undefined
  }
}

/** The edits of a hive's file. One that was not written completely, or is damaged, is never changed. */
export function hiveEdits({ open, path, hive }: HiveFile, patches: readonly HivePatch[]): FileEdit[] {
  const changes = patches.filter(({ old, bytes }) => Buffer.compare(old, bytes) !== 0)
  // The whole hive is only read where something is to be changed in it.
  if (changes.length === 0 || !mayChange(hive)) return []
  return changes.map(({ position, old, bytes, stage }) => ({ open, path, offset: position, old, bytes, stage }))
}

/** The free cells of a hive that may be changed. */
export function hiveSpace({ hive }: HiveFile): HiveSpace | undefined {
  return mayChange(hive) ? hive.space() : undefined
}

/** Whether it was written completely, and its bins are sound: all of it is read for that. */
function mayChange(hive: Hive): boolean {
  if (hive.state !== 'clean') return false
  try {
    hive.checkBins()
    return true
  } catch (error) {
    if (!isImageError(error)) throw error
    return false
  }
}

function fileBytes(files: VolumeFiles, path: string): HiveBytes | undefined {
  const node = files.file(path)
  if (node === undefined || node.size === 0) return undefined
  return {
    size: node.size,
    read: (position, target) => {
      if (!files.fill(node, position, target)) throw corrupt('E_HIVE_CORRUPT', `${path} cannot be read`)
    },
  }
}
