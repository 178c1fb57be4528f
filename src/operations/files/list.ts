import type { Note } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import { resolvePath } from '../../filesystem/path.js'
import type { DirectoryEntry, FileNode, FileTree } from '../../filesystem/types.js'
import { problem, type Problem } from '../inspect/info.js'
import { openVolume, type VolumeOptions } from './volume.js'
import { nextTurn } from '../../sys/next-turn.js'

/** A file as `ls` lists it. */
export interface ListedFile {
  readonly name: string
  readonly path: string
  readonly kind: FileNode['kind']
  /** Bytes of content (a file), of the target (a link). */
  readonly size: number
  /** POSIX mode bits without the type, where the filesystem has them. */
  readonly mode?: number
  readonly owner?: number
  readonly group?: number
  readonly links?: number
  /** ISO 8601 with nine digits of a second; FAT records no zone, and its local times are given as if they were UTC. */
  readonly modified: string
  readonly target?: string
  readonly otherStreams?: readonly string[]
}

/** A file that could not be looked at. */
export interface FileProblem extends Problem {
  readonly path: string
}

export interface FileList {
  readonly image: string
  /** As blkid names it. */
  readonly filesystem: string
  /** Absolute, without links. */
  readonly path: string
  readonly files: readonly ListedFile[]
  /** What could not be listed; the rest is. */
  readonly failures: readonly FileProblem[]
  readonly notes: readonly Note[]
}

export interface ListOptions extends VolumeOptions {
  /** Also what lies in its folders, and in theirs. */
  readonly recursive?: boolean
}

/**
 * The files of a folder, ordered by name, or one file. Links are listed, not followed, but those on the way to `path`
 * are.
 * @throws ImageError
 */
export async function listFiles(image: string, path: string, options: ListOptions = {}): Promise<FileList> {
  const { recursive = false, ...opening } = options
  const { signal } = opening
  using volume = await openVolume(image, opening)
  const { tree, filesystem } = volume
  const start = resolvePath(tree, path, true)
  const files: ListedFile[] = []
  const failures: FileProblem[] = []
  if (start.node.kind !== 'directory')
    files.push(listed(start.path.slice(start.path.lastIndexOf('/') + 1), start.path, start.node))
  else
    await listFolder(
      { tree, recursive, files, failures, seen: new Set([start.node.id]), signal },
      start.node,
      start.path,
    )
  volume.assertUnchanged()
  return { image, filesystem: filesystem.type, path: start.path, files, failures, notes: volume.notes }
}

interface Listing {
  readonly tree: FileTree
  readonly recursive: boolean
  readonly files: ListedFile[]
  readonly failures: FileProblem[]
  /** Folders that were entered: a damaged filesystem may have circles. */
  readonly seen: Set<string>
  readonly signal: AbortSignal | undefined
}

async function listFolder(listing: Listing, folder: FileNode, path: string): Promise<void> {
  const { tree, recursive, files, failures, seen, signal } = listing
  const found: { readonly file: ListedFile; readonly inner?: FileNode }[] = []
  const attempt = (at: string, work: () => void): void => {
    try {
      work()
    } catch (error) {
      if (!isImageError(error)) throw error
      failures.push({ path: at, ...problem(error) })
    }
  }
  const entries: DirectoryEntry[] = []
  attempt(path, () => {
    for (const entry of tree.entries(folder)) entries.push(entry)
  })
  // Names of large folders come in the order of their hashes: each would read another block of inodes.
  entries.sort((one, other) => (one.order ?? 0) - (other.order ?? 0))
  for (const entry of entries) {
    const place = pathBelow(path, entry.name)
    attempt(place, () => {
      const node = entry.open()
      // Nodes hold what was read of them: of files, which may be very many, nothing more is wanted.
      const inner = recursive && node.kind === 'directory' ? node : undefined
      found.push({ file: listed(entry.name, place, node), inner })
    })
  }
  found.sort((one, other) => (one.file.name < other.file.name ? -1 : 1))
  for (const { file } of found) files.push(file)
  await nextTurn()
  signal?.throwIfAborted()
  if (!recursive) return
  for (const { file, inner } of found) {
    if (inner === undefined) continue
    if (seen.has(inner.id)) {
      failures.push({
        path: file.path,
        kind: 'corrupt',
        code: 'E_FS_CORRUPT',
        message: `the folder ${file.path} is listed under another name already`,
      })
      continue
    }
    seen.add(inner.id)
    await listFolder(listing, inner, file.path)
  }
}

/** A path of the image and a name below it. */
export function pathBelow(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`
}

function listed(name: string, path: string, node: FileNode): ListedFile {
  const { kind, size, mode, owner, group, links, target, otherStreams } = node
  return {
    name,
    path,
    kind,
    size,
    mode,
    owner,
    group,
    links,
    modified: fileTimeText(node.modified),
    target,
    otherStreams,
  }
}

/** Nanoseconds since 1970 as ISO 8601; years that it cannot write are given as seconds. */
export function fileTimeText(nanoseconds: bigint): string {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  const seconds = (nanoseconds - rest) / 1_000_000_000n
  const date = new Date(Number(seconds) * 1000)
  return Number.isNaN(date.getTime())
    ? `${seconds} s`
    : `${date.toISOString().slice(0, -5)}.${rest.toString().padStart(9, '0')}Z`
}
