import fs from '../../sys/host-fs.js'
import { isImageError, printable } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'
import { openFile, type OpenedImage } from '../../formats/open.js'
import { chainOptions, type ChainOptions } from '../open/opening.js'
import { folderPart, inFolder, realFolder } from '../../sys/host-path.js'
import { namesInFolder } from '../../sys/readable.js'
import { walk } from '../../location/walk.js'

type FileOnDisk = Pick<ImageFile, 'path' | 'device' | 'inode'>

/** How many children a message names. */
const mostNames = 5

/** Children for a message, the first ones by name. */
export function childNames(children: readonly string[]): string {
  const names = children.slice(0, mostNames).map((child) => printable(child))
  const rest = children.length - names.length
  return names.join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

/**
 * Images beside a file that have it as their parent. It need not be an image, nor one that can be read: its children
 * know it by its name and place too. Empty for what is no file of this computer.
 */
export function childrenOfFile(path: string, options: ChainOptions): string[] {
  const stat = fs.existsSync(path) ? fs.statSync(path, { bigint: true }) : undefined
  if (stat?.isFile() !== true) return []
  const file = { path, device: stat.dev, inode: stat.ino }
  return childrenOf(file, identityOf(path, options), [realFolder(path)], [], options)
}

/** The id by which children know an image; undefined where it has none, or cannot be read. */
function identityOf(path: string, options: ChainOptions): string | undefined {
  try {
    using opened = openFile(path, { ...chainOptions({ ...options, allowInUse: true }), chain: 'optional' })
    return opened.top.image.identity
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
}

/** Files of a folder that are looked at. */
const mostFiles = 4096

/**
 * Images in the given folders that have a file as their parent, as far as can be seen: by where their chain leads, by
 * the recorded id, or by the recorded name. Only read; what is no image, or cannot be opened, is skipped.
 * @param identity the parent's, when it has one. @param except files that are not meant.
 */
export function childrenOf(
  parent: FileOnDisk,
  identity: string | undefined,
  folders: readonly string[],
  except: readonly Pick<FileOnDisk, 'device' | 'inode'>[],
  options: ChainOptions,
): string[] {
  const found: string[] = []
  const real = fs.realpathSync(parent.path)
  const seen = new Set<string>()
  for (const folder of new Set(folders.map((path) => fs.realpathSync(path)))) {
    for (const name of namesInFolder(folder).slice(0, mostFiles)) {
      const path = inFolder(folder, name)
      if (name.startsWith('.')) continue
      const stat = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
      if (stat?.isFile() !== true) continue
      const { dev, ino, size } = stat
      const key = `${dev} ${ino}`
      if (
        size === 0n ||
        seen.has(key) ||
        [parent, ...except].some(({ device, inode }) => device === dev && inode === ino)
      )
        continue
      seen.add(key)
      if (isChild(path, real, parent, identity, options)) found.push(path)
    }
  }
  return found.sort()
}

function isChild(
  path: string,
  real: string,
  parent: FileOnDisk,
  identity: string | undefined,
  options: ChainOptions,
): boolean {
  let opened: OpenedImage
  try {
    opened = openFile(path, {
      ...chainOptions({ ...options, allowInUse: true }),
      chain: 'optional',
      allowReferences: [...(options.allowReferences ?? []), real],
    })
  } catch (error) {
    if (!isImageError(error)) throw error
    return false
  }
  try {
    const [top, below] = opened.layers
    const recorded = top?.image.parentReference
    if (recorded === undefined) return false
    if (below !== undefined)
      return below.files.some(({ device, inode }) => device === parent.device && inode === parent.inode)
    if (recorded.identity !== undefined) return recorded.identity === identity
    return recorded.paths.some((name) => walk(folderPart(path), name, [real]).kind === 'found')
  } catch (error) {
    if (!isImageError(error)) throw error
    // A name that stands for no plain file.
    return false
  } finally {
    opened[Symbol.dispose]()
  }
}
