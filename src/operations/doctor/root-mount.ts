import { entryText, hasInitramfs, parameterRemedy, type BootEntry, type BootMenu } from './boot-menu.js'
import { deviceSpec } from './device-spec.js'
import { isRoot, subvolumeOf, type Guest } from './guest.js'
import type { StartedEntry } from './opened-volumes.js'
import type { DoctorReport } from './report.js'
import { parameter } from './root-device.js'
import { parameterEdits } from './text-edits.js'
import { isMountedAs } from './mounted-type.js'

/** What the kernel, or its initramfs, starts in the root; the shell is for repairs alone. */
const programs = ['/sbin/init', '/etc/init', '/bin/init']
/** The same, where /usr is a filesystem of its own. */
const elsewhere = ['/usr/sbin/init', '/usr/bin/init', '/lib/systemd/systemd', '/usr/lib/systemd/systemd']

type Edits = (old: string, value: string) => ReturnType<typeof parameterEdits>

/** Whether the kernel can mount the root as it is asked to, and finds a system there. */
export function checkRootMount(guest: Guest, entry: BootEntry, menus: readonly BootMenu[], report: DoctorReport): void {
  const texts = menus.flatMap((menu) => menu.texts)
  const edits: Edits = (old, value) => texts.flatMap((text) => parameterEdits(text, old, value))
  checkType(guest, entry, edits, report)
  checkSubvolume(guest, entry, edits, report)
  checkProgram(guest, entry, report)
}

function checkType(guest: Guest, entry: BootEntry, edits: Edits, report: DoctorReport): void {
  const asked = parameter(entry.parameters, 'rootfstype')
  const type = guest.root.open.volume.filesystems[0]?.type
  if (asked === undefined || type === undefined || asked.split(',').some((one) => isMountedAs(one, type))) return
  report.add(
    {
      id: 'L-ROOT-TYPE',
      severity: 'blocks',
      where: entryText(entry),
      found: `rootfstype=${asked}`,
      wanted: `rootfstype=${type}`,
      why: `the kernel cannot mount its root, which is ${type}`,
      remedy: { kind: 'inside-guest', text: parameterRemedy(entry, 'Correct rootfstype=') },
    },
    edits(`rootfstype=${asked}`, `rootfstype=${type}`),
  )
}

function checkSubvolume(guest: Guest, entry: BootEntry, edits: Edits, report: DoctorReport): void {
  const { open, folder } = guest.root
  const flags = parameter(entry.parameters, 'rootflags')
  const asked = subvolumeOf(flags?.split(',') ?? [])
  if (flags === undefined || asked === undefined || open.volume.filesystems[0]?.type !== 'btrfs') return
  if (isRoot(open.files, asked === '' ? '' : `/${asked}`)) return
  const wanted = flags.replace(/subvol=[^,]*/, `subvol=${folder.slice(1) || '/'}`)
  report.add(
    {
      id: 'L-ROOT-SUBVOLUME',
      severity: 'blocks',
      where: entryText(entry),
      found: `rootflags=${flags}, where no system is`,
      wanted: `rootflags=${wanted}`,
      why: 'the kernel does not find its root in the filesystem',
      remedy: { kind: 'inside-guest', text: parameterRemedy(entry, 'Correct rootflags=') },
    },
    guest.isOnly ? edits(`rootflags=${flags}`, `rootflags=${wanted}`) : [],
  )
}

/**
 * A root in a subvolume that nothing names: the kernel mounts the one that is mounted by itself. @param names what the
 * initramfs holds: dracut may have put the options there.
 */
export function checkDefaultSubvolume(guest: Guest, { entry, texts, names }: StartedEntry, report: DoctorReport): void {
  const { open, folder } = guest.root
  const flags = parameter(entry.parameters, 'rootflags')
  const root = parameter(entry.parameters, 'root')
  const { defaultFolder } = open.files
  const isNamed = flags?.split(',').some((option) => option.startsWith('subvol')) === true
  if (open.volume.filesystems[0]?.type !== 'btrfs' || folder === defaultFolder || isNamed || root === undefined) return
  if (guest.volumeOf(deviceSpec(root)) !== open || names.some((name) => name.startsWith('etc/cmdline.d/'))) return
  const wanted = `rootflags=subvol=${folder.slice(1) || '/'}${flags === undefined ? '' : `,${flags}`}`
  const [old, value] = flags === undefined ? [`root=${root}`, `root=${root} ${wanted}`] : [`rootflags=${flags}`, wanted]
  report.add(
    {
      id: 'L-ROOT-SUBVOLUME',
      severity: 'blocks',
      where: entryText(entry),
      found: `no subvolume, and what is mounted by itself is ${defaultFolder || '/'}, where no system is`,
      wanted,
      why: 'the kernel does not find its root in the filesystem',
      remedy: { kind: 'inside-guest', text: parameterRemedy(entry, `Set ${wanted}`) },
    },
    guest.isOnly ? texts.flatMap((text) => parameterEdits(text, old, value)) : [],
  )
}

function checkProgram(guest: Guest, entry: BootEntry, report: DoctorReport): void {
  const asked = parameter(entry.parameters, 'init')
  const there = [...programs, ...elsewhere].some((path) => isThere(guest, path))
  // NixOS has none of the usual programs, and names its own.
  if (asked === undefined ? there : isThere(guest, asked)) return
  report.add({
    id: 'L-INIT-ABSENT',
    // An initramfs takes the usual one, the kernel alone does not.
    severity: there && hasInitramfs(entry) ? 'risk' : 'blocks',
    where: there ? entryText(entry) : 'the root',
    found: there ? `init=${asked ?? ''}, which is not there` : `none of ${programs.join(', ')}`,
    wanted: '/sbin/init',
    why: 'the kernel has mounted its root, and finds nothing to start there',
    remedy: {
      kind: 'inside-guest',
      text: there ? parameterRemedy(entry, 'Remove init=') : 'Install the package again that has it (systemd-sysv).',
    },
  })
}

/** Links count where they cannot be followed: from inside a subvolume, or into another volume. */
function isThere(guest: Guest, path: string): boolean {
  if (guest.file(path) !== undefined) return true
  const followed = guest.root.folder === '' && guest.mounts.length === 1
  const slash = path.lastIndexOf('/')
  return !followed && guest.names(path.slice(0, slash) || '/').includes(path.slice(slash + 1))
}
