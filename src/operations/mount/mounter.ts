import fs from '../../sys/host-fs.js'
import { setTimeout as pause } from 'node:timers/promises'
import type { Note } from '../../block/types.js'
import { printable, systemReason, targetError, unsupported } from '../../errors.js'
import { driversFor, type FilesystemDriver } from '../../mount/drivers.js'
import { unmountFuse } from '../../mount/fuse/attach.js'
import { attachLoop, detachLoop, type Loop } from '../../mount/loop.js'
import { command, type CommandResult } from '../../sys/commands.js'
import { currentUser } from '../../sys/self.js'
import type { Target } from './choose.js'
import { mountAt } from './mount-table.js'
import { nextCommands } from './next-commands.js'
import type { AttachedDevice, MountedFilesystem, MountMode } from './session.js'
import { inFolder } from '../../sys/host-path.js'

/** What a filesystem type needs to be mounted beside another copy of itself. */
const typeOptions: Readonly<Record<string, readonly string[]>> = { xfs: ['nouuid'] }

/** Nothing in a stranger's image becomes root or a device; options of the user's own come after these and win. */
const safeOptions = ['nosuid', 'nodev']

export interface MounterOptions {
  /** Where the disk is shown as files. */
  readonly folder: string
  readonly mode: MountMode
  readonly sectorSize: 512 | 4096
  readonly others: boolean
  readonly mountOptions: readonly string[]
  /** Called for every loop device as soon as it is attached, and when it is none of ours any more. */
  readonly onLoop: (loop: Loop, held: boolean) => void
}

/** Whether the filesystem itself is mounted for reading only; what lies below may still take its journal's replay. */
const mountsReadOnly = (mode: MountMode): boolean => mode === 'read-only' || mode === 'throwaway'

/**
 * Mounts one file of the folder. @throws ImageError unsupported E_NO_FS_DRIVER; target E_MOUNT, E_LOOP.
 */
export async function mountTarget(
  { file, point }: Target,
  options: MounterOptions,
): Promise<{ readonly mounted: MountedFilesystem; readonly notes: readonly Note[] }> {
  const type = file.content?.type ?? ''
  const title = file.content?.title ?? type
  const root = currentUser().isRoot
  const readOnly = mountsReadOnly(options.mode)
  const drivers = (await driversFor(type, root)).filter(({ writes }) => writes || readOnly)
  const madePoint = makePoint(point)
  const before = mountAt(point)
  const failures: string[] = []
  for (const driver of drivers) {
    const tried =
      driver.parameters === undefined
        ? await mountByKernel(driver, file.name, point, type, options)
        : await mountByProgram(driver, file.name, point, options)
    if (typeof tried === 'string') {
      failures.push(`${driver.name}: ${tried}`)
      continue
    }
    const device = await appearing(point, before)
    return {
      mounted: {
        point,
        file: file.name,
        partition: file.partition,
        loop: tried.loop,
        type,
        driver: driver.name,
        readOnly,
        device,
        madePoint,
      },
      notes: [driver.caution, readOnly ? undefined : driver.writingCaution].flatMap((caution) =>
        caution === undefined ? [] : [{ code: 'W_FS_DRIVER', message: `${point}: ${caution}` }],
      ),
    }
  }
  if (madePoint) fs.rmdirSync(point)
  if (failures.length === 0) {
    throw unsupported(
      'E_NO_FS_DRIVER',
      `nothing here mounts ${title}${readOnly ? '' : ' for writing'}${root ? '' : ' for an ordinary user'}`,
      {
        hint:
          'The bytes can be shown as a file: "vdisk mount" without a folder. Files of some filesystems are ' +
          'read by "vdisk ls" and "vdisk cp".',
      },
    )
  }
  throw targetError('E_MOUNT', `${title} in ${file.name} cannot be mounted on ${point}: ${failures.join('; ')}`, {
    hint: failureHint(root, failures),
  })
}

