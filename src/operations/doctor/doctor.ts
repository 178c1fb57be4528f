import { isImageError } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import { namedPlatform, type Platform } from '../../platforms/index.js'
import type { OpenedImage } from '../../formats/open.js'
import { examine, type InspectResult } from '../inspect/inspect.js'
import { VolumeFiles, type Volume } from '../files/volume-files.js'
import { searchedVolumes } from '../open/disk-volumes.js'
import type { CellRow } from '../inspect/disk-cells.js'
import { writePage } from '../inspect/inspect-page.js'
import { openReadableLater, type LaterOptions, type ReadOptions } from '../open/opening.js'
import { bootMenus } from './boot-entries.js'
import { placeText, type BootEntry, type BootMenu } from './boot-menu.js'
import { deviceSpec } from './device-spec.js'
import { checkDisk } from './disk-rules.js'
import type { DriverCheck } from './drivers.js'
import { checkFirmware } from './firmware.js'
import { checkSearchedKernel, checkSearches } from './grub-search.js'
import { Guest, volumeOf, type GuestVolume } from './guest.js'
import { checkCommandLine, checkSetup } from './guest-setup.js'
import { checkStartedKernel } from './kernels.js'
import { shellWord } from '../../sys/shell-word.js'
import { guestMends, type GuestMends } from './mending/plan.js'
import { DoctorReport, type DoctorFinding, type DoctorVerdict, type MendPart, type NotLooked } from './report.js'
import { checkSecureBoot } from './secure-boot.js'
import { installedKernels, startedKernel } from './started-kernel.js'
import { checkWindows } from './windows/check.js'
import { windowsTitle, type WindowsFacts } from './windows/guest.js'
import { checkRootMount } from './root-mount.js'
import { checkFstab } from './fstab.js'
import { checkBootDefaults, checkRootParameter, parameter } from './root-device.js'

export interface DoctorOptions extends ReadOptions, LaterOptions {
  /** The id of the platform that the disk is to start on. */
  readonly for?: string
}

export interface DoctorResult {
  readonly image: InspectResult['image']
  readonly platform?: { readonly id: string; readonly title: string }
  /** What starts the disk as it is. */
  readonly firmware: InspectResult['boot']['firmware']
  readonly operatingSystem?: string
  /** What the Windows on the disk says of itself. */
  readonly windows?: WindowsFacts
  readonly verdict: DoctorVerdict
  /** The worst first. */
  readonly findings: readonly DoctorFinding[]
  /** What was looked at, in order. */
  readonly looked: readonly string[]
  /** What was not, and why: the verdict knows nothing of it. */
  readonly notLooked: readonly NotLooked[]
}

/**
 * Looks at a disk without starting it: whether it will start, on a platform, and what keeps it from that. Nothing is
 * written. @throws ImageError of opening; usage E_UNKNOWN_PLATFORM.
 */
export async function doctor(argument: string, options: DoctorOptions = {}): Promise<DoctorResult> {
  const platform = options.for === undefined ? undefined : namedPlatform(options.for)
  using opened = await openReadableLater(argument, options)
  const { result, volumes } = examine(argument, opened)
  return (await diagnose(opened, result, volumes, platform)).result
}

export interface DoctorPageOptions extends DoctorOptions {
  /** Replaces a file that exists, once the new one is complete. */
  readonly force?: boolean
}

/**
 * The same, and writes the page of `inspect` with what was found on it.
 * @throws ImageError as `doctor` and `inspectToPage` do.
 */
export async function doctorToPage(
  argument: string,
  target: string,
  page: (result: DoctorResult, disk: InspectResult, rows: readonly CellRow[]) => string,
  options: DoctorPageOptions = {},
): Promise<DoctorResult> {
  const platform = options.for === undefined ? undefined : namedPlatform(options.for)
  const found: { result?: DoctorResult } = {}
  await writePage(argument, target, options, async (opened, disk, volumes, rows) => {
    found.result = (await diagnose(opened, disk, volumes, platform)).result
    return page(found.result, disk, rows)
  })
  if (found.result === undefined) throw new TypeError('the page was written without a result')
  return found.result
}

