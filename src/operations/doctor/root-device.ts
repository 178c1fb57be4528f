import type { Platform } from '../../platforms/index.js'
import { grubMenuPaths } from '../inspect/boot/configuration.js'
import { placeText, wordsOf, type BootEntry, type BootMenu } from './boot-entries.js'
import { deviceSpec, diskNames, type DeviceSpec } from './device-spec.js'
import type { FstabEntry, Guest, GuestVolume, TextFile } from './guest.js'
import { lastingName, provenVolume } from './proven-volume.js'
import type { DoctorFinding, DoctorReport, FileEdit } from './report.js'
import { firstFieldEdit, idEdits, parameterEdits } from './text-edits.js'

/** Filesystems of fstab that lie on no disk. */
const virtualTypes = new Set([
  'proc',
  'sysfs',
  'tmpfs',
  'devpts',
  'devtmpfs',
  'cgroup',
  'cgroup2',
  'nfs',
  'nfs4',
  'cifs',
  'overlay',
  'fuse',
])
/** Shares that a hypervisor gives its guests. */
const hostShares = new Set(['vboxsf', 'vmhgfs', 'fuse.vmhgfs-fuse', '9p', 'virtiofs', 'prl_fs'])

const kinds = { uuid: 'UUID', label: 'LABEL', partuuid: 'PARTUUID', partlabel: 'PARTLABEL' } as const

/** How a volume is named so that it is found anywhere. */
function stableName(open: GuestVolume | undefined): string | undefined {
  if (open === undefined) return undefined
  const { filesystems, partition } = open.volume
  const uuid = filesystems[0]?.uuid
  if (uuid !== undefined) return `UUID=${uuid}`
  return partition?.uuid === undefined ? undefined : `PARTUUID=${partition.uuid}`
}

/** What is known of a device's name: that nothing has it, or that it changes with the hardware. */
interface DeviceFault {
  readonly kind: 'absent' | 'name' | 'hardware'
  readonly found: string
  readonly wanted: string
  /** Whether the platform gives no such name to any disk. */
  readonly certain: boolean
}

function deviceFault(
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
    found: `${kinds[spec.kind]}=${spec.value}, which nothing on this disk has`,
    wanted: `one of ${there.join(', ') || 'none: no filesystem here has an id'}`,
    certain: true,
  }
}

/** A logical volume that its group has not; of groups that are not on the disk nothing is known. */
function volumeFault(guest: Guest, text: string, volume: string | undefined): DeviceFault | undefined {
  const group = volume?.slice(0, volume.indexOf('/') + 1) ?? ''
  const names = guest.volumes.flatMap(({ logical }) => logical ?? []).filter((name) => name.startsWith(group))
  if (group === '' || names.length === 0) return undefined
  return {
    kind: 'absent',
    found: `${text}, which the group does not have`,
    wanted: `one of ${names.map((name) => `/dev/${name}`).join(', ')}`,
    certain: true,
  }
}

/** Mapped devices, and ids that may lie inside a container, are not known here. */
function skipUnseen(guest: Guest, text: string, spec: DeviceSpec, where: string, report: DoctorReport): void {
  const hidden =
    (spec.kind === 'mapped' && volumeFault(guest, text, spec.volume) === undefined) ||
    (spec.kind in kinds && guest.containers.length > 0)
  if (hidden && guest.volumeOf(spec) === undefined)
    report.skip(
      `${where}: ${text}`,
      `it lies in ${guest.containers.join(', ') || 'a mapped device'}, which is not opened`,
      false,
    )
}

/** The lines of fstab and crypttab. */
export function checkFstab(guest: Guest, platform: Platform | undefined, report: DoctorReport): void {
  if (guest.text('/etc/fstab') === undefined) {
    report.skip('/etc/fstab', 'there is none', false)
    return
  }
  report.look(`/etc/fstab: ${guest.fstab.length} entries`)
  for (const entry of guest.fstab) checkFstabEntry(guest, entry, platform, report)
  const crypttab = guest.text('/etc/crypttab')
  if (crypttab === undefined) return
  report.look('/etc/crypttab')
  for (const [index, line] of crypttab.split('\n').entries()) {
    const [name = '#', device, , options = ''] = wordsOf(line)
    if (name.startsWith('#') || device === undefined || /\b(nofail|noauto)\b/.test(options)) continue
    const fault = deviceFault(guest, device, deviceSpec(device), platform)
    // The ids of encrypted volumes are seen as they stand on the disk.
    if (fault !== undefined) report.add(fstabFinding(`/etc/crypttab:${index + 1}`, fault, true))
  }
}