function failureHint(root: boolean, failures: readonly string[]): string {
  if (root || !failures.some((failure) => failure.includes('Permission denied')))
    return "The kernel's log (dmesg) may say more."
  return (
    "A program that is set-user-id root may not look into a user's folder: --allow-other permits it, " +
    'where /etc/fuse.conf says user_allow_other. "vdisk ls" and "vdisk cp" need no such thing.'
  )
}

function makePoint(point: string): boolean {
  try {
    fs.mkdirSync(point)
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw targetError('E_MOUNT', `the folder ${printable(point)} cannot be made: ${systemReason(cause)}`, { cause })
  }
}

/** @returns why it failed, or what was mounted. */
async function mountByKernel(
  { kernelType = '' }: FilesystemDriver,
  file: string,
  point: string,
  type: string,
  options: MounterOptions,
): Promise<string | { readonly loop: Loop }> {
  const loop = await attachLoop(inFolder(options.folder, file), options.sectorSize, options.mode === 'read-only')
  options.onLoop(loop, true)
  const flags = [
    mountsReadOnly(options.mode) ? 'ro' : 'rw',
    ...safeOptions,
    ...(typeOptions[type] ?? []),
    ...options.mountOptions,
  ]
  const result = await command('mount', ['-i', '-t', kernelType, '-o', flags.join(','), '--', loop.device, point])
  // Mounted: the device goes with the last mount. Not mounted: it goes now.
  await detachLoop(loop)
  options.onLoop(loop, false)
  return result.code === 0 ? { loop } : result.stderr
}

async function mountByProgram(
  driver: FilesystemDriver,
  file: string,
  point: string,
  options: MounterOptions,
): Promise<string | { readonly loop?: Loop }> {
  const flags = [
    mountsReadOnly(options.mode) ? 'ro' : 'rw',
    ...safeOptions,
    ...(options.others ? ['allow_other'] : []),
    ...options.mountOptions,
  ]
  const result = await command(driver.name, driver.parameters?.(inFolder(options.folder, file), point, flags) ?? [])
  // Some programs go on with all their options.
  const [reason = ''] = `${result.stderr}\n${result.stdout}`.trim().split('\n\n')
  return result.code === 0 ? {} : reason
}

/** The device number of what was mounted; programs may take a moment. */
async function appearing(point: string, before: ReturnType<typeof mountAt>): Promise<string> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const mount = mountAt(point)
    if (mount !== undefined && mount.deviceNumber !== before?.deviceNumber) return mount.deviceNumber
    await pause(50)
  }
  throw targetError('E_MOUNT', `nothing was mounted on ${point}, although the program for it said so`)
}

/**
 * Unmounts a filesystem: as root by umount(8), as a user what a program mounted. `lazy`: takes it away, and lets those
 * who use it finish.
 */
export function unmountPoint(point: string, lazy: boolean): Promise<CommandResult> {
  return currentUser().isRoot ? command('umount', [...(lazy ? ['-l'] : []), '--', point]) : unmountFuse(point, lazy)
}

/**
 * Attaches a file that holds no filesystem but something to be opened by its own tools. @throws ImageError as {@link
 * attachLoop}; unsupported E_NEEDS_ROOT.
 */
export async function attachTarget({ file }: Target, image: string, options: MounterOptions): Promise<AttachedDevice> {
  const title = file.content?.title ?? 'unknown content'
  if (!currentUser().isRoot) {
    throw unsupported(
      'E_NEEDS_ROOT',
      `${file.name} holds ${title}, which is opened through a block device, and only root attaches one`,
      { hint: 'Run it as root.' },
    )
  }
  const loop = await attachLoop(inFolder(options.folder, file.name), options.sectorSize, options.mode === 'read-only')
  options.onLoop(loop, true)
  return {
    loop,
    file: file.name,
    partition: file.partition,
    content: file.content,
    next: nextCommands(loop.device, file.content, image, mountsReadOnly(options.mode)),
  }
}
