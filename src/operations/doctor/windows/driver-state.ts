import type { DriverSet } from '../../../platforms/index.js'
import { valueTypes, type HiveKey, type HivePatch } from '../../../hive/index.js'
import type { WindowsGuest } from './guest.js'

/** How a service starts (winnt.h, SERVICE_BOOT_START and on). */
const starts = ['boot', 'system', 'automatic', 'demand', 'disabled']

/** Whether a driver starts at boot, and what keeps it from that. */
export interface DriverState {
  readonly name: string
  /** Undefined: it starts at boot. */
  readonly fault?: 'absent' | 'file' | 'off'
  /** What was found, for people. */
  readonly found?: string
  /** What makes it start at boot. */
  readonly patches: readonly HivePatch[]
}

/** The drivers of sets, and how each starts. */
export class BootDrivers {
  readonly #states: ReadonlyMap<string, DriverState>

  constructor(guest: WindowsGuest, sets: readonly DriverSet[]) {
    this.#states = new Map(sets.flat().map((name) => [name, driverState(guest, name)]))
  }

  /** Drivers of a set that do not start at boot. */
  faults(set: DriverSet): DriverState[] {
    return set.flatMap((name) => this.#states.get(name) ?? []).filter(({ fault }) => fault !== undefined)
  }

  /** Sets of which every driver starts at boot. */
  complete(sets: readonly DriverSet[]): DriverSet[] {
    return sets.filter((set) => this.faults(set).length === 0)
  }

  /** Sets of which every driver is installed, and one at least does not start. */
  off(sets: readonly DriverSet[]): DriverSet[] {
    return sets.filter((set) => {
      const faults = this.faults(set)
      return faults.length > 0 && faults.every(({ fault }) => fault === 'off')
    })
  }

  /** What makes the drivers of sets start at boot. */
  patches(sets: readonly DriverSet[]): HivePatch[] {
    const drivers = new Set(sets.flatMap((set) => this.faults(set)))
    return [...drivers].flatMap(({ patches }) => patches)
  }
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
