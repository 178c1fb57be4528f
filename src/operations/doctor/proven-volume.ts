import { isId, type DeviceSpec } from './device-spec.js'
import type { FstabEntry, Guest, GuestVolume } from './guest.js'

/** Where something is mounted, and what it is said to be. */
export type MountedAt = Pick<FstabEntry, 'point' | 'type'>

/** What the first disk of a machine is called, by its controller. */
const firstDisks = ['/dev/sda', '/dev/hda', '/dev/vda', '/dev/xvda', '/dev/nvme0n1', '/dev/mmcblk0']
const extTypes = ['ext2', 'ext3', 'ext4']

/**
 * The volume that a name can mean only: the root by its files where there is but one system, the EFI system partition
 * by its type, /boot by its kernels, others by the number of their partition on the disk that the root is said to be
 * on.
 * @returns undefined: it is not certain.
 */
export function provenVolume(guest: Guest, spec: DeviceSpec, entry: MountedAt): GuestVolume | undefined {
  const { point } = entry
  if (point === '/') return guest.isOnly && fits(guest.root.open, entry) ? guest.root.open : undefined
  if (isId(spec)) {
    const kernels = guest.volumes.filter((open) => open !== guest.root.open && holdsKernels(open))
    if (point === '/boot' && kernels.length === 1 && fits(kernels[0], entry)) return kernels[0]
    const systems = guest.volumes.filter(({ volume }) => volume.partition?.type.name.startsWith('EFI') === true)
    const [system] = systems
    if (['/boot/efi', '/efi'].includes(point) && systems.length === 1 && fits(system, entry)) return system
  }
  const place = placeOf(spec)
  if (place === undefined || !isRootsDisk(guest, place.disk)) return undefined
  const found = guest.volumes.filter(({ volume }) => volume.partition?.number === place.partition)
  return found.length === 1 && fits(found[0], entry) ? found[0] : undefined
}

/** Whether a volume is mounted at /boot. */
function holdsKernels({ files }: GuestVolume): boolean {
  return files.names('/').some((name) => /^vmlinu[zx]/.test(name))
}

/** Whether a volume holds what an entry says. */
function fits(open: GuestVolume | undefined, { type }: MountedAt): open is GuestVolume {
  const [filesystem, other] = open?.volume.filesystems ?? []
  if (filesystem === undefined || other !== undefined) return false
  return type === 'auto' || type === filesystem.type || (extTypes.includes(type) && extTypes.includes(filesystem.type))
}

/** A disk by its name, path or signature, and a partition of it by its number. */
function placeOf(spec: DeviceSpec): { readonly disk: string; readonly partition: number } | undefined {
  if ((spec.kind === 'name' || spec.kind === 'hardware') && spec.partition !== undefined)
    return { disk: spec.disk, partition: spec.partition }
  const [, signature, number = ''] =
    (spec.kind === 'partuuid' && /^([0-9a-f]{8})-([0-9a-f]{2})$/i.exec(spec.value)) || []
  return signature === undefined ? undefined : { disk: signature.toLowerCase(), partition: Number.parseInt(number, 16) }
}

/** Whether a disk is the one that is looked at: fstab says that the root is on it, or it is the first. */
function isRootsDisk(guest: Guest, disk: string): boolean {
  const root = guest.fstab.find(({ point }) => point === '/')
  const place = root === undefined ? undefined : placeOf(root.spec)
  if (place !== undefined) return place.disk === disk && place.partition === guest.root.open.volume.partition?.number
  return firstDisks.includes(disk)
}

/**
 * The name under which a volume is found anywhere, of the kind that stood there where it has one. @param bare the
 * kernel alone has to find it, without an initramfs.
 */
export function lastingName(guest: Guest, open: GuestVolume, spec: DeviceSpec, bare = false): string | undefined {
  const { partition, filesystems } = open.volume
  if (partition?.uuid !== undefined && (bare || spec.kind === 'partuuid')) return `PARTUUID=${partition.uuid}`
  if (bare) return undefined
  const [filesystem] = filesystems
  if (open.logical !== undefined && spec.kind !== 'uuid') return `/dev/mapper/${mappedName(open.logical)}`
  const uuid = filesystem?.uuid
  if (uuid === undefined) return undefined
  const same = guest.volumes.filter(({ volume }) => volume.filesystems.some((other) => other.uuid === uuid))
  return same.length === 1 ? `UUID=${uuid}` : undefined
}

/** As the device mapper calls `vg/lv`: a hyphen of a name is doubled. */
function mappedName(logical: string): string {
  return logical
    .split('/')
    .map((part) => part.replaceAll('-', '--'))
    .join('-')
}
