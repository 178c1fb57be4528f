import fs from '../../sys/host-fs.js'
import { isImageError } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'
import { openFile, type OpenedImage } from '../../formats/open.js'
import { chainOptions, type ChainOptions } from '../open/opening.js'
import { folderPart, inFolder } from '../../sys/host-path.js'
import { walk } from '../../location/walk.js'

/** Files of a folder that are looked at. */
const mostFiles = 4096

/**
 * Images in the given folders that have a file as their parent, as far as can be seen: by where their chain leads, by
 * the recorded id, or
 * by the recorded name. Only read; what is no image, or cannot be opened, is passed over.
 * @param identity the parent's, when it has one. @param except files that are not meant.
 */
export function childrenOf(
  parent: ImageFile,
  identity: string | undefined,
  folders: readonly string[],
  except: readonly Pick<ImageFile, 'device' | 'inode'>[],
  options: ChainOptions,
): string[] {
  const found: string[] = []
  const real = fs.realpathSync(parent.path)
  const seen = new Set<string>()
  for (const folder of new Set(folders.map((path) => fs.realpathSync(path)))) {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true }).slice(0, mostFiles)) {
      const path = inFolder(folder, entry.name)
      if (!entry.isFile() || entry.name.startsWith('.')) continue
      const { dev, ino, size } = fs.statSync(path, { bigint: true })
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
  return found
}

function isChild(
  path: string,
  real: string,
  parent: ImageFile,
  identity: string | undefined,
  options: ChainOptions,
): boolean {
  let opened: OpenedImage
  try {
    opened = openFile(path, {
      ...chainOptions(options),
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
