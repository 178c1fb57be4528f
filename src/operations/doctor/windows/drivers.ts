import type { DriverSet, Platform, WindowsNeeds } from '../../../platforms/index.js'
import type { HiveKey } from '../../../hive/index.js'
import type { DoctorReport } from '../report.js'
import { BootDrivers } from './driver-state.js'
import type { WindowsGuest } from './guest.js'
import { hiveEdits } from './hive-file.js'

/**
 * Devices of drivers that Windows does not ship, by which it finds them at boot: their ids must be known to it before
 * it starts from them.
 */
const deviceIds: Readonly<Record<string, readonly string[]>> = {
  viostor: ['VEN_1AF4&DEV_1001', 'VEN_1AF4&DEV_1042'],
  vioscsi: ['VEN_1AF4&DEV_1004', 'VEN_1AF4&DEV_1048'],
  pvscsi: ['VEN_15AD&DEV_07C0'],
}

/** Whether a driver for the controllers of the platform starts with the system. */
export function checkDrivers(guest: WindowsGuest, platform: Platform | undefined, report: DoctorReport): void {
  const { windows } = platform ?? {}
  if (platform === undefined || windows === undefined || windows === false) {
    report.skip(
      'drivers that start at boot',
      platform === undefined
        ? 'which ones are needed depends on the platform: name it with --for'
        : `what Windows needs on ${platform.id} is not known here`,
      false,
    )
    return
  }
  const { disk, otherDisk = [] } = windows
  const check: DriverCheck = {
    guest,
    drivers: new BootDrivers(guest, [...disk, ...otherDisk]),
    windows,
    platform,
    report,
  }
  const usual = check.drivers.complete(disk)
  const other = check.drivers.complete(otherDisk)
  if (usual.length > 0) {
    report.look(`drivers that start at boot: ${setsText(usual)}`)
    checkDevices(guest, usual, report)
    if (check.drivers.off(disk).length > 0) noteController(check, usual, 'note')
  } else if (other.length > 0) noteController(check, other, 'risk')
  else missing(check)
}

interface DriverCheck {
  readonly guest: WindowsGuest
  readonly drivers: BootDrivers
  readonly windows: WindowsNeeds
  readonly platform: Platform
  readonly report: DoctorReport
}

function setsText(sets: readonly DriverSet[]): string {
  return sets.map((set) => set.join(' + ')).join(', or ')
}

/** Ids of PCI devices that Windows has a driver for. */
function knownDevices({ system, control }: WindowsGuest): string[] {
  const names = (key: HiveKey | undefined): string[] =>
    key === undefined ? [] : [...key.subkeys()].map(({ name }) => name)
  return [
    ...names(system.hive.root.at('DriverDatabase\\DeviceIds\\PCI')),
    ...names(control.at('Enum\\PCI')),
    ...names(control.at('Control\\CriticalDeviceDatabase')).map((name) => name.replace(/^PCI#/i, '')),
  ].map((name) => name.toUpperCase())
}

/** Drivers that start, and to which Windows gives no device. */
function checkDevices(guest: WindowsGuest, sets: readonly DriverSet[], report: DoctorReport): void {
  if (sets.some((set) => set.every((name) => deviceIds[name] === undefined))) return
  const known = knownDevices(guest)
  const isBound = (name: string): boolean =>
    deviceIds[name]?.some((id) => known.some((device) => device.startsWith(id))) ?? true
  if (sets.some((set) => set.every(isBound))) return
  const names = sets.flat()
  report.add({
    id: 'W-DRIVER-UNBOUND',
    severity: 'risk',
    where: guest.system.path,
    found: `${names.join(', ')}: no device is known that they are for`,
    wanted: names.flatMap((name) => deviceIds[name] ?? []).join(', '),
    why: 'Windows starts the driver and gives it no disk: INACCESSIBLE_BOOT_DEVICE (0x7B)',
    remedy: { kind: 'inside-guest', text: 'Attach a second disk of that kind once, and start Windows with it.' },
  })
}

/** Some of the controllers that the platform has are no use: those of drivers that are installed can be. */
function noteController(
  { guest: { system }, drivers, windows: { disk }, platform: { id }, report }: DriverCheck,
  complete: readonly DriverSet[],
  severity: 'risk' | 'note',
): void {
  report.add(
    {
      id: 'W-CONTROLLER',
      severity,
      where: system.path,
      found: setsText(complete),
      wanted: setsText(disk),
      why:
        severity === 'note'
          ? `${id} has several kinds of controllers: from the others this system does not start (0x7B)`
          : `${id} usually gives another controller, from which this system does not start (0x7B)`,
      remedy: {
        kind: 'inside-guest',
        text:
          severity === 'note'
            ? `Give the machine the controller of ${complete.map((set) => set[0]).join(' or ')}.`
            : 'Give the machine a SATA or IDE disk, or install the drivers (virtio-win, guest tools) before it moves.',
      },
    },
    hiveEdits(system, drivers.patches(drivers.off(disk))),
  )
}

/** No set is complete: one that is installed can be switched on, others must be installed. */
function missing({ guest, drivers, windows: { disk, otherDisk = [] }, platform: { id }, report }: DriverCheck): void {
  const [installed] = drivers.off([...disk, ...otherDisk])
  const present = disk.find((set) => drivers.faults(set).every(({ fault }) => fault !== 'absent'))
  const set = installed ?? present ?? disk[0] ?? []
  report.add(
    {
      id: installed === undefined ? 'W-DRIVER-ABSENT' : 'W-DRIVER-OFF',
      severity: 'blocks',
      where: `${guest.system.path}, control set ${guest.facts.controlSet ?? ''}`,
      found: drivers
        .faults(set)
        .map(({ found }) => found)
        .join('; '),
      wanted: `${setsText(disk)}, started at boot`,
      why: `Windows finds no disk on ${id}: INACCESSIBLE_BOOT_DEVICE (0x7B)`,
      remedy: {
        kind: 'inside-guest',
        text:
          installed === undefined
            ? `Install the drivers of ${id} (virtio-win, guest tools) before the disk moves.`
            : installed.map((name) => `sc config ${name} start= boot`).join(' & '),
      },
    },
    installed === undefined ? [] : hiveEdits(guest.system, drivers.patches([installed])),
  )
}
