import type { Platform } from '../../../platforms/index.js'
import type { InspectResult } from '../../inspect/inspect.js'
import { placeText } from '../boot-menu.js'
import type { GuestVolume } from '../guest.js'
import type { DoctorReport } from '../report.js'
import { checkBootStores, noteState } from './boot-store.js'
import { checkDrivers } from './drivers.js'
import { openWindows, windowsFolder, type WindowsFacts, type WindowsGuest } from './guest.js'
import { attempt } from './hive-file.js'
import { checkMountedDevices } from './mounted.js'
import { WindowsPlaces, Renames } from './places.js'
import { checkWindowsSetup } from './setup.js'

/** Looks into the Windows of a disk. Undefined: there is none, or its registry cannot be read, which is reported. */
export function checkWindows(
  volumes: readonly GuestVolume[],
  disk: InspectResult,
  platform: Platform | undefined,
  report: DoctorReport,
): WindowsFacts | undefined {
  const [found, ...others] = volumes.flatMap((open) => {
    const folder = windowsFolder(open)
    return folder === undefined ? [] : [{ open, folder }]
  })
  if (found === undefined) return undefined
  for (const { open } of others) report.skip(`the Windows in ${placeText(open)}`, 'only the first is looked at', false)
  const guest = openWindows(found.open, found.folder, report)
  if (guest === undefined) return undefined
  const { facts, system } = guest
  report.look(`Windows in ${placeText(guest.open)}: control set ${facts.controlSet ?? ''}`)
  noteState(system, `${system.path} in ${placeText(guest.open)}`, report)
  checkPlatform(guest, platform, report)
  const places = new WindowsPlaces(disk)
  const names = { places, renames: new Renames(places) }
  checkBootStores(guest, volumes, disk, names, report)
  checkMountedDevices(guest, names, report)
  attempt(system, report, () => {
    checkDrivers(guest, platform, report)
    checkWindowsSetup(guest, platform, report)
  })
  report.skip('network drivers and services of Windows', 'only what it needs to start is looked at', false)
  return facts
}

function checkPlatform(
  { facts: { cpu, folder } }: WindowsGuest,
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  if (platform === undefined) return
  if (platform.windows === false)
    report.add({
      id: 'W-PLATFORM',
      severity: 'blocks',
      where: folder,
      found: 'Windows',
      wanted: 'Linux, or another system like Unix',
      why: `${platform.id} starts no Windows`,
      remedy: { kind: 'none', text: 'Choose another platform (vdisk platforms).' },
    })
  if (cpu === undefined || platform.cpus === undefined || platform.cpus.includes(cpu)) return
  report.add({
    id: 'W-ARCH',
    severity: 'blocks',
    where: folder,
    found: `Windows for ${cpu}`,
    wanted: platform.cpus.join(' or '),
    why: `machines of ${platform.id} have another CPU`,
    remedy: { kind: 'none', text: 'Install a system for that CPU.' },
  })
}
