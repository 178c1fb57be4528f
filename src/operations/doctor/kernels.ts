import type { Platform } from '../../platforms/index.js'
import { efiProgram } from '../inspect/boot/loaders.js'
import { byVersion, entryText, type BootEntry } from './boot-entries.js'
import type { Guest, GuestFile } from './guest.js'
import { moduleNames, modulesOf, readInitramfs, type Initramfs } from './initramfs.js'
import { kernelImage, type KernelImage } from './kernel-image.js'
import type { DoctorReport } from './report.js'

/** What a kernel needs to find its root, by the type of the filesystem; what is not here is built in or unknown. */
const filesystemModules: Readonly<Record<string, string>> = { ext4: 'ext4', ext3: 'ext4', xfs: 'xfs', btrfs: 'btrfs' }
const longestList = 16 * 1048576

/** A kernel that a menu starts, with its files. */
export interface StartedKernel {
  readonly entry: BootEntry
  readonly kernel?: GuestFile
  readonly image?: KernelImage
  readonly initrds: readonly GuestFile[]
  /** `6.1.0-18-amd64`, as its file says it, or is named. */
  readonly version?: string
}

/** Where files of menus lie: in the menu's own volume, or below /boot. */
export function startedKernel(guest: Guest, entry: BootEntry): StartedKernel {
  const kernel = entry.kernel === undefined ? undefined : bootFile(guest, entry, entry.kernel)
  const initrds = entry.initrds.flatMap((path) => bootFile(guest, entry, path) ?? [])
  const name = kernel?.path ?? entry.kernel ?? ''
  const named = /(?:vmlinu[zx]|kernel|bzImage|Image)-([^/]+?)(?:\.efi)?$/.exec(name)?.[1]
  const image = kernel === undefined ? undefined : kernelImage(kernel)
  return { entry, kernel, image, initrds, version: image?.version ?? named }
}

function bootFile(guest: Guest, { open, kernel }: BootEntry, path: string): GuestFile | undefined {
  const { files } = open
  // Paths of type 1 entries may be relative to the kernel's folder.
  const place = path.startsWith('/') ? path : `${(kernel ?? '').slice(0, (kernel ?? '').lastIndexOf('/'))}/${path}`
  const own = files.file(place)
  if (own !== undefined) return { files, path: place, node: own }
  for (const volume of [guest.root.open, ...guest.volumes]) {
    const node = volume.files.readable ? volume.files.file(place) : undefined
    if (node !== undefined) return { files: volume.files, path: place, node }
  }
  return guest.file(place) ?? guest.file(`/boot${place}`)
}

/** A kernel's modules. */
export interface ModuleFolder {
  readonly builtin: ReadonlySet<string>
  /** Those that the system has as files; undefined: it is not known. */
  readonly loadable?: ReadonlySet<string>
}

export function moduleFolder(guest: Guest, version: string): ModuleFolder | undefined {
  for (const folder of [`/lib/modules/${version}`, `/usr/lib/modules/${version}`]) {
    if (guest.names(folder).length === 0) continue
    const builtin = lines(guest, `${folder}/modules.builtin`) ?? []
    const dependencies = lines(guest, `${folder}/modules.dep`)
    return {
      builtin: moduleNames(builtin),
      loadable:
        dependencies === undefined ? undefined : moduleNames(dependencies.map((line) => line.split(':')[0] ?? '')),
    }
  }
  return undefined
}

function lines(guest: Guest, path: string): string[] | undefined {
  const file = guest.file(path)
  const bytes = file?.files.head(file.path, longestList)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8').split('\n')
}

