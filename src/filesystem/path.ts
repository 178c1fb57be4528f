import { unsupported, usage } from '../errors.js'
import type { FileNode, FileTree } from './types.js'

/** As Linux has it. */
const maximumLinks = 40

export interface Resolved {
  readonly node: FileNode
  /** The path without links, `.` and `..`: `/` or `/a/b`. Names as they were asked for. */
  readonly path: string
}

/**
 * The file at a path. Links on the way are followed inside the filesystem only: an absolute one begins at its root.
 * @param followLast whether a link at the end is followed too.
 * @throws ImageError usage E_NOT_FOUND, E_NOT_A_DIRECTORY, E_LINKS; unsupported E_FS_LINK (to another volume); corrupt
 * E_FS_CORRUPT.
 */
export function resolvePath(tree: FileTree, path: string, followLast: boolean): Resolved {
  const walked: { readonly name: string; readonly node: FileNode }[] = []
  let rest = parts(path)
  let links = 0
  const here = (): string => `/${walked.map(({ name }) => name).join('/')}`
  while (rest.length > 0) {
    const [name = '', ...after] = rest
    rest = after
    if (name === '.') continue
    if (name === '..') {
      walked.pop()
      continue
    }
    const folder = walked.at(-1)?.node ?? tree.root
    if (folder.kind !== 'directory') throw usage('E_NOT_A_DIRECTORY', `${here()} is no folder`)
    const node = tree.find(folder, name)
    if (node === undefined)
      throw usage('E_NOT_FOUND', `there is no ${here() === '/' ? '' : here()}/${name} in the filesystem`)
    if (node.target === undefined || (rest.length === 0 && !followLast)) {
      walked.push({ name, node })
      continue
    }
    if (++links > maximumLinks) throw usage('E_LINKS', `${path} leads through more than ${maximumLinks} links`)
    const { target } = node
    if (/^([A-Za-z]:|\\)/.test(target)) {
      throw unsupported(
        'E_FS_LINK',
        `${here() === '/' ? '' : here()}/${name} is a link to ${target}, which may be on another volume`,
        { hint: 'Name the file itself.' },
      )
    }
    if (target.startsWith('/')) walked.length = 0
    rest = [...parts(target), ...rest]
  }
  return { node: walked.at(-1)?.node ?? tree.root, path: here() }
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '')
}
