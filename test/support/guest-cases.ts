/** Guests that are asked about by doctor and started in QEMU: sound ones, and each defect by itself. */
import type { DoctorResult } from '../../src/operations/doctor/doctor.js'
import { ids, type BootGuest } from './boot-guest.js'
import { makings } from './guest-root.js'

type Start = readonly [firmware: 'bios' | 'uefi', controller: string]

export interface GuestCase {
  readonly name: string
  readonly guest: BootGuest
  /** What doctor is asked about, and what it says. */
  readonly platform: string
  readonly verdict: DoctorResult['verdict']
  /** Severity and id of all findings but the notes. */
  readonly finds?: readonly string[]
  /** How it is started. */
  readonly starts: readonly Start[]
  /** The firmware has no driver for the controller: Debian's OVMF for none of SCSI but virtio. */
  readonly unseen?: boolean
  /** Its disk gets new ids before. */
  readonly newIds?: boolean
  /** GRUB reports an error, and goes on. */
  readonly goesOn?: boolean
}

/** Seconds that a guest waits for what it shall not find. */
const patience = 45
/** The same of systemd, which needs longer on a slow machine to see what is there. */
const longPatience = 300
const byUuid = `UUID=${ids.root}`
const gone = `UUID=${ids.absent}`
const mapped = '/dev/mapper/vg-root'

type Kind = Pick<BootGuest, 'filesystem' | 'logical' | 'making'>

const { tools, dracut } = makings
const ext: Kind = { filesystem: 'ext4', making: tools }
const extDracut: Kind = { filesystem: 'ext4', making: dracut }
const xfs: Kind = { filesystem: 'xfs', making: tools }
const xfsDracut: Kind = { filesystem: 'xfs', making: dracut }
const btrfs: Kind = { filesystem: 'btrfs', making: tools }
const btrfsDracut: Kind = { filesystem: 'btrfs', making: dracut }
const onLvm = (kind: Kind): Kind => ({ ...kind, logical: true })

const rootOf = ({ logical }: Kind): string => (logical === true ? mapped : byUuid)

/** Where a controller is at home: whose drivers doctor wants then. */
const homes: Readonly<Record<string, string>> = { sata: 'virtualbox', nvme: 'aws-snapshot', virtio: 'qemu' }

function ready(kind: Kind, ...starts: readonly Start[]): GuestCase[] {
  return starts.map(([firmware, controller]) => ({
    name: `sound: ${firmware}, ${controller}`,
    guest: { ...kind, root: rootOf(kind) },
    platform: homes[controller] ?? 'vmware',
    verdict: 'ready',
    starts: [[firmware, controller]],
    unseen: firmware === 'uefi' && homes[controller] === undefined,
  }))
}

const sound: readonly GuestCase[] = [
  ...ready(ext, ['bios', 'virtio'], ['uefi', 'virtio'], ['bios', 'lsilogic'], ['uefi', 'lsilogic'], ['uefi', 'pvscsi']),
  ...ready(ext, ['bios', 'pvscsi'], ['bios', 'megasas'], ['bios', 'lsisas1068']),
  ...ready(extDracut, ['bios', 'nvme'], ['uefi', 'sata']),
  ...ready(xfs, ['bios', 'virtio'], ['uefi', 'nvme']),
  ...ready(xfsDracut, ['bios', 'lsilogic'], ['uefi', 'sata']),
  ...ready(btrfs, ['bios', 'sata'], ['uefi', 'virtio']),
  ...ready(btrfsDracut, ['bios', 'virtio'], ['uefi', 'nvme']),
  ...ready(onLvm(ext), ['bios', 'sata'], ['uefi', 'virtio']),
  ...ready(onLvm(extDracut), ['bios', 'virtio'], ['uefi', 'nvme']),
  ...ready(onLvm(xfs), ['bios', 'nvme'], ['uefi', 'sata']),
  ...ready(onLvm(xfsDracut), ['bios', 'virtio'], ['uefi', 'virtio']),
  ...ready(onLvm(btrfs), ['bios', 'lsilogic'], ['uefi', 'sata']),
  ...ready(onLvm(btrfsDracut), ['bios', 'sata'], ['uefi', 'nvme']),
  {
    name: 'sound: with systemd',
    guest: { ...ext, systemd: true, root: byUuid },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['bios', 'virtio']],
  },
  {
    name: 'sound: initramfs packed by lzop',
    guest: { ...ext, making: makings.lzop, root: byUuid },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['bios', 'virtio']],
  },
  {
    name: 'sound: root in a subvolume',
    guest: {
      ...btrfs,
      subvolume: '@rootfs',
      root: byUuid,
      parameters: 'rootflags=subvol=@rootfs',
    },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['bios', 'virtio']],
  },
  {
    name: 'sound: a unified kernel image that firmware starts',
    guest: { ...ext, unified: 'alone', root: byUuid },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['uefi', 'virtio']],
  },
  {
    name: 'sound: a unified kernel image of systemd-boot',
    guest: { ...xfsDracut, unified: 'systemd-boot', root: byUuid },
    platform: 'aws-snapshot',
    verdict: 'ready',
    starts: [['uefi', 'nvme']],
  },
]