function checkFstabEntry(guest: Guest, entry: FstabEntry, platform: Platform | undefined, report: DoctorReport): void {
  const { device, spec, point, type, options, line } = entry
  const where = `/etc/fstab:${line} (${point})`
  const optional = options.some((option) => ['nofail', 'noauto', '_netdev', 'x-systemd.automount'].includes(option))
  if (hostShares.has(type)) {
    if (optional) return
    report.add({
      id: 'L-FSTAB-SHARE',
      severity: 'risk',
      where,
      found: `${device}, a share of another hypervisor (${type})`,
      wanted: 'no such line, or nofail',
      why: 'the system waits for it, and may stop in emergency mode',
      remedy: { kind: 'inside-guest', text: `Put # before line ${line} of /etc/fstab.` },
    })
    return
  }
  if (virtualTypes.has(type)) return
  skipUnseen(guest, device, spec, where, report)
  const fault = deviceFault(guest, device, spec, platform)
  if (fault === undefined) return
  // The kernel has mounted the root already; what is not needed is not waited for.
  const required = !optional && point !== '/' && point !== 'none' && point !== 'swap' && type !== 'swap'
  const proven = provenVolume(guest, spec, entry)
  const name = proven === undefined ? undefined : lastingName(guest, proven, spec)
  report.add(
    fstabFinding(where, name === undefined ? fault : { ...fault, wanted: name }, required),
    name === undefined ? [] : firstFieldEdit(guest.textFile('/etc/fstab'), line, name),
  )
}

function fstabFinding(where: string, fault: DeviceFault, required: boolean): DoctorFinding {
  const { kind, found, wanted, certain } = fault
  return {
    id: kind === 'absent' ? 'L-FSTAB-ABSENT' : 'L-FSTAB-DEVICE',
    severity: required && certain ? 'blocks' : kind === 'absent' && !required ? 'note' : 'risk',
    where,
    found,
    wanted,
    why:
      kind === 'absent'
        ? 'the system waits for it for 90 seconds, and then stops in emergency mode if it needs it'
        : 'the name depends on the controller and the order of disks: elsewhere it means another disk, or none',
    remedy: { kind: 'inside-guest', text: `Write ${wanted} there.` },
  }
}

/** The root that a kernel is given. */
export function checkRootParameter(
  guest: Guest,
  entry: BootEntry,
  menus: readonly BootMenu[],
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  const where = `${entry.where}, "${entry.title}"`
  const root = parameter(entry.parameters, 'root')
  report.look(`root=${root ?? ''} of ${where}`)
  if (root === undefined) {
    report.skip(`root= of ${where}`, 'there is none: the initramfs decides', false)
    return
  }
  skipUnseen(guest, root, deviceSpec(root), where, report)
  const texts = menus.flatMap((menu) => menu.texts)
  const bare = entry.kernel !== undefined && entry.initrds.length === 0
  const { name, edits } = rootEdits(guest, texts, root, bare)
  const finding = rootFinding(guest, { where, root, bare, name }, platform)
  if (finding !== undefined) report.add(finding, edits)
  checkResume(guest, { entry, where, texts }, platform, report)
}

/** A root= of the kernel. `bare`: there is no initramfs. `name`: how the root is named for sure. */
interface RootParameter {
  readonly where: string
  readonly root: string
  readonly bare: boolean
  readonly name: string | undefined
}

function rootFinding(
  guest: Guest,
  { where, root, bare, name }: RootParameter,
  platform: Platform | undefined,
): DoctorFinding | undefined {
  const spec = deviceSpec(root)
  const fault = deviceFault(guest, root, spec, platform)
  const wanted = name ?? stableName(guest.root.open) ?? fault?.wanted ?? placeText(guest.root.open)
  if (fault !== undefined)
    return {
      id: fault.kind === 'absent' ? 'L-ROOT-ABSENT' : 'L-ROOT-DEVICE',
      severity: fault.certain ? 'blocks' : 'risk',
      where,
      found: `root=${fault.found}`,
      wanted: `root=${wanted}`,
      why: fault.certain
        ? 'the kernel finds no root, and stops'
        : 'the name depends on the controller and the order of disks',
      remedy: { kind: 'inside-guest', text: `Set root=${wanted} in the boot menu (update-grub, grubby).` },
    }
  const named = guest.volumeOf(spec)
  if (spec.kind in kinds && named !== undefined && named !== guest.root.open)
    return {
      id: 'L-ROOT-OTHER',
      severity: 'blocks',
      where,
      found: `root=${root}, which is ${placeText(named)}`,
      wanted: `root=${wanted}`,
      why: `the root lies in ${placeText(guest.root.open)}`,
      remedy: { kind: 'inside-guest', text: 'Correct root= in the boot menu.' },
    }
  if (!bare || !['uuid', 'label'].includes(spec.kind)) return undefined
  return {
    id: 'L-ROOT-NO-INITRD',
    severity: 'blocks',
    where,
    found: `root=${root} without an initramfs`,
    wanted: 'an initramfs, or root=PARTUUID=',
    why: 'the kernel alone knows partitions by PARTUUID and device names, not by what is in them',
    remedy: { kind: 'inside-guest', text: 'Make an initramfs, or write root=PARTUUID= of the partition.' },
  }
}

