import {
  isSamePlace,
  mountedDevice,
  mountedDeviceBytes,
  diskPlaceText,
  type DiskPlace,
  type HivePatch,
  type HiveValue,
} from '../../../hive/index.js'
import type { DoctorReport } from '../report.js'
import type { WindowsGuest } from './guest.js'
import { attempt, hiveEdits, hiveSpace, type HiveFile } from './hive-file.js'
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
      hiveEdits(guest.system, allPatches(guest.system, values, { letter, own, renames })),
    )
  })
}

interface NewLetters {
  readonly letter: HiveValue
  readonly own: DiskPlace
  readonly renames: Renames
}

/** Names of the other kind of table have another length: such values move to free cells. */
function allPatches(file: HiveFile, values: readonly HiveValue[], { letter, own, renames }: NewLetters): HivePatch[] {
  const changed = values.flatMap((value) => {
    const old = value.data()
    const place = mountedDevice(old)
    const now = Buffer.compare(old, letter.data()) === 0 ? own : place === undefined ? undefined : renames.of(place)
    return now === undefined ? [] : [{ value, bytes: mountedDeviceBytes(now) }]
  })
  if (changed.every(({ value, bytes }) => value.length === bytes.length))
    return changed.flatMap(({ value, bytes }) => value.patches(0, bytes))
  const space = hiveSpace(file)
  if (space === undefined) return []
  const patches = changed.map(({ value, bytes }) => value.replaced(bytes, space))
  // All of them, or none: two names of one volume would say two things.
  if (patches.includes(undefined)) return []
  return [...patches.flatMap((each) => each ?? []), ...space.patches()]
}