interface Planted extends Partial<Omit<BootGuest, 'filesystem' | 'making'>> {
  readonly making?: BootGuest['making']
}

/** A defect that keeps a guest from starting. */
function blocked(name: string, kind: Kind, planted: Planted, rest: Omit<GuestCase, 'name' | 'guest' | 'verdict'>) {
  return spoilt(name, kind, planted, { ...rest, verdict: 'blocked' })
}

/** One that doctor mends. */
function mendable(name: string, kind: Kind, planted: Planted, rest: Omit<GuestCase, 'name' | 'guest' | 'verdict'>) {
  return spoilt(name, kind, planted, { ...rest, verdict: 'mendable' })
}

/** One with which it starts. */
function harmless(name: string, kind: Kind, planted: Planted, rest: Omit<GuestCase, 'name' | 'guest' | 'verdict'>) {
  return spoilt(name, kind, { patience: longPatience, ...planted }, { ...rest, verdict: 'ready' })
}

function spoilt(name: string, kind: Kind, planted: Planted, rest: Omit<GuestCase, 'name' | 'guest'>): GuestCase {
  return { ...rest, name, guest: { ...kind, root: rootOf(kind), patience, ...planted } }
}

const bios = (controller: string): readonly Start[] => [['bios', controller]]
const uefi = (controller: string): readonly Start[] => [['uefi', controller]]

/** Which loader there is, and what it finds. */
const loaders: readonly GuestCase[] = [
  blocked(
    'no loader',
    ext,
    { without: ['bios', 'uefi'] },
    {
      platform: 'qemu',
      finds: ['blocks F-NO-LOADER'],
      starts: [
        ['uefi', 'virtio'],
        ['bios', 'sata'],
      ],
    },
  ),
  blocked(
    'a loader for UEFI alone',
    extDracut,
    { without: ['bios'] },
    { platform: 'digitalocean', finds: ['blocks F-FIRMWARE'], starts: bios('virtio') },
  ),
  blocked(
    'a loader for BIOS alone',
    btrfs,
    { without: ['uefi'] },
    { platform: 'azure-gen2', finds: ['blocks F-FIRMWARE'], starts: uefi('sata') },
  ),
  blocked(
    'a loader that another machine does not find',
    xfs,
    { without: ['bios', 'fallback'] },
    { platform: 'qemu', finds: ['blocks F-FALLBACK'], starts: uefi('nvme') },
  ),
  blocked(
    'no kernel',
    onLvm(ext),
    { without: ['kernel'] },
    {
      platform: 'qemu',
      finds: ['blocks L-KERNEL-ABSENT'],
      starts: [
        ['bios', 'virtio'],
        ['uefi', 'sata'],
      ],
    },
  ),
  blocked(
    'half of the kernel',
    xfsDracut,
    { cut: 'kernel' },
    { platform: 'qemu', finds: ['blocks L-KERNEL-DAMAGED'], starts: bios('nvme') },
  ),
  blocked(
    'a menu that looks for another filesystem',
    btrfsDracut,
    { searched: ids.root },
    { platform: 'qemu', finds: ['blocks L-GRUB-SEARCH'], starts: bios('virtio') },
  ),
  harmless(
    'a menu that looks for a filesystem that is gone',
    onLvm(xfs),
    { searched: ids.absent },
    { platform: 'virtualbox', finds: ['risk L-GRUB-SEARCH'], starts: bios('sata'), goesOn: true },
  ),
]

