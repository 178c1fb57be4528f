import type { Platform } from '../../platforms/index.js'
import { efiProgram } from '../inspect/boot/loaders.js'
import { entryText } from './boot-menu.js'
import { checkDiskDriver, checkNetDriver, missingOf, archivePlace, strangeText, type DriverCheck } from './drivers.js'
import type { Guest, TextFile } from './guest.js'
import { guestFileHead } from './guest-file.js'
import { modulesOf, readInitramfs, type Initramfs } from './initramfs.js'
import { isImageError } from '../../errors.js'
import { diskModules } from './drivers.js'
import { checkOpenedVolumes } from './opened-volumes.js'
import { rebuild } from './rebuild.js'
import type { DoctorReport } from './report.js'
import { checkDefaultSubvolume } from './root-mount.js'
import { moduleFolder, type StartedKernel } from './started-kernel.js'

/** What a kernel needs to find its root, by the type of the filesystem; what is not here is built in or unknown. */
const filesystemModules: Readonly<Record<string, string>> = { ext4: 'ext4', ext3: 'ext4', xfs: 'xfs', btrfs: 'btrfs' }

/** Whether the kernel that starts by itself, and what is loaded with it, find the disk and the root there. */
export async function checkStartedKernel(
  guest: Guest,
  started: StartedKernel,
  { platform, firmware, texts }: Pick<DriverCheck, 'platform' | 'firmware'> & { readonly texts: readonly TextFile[] },
  report: DoctorReport,
): Promise<void> {
  const { entry, kernel, initrds, version } = started
  if (!filesThere(started, report) || kernelDamaged(started, report)) return
  checkCpu(started, platform, report)
  const modules = version === undefined ? undefined : moduleFolder(guest, version)
  if (version !== undefined && modules === undefined)
    report.add({
      id: 'L-MODULES-ABSENT',
      severity: 'risk',
      where: `/lib/modules/${version}`,
      found: 'no such folder',
      wanted: `the modules of ${entry.kernel ?? 'the kernel'}`,
      why: 'what is neither built in nor in the initramfs cannot be loaded: network, and other disks',
      remedy: { kind: 'inside-guest', text: `Install the package of the kernel ${version} again.` },
    })
  const inside: Initramfs[] = []
  for (const file of initrds) inside.push(await readInitramfs(file))
  if (kernel !== undefined) report.look(`kernel ${kernel.path}, started by ${entry.where}`)
  for (const [index, { archives, names }] of inside.entries())
    report.look(`${initrds[index]?.path ?? 'initramfs'}: ${names.size} names in ${archives.join(' + ')}`)
  if (faulty(guest, started, inside, report)) return
  const names = inside.flatMap((one) => [...one.names])
  const asked = { entry, texts, names }
  checkDefaultSubvolume(guest, asked, report)
  checkOpenedVolumes(guest, asked, report)
  if (modules === undefined) {
    report.skip('drivers of the kernel', `what is built into ${entry.kernel ?? 'it'} is not known`, true)
    return
  }
  const packed = inside.map(({ names }) => modulesOf(names, version))
  const loaded = new Set([...modules.builtin, ...packed.flatMap(({ own }) => [...own])])
  const strange = packed.flatMap(({ others }) => others)
  const check = { guest, started, modules, loaded, strange, platform, firmware, report }
  checkDiskDriver(check)
  checkRootFilesystem(check)
  checkNetDriver(check)
  await offerModules(check, inside)
  if (initrds.length > 0) checkLvm(check, names)
}

/** What is missing in an initramfs and lies in the system can be put behind it. */
async function offerModules(check: DriverCheck, inside: readonly Initramfs[]): Promise<void> {
  const { guest, started, modules, report } = check
  const driver = report.findings.find(({ id }) => id === 'L-INITRD-DRIVER')
  const filesystem = report.findings.find(({ id }) => id === 'L-INITRD-FILESYSTEM')
  const drivers = driver === undefined ? [] : diskModules(check)
  const root = filesystem === undefined ? [] : [filesystem.wanted]
  const findings = [
    ...(drivers.length > 0 && driver !== undefined ? [driver] : []),
    ...(filesystem ? [filesystem] : []),
  ]
  if (findings.length === 0 || started.initrds.length === 0) return
  const { addedModules } = await import('./mending/added-modules.js')
  try {
    const edit = await addedModules({ guest, started, modules, inside, wanted: [...drivers, ...root] })
    for (const finding of findings) report.edits.set(finding, [edit])
  } catch (error) {
    if (!isImageError(error)) throw error
    for (const finding of findings) report.refusals.set(finding, error.message)
  }
}

/** @returns whether no loader starts it. */
function kernelDamaged({ entry, kernel, image, version }: StartedKernel, report: DoctorReport): boolean {
  if (kernel === undefined) return false
  if (image?.damage !== undefined)
    report.add({
      id: 'L-KERNEL-DAMAGED',
      severity: 'blocks',
      where: kernel.path,
      found: image.damage,
      wanted: 'a whole kernel',
      why: `the boot loader stops at it, or the machine restarts (${entryText(entry)})`,
      remedy: { kind: 'inside-guest', text: `Install the package of the kernel ${version ?? ''} again.` },
    })
  else if (image?.unknown === true) report.skip(`the kernel ${kernel.path}`, 'it is in no format that is known', true)
  return image?.damage !== undefined
}

