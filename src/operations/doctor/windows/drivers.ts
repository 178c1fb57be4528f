import type { DriverSet, Platform, WindowsNeeds } from '../../../platforms/index.js'
import { valueTypes, type HiveKey, type HivePatch } from '../../../registry/index.js'
import type { DoctorReport } from '../report.js'
import type { WindowsGuest } from './guest.js'
import { hiveEdits } from './hive-file.js'

/** How a service starts (winnt.h, SERVICE_BOOT_START and on). */
const starts = ['boot', 'system', 'automatic', 'demand', 'disabled']

/**
 * Devices of drivers that Windows does not ship, by which it finds them at boot: their ids must be known to it before
 * it starts from them.
 */
const deviceIds: Readonly<Record<string, readonly string[]>> = {
  viostor: ['VEN_1AF4&DEV_1001', 'VEN_1AF4&DEV_1042'],
  vioscsi: ['VEN_1AF4&DEV_1004', 'VEN_1AF4&DEV_1048'],
  pvscsi: ['VEN_15AD&DEV_07C0'],
}

/** Whether a driver starts at boot, and what keeps it from that. */
interface DriverState {
  readonly name: string
  /** Undefined: it starts at boot. */
  readonly fault?: 'absent' | 'file' | 'off'
  /** What was found, for people. */
  readonly found?: string
  /** What makes it start at boot. */
  readonly patches: readonly HivePatch[]
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
  const states = new Map<string, DriverState>()
  for (const name of [...windows.disk, ...(windows.otherDisk ?? [])].flat())
    if (!states.has(name)) states.set(name, driverState(guest, name))
  const complete = (sets: readonly DriverSet[] = []): DriverSet[] =>
    sets.filter((set) => set.every((name) => states.get(name)?.fault === undefined))
  const usual = complete(windows.disk)
  if (usual.length > 0) {
    report.look(`drivers that start at boot: ${setsText(usual)}`)
    checkDevices(guest, usual, report)
    return
  }
  const other = complete(windows.otherDisk)
  if (other.length > 0) noteController(guest, other, windows, platform, report)
  else missing(guest, windows, states, platform, report)
}

function setsText(sets: readonly DriverSet[]): string {
  return sets.map((set) => set.join(' + ')).join(', or ')
}

function driverState(guest: WindowsGuest, name: string): DriverState {
  const service = guest.control.at(`Services\\${name}`)
  if (service === undefined) return { name, fault: 'absent', found: `${name}: not installed`, patches: [] }
  const path = driverFile(guest, service, name)
  if (guest.open.files.file(path) === undefined)
    return { name, fault: 'file', found: `${name}: ${path} is not there`, patches: [] }
  const start = service.value('Start')?.number
  const patches = startPatches(service)
  if (start === 0n && patches.length === 0) return { name, patches }
  const title = start === undefined ? 'without a start type' : (starts[Number(start)] ?? String(start))
  return { name, fault: 'off', found: `${name}: ${start === 0n ? 'overridden by StartOverride' : title}`, patches }
}

/** Start and every value of StartOverride as zero: at boot. Empty where there is nothing to change, or no number. */
function startPatches(service: HiveKey): HivePatch[] {
  const values = [service.value('Start'), ...(service.subkey('StartOverride')?.values() ?? [])]
  return values.flatMap((value) =>
    value?.type === valueTypes.dword && value.length === 4 && value.number !== 0n
      ? value.patches(0, new Uint8Array(4))
      : [],
  )
}

/** Where its program lies, from the volume's root: ImagePath, or the folder of drivers. */
function driverFile({ folder }: WindowsGuest, service: HiveKey, name: string): string {
  const stored = service.value('ImagePath')?.text?.replaceAll('\\', '/')
  if (stored === undefined || stored === '') return `${folder}/System32/drivers/${name}.sys`
  const below = /^(?:\/?SystemRoot\/|%SystemRoot%\/|\/?\?\?\/[A-Za-z]:\/Windows\/)(.*)$/is.exec(stored)?.[1] ?? stored
  return `${folder}/${below.replace(/^\/+/, '')}`
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

function noteController(
  { system }: WindowsGuest,
  other: readonly DriverSet[],
  { disk }: WindowsNeeds,
  { id }: Platform,
  report: DoctorReport,
): void {
  report.add({
    id: 'W-CONTROLLER',
    severity: 'risk',
    where: system.path,
    found: setsText(other),
    wanted: setsText(disk),
    why: `${id} usually gives another controller, from which this system does not start (0x7B)`,
    remedy: {
      kind: 'inside-guest',
      text: 'Give the machine a SATA or IDE disk, or install the drivers (virtio-win, guest tools) before it moves.',
    },
  })
}

/** No set is complete: one that is installed can be switched on, others must be installed. */
function missing(
  guest: WindowsGuest,
  { disk, otherDisk = [] }: WindowsNeeds,
  states: ReadonlyMap<string, DriverState>,
  { id }: Platform,
  report: DoctorReport,
): void {
  const faults = (set: DriverSet): DriverState[] =>
    set.flatMap((name) => states.get(name) ?? []).filter(({ fault }) => fault !== undefined)
  const installed = [...disk, ...otherDisk].find((set) => faults(set).every(({ fault }) => fault === 'off'))
  const all = faults(
    installed ?? disk.find((set) => faults(set).every(({ fault }) => fault !== 'absent')) ?? disk[0] ?? [],
  )
  report.add(
    {
      id: installed === undefined ? 'W-DRIVER-ABSENT' : 'W-DRIVER-OFF',
      severity: 'blocks',
      where: `${guest.system.path}, control set ${guest.facts.controlSet ?? ''}`,
      found: all.map(({ found }) => found).join('; '),
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
    installed === undefined
      ? []
      : hiveEdits(
          guest.system,
          all.flatMap(({ patches }) => patches),
        ),
  )
}
