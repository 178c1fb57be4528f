import { unsupported, usage, type ImageError } from '../../errors.js'
import type { Note } from '../../block/types.js'
import type { ShownFile } from './session.js'
import { inFolder } from '../../sys/host-path.js'
import { shellWord } from '../../sys/shell-word.js'

/** A file of the folder, and where it goes. */
export interface Target {
  readonly file: ShownFile
  readonly point: string
}

export interface Choice {
  readonly targets: readonly Target[]
  readonly notes: readonly Note[]
}

export interface Wish {
  /** The image's name, for messages. */
  readonly image: string
  readonly point: string
  /** The number of the one partition that is wanted. */
  readonly partition?: number
  /** All partitions, each in a folder below the point that has its number. */
  readonly all: boolean
}

/**
 * What of a disk is mounted, and where. Without a partition in the argument it must be clear which is meant.
 * @throws ImageError usage E_WHICH_PARTITION; unsupported E_NO_FILESYSTEM.
 */
export function chooseTargets(files: readonly ShownFile[], wish: Wish): Choice {
  const { image, point, partition, all } = wish
  const partitions = files.filter((file) => file.partition !== undefined)
  if (partition !== undefined) {
    const file = partitions.find((each) => each.partition === partition)
    if (file === undefined) throw usage('E_NO_PARTITION', `${image} has no partition ${partition} that can be shown`)
    return { targets: [{ file: usable(file, image), point }], notes: [] }
  }
  if (all && partitions.length > 0) return chooseAll(partitions, image, point)
  const [whole] = files
  if (partitions.length === 0) {
    if (whole === undefined) throw usage('E_NO_PARTITION', `${image} shows nothing`)
    return { targets: [{ file: usable(whole, image), point }], notes: [] }
  }
  const candidates = partitions.filter(isUsable)
  const [only] = candidates
  if (only === undefined) throw noFilesystem(`no partition of ${image} holds a filesystem that is known`)
  if (candidates.length > 1) throw which(image, candidates)
  return { targets: [{ file: only, point }], notes: [] }
}

function chooseAll(partitions: readonly ShownFile[], image: string, point: string): Choice {
  const targets = partitions.filter(isUsable).map((file) => ({ file, point: inFolder(point, String(file.partition)) }))
  if (targets.length === 0) throw noFilesystem(`no partition of ${image} holds a filesystem that is known`)
  const notes = partitions
    .filter((file) => !isUsable(file))
    .map((file): Note => ({
      code: 'W_NOT_MOUNTED',
      message:
        `partition ${file.partition ?? 0} is not mounted: ` +
        (file.content === undefined ? 'no known filesystem is in it' : `it holds ${file.content.title}`),
    }))
  return { targets, notes }
}

/** A filesystem, or a container that is at least attached. */
function isUsable({ content }: ShownFile): boolean {
  return content !== undefined && content.kind !== 'swap'
}

function usable(file: ShownFile, image: string): ShownFile {
  if (isUsable(file)) return file
  const what = file.partition === undefined ? image : `partition ${file.partition} of ${image}`
  throw noFilesystem(
    file.content === undefined
      ? `no known filesystem is in ${what}`
      : `${what} holds ${file.content.title}, which is not mounted`,
  )
}

function noFilesystem(message: string): ImageError {
  return unsupported('E_NO_FILESYSTEM', message, {
    hint: 'Without a folder to mount on, "vdisk mount" shows the bytes as files.',
  })
}

function which(image: string, candidates: readonly ShownFile[]): ImageError {
  const list = candidates
    .map(
      ({ partition, content }) =>
        `${partition ?? 0} (${content?.title ?? ''}${content?.label === undefined ? '' : ` "${content.label}"`})`,
    )
    .join(', ')
  return usage('E_WHICH_PARTITION', `${image} has several filesystems: partitions ${list}`, {
    hint: `Say which, for example ${shellWord(`${image}@${candidates[0]?.partition ?? 1}`)}, or --all.`,
  })
}
