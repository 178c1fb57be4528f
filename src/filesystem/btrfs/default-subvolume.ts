import { posixName } from '../names.js'
import {
  firstFolder,
  folderItem,
  inodeReference,
  itemTypes,
  rootFolder,
  rootReference,
  topSubvolume,
} from './structs.js'
import type { TreeRoot, TreeWalker } from './trees.js'

/** Subvolumes and folders above each other; a circle ends here. */
const deepest = 256

/** What leads to subvolumes and their folders. */
export interface SubvolumeTrees {
  readonly walker: TreeWalker
  /** The tree of roots. */
  readonly roots: TreeRoot
  /** The tree of a subvolume's files. */
  readonly files: (id: bigint) => TreeRoot | undefined
}

/**
 * The folder of the subvolume that is mounted where none is named: `/@/.snapshots/1/snapshot`; empty for the top level,
 * and where what leads to another one is not there. @throws ImageError corrupt E_FS_CORRUPT.
 */
export function defaultSubvolume(trees: SubvolumeTrees): string {
  let id = defaultId(trees)
  const parts: string[] = []
  while (id !== undefined && id !== topSubvolume && parts.length < deepest) {
    const above = parentOf(trees, id)
    const files = above === undefined ? undefined : trees.files(above.id)
    if (above === undefined || files === undefined) return ''
    parts.unshift(above.name)
    for (let folder = above.folder; folder !== firstFolder && parts.length < deepest;) {
      const next = folderAbove(trees, files, folder)
      if (next === undefined) return ''
      parts.unshift(next.name)
      folder = next.folder
    }
    id = above.id
  }
  return id === topSubvolume ? parts.map((part) => `/${part}`).join('') : ''
}

function defaultId({ walker, roots }: SubvolumeTrees): bigint | undefined {
  const start = { object: rootFolder, type: itemTypes.folderName, offset: 0n }
  for (const { type, data } of walker.from(roots, start)) {
    if (type !== itemTypes.folderName || data.length < folderItem.size) return undefined
    const { object, nameLength } = folderItem.read(data)
    if (nameOf(data, folderItem.size, nameLength) === 'default') return object
  }
  return undefined
}

/** Where a subvolume hangs: the subvolume above it, the folder there, and its name. */
interface Place {
  readonly id: bigint
  readonly folder: bigint
  readonly name: string
}

function parentOf({ walker, roots }: SubvolumeTrees, id: bigint): Place | undefined {
  const start = { object: id, type: itemTypes.rootBackReference, offset: 0n }
  for (const { type, offset, data } of walker.from(roots, start)) {
    if (type !== itemTypes.rootBackReference || data.length < rootReference.size) return undefined
    const { folder, nameLength } = rootReference.read(data)
    return { id: offset, folder, name: nameOf(data, rootReference.size, nameLength) }
  }
  return undefined
}

function folderAbove(
  { walker }: SubvolumeTrees,
  files: TreeRoot,
  folder: bigint,
): Pick<Place, 'folder' | 'name'> | undefined {
  const start = { object: folder, type: itemTypes.inodeReference, offset: 0n }
  for (const { type, offset, data } of walker.from(files, start)) {
    if (type !== itemTypes.inodeReference || data.length < inodeReference.size) return undefined
    const { nameLength } = inodeReference.read(data)
    return { folder: offset, name: nameOf(data, inodeReference.size, nameLength) }
  }
  return undefined
}

function nameOf(data: Uint8Array, start: number, length: number): string {
  return posixName(data.subarray(start, start + length))
}