const initramfs: readonly GuestCase[] = [
  blocked(
    'no initramfs',
    ext,
    { without: ['initramfs'] },
    { platform: 'qemu', finds: ['blocks L-INITRD-ABSENT'], starts: bios('virtio'), goesOn: true },
  ),
  blocked(
    'a menu without the initramfs',
    btrfs,
    { without: ['initramfs of the menu'] },
    {
      platform: 'qemu',
      finds: ['blocks L-ROOT-NO-INITRD', 'blocks L-INITRD-DRIVER', 'blocks L-INITRD-FILESYSTEM'],
      starts: uefi('virtio'),
    },
  ),
  blocked(
    'half of the initramfs',
    extDracut,
    { cut: 'initramfs' },
    { platform: 'qemu', finds: ['blocks L-INITRD-DAMAGED'], starts: bios('virtio') },
  ),
  blocked(
    'no virtio in the initramfs',
    ext,
    { making: makings.noVirtio },
    { platform: 'qemu', finds: ['blocks L-INITRD-DRIVER'], starts: bios('virtio') },
  ),
  harmless(
    'no virtio, where it is not needed',
    ext,
    { making: makings.noVirtio },
    { platform: 'virtualbox', starts: bios('sata') },
  ),
  blocked(
    'no SATA in the initramfs',
    onLvm(btrfs),
    { making: makings.noSata },
    { platform: 'virtualbox', finds: ['blocks L-INITRD-DRIVER'], starts: uefi('sata') },
  ),
  blocked(
    'no NVMe in the initramfs',
    onLvm(xfsDracut),
    { making: makings.noNvme },
    { platform: 'aws-snapshot', finds: ['blocks L-INITRD-DRIVER'], starts: uefi('nvme') },
  ),
  blocked(
    'no xfs in the initramfs',
    xfs,
    { making: makings.noXfs },
    { platform: 'qemu', finds: ['blocks L-INITRD-FILESYSTEM'], starts: bios('virtio') },
  ),
  blocked(
    'no btrfs in the initramfs',
    btrfs,
    { making: makings.noBtrfs },
    { platform: 'virtualbox', finds: ['blocks L-INITRD-FILESYSTEM'], starts: uefi('sata') },
  ),
  mendable(
    'no ext4 in the initramfs',
    ext,
    { making: makings.noExt4, drivers: true },
    { platform: 'qemu', finds: ['blocks L-INITRD-FILESYSTEM'], starts: bios('virtio') },
  ),
  mendable(
    'SATA alone in the initramfs',
    ext,
    { making: makings.onlySata, drivers: true },
    { platform: 'qemu', finds: ['blocks L-INITRD-DRIVER'], starts: bios('virtio') },
  ),
  mendable(
    'SATA alone in the initramfs, for EC2',
    ext,
    { making: makings.onlySata, drivers: true },
    { platform: 'aws-snapshot', finds: ['blocks L-INITRD-DRIVER'], starts: uefi('nvme') },
  ),
  mendable(
    'SATA alone in the initramfs, which lies on FAT',
    ext,
    { making: makings.onlySata, drivers: true, onEsp: true },
    { platform: 'qemu', finds: ['blocks L-INITRD-DRIVER'], starts: uefi('virtio') },
  ),
  mendable(
    'virtio alone in the initramfs',
    extDracut,
    { making: makings.dracutVirtio, drivers: true },
    { platform: 'vmware', finds: ['blocks L-INITRD-DRIVER'], starts: bios('pvscsi') },
  ),
  blocked(
    'no lvm in the initramfs',
    onLvm(ext),
    { making: makings.noLvm },
    { platform: 'qemu', finds: ['blocks L-INITRD-LVM'], starts: bios('virtio') },
  ),
  blocked(
    'no virtio in a unified kernel image',
    ext,
    { making: makings.noVirtio, unified: 'systemd-boot' },
    { platform: 'qemu', finds: ['blocks L-INITRD-DRIVER'], starts: uefi('virtio') },
  ),
]

