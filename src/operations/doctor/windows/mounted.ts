import {
  isSamePlace,
  mountedDevice,
  mountedDeviceBytes,
  diskPlaceText,
  type DiskPlace,
  type HivePatch,
  type HiveValue,
} from '../../../registry/index.js'
import type { DoctorReport } from '../report.js'
import type { WindowsGuest } from './guest.js'
import { attempt, hiveEdits } from './hive-file.js'
import type { WindowsPlaces, Renames } from './places.js'

/** Whether the letter of the system's own volume means the partition that it lies in. */
export function checkMountedDevices(
  guest: WindowsGuest,
  { places, renames }: { readonly places: WindowsPlaces; readonly renames: Renames },
  report: DoctorReport,
): void {
  const own = places.of(guest.open)
  if (own === undefined) return
  attempt(guest.system, report, () => {
    const values = [...(guest.system.hive.root.subkey('MountedDevices')?.values() ?? [])]
    const letter = values.find(({ name }) => name.toUpperCase() === `\\DOSDEVICES\\${guest.drive}`)
    if (letter === undefined) {
      report.skip(`the letter ${guest.drive} in MountedDevices`, 'there is none: Windows gives one itself', false)
      return
    }
    report.look(`MountedDevices: ${guest.drive}`)
    const stored = mountedDevice(letter.data())
    if (stored !== undefined && isSamePlace(stored, own)) return
    if (stored !== undefined) renames.add(stored, own)
    report.add(
      {
        id: 'W-MOUNTED',
        severity: 'risk',
        where: `${guest.system.path}, MountedDevices`,
        found: `${guest.drive} is ${stored === undefined ? 'no partition of a disk' : diskPlaceText(stored)}`,
        wanted: diskPlaceText(own),
        why: 'Windows may give its own volume another letter: then nobody can log in',
        remedy: {
          kind: 'inside-guest',
          text: 'Delete the values of MountedDevices from a repair system: Windows makes them anew.',
        },
      },
      hiveEdits(
        guest.system,
        values.flatMap((value) => valuePatches(value, letter, own, renames)),
      ),
    )
  })
}

function valuePatches(value: HiveValue, letter: HiveValue, own: DiskPlace, renames: Renames): HivePatch[] {
  const old = value.data()
  const place = mountedDevice(old)
  const now = Buffer.compare(old, letter.data()) === 0 ? own : place === undefined ? undefined : renames.of(place)
  if (now === undefined) return []
  const bytes = mountedDeviceBytes(now)
  // The form of the other kind of table has another length: the value would have to move.
  return bytes.length === old.length ? value.patches(0, bytes) : []
}
