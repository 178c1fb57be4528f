import type { DiskPlatform } from '../../device/types.js'
import { printable, targetError, usage, type HostPath } from '../../errors.js'
import { Registry } from '../../formats/registry.js'
import { isBackupSet } from '../../location/backup-set.js'
import { makeFolder } from '../../location/folder.js'
import fs from '../../sys/host-fs.js'
import { realFolder, realPath } from '../../sys/host-path.js'
import { findDevice, type NamedDevice } from '../device/argument.js'
import { recordedSource } from '../device/origin.js'
import { guardSameDisk, heatOf } from '../imaging/guards.js'
import { thisMachine } from '../in-use/machine.js'
import { refuseAddress } from '../transfer/target.js'
import { targetFormat } from '../transfer/layout.js'
import { holdingSet } from './lock.js'
import { flushFolder } from './set.js'
import { setFormats, writeSettings, type SetSettings } from './settings.js'

export interface InitOptions extends Omit<SetSettings, 'source' | 'usedOnly' | 'dropSwap' | 'format'> {
  readonly registry?: Registry
  readonly format?: string
  readonly usedOnly?: boolean
  readonly dropSwap?: boolean
  /** Replaces the settings of a set that is there; its points stay. */
  readonly force?: boolean
  /** Lets the set lie on the disk that it is of. */
  readonly allowSameDisk?: boolean
  readonly platform?: DiskPlatform
}

export interface InitResult {
  readonly set: string
  readonly settings: SetSettings
}

/**
 * Makes a folder a backup set of a disk: writes its settings. The folder is made where it is not there.
 * @throws ImageError target E_EXISTS; refused E_SAME_DISK, E_SET_IN_USE; usage E_NOT_A_DEVICE, E_SET_FORMAT.
 */
export async function initSet(set: string, disk: string, options: InitOptions = {}): Promise<InitResult> {
  const platform = options.platform ?? thisMachine()
  const { format: wanted = 'qcow2' } = options
  const format = setFormats.find((each) => each === wanted)
  if (format === undefined)
    throw usage('E_SET_FORMAT', `a backup set has images of ${setFormats.join(' or ')}, not ${printable(wanted)}`, {
      hint: 'Those two can have children, and take points away with a rename that a power cut does not split.',
    })
  const { compress } = options
  const registry = options.registry ?? new Registry()
  // An option that the format does not take is refused now, and not when the first run is due.
  targetFormat(registry, undefined, format, compress === undefined ? {} : { compress })
  refuseAddress(set, 'Name a folder of this computer: one of another that is mounted here is one.')
  refuseNoFolder(set)
  const device = findDevice(disk, platform)
  const allowed = options.allowSameDisk === true
  guardSameDisk(device, heatOf(device, platform), `${set}/set`, platform, allowed, `the backup set ${printable(set)}`)
  makeFolder(set)
  const folder = realPath(set) ?? set
  return await holdingSet(folder, 'vdisk backup init', () => writeNew(folder, device, format, options))
}

/**
 * Where the two words changed places the disk would not be found, which says less.
 * @throws ImageError target E_EXISTS
 */
function refuseNoFolder(set: string): void {
  const stat = fs.statSync(set, { throwIfNoEntry: false })
  if (stat === undefined || stat.isDirectory()) return
  throw targetError('E_EXISTS', `${printable(set)} is there, and is no folder`, {
    hint: stat.isBlockDevice()
      ? 'The folder of the set comes first, then the disk: vdisk backup init SET DISK'
      : 'Name another folder for the set: this file stays as it is.',
  })
}

/** Writes the settings. */
function writeNew(
  folder: HostPath,
  device: NamedDevice,
  format: SetSettings['format'],
  options: InitOptions,
): InitResult {
  if (isBackupSet(folder) && options.force !== true)
    throw targetError('E_EXISTS', `${printable(folder)} is a backup set already`, {
      hint: 'vdisk backup show shows its settings; --force writes new ones, and its points stay.',
    })
  const settings: SetSettings = {
    source: recordedSource(device),
    format,
    compress: options.compress,
    usedOnly: options.usedOnly ?? true,
    dropSwap: options.dropSwap ?? false,
    parts: options.parts,
    snapshot: options.snapshot,
    fullEvery: options.fullEvery,
    keepLast: options.keepLast,
    keepDaily: options.keepDaily,
    keepWeekly: options.keepWeekly,
    keepMonthly: options.keepMonthly,
  }
  writeSettings(folder, settings)
  flushFolder(folder)
  flushFolder(realFolder(folder))
  return { set: folder, settings }
}
