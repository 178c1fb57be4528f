import type { Platform } from '../../platforms/index.js'
import { diskNames, isId, type DeviceSpec } from './device-spec.js'
import type { Guest, GuestVolume } from './guest.js'
import type { DoctorReport } from './report.js'

/** How a volume is named so that it is found anywhere. */
export function stableName(open: GuestVolume | undefined): string | undefined {
  if (open === undefined) return undefined
  const { filesystems, partition } = open.volume
  const uuid = filesystems[0]?.uuid
  if (uuid !== undefined) return `UUID=${uuid}`
  return partition?.uuid === undefined ? undefined : `PARTUUID=${partition.uuid}`
}

/** What is known of a device's name: that nothing has it, or that it changes with the hardware. */
export interface DeviceFault {
  readonly kind: 'absent' | 'name' | 'hardware'
  readonly found: string
  readonly wanted: string
  /** Whether the platform gives no such name to any disk. */
  readonly certain: boolean
}

export function deviceFault(
  guest: Guest,
  text: string,
  spec: DeviceSpec,
  platform: Platform | undefined,
): DeviceFault | undefined {
  const open = guest.volumeOf(spec)
  const wanted = 'UUID= of the filesystem'
  if (spec.kind === 'hardware') return { kind: 'hardware', found: text, wanted, certain: false }
  if (spec.kind === 'name') {
    const names = platform?.drivers === undefined ? undefined : diskNames(platform.drivers.disk)
    return { kind: 'name', found: text, wanted, certain: names !== undefined && !names.includes(spec.family) }
  }
  if (spec.kind === 'mapped') return open === undefined ? volumeFault(guest, text, spec.volume) : undefined
  if (spec.kind === 'other' || open !== undefined) return undefined
  const { containers } = guest
  if (containers.length > 0) return undefined
  const there = guest.volumes.flatMap((volume) => stableName(volume) ?? [])
  return {
    kind: 'absent',
    found: `${spec.kind.toUpperCase()}=${spec.value}, which nothing on this disk has`,
    wanted: `one of ${there.join(', ') || 'none: no filesystem here has an id'}`,
    certain: true,
  }
}

/** A logical volume that its group does not have, or any where there is no group; of other groups nothing is known. */
function volumeFault(guest: Guest, text: string, volume: string | undefined): DeviceFault | undefined {
  const group = volume?.slice(0, volume.indexOf('/') + 1) ?? ''
  const logical = guest.volumes.flatMap((open) => open.logical ?? [])
  if (logical.length === 0 && guest.containers.length === 0)
    return {
      kind: 'absent',
      found: `${text}, and nothing on this disk is mapped: neither LVM nor RAID nor encryption`,
      wanted: 'UUID= of the filesystem',
      certain: true,
    }
  const names = logical.filter((name) => name.startsWith(group))
  if (group === '' || names.length === 0) return undefined
  return {
    kind: 'absent',
    found: `${text}, which the group does not have`,
    wanted: `one of ${names.map((name) => `/dev/${name}`).join(', ')}`,
    certain: true,
  }
}

/** Mapped devices, and ids that may lie inside a container, are not known here. */
export function skipUnseen(guest: Guest, text: string, spec: DeviceSpec, where: string, report: DoctorReport): void {
  const hidden =
    (spec.kind === 'mapped' && volumeFault(guest, text, spec.volume) === undefined) ||
    (isId(spec) && guest.containers.length > 0)
  if (hidden && guest.volumeOf(spec) === undefined)
    report.skip(
      `${where}: ${text}`,
      `it lies in ${guest.containers.join(', ') || 'a mapped device'}, which is not opened`,
      false,
    )
}