function filesThere({ entry, kernel, initrds }: StartedKernel, report: DoctorReport): boolean {
  const absent = (id: string, path: string, what: string): void =>
    report.add({
      id,
      severity: 'blocks',
      where: entryText(entry),
      found: `${path}, which is on no volume that can be read`,
      wanted: `a file that is there`,
      why: `the boot loader stops: it has no ${what}`,
      remedy: { kind: 'inside-guest', text: 'Install the kernel again, and write the boot menu anew (update-grub).' },
    })
  const variable = [entry.kernel ?? '', ...entry.initrds].find((path) => path.includes('$'))
  if (variable !== undefined) {
    report.skip(`${variable} of ${entryText(entry)}`, 'it stands in a variable of the boot loader', true)
    return false
  }
  if (entry.kernel !== undefined && kernel === undefined) absent('L-KERNEL-ABSENT', entry.kernel, 'kernel')
  else if (initrds.length < (entry.unified?.initrds.length ?? 0) + entry.initrds.length)
    absent(
      'L-INITRD-ABSENT',
      entry.initrds.find((path) => !initrds.some((file) => file.path.endsWith(path))) ?? entry.initrds[0] ?? '',
      'initramfs',
    )
  else return entry.kernel !== undefined
  return false
}

function checkCpu({ kernel, entry }: StartedKernel, platform: Platform | undefined, report: DoctorReport): void {
  const head = kernel === undefined ? undefined : guestFileHead(kernel, 4096)
  const cpu = head === undefined ? undefined : efiProgram(head).cpu
  if (cpu === undefined || platform?.cpus === undefined || platform.cpus.includes(cpu)) return
  report.add({
    id: 'L-ARCH',
    severity: 'blocks',
    where: kernel?.path ?? entry.where,
    found: `a kernel for ${cpu}`,
    wanted: platform.cpus.join(' or '),
    why: `machines of ${platform.id} have another CPU`,
    remedy: { kind: 'none', text: 'Install a system for that CPU.' },
  })
}

/** @returns whether nothing can be said of what the initramfs holds. */
function faulty(guest: Guest, started: StartedKernel, inside: readonly Initramfs[], report: DoctorReport): boolean {
  const index = inside.findIndex(({ fault }) => fault !== undefined)
  const fault = inside[index]?.fault
  const path = started.initrds[index]?.path ?? 'the initramfs'
  if (fault !== undefined && fault.kind !== 'damaged') {
    report.skip(path, fault.why, true)
    return true
  }
  if (fault !== undefined) {
    report.add({
      id: 'L-INITRD-DAMAGED',
      severity: 'blocks',
      where: path,
      found: fault.why,
      wanted: 'whole archives',
      why: 'the kernel stops where it cannot unpack its initramfs, or does not find its root',
      remedy: { kind: 'inside-guest', text: rebuild(guest, started, []) },
    })
    return true
  }
  const squash = inside.flatMap(({ names }) => [...names]).find((name) => /(^|\/)squash(fs)?-root\.img$/.test(name))
  if (squash !== undefined) {
    report.skip(`${path}: ${squash}`, 'its files lie in a squashfs image inside, which is not looked into', true)
    return true
  }
  return false
}

function checkRootFilesystem(check: DriverCheck): void {
  const { guest, started, modules, loaded, report } = check
  const type = guest.root.open.volume.filesystems[0]?.type ?? ''
  const module = filesystemModules[type]
  if (module === undefined || (type !== module && loaded.has(type))) return
  const missing = missingOf(module, loaded, modules)
  if (missing.length === 0) return
  report.add({
    id: 'L-INITRD-FILESYSTEM',
    severity: 'blocks',
    where: archivePlace(started),
    found: `neither built in nor in the initramfs: ${missing.join(', ')}${strangeText(check)}`,
    wanted: module,
    why: `the kernel cannot mount its root, which is ${type}`,
    remedy: { kind: 'inside-guest', text: rebuild(guest, started, missing) },
  })
}

/** A root in a logical volume: the initramfs has to open it. */
function checkLvm({ guest, started, loaded, report }: DriverCheck, names: readonly string[]): void {
  const { logical } = guest.root.open
  if (logical === undefined) return
  const missing = [
    ...(loaded.has('dm_mod') ? [] : ['dm_mod']),
    ...(names.some((name) => /(^|\/)s?bin\/lvm$/.test(name)) ? [] : ['lvm']),
  ]
  if (missing.length === 0) return
  report.add({
    id: 'L-INITRD-LVM',
    severity: 'blocks',
    where: archivePlace(started),
    found: `not in the initramfs: ${missing.join(', ')}`,
    wanted: 'the program lvm, and the module dm_mod',
    why: `nothing opens the logical volume ${logical}, which the root lies in`,
    remedy: { kind: 'inside-guest', text: `Install lvm2. ${rebuild(guest, started, [])}` },
  })
}
