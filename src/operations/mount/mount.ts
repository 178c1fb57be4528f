import fs from '../../sys/host-fs.js'
import type { Note } from '../../block/types.js'
import { printable, systemReason, unsupported, usage } from '../../errors.js'
import { prepareOverlay } from '../serve/exposed-disk.js'
import type { ServeRequest } from './messages.js'
import { mountAt } from './mount-table.js'
import type { MountMode, MountSession } from './session.js'
import { startServer } from './start-server.js'
import { newId, runtimeFolder } from './state.js'
import { Registry } from '../../formats/registry.js'
import { HostLocation } from '../../location/file.js'
import { localFile } from '../open/image-file.js'
import { parseImageArgument, type LaterOptions, type ReadOptions } from '../open/opening.js'
import { absolute } from '../../sys/host-path.js'
import { isPlainText } from '../../sys/host-fs.js'

export type { AttachedDevice, MountedFilesystem, MountMode, MountSession, ShownFile } from './session.js'

export interface MountOptions extends ReadOptions, LaterOptions {
  /** A file that keeps the changes: a child of the image, made where there is none. */
  readonly overlay?: string
  /** Changes go into the image itself. */
  readonly write?: boolean
  /** Lets a partition be written to in which a part of the disk's table lies. */
  readonly allowTableLoss?: boolean
  /** Without a folder to mount on: changes to the files shown are possible, and gone at the end. */
  readonly throwaway?: boolean
  /** Every partition, each in a folder of its number. */
  readonly all?: boolean
  /** Other users may look too. */
  readonly others?: boolean
  /** For mount(8) or the program that mounts, besides `nosuid,nodev`. */
  readonly mountOptions?: readonly string[]
  /** Where the throwaway changes are kept meanwhile; the image's folder when left out. */
  readonly scratchFolder?: string
  /** A module whose default export gives a promise of the {@link Registry}; the formats built in when left out. */
  readonly registryModule?: string
}

export interface MountResult {
  readonly session: MountSession
  /** Whether the overlay was made new. */
  readonly overlayMade?: boolean
  readonly notes: readonly Note[]
}

/**
 * Shows an image as files, and mounts what is in it when a folder is given. A process of its own serves it and ends
 * when it is unmounted,
 * by `unmount` here or by the system's own. Linux.
 * @param argument the image, or a partition of it: `disk.vhdx@2`.
 * @throws ImageError usage E_MOUNT_POINT, E_WHICH_PARTITION, E_MODES; unsupported E_NO_FUSE, E_NO_FILESYSTEM,
 * E_NO_FS_DRIVER; target E_MOUNT; those of opening.
 */
export async function mount(
  argument: string,
  point: string | undefined,
  options: MountOptions = {},
): Promise<MountResult> {
  if (!fs.existsSync('/proc/self/mountinfo'))
    throw unsupported('E_NO_FUSE', 'images are mounted on Linux only, so far, and where /proc is mounted', {
      hint: 'Read files with "vdisk ls", "vdisk cat" and "vdisk cp"; docs/mounting.md says what other systems can do.',
    })
  const { path, partition } = parseImageArgument(argument)
  const mode = modeOf(options, point)
  if (options.all === true && (point === undefined || partition !== undefined))
    throw usage('E_MODES', '--all mounts all partitions of a disk on a folder: it takes a folder, and no partition')
  const { overlay, from, fromOptions, snapshot, parentFormat } = options
  const request: ServeRequest = {
    id: newId(),
    runtime: runtimeFolder(),
    image: imageAddress(path, mode, options),
    mode,
    all: options.all === true,
    others: options.others === true,
    mountOptions: options.mountOptions ?? [],
    options: {
      mode,

      overlay: overlay === undefined ? undefined : absolute(overlay),
      from,
      fromOptions,
      snapshot,
      parentFormat,
      scratchFolder: options.scratchFolder === undefined ? undefined : absolute(options.scratchFolder),
      // The server has another working folder.

      allowReferences: options.allowReferences?.map((each) => absolute(each)),
      search: options.search?.map((each) => absolute(each)),
      parentMap: options.parentMap?.map(({ from, to }) => ({ from, to: absolute(to) })),
      allowInUse: options.allowInUse,
      allowOtherChildren: options.allowOtherChildren,
      allowTableLoss: options.allowTableLoss,
    },

    partition,
    point: point === undefined ? undefined : mountPoint(point),
    registryModule: options.registryModule,
  }
  const made =
    overlay === undefined
      ? undefined
      : await prepareOverlay(request.image, absolute(overlay), {
          ...request.options,
          registry: options.registry,
        })
  try {
    const { session, notes } = await startServer(request, options)
    return { session, notes, overlayMade: made }
  } catch (error) {
    // An overlay that was never mounted holds nothing.
    if (made === true && overlay !== undefined) fs.removeFileSync(overlay)
    throw error
  }
}

function modeOf({ overlay, write, throwaway }: MountOptions, point: string | undefined): MountMode {
  const chosen: readonly MountMode[] = [
    ...(overlay === undefined ? [] : ['overlay' as const]),
    ...(write === true ? ['write' as const] : []),
    ...(throwaway === true ? ['throwaway' as const] : []),
  ]
  if (chosen.length > 1)
    throw usage('E_MODES', 'changes go to one place: into the image, into an overlay, or they are thrown away')
  // A journal that was not closed is replayed when it is mounted: that changes the disk, never the image.
  return chosen[0] ?? (point === undefined ? 'read-only' : 'throwaway')
}

/** What finds the image again from any folder. Changes to a disk inside another file have no place in that. */
function imageAddress(path: string, mode: MountMode, options: MountOptions): string {
  const { schemes } = options.registry ?? new Registry()
  const { path: file, member } = schemes.locate(path)
  if (member === undefined || file === undefined || mode === 'write' || mode === 'overlay')
    return real(localFile(path, options))
  return new HostLocation(real(file), member).address
}

function real(path: string): string {
  try {
    return fs.realpathSync(path)
  } catch (cause) {
    throw usage('E_NOT_FOUND', `${printable(path)}: no such file`, { cause })
  }
}

/** An existing folder on which nothing is mounted. @throws ImageError usage E_MOUNT_POINT, E_MOUNTED. */
function mountPoint(point: string): string {
  const name = printable(point)
  let path: string
  try {
    path = fs.realpathSync(point)
    if (!fs.statSync(path).isDirectory()) throw new Error('it is a file')
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code !== 'ENOENT'
    const why = systemReason(cause)
    throw usage('E_MOUNT_POINT', `${name} is no folder to mount on: ${why}`, {
      cause,
      hint: isThere ? 'Name another, or make one.' : 'Make it first.',
    })
  }
  if (!isPlainText(path))
    throw usage('E_MOUNT_POINT', `${name} is not UTF-8, and the programs that mount take names as text only`, {
      hint: 'Mount on a folder with another name.',
    })
  if (path.includes('\n')) throw usage('E_MOUNT_POINT', `${name} has a line end in its name`)
  if (mountAt(path) !== undefined) throw usage('E_MOUNT_POINT', `something is mounted on ${name} already`)
  return path
}