const roots: readonly GuestCase[] = [
  mendable(
    'a root that is gone',
    ext,
    { root: gone },
    { platform: 'qemu', finds: ['blocks L-ROOT-ABSENT'], starts: bios('virtio') },
  ),
  mendable(
    'a root that is gone',
    xfsDracut,
    { root: gone },
    { platform: 'virtualbox', finds: ['blocks L-ROOT-ABSENT'], starts: uefi('sata') },
  ),
  mendable(
    'a device name that the platform does not have',
    xfs,
    { root: '/dev/sda4' },
    { platform: 'aws-snapshot', finds: ['blocks L-ROOT-DEVICE'], starts: uefi('nvme') },
  ),
  harmless(
    'a device name that the machine has',
    ext,
    { root: '/dev/sda4' },
    { platform: 'virtualbox', finds: ['risk L-ROOT-DEVICE'], starts: bios('sata') },
  ),
  mendable(
    'a PARTUUID after new ids',
    btrfs,
    { root: `PARTUUID=${ids.part}` },
    { platform: 'virtualbox', finds: ['blocks L-ROOT-ABSENT'], newIds: true, starts: bios('sata') },
  ),
  mendable(
    'a logical volume that is gone',
    onLvm(extDracut),
    { root: '/dev/mapper/vg-old' },
    { platform: 'qemu', finds: ['blocks L-ROOT-ABSENT'], starts: bios('virtio') },
  ),
  mendable(
    'the root of another filesystem',
    extDracut,
    { root: `UUID=${ids.boot}` },
    { platform: 'qemu', finds: ['blocks L-ROOT-OTHER'], starts: bios('virtio') },
  ),
  mendable(
    'rootfstype= of another filesystem',
    xfs,
    { parameters: 'rootfstype=ext4' },
    { platform: 'qemu', finds: ['blocks L-ROOT-TYPE'], starts: bios('virtio') },
  ),
  mendable(
    'a subvolume that is gone',
    btrfs,
    { subvolume: '@rootfs', parameters: 'rootflags=subvol=@old' },
    { platform: 'virtualbox', finds: ['blocks L-ROOT-SUBVOLUME'], starts: uefi('sata') },
  ),
  mendable(
    'a subvolume that nothing names',
    btrfs,
    { subvolume: '@rootfs' },
    { platform: 'qemu', finds: ['blocks L-ROOT-SUBVOLUME'], starts: bios('virtio') },
  ),
  mendable(
    'dracut asked to open a logical volume that is gone',
    onLvm(extDracut),
    { parameters: 'rd.lvm.lv=vg/old' },
    { platform: 'qemu', finds: ['blocks L-ROOT-OPENED'], starts: bios('virtio') },
  ),
  harmless(
    'resume= of swap that is gone',
    ext,
    { parameters: `resume=${gone}` },
    { platform: 'qemu', finds: ['risk L-RESUME'], starts: bios('virtio') },
  ),
  blocked(
    'no program to start',
    onLvm(btrfsDracut),
    { without: ['init'] },
    { platform: 'qemu', finds: ['blocks L-INIT-ABSENT'], starts: uefi('virtio') },
  ),
  blocked(
    'a root that is gone, in a unified kernel image',
    xfs,
    { root: gone, unified: 'alone' },
    { platform: 'qemu', finds: ['blocks L-ROOT-ABSENT'], starts: uefi('sata') },
  ),
]

const systemd = (planted: Planted): Planted => ({ patience: longPatience, ...planted, systemd: true })

const mounts: readonly GuestCase[] = [
  blocked('a line of fstab by an id that is gone', ext, systemd({ fstab: `${gone} /srv ext4 defaults 0 2\n` }), {
    platform: 'qemu',
    finds: ['blocks L-FSTAB-ABSENT'],
    starts: bios('virtio'),
  }),
  harmless('the same, which may be missing', xfs, systemd({ fstab: `${gone} /srv ext4 nofail 0 2\n` }), {
    platform: 'qemu',
    starts: bios('virtio'),
  }),
  mendable(
    'a line of fstab by a name that the platform does not have',
    onLvm(ext),
    systemd({ fstab: '/dev/sda2 /boot/efi vfat defaults 0 2\n' }),
    { platform: 'aws-snapshot', finds: ['blocks L-FSTAB-DEVICE'], starts: uefi('nvme') },
  ),
  blocked(
    'a line of fstab with another type',
    extDracut,
    systemd({ fstab: 'UUID=ABCD-1234 /boot/efi ext4 defaults 0 2\n' }),
    { platform: 'virtualbox', finds: ['blocks L-FSTAB-TYPE'], starts: bios('sata') },
  ),
  blocked(
    'a line of fstab with a subvolume that is gone',
    btrfs,
    systemd({ subvolume: '@', parameters: 'rootflags=subvol=@', fstab: `${byUuid} /home btrfs subvol=@home 0 0\n` }),
    { platform: 'qemu', finds: ['blocks L-FSTAB-SUBVOLUME'], starts: uefi('virtio') },
  ),
]

export const guestCases: readonly GuestCase[] = [...sound, ...loaders, ...initramfs, ...roots, ...mounts]
