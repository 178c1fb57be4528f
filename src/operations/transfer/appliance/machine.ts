import { printable, usage } from '../../../errors.js'
import type { OptionValues } from '../../../formats/driver.js'
import { nameBytes } from '../../../sys/host-fs.js'
import { guestSystem, type GuestSystem } from './guest-system.js'

/** What a user says of the machine that an OVA describes. */
export interface MachineOptions {
  /** Its name; that of the target when left out. */
  readonly name?: string
  readonly cpus?: number
  /** Bytes: whole mebibytes. */
  readonly memory?: number
  readonly firmware?: 'bios' | 'uefi'
  /** As {@link guestSystem} takes it. */
  readonly os?: string
  /** Names of networks that it has an adapter for. */
  readonly networks?: readonly string[]
}

/** The controller that the disks are at (CIM_ResourceAllocationSettingData). */
export interface Controller {
  readonly resourceType: 5 | 6
  readonly model?: string
  readonly title: string
  /** Places of disks at one controller, and how many controllers there may be. */
  readonly places: readonly number[]
  readonly most: number
}

/** A machine that is to be described, complete. */
export interface MachinePlan {
  readonly name: string
  /** What the files are called: `server` of `server.ovf`. */
  readonly stem: string
  readonly cpus: number
  readonly memory: number
  readonly firmware: 'bios' | 'uefi'
  readonly os: GuestSystem
  readonly networks: readonly string[]
  readonly hardware: number
  readonly controller: Controller
}

const mebibyte = 2 ** 20
/** Virtual hardware that everything since ESXi 6.5 and Workstation 14 takes. */
const usualHardware = 13
/** The version from which VMware's machines have UEFI. */
const uefiHardware = 8

// Place 7 of a SCSI bus is the controller's own.
const scsiPlaces = Array.from({ length: 16 }, (_, place) => place).filter((place) => place !== 7)
const controllers: Readonly<Record<string, Controller>> = {
  ide: { resourceType: 5, title: 'IDE Controller', places: [0, 1], most: 2 },
  lsilogic: { resourceType: 6, model: 'lsilogic', title: 'SCSI Controller', places: scsiPlaces, most: 4 },
  buslogic: { resourceType: 6, model: 'buslogic', title: 'SCSI Controller', places: scsiPlaces, most: 4 },
  pvscsi: { resourceType: 6, model: 'VirtualSCSI', title: 'SCSI Controller', places: scsiPlaces, most: 4 },
}

/**
 * The machine that is asked for. @param stem the target's name without its extension; undefined for a stream.
 * @param given options of the VMDKs in it. @param firmware what its first disk starts with.
 * @throws ImageError usage E_OPTION_VALUE, E_OPTIONS.
 */
export function machinePlan(
  { name, cpus = 1, memory = 2048 * mebibyte, firmware, os, networks = [] }: MachineOptions,
  stem: string | undefined,
  given: OptionValues,
  disks: number,
  found: 'bios' | 'uefi' | undefined,
): MachinePlan {
  const whole = (what: string, value: number, least: number, most: number): void => {
    if (!Number.isInteger(value) || value < least || value > most)
      throw usage('E_OPTION_VALUE', `a machine has ${least} to ${most} ${what}, not ${value}`)
  }
  whole('CPUs', cpus, 1, 4096)
  whole('MiB of memory, in whole ones', memory / mebibyte, 4, 2 ** 30)
  const adapter = String(given['adapter'] ?? 'lsilogic')
  const controller = controllers[adapter]
  if (controller === undefined)
    throw usage('E_OPTIONS', `a machine in an OVA cannot have the adapter ${printable(adapter)}`, {
      hint: `It can have ${Object.keys(controllers).join(', ')}.`,
    })
  const most = controller.places.length * controller.most
  if (disks > most)
    throw usage('E_OPTIONS', `a machine with the adapter ${adapter} has up to ${most} disks, not ${disks}`)
  const hardware = Number(given['hardware-version'] ?? usualHardware)
  const chosen = firmware ?? found ?? 'bios'
  if (chosen === 'uefi' && hardware < uefiHardware)
    throw usage('E_OPTIONS', `virtual hardware of version ${hardware} has no UEFI`, {
      hint: `Use -o hardware-version=${usualHardware}.`,
    })
  const title = name ?? stem ?? 'machine'
  return {
    name: title,
    stem: plainName(stem ?? title),
    cpus,
    memory,
    firmware: chosen,
    os: guestSystem(os ?? 'other'),
    networks,
    hardware,
    controller,
  }
}

/** A name that every program takes: letters, digits, dots, and what joins them. */
function plainName(name: string): string {
  const plain = nameBytes(name)
    .toString('latin1')
    .replace(/[^\w.-]/g, '_')
    .replace(/^[.-]+/, '')
  return plain === '' ? 'machine' : plain.slice(0, 60)
}