const mendParts: readonly MendPart[] = ['configuration', 'initramfs']
const mendFlags: Readonly<Record<MendPart, string>> = { configuration: '--mend', initramfs: '--mend-initramfs' }

/** What was found, and what mends it. */
export interface Diagnosis {
  readonly result: DoctorResult
  readonly volumes: readonly GuestVolume[]
  readonly mends: GuestMends
}

/** The same of an image that is open, and was examined. */
export async function diagnose(
  opened: OpenedImage,
  disk: InspectResult,
  volumes: readonly Volume[],
  platform: Platform | undefined,
): Promise<Diagnosis> {
  const report = new DoctorReport()
  const logical = logicalGuestVolumes(opened, report)
  checkDisk(opened, disk, logical.length > 0, platform, report)
  checkFirmware(disk, platform, report)
  const open = [...volumes.map((volume) => ({ volume, files: new VolumeFiles(volume) })), ...logical]
  checkSecureBoot(disk, open, platform, report)
  unreadable(open, report)
  const windows = checkWindows(open, disk, platform, report)
  await checkLinux(open, disk, windows !== undefined, platform, report)
  for (const each of open)
    for (const { message } of each.files.problems) report.skip(`${placeText(each)}: a file or folder`, message, true)
  const mends = guestMends(opened, open, opened.part === undefined ? report : new DoctorReport())
  const command = mendCommand(disk.image.path, platform, mends)
  const findings = report.sorted.map((finding) => withRemedy(finding, mends, command))
  const result = {
    image: disk.image,
    platform: platform === undefined ? undefined : { id: platform.id, title: platform.title },
    firmware: disk.boot.firmware,
    operatingSystem: windows === undefined ? disk.operatingSystem.looksLike : windowsTitle(windows),
    windows,
    verdict: report.verdict(findings),
    findings,
    looked: report.looked,
    notLooked: report.notLooked,
  }
  return { result, volumes: open, mends }
}

/** The command that mends all that can be mended. */
function mendCommand(path: string, platform: Platform | undefined, { mended }: GuestMends): string {
  const parts = new Set([...mended.values()].map(({ part }) => part))
  const target = platform === undefined ? [] : ['--for', platform.id]
  const flags = mendParts.filter((part) => parts.has(part)).map((part) => mendFlags[part])
  return ['vdisk doctor', shellWord(path), ...target, ...flags, '--output MENDED'].join(' ')
}

/** What is mended here has a command; why something is not follows what is to be done in the guest. */
function withRemedy(finding: DoctorFinding, { mended, refusals }: GuestMends, command: string): DoctorFinding {
  if (mended.has(finding)) return { ...finding, remedy: { kind: 'command', text: command } }
  const why = refusals.get(finding)
  if (why === undefined) return finding
  const { kind, text } = finding.remedy
  const reason = `It is not mended here: ${why}.`
  // A command ends without a full stop.
  const all = /[^.]$/.test(text) ? `${text} (${reason})` : `${text} ${reason}`.trimStart()
  return { ...finding, remedy: { kind, text: all } }
}

/** The logical volumes on the disk; those that cannot be read are said. */
function logicalGuestVolumes(opened: OpenedImage, report: DoctorReport): GuestVolume[] {
  if (opened.part !== undefined) return []
  const { found, unread } = searchedVolumes(opened)
  for (const { name, kind } of unread)
    report.skip(`the logical volume ${name}`, `it is of the kind ${kind}, which is not read`, true)
  return found.flatMap(({ name: logical, open }) => {
    try {
      const source = open()
      const volume: Volume = { source, filesystems: identifyFilesystems(source) }
      report.look(`the logical volume ${logical}`)
      return [{ volume, files: new VolumeFiles(volume), logical }]
    } catch (error) {
      if (!isImageError(error)) throw error
      report.skip(`the logical volume ${logical}`, error.message, true)
      return []
    }
  })
}