/** Whether the kernel that starts by itself, and what is loaded with it, find the disk and the root there. */
export async function checkStartedKernel(
  guest: Guest,
  started: StartedKernel,
  platform: Platform | undefined,
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
  if (modules === undefined) {
    report.skip('drivers of the kernel', `what is built into ${entry.kernel ?? 'it'} is not known`, true)
    return
  }
  const packed = inside.map(({ names }) => modulesOf(names, version))
  const loaded = new Set([...modules.builtin, ...packed.flatMap(({ own }) => [...own])])
  const strange = packed.flatMap(({ others }) => others)
  const check = { guest, started, modules, loaded, strange, platform, report }
  checkDisk(check)
  if (initrds.length > 0)
    checkLvm(
      check,
      inside.flatMap(({ names }) => [...names]),
    )
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
      why: `the boot loader stops at it (${entryText(entry)})`,
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
  if (entry.kernel !== undefined && kernel === undefined) absent('L-KERNEL-ABSENT', entry.kernel, 'kernel')
  else if (initrds.length < entry.initrds.length)
    absent(
      'L-INITRD-ABSENT',
      entry.initrds.find((path) => !initrds.some((file) => file.path.endsWith(path))) ?? entry.initrds[0] ?? '',
      'initramfs',
    )
  else return entry.kernel !== undefined
  return false
}

function checkCpu({ kernel, entry }: StartedKernel, platform: Platform | undefined, report: DoctorReport): void {
  const head = kernel?.files.head(kernel.path, 4096)
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
      remedy: { kind: 'inside-guest', text: rebuild(guest, started.version, []) },
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

interface DiskCheck {
  readonly guest: Guest
  readonly started: StartedKernel
  readonly modules: ModuleFolder
  /** Built in, or in the initramfs. */
  readonly loaded: ReadonlySet<string>
  /** Other kernels, whose modules the initramfs holds. */
  readonly strange: readonly string[]
  readonly platform: Platform | undefined
  readonly report: DoctorReport
}

function checkDisk(check: DiskCheck): void {
  checkDiskDriver(check)
  checkRootFilesystem(check)
  checkNetDriver(check)
}

/** The last archive is the one with modules. */
function placeOf({ initrds, kernel, entry }: StartedKernel): string {
  return initrds.at(-1)?.path ?? kernel?.path ?? entry.where
}

/** An initramfs of another kernel is of no use to this one. */
function strangeText({ strange, started }: DiskCheck): string {
  return strange.length === 0 ? '' : `; it has modules of ${strange.join(', ')}, not of ${started.version ?? ''}`
}

function checkDiskDriver(check: DiskCheck): void {
  const { guest, started, modules, loaded, platform, report } = check
  if (platform?.drivers === undefined) {
    report.skip('disk drivers', 'which ones are needed depends on the platform: name it with --for', false)
    return
  }
  const { disk } = platform.drivers
  const there = platform.builtIn === true ? modules.builtin : loaded
  const complete = disk.filter((set) => set.every((driver) => there.has(driver)))
  if (complete.length > 0) {
    report.look(`disk drivers: ${complete.map((set) => set.join(' + ')).join(', ')}`)
    if (complete.length < disk.length) noteController(disk, complete, started, platform, report)
    return
  }
  const missing = closestSet(disk, there).filter((driver) => !there.has(driver))
  const absence = platform.builtIn === true ? 'not built in' : 'neither built in nor in the initramfs'
  const known = missing.every((driver) => modules.loadable?.has(driver) !== false)
  report.add({
    id: 'L-INITRD-DRIVER',
    severity: 'blocks',
    where: placeOf(started),
    found: `${absence}: ${missing.join(', ')}${strangeText(check)}`,
    wanted: disk.map((set) => set.join(' + ')).join(', or '),
    why: `the kernel finds no disk on ${platform.id}, and stops before it has a root`,
    remedy: {
      kind: 'inside-guest',
      text:
        platform.builtIn === true
          ? 'Use a kernel that was built for it.'
          : known
            ? rebuild(guest, started.version, missing)
            : `This kernel has no ${missing.join(', ')}: install another one (of Debian: linux-image-amd64).`,
    },
  })
}

/** Several controllers are there to choose from, and some of them only. */
function noteController(
  all: readonly (readonly string[])[],
  complete: readonly (readonly string[])[],
  started: StartedKernel,
  platform: Platform,
  report: DoctorReport,
): void {
  report.add({
    id: 'L-CONTROLLER',
    severity: 'note',
    where: placeOf(started),
    found: complete.map((set) => set.join(' + ')).join(', or '),
    wanted: all.map((set) => set.join(' + ')).join(', or '),
    why: `${platform.id} has several kinds of controllers: give the machine one that the guest has a driver for`,
    remedy: { kind: 'none', text: `Choose the controller of ${complete.map((set) => set.at(-1)).join(' or ')}.` },
  })
}

function checkRootFilesystem(check: DiskCheck): void {
  const { guest, started, loaded, report } = check
  const type = guest.root.open.volume.filesystems[0]?.type ?? ''
  const module = filesystemModules[type]
  if (module === undefined || loaded.has(module) || loaded.has(type)) return
  report.add({
    id: 'L-INITRD-FILESYSTEM',
    severity: 'blocks',
    where: placeOf(started),
    found: `neither built in nor in the initramfs: ${module}${strangeText(check)}`,
    wanted: module,
    why: `the kernel cannot mount its root, which is ${type}`,
    remedy: { kind: 'inside-guest', text: rebuild(guest, started.version, [module]) },
  })
}

/** A root in a logical volume: the initramfs has to open it. */
function checkLvm({ guest, started, loaded, report }: DiskCheck, names: readonly string[]): void {
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
    where: placeOf(started),
    found: `not in the initramfs: ${missing.join(', ')}`,
    wanted: 'the program lvm, and the module dm_mod',
    why: `nothing opens the logical volume ${logical}, which the root lies in`,
    remedy: { kind: 'inside-guest', text: `Install lvm2. ${rebuild(guest, started.version, [])}` },
  })
}