/** What exchanges root= in all texts, where it is certain which volume is the root. */
function rootEdits(
  guest: Guest,
  texts: readonly TextFile[],
  root: string,
  bare: boolean,
): { readonly name?: string; readonly edits: readonly FileEdit[] } {
  const spec = deviceSpec(root)
  const proven = provenVolume(guest, spec, { point: '/', type: 'auto' })
  const name = proven === undefined ? undefined : lastingName(guest, proven, spec, bare)
  if (name === undefined) return { edits: [] }
  return { name, edits: texts.flatMap((text) => parameterEdits(text, `root=${root}`, `root=${name}`)) }
}

function checkResume(
  guest: Guest,
  { entry, where, texts }: { readonly entry: BootEntry; readonly where: string; readonly texts: readonly TextFile[] },
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  const resume = parameter(entry.parameters, 'resume')
  if (resume === undefined) return
  const spec = deviceSpec(resume)
  const asleep = deviceFault(guest, resume, spec, platform)
  if (asleep === undefined) return
  const proven = provenVolume(guest, spec, { point: 'none', type: 'swap' })
  const name = proven === undefined ? undefined : lastingName(guest, proven, spec)
  const value = name !== undefined ? `resume=${name}` : asleep.kind === 'absent' ? 'noresume' : undefined
  report.add(
    {
      id: 'L-RESUME',
      severity: 'risk',
      where,
      found: `resume=${asleep.found}`,
      wanted: value ?? 'resume= of a swap area on this disk, or none',
      why: 'the initramfs waits for it before it goes on',
      remedy: { kind: 'inside-guest', text: 'Remove resume= (/etc/initramfs-tools/conf.d/resume, /etc/default/grub).' },
    },
    value === undefined ? [] : texts.flatMap((text) => parameterEdits(text, `resume=${resume}`, value)),
  )
}

/** The last one counts. */
export function parameter(parameters: readonly string[], name: string): string | undefined {
  return parameters
    .filter((word) => word.startsWith(`${name}=`))
    .at(-1)
    ?.slice(name.length + 1)
}

/** What the next kernel update would write into the menu. */
export function checkBootDefaults(guest: Guest, platform: Platform | undefined, report: DoctorReport): void {
  for (const path of ['/etc/default/grub', '/etc/kernel/cmdline', '/etc/default/extlinux']) {
    const text = guest.text(path)
    if (text === undefined) continue
    report.look(path)
    for (const [, root = ''] of text.matchAll(/^[^#\n]*?\broot=([^\s"']+)/gm)) {
      const fault = deviceFault(guest, root, deviceSpec(root), platform)
      if (fault === undefined) continue
      const { name, edits } = rootEdits(guest, [guest.textFile(path)], root, false)
      report.add(
        {
          id: 'L-ROOT-DEFAULT',
          severity: 'risk',
          where: path,
          found: `root=${fault.found}`,
          wanted: `root=${name ?? stableName(guest.root.open) ?? fault.wanted}`,
          why: 'the next update of the kernel writes it into the boot menu',
          remedy: { kind: 'inside-guest', text: `Correct ${path}.` },
        },
        edits,
      )
    }
  }
}

/** Filesystems that GRUB looks for. */
export function checkSearches(guest: Guest, menu: BootMenu, report: DoctorReport): void {
  for (const { uuid, line } of menu.searches) {
    if (guest.volumeOf({ kind: 'uuid', value: uuid }) !== undefined || guest.containers.length > 0) continue
    const pointer = menu.entries.length === 0
    const wanted = searchedVolume(guest, menu)?.volume.filesystems[0]?.uuid
    report.add(
      {
        id: 'L-GRUB-SEARCH',
        severity: pointer ? 'blocks' : 'risk',
        where: `${menu.where}:${line}`,
        found: `search --fs-uuid ${uuid}, which nothing on this disk has`,
        wanted: wanted ?? 'the id of the filesystem with /boot',
        why: pointer
          ? 'GRUB finds no menu, and stops at its prompt'
          : 'GRUB goes on where it was started from, if the files are there',
        remedy: { kind: 'inside-guest', text: 'Run grub-install and update-grub (grub2-mkconfig).' },
      },
      wanted === undefined ? [] : menu.texts.flatMap((text) => idEdits(text, uuid, wanted)),
    )
  }
}

/** The one volume that has what a menu starts, or the menu that the small one of an EFI system partition leads to. */
function searchedVolume(guest: Guest, menu: BootMenu): GuestVolume | undefined {
  const kernels = [...new Set(menu.entries.flatMap(({ kernel }) => kernel ?? []))]
  const paths = kernels.length > 0 ? kernels : grubMenuPaths
  const volumes = kernels.length > 0 ? guest.volumes : guest.volumes.filter((open) => open !== menu.open)
  const found = volumes.filter(({ files }) => paths.some((path) => files.file(path) !== undefined))
  return found.length === 1 ? found[0] : undefined
}
