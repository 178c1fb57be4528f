import type { Note } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import { resolvePath } from '../../filesystem/path.js'
import type { DirectoryEntry, FileNode, FileTree } from '../../filesystem/types.js'
import { problem, type Problem } from '../inspect/info.js'
import { ListedFiles, pathBelow, type ListedFile } from './listed-files.js'
import { openVolume, type VolumeOptions } from './volume.js'
import { nextTurn } from '../../sys/next-turn.js'

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

/** The same with files that are made whole one by one, where they are looked at. */
export interface LongFileList extends Omit<FileList, 'files'> {
  readonly files: ListedFiles
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
  const list = await listManyFiles(image, path, options)
  return { ...list, files: [...list.files] }
}

/** As {@link listFiles}, for folders of any size. @throws ImageError */
export async function listManyFiles(image: string, path: string, options: ListOptions = {}): Promise<LongFileList> {
  const { recursive = false, ...opening } = options
  const { signal } = opening
  using volume = await openVolume(image, opening)
  const { tree, filesystem } = volume
  const start = resolvePath(tree, path, true)
  const files = new ListedFiles()
  const failures: FileProblem[] = []
  if (start.node.kind === 'directory')
    await listFolder(
      { tree, recursive, files, failures, seen: new Set([start.node.id]), signal },
      start.node,
      start.path,
    )
  else {
    const at = start.path.lastIndexOf('/')
    files.add(start.path.slice(at + 1), start.node)
    files.closeFolder(at === 0 ? '/' : start.path.slice(0, at), 0)
  }
  volume.assertUnchanged()
  return { image, filesystem: filesystem.type, path: start.path, files, failures, notes: volume.notes }
}

interface Listing {
  readonly tree: FileTree
  readonly recursive: boolean
  readonly files: ListedFiles
  readonly failures: FileProblem[]
  /** Folders that were entered: a damaged filesystem may have circles. */
  readonly seen: Set<string>
  readonly signal: AbortSignal | undefined
}

async function listFolder(listing: Listing, folder: FileNode, path: string): Promise<void> {
  const { tree, recursive, files, failures, seen, signal } = listing
  const attempt = (at: string, work: () => void): void => {
    try {
      work()
    } catch (error) {
      if (!isImageError(error)) throw error
      failures.push({ path: at, ...problem(error) })
    }
  }
  const start = files.length
  const inner = new Map<number, { readonly node: FileNode; readonly at: string }>()
  const open = (entry: DirectoryEntry): void => {
    const at = pathBelow(path, entry.name)
    attempt(at, () => {
      const node = entry.open()
      const index = files.add(entry.name, node)
      // Nodes hold what was read of them: of files, which may be very many, nothing more is wanted.
      if (recursive && node.kind === 'directory') inner.set(index, { node, at })
    })
  }
  const entries: DirectoryEntry[] = []
  attempt(path, () => {
    for (const entry of tree.entries(folder)) entries.push(entry)
  })
  // Names of large folders come in the order of their hashes: each would read another block of inodes.
  entries.sort((one, other) => (one.order ?? 0) - (other.order ?? 0)).reverse()
  // What was opened is let go: there may be millions.
  for (let entry = entries.pop(); entry !== undefined; entry = entries.pop()) open(entry)
  const order = files.closeFolder(path, start)
  await nextTurn()
  signal?.throwIfAborted()
  for (const index of order) {
    const found = inner.get(index)
    if (found === undefined) continue
    const { node, at } = found
    if (seen.has(node.id)) {
      failures.push({
        path: at,
        kind: 'corrupt',
        code: 'E_FS_CORRUPT',
        message: `the folder ${at} is listed under another name already`,
      })
      continue
    }
    seen.add(node.id)
    await listFolder(listing, node, at)
  }
}