function checkNetDriver({ started, modules, loaded, platform, report }: DiskCheck): void {
  if (platform?.drivers === undefined || modules.loadable === undefined) return
  const { net } = platform.drivers
  const anywhere = new Set([...loaded, ...modules.loadable])
  if (net.some((set) => set.every((name) => anywhere.has(name)))) return
  report.add({
    id: 'L-NET-DRIVER',
    severity: 'risk',
    where: `/lib/modules/${started.version ?? ''}`,
    found: `none of the network drivers of ${platform.id}`,
    wanted: net.map((set) => set.join(' + ')).join(', or '),
    why: 'the machine starts without a network',
    remedy: {
      kind: 'inside-guest',
      text: 'Install the modules of the kernel (linux-modules-extra, kernel-modules).',
    },
  })
}

/** The set of which most is there. */
function closestSet(sets: readonly (readonly string[])[], loaded: ReadonlySet<string>): readonly string[] {
  const missing = (set: readonly string[]): number => set.filter((driver) => !loaded.has(driver)).length
  return [...sets].sort((one, other) => missing(one) - missing(other))[0] ?? []
}

/** How the guest makes a new initramfs. */
function rebuild(guest: Guest, version: string | undefined, modules: readonly string[]): string {
  const kernel = version ?? '$(uname -r)'
  if (guest.has('/etc/initramfs-tools'))
    return [
      ...modules.map((name) => `echo ${name} >> /etc/initramfs-tools/modules`),
      `update-initramfs -u -k ${kernel}`,
    ].join(' && ')
  if (guest.has('/usr/lib/dracut') || guest.has('/etc/dracut.conf'))
    return modules.length === 0
      ? `dracut --force --kver ${kernel}`
      : `dracut --force --add-drivers '${modules.join(' ')}' --kver ${kernel}`
  return `Make the initramfs of ${kernel} anew${modules.length === 0 ? '' : ` with ${modules.join(', ')}`}.`
}

/** Kernels in /boot, the newest last. */
export function installedKernels(guest: Guest): string[] {
  return guest
    .names('/boot')
    .flatMap((name) => (/^vmlinu[zx]-(.+)$/.exec(name) ?? []).slice(1))
    .filter((version) => !version.includes('rescue'))
    .sort(byVersion)
}