function unreadable(volumes: readonly GuestVolume[], report: DoctorReport): void {
  for (const each of volumes) {
    const [filesystem] = each.volume.filesystems
    if (each.files.readable || filesystem?.kind !== 'filesystem') continue
    report.skip(`${placeText(each)}: ${filesystem.title}`, 'files of such filesystems are not read here', true)
  }
}

/** @param windows whether a Windows was looked into. */
async function checkLinux(
  volumes: readonly GuestVolume[],
  disk: InspectResult,
  windows: boolean,
  platform: Platform | undefined,
  report: DoctorReport,
): Promise<void> {
  const guests = Guest.find(volumes)
  const menus = bootMenus(volumes, disk.boot.loaders)
  const first = firstEntry(menus, volumes)
  const guest = startedGuest(guests, first)
  for (const { root } of guests)
    if (root !== guest?.root)
      report.skip(`the system in ${placeText(root.open)}`, 'only the one that starts by itself is looked at', false)
  const { found } = disk.operatingSystem
  const foreign = found.filter(({ family }) => family !== 'linux' && !(windows && family === 'windows'))
  if (foreign.length > 0)
    report.skip(foreign.map(({ name }) => name).join(', '), 'only Linux and Windows are looked into', true)
  if (guest === undefined) {
    if (foreign.length === 0 && !windows)
      report.skip('the operating system', 'no root of a Linux system and no Windows was found', true)
    return
  }
  report.look(`the root: ${guest.root.folder}/ in ${placeText(guest.root.open)}`)
  checkFstab(guest, platform, report)
  checkBootDefaults(guest, platform, report)
  const { firmware } = disk.boot
  const kinds = (['bios', 'uefi'] as const).filter((kind) => firmware === 'both' || firmware === kind)
  await checkMenus(guest, { menus, first }, { platform, firmware: kinds }, report)
  checkSetup(guest, platform, report)
}

/**
 * The entry that starts by itself. Where the small menu of an EFI system partition leads to a filesystem, the menu
 * there is the one. A menu of Boot Loader Specification entries comes after the script that reads them, and counts
 * where that has none.
 */
function firstEntry(menus: readonly BootMenu[], volumes: readonly GuestVolume[]): BootEntry | undefined {
  const pointers = menus.filter(({ entries }) => entries.length === 0).flatMap(({ searches }) => searches)
  const places = pointers.map(({ kind, value }) => (kind === 'file' ? undefined : volumeOf(volumes, { kind, value })))
  const starting = menus.filter((menu) => menu.first !== undefined)
  const led = starting.filter(({ open }) => places.includes(open))
  const menu = [...led, ...starting].find(({ first }) => first?.kernel !== undefined) ?? starting[0]
  return menu?.first
}

/** The system that an entry starts; where it names none of them, the first. */
function startedGuest(guests: readonly Guest[], entry: BootEntry | undefined): Guest | undefined {
  const [one] = guests
  const root = entry === undefined ? undefined : parameter(entry.parameters, 'root')
  const named = root === undefined ? undefined : one?.volumeOf(deviceSpec(root))
  return guests.find((guest) => guest.root.open === named) ?? one
}

async function checkMenus(
  guest: Guest,
  { menus, first }: { readonly menus: readonly BootMenu[]; readonly first: BootEntry | undefined },
  machine: Pick<DriverCheck, 'platform' | 'firmware'>,
  report: DoctorReport,
): Promise<void> {
  const { platform } = machine
  for (const menu of menus) checkSearches(guest, menu, report)
  if (first === undefined) {
    const kernels = installedKernels(guest)
    report.skip(
      'the kernel that starts',
      `no boot menu was found${kernels.length === 0 ? '' : `; installed are ${kernels.join(', ')}`}`,
      true,
    )
    return
  }
  checkRootParameter(guest, first, menus, platform, report)
  checkRootMount(guest, first, menus, report)
  checkSearchedKernel(guest, first, report)
  if (platform !== undefined) checkCommandLine(first, platform, report)
  if (first.kernel === undefined) report.skip('the kernel', `${first.where} names none`, false)
  const texts = menus.flatMap((menu) => menu.texts)
  await checkStartedKernel(guest, startedKernel(guest, first), { ...machine, texts }, report)
}
