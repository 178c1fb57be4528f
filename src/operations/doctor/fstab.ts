import type { Platform } from '../../platforms/index.js'
import { placeText } from './boot-menu.js'
import { wordsOf } from './boot-words.js'
import { deviceFault, skipUnseen, type DeviceFault } from './device-fault.js'
import { deviceSpec } from './device-spec.js'
import { subvolumeOf, type FstabEntry, type Guest } from './guest.js'
import { isMountedAs } from './mounted-type.js'
import { lastingName, provenVolume } from './proven-volume.js'
import type { DoctorFinding, DoctorReport } from './report.js'
import { firstFieldEdit } from './text-edits.js'

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
    if (fault !== undefined) report.add(fstabFinding(`/etc/crypttab:${index + 1}`, fault, 'required'))
  }
}

function checkFstabEntry(guest: Guest, entry: FstabEntry, platform: Platform | undefined, report: DoctorReport): void {
  const { device, spec, point, type, line } = entry
  const where = `/etc/fstab:${line} (${point})`
  const need = needOf(entry)
  if (hostShares.has(type)) {
    if (need !== 'required') return
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
  if (fault === undefined) {
    checkFit(guest, entry, where, report)
    return
  }
  const proven = provenVolume(guest, spec, entry)
  const name = proven === undefined ? undefined : lastingName(guest, proven, spec)
  report.add(
    fstabFinding(where, name === undefined ? fault : { ...fault, wanted: name }, need),
    name === undefined ? [] : firstFieldEdit(guest.textFile('/etc/fstab'), line, name),
  )
}

/** What comes of a device that is absent, by what it is for. */
const absence = {
  required: { severity: 'blocks', why: 'the system waits for it for 90 seconds, and then stops in emergency mode' },
  // systemd-remount-fs runs mount -o remount, which fails where it does not find what fstab names.
  root: { severity: 'risk', why: 'the root stays mounted read-only: most services do not start' },
  swap: { severity: 'note', why: 'the system waits for it for 90 seconds, and goes on without this swap' },
  optional: { severity: 'note', why: 'the system goes on without it' },
  manual: { severity: 'note', why: 'nothing mounts it by itself; when somebody does, it fails' },
} as const
type Need = keyof typeof absence

function needOf({ point, type, options }: FstabEntry): Need {
  if (point === '/') return 'root'
  if (options.includes('noauto')) return 'manual'
  if (options.some((option) => ['nofail', '_netdev', 'x-systemd.automount'].includes(option))) return 'optional'
  return point === 'none' || point === 'swap' || type === 'swap' ? 'swap' : 'required'
}

/** A line that names what is there: whether it can be mounted so. */
function checkFit(guest: Guest, entry: FstabEntry, where: string, report: DoctorReport): void {
  const { spec, type, options } = entry
  const need = needOf(entry)
  const open = guest.volumeOf(spec)
  const [filesystem, other] = open?.volume.filesystems ?? []
  // Of the root only its options are taken: it is mounted already.
  if (open === undefined || filesystem === undefined || other !== undefined || need === 'root') return
  const why = absence[need].why.replace(/^the system waits for it for 90 seconds, and (then )?/, 'the system ')
  const { severity } = absence[need]
  const subvolume = subvolumeOf(options)
  if (!isMountedAs(type, filesystem.type))
    report.add({
      id: 'L-FSTAB-TYPE',
      severity,
      where,
      found: `${type}, and ${placeText(open)} holds ${filesystem.title}`,
      wanted: filesystem.type,
      why,
      remedy: { kind: 'inside-guest', text: `Write the type ${filesystem.type} there.` },
    })
  else if (subvolume !== undefined && open.files.readable && !open.files.hasFolder(`/${subvolume}`))
    report.add({
      id: 'L-FSTAB-SUBVOLUME',
      severity,
      where,
      found: `subvol=${subvolume}, which ${placeText(open)} does not have`,
      wanted: 'a subvolume that is there',
      why,
      remedy: { kind: 'inside-guest', text: 'Make the subvolume, or correct the line.' },
    })
}

function fstabFinding(where: string, { kind, found, wanted, certain }: DeviceFault, need: Need): DoctorFinding {
  const finding = { where, found, wanted, remedy: { kind: 'inside-guest', text: `Write ${wanted} there.` } } as const
  if (kind === 'absent') return { id: 'L-FSTAB-ABSENT', ...absence[need], ...finding }
  const why = 'the name depends on the controller and the order of disks: elsewhere it means another disk, or none'
  const severity = need === 'manual' ? 'note' : certain && need === 'required' ? 'blocks' : 'risk'
  return { id: 'L-FSTAB-DEVICE', severity, why, ...finding }
}
