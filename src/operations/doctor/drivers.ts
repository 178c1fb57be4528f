import type { Platform } from '../../platforms/index.js'
import { diskNames } from './device-spec.js'
import type { Guest } from './guest.js'
import { rebuild } from './rebuild.js'
import type { DoctorReport } from './report.js'
import type { ModuleFolder, StartedKernel } from './started-kernel.js'

/** What the checks of drivers know. */
export interface DriverCheck {
  readonly guest: Guest
  readonly started: StartedKernel
  readonly modules: ModuleFolder
  /** Built in, or in the initramfs. */
  readonly loaded: ReadonlySet<string>
  /** Other kernels, whose modules the initramfs holds. */
  readonly strange: readonly string[]
  readonly platform: Platform | undefined
  /** Firmware that starts the disk. */
  readonly firmware: readonly ('bios' | 'uefi')[]
  readonly report: DoctorReport
}

/** What of a module, and of what it needs, is not there when the kernel looks for its root. */
export function missingOf(name: string, there: ReadonlySet<string>, modules: ModuleFolder): string[] {
  if (modules.builtin.has(name)) return []
  return [name, ...modules.needs(name)].filter((one) => !there.has(one))
}

/** The same of a set of drivers. Disks called sd have one more in common, where it is not built in. */
function missingOfSet(set: readonly string[], there: ReadonlySet<string>, modules: ModuleFolder): string[] {
  const common = diskNames([set]).includes('sd') && modules.loadable?.has('sd_mod') === true ? ['sd_mod'] : []
  return [...new Set([...set, ...common].flatMap((name) => missingOf(name, there, modules)))]
}

/** The last archive is the one with modules. */
export function archivePlace({ initrds, kernel, entry }: StartedKernel): string {
  return initrds.at(-1)?.path ?? kernel?.path ?? entry.where
}

/** An initramfs of another kernel is of no use to this one. */
export function strangeText({ strange, started }: DriverCheck): string {
  return strange.length === 0 ? '' : `; it has modules of ${strange.join(', ')}, not of ${started.version ?? ''}`
}

export function checkDiskDriver(check: DriverCheck): void {
  const { guest, started, modules, loaded, platform, report } = check
  if (platform?.drivers === undefined) {
    report.skip('disk drivers', 'which ones are needed depends on the platform: name it with --for', false)
    return
  }
  const { disk } = platform.drivers
  const there = platform.builtIn === true ? modules.builtin : loaded
  const complete = disk.filter((set) => missingOfSet(set, there, modules).length === 0)
  if (complete.length > 0) {
    report.look(`disk drivers: ${complete.map((set) => set.join(' + ')).join(', ')}`)
    if (complete.length < disk.length) noteController(disk, complete, started, platform, report)
    return
  }
  const missing = closest(disk.map((set) => missingOfSet(set, there, modules)))
  const absence = platform.builtIn === true ? 'not built in' : 'neither built in nor in the initramfs'
  const known = missing.every((driver) => modules.loadable?.has(driver) !== false)
  report.add({
    id: 'L-INITRD-DRIVER',
    severity: 'blocks',
    where: archivePlace(started),
    found: `${absence}: ${missing.join(', ')}${strangeText(check)}`,
    wanted: disk.map((set) => set.join(' + ')).join(', or '),
    why: `the kernel finds no disk on ${platform.id}, and stops before it has a root`,
    remedy: {
      kind: 'inside-guest',
      text:
        platform.builtIn === true
          ? 'Use a kernel that was built for it.'
          : known
            ? `${rebuild(guest, started, missing)}${otherControllers(check)}`
            : `This kernel has no ${missing.join(', ')}: install another one (of Debian: linux-image-amd64).`,
    },
  })
}

/** The drivers of all usual controllers of a platform for which the system has every module. */
export function diskModules({ platform, modules, loaded }: DriverCheck): string[] {
  if (platform?.drivers === undefined || platform.builtIn === true) return []
  const sets = platform.drivers.disk.filter((set) =>
    missingOfSet(set, loaded, modules).every((name) => modules.loadable?.has(name) === true),
  )
  return [...new Set(sets.flatMap((set) => missingOfSet(set, loaded, modules)))]
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
    where: archivePlace(started),
    found: complete.map((set) => set.join(' + ')).join(', or '),
    wanted: all.map((set) => set.join(' + ')).join(', or '),
    why: `${platform.id} has several kinds of controllers: give the machine one that the guest has a driver for`,
    remedy: { kind: 'none', text: `Choose the controller of ${complete.map((set) => set.at(-1)).join(' or ')}.` },
  })
}

export function checkNetDriver({ started, modules, loaded, platform, report }: DriverCheck): void {
  if (platform?.drivers === undefined || modules.loadable === undefined) return
  const { net } = platform.drivers
  const anywhere = new Set([...loaded, ...modules.loadable.keys()])
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

function closest(missing: readonly (readonly string[])[]): readonly string[] {
  return [...missing].sort((one, other) => one.length - other.length)[0] ?? []
}

/** Controllers that the machine can be given instead: those that its firmware starts from, and the others. */
function otherControllers({ loaded, modules, platform, firmware }: DriverCheck): string {
  const known = (platform?.otherControllers ?? []).filter(
    ({ drivers }) => missingOfSet(drivers, loaded, modules).length === 0,
  )
  const fit = known.filter((one) => firmware.some((kind) => one.firmware.includes(kind)))
  const unfit = known.filter((one) => !fit.includes(one)).map(({ title }) => title)
  if (fit.length > 0)
    return (
      ' Or give the machine another controller, which the guest has a driver for: ' +
      `${fit.map(({ title }) => title).join(', ')}.`
    )
  return unfit.length === 0
    ? ''
    : ` The guest has a driver for ${unfit.join(', ')}: the UEFI of ${platform?.id ?? ''} sees no disk there.`
}
