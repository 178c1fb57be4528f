import { localFile } from '../open/image-file.js'
import fs from '../../sys/host-fs.js'
import type { Note } from '../../block/types.js'
import { usage } from '../../errors.js'
import type { DiskImage, FormatDriver, ParentShape } from '../../formats/driver.js'
import { openFile, type OpenedImage, type OpenOptions } from '../../formats/open.js'
import { fromFolder, realFolder, realPath } from '../../sys/host-path.js'

/** The parent of an image to be made, opened with its own chain. */
export interface NewParent {
  readonly opened: OpenedImage
  readonly shape: ParentShape
  readonly notes: readonly Note[]
}

/** @throws ImageError usage E_NO_PARENTS when the format cannot have one; those of opening the parent. */
export function openNewParent(path: string, childPath: string, driver: FormatDriver, options: OpenOptions): NewParent {
  if (driver.features.parents !== 'create')
    throw usage('E_NO_PARENTS', `vdisk cannot make a ${driver.title} with a parent`, {
      hint: '`vdisk formats` shows which formats can have one.',
    })
  const { parentFormat } = options
  const opened = openFile(localFile(path, options), {
    ...options,
    from: options.from ?? (parentFormat === 'auto' ? undefined : parentFormat),
  })
  try {
    if (opened.unreadable !== undefined) throw opened.unreadable
    const shape = parentShape(path, childPath, opened.top.image)
    const outside: Note[] = shape.relativePath.startsWith('../')
      ? [
          {
            code: 'W_PARENT_OUTSIDE',
            message:
              `the parent ${shape.path} lies outside the child's folder: reading the child will need ` +
              '--allow-reference',
          },
        ]
      : []
    // What writes to the parent meanwhile, and what it only looks like, matters to the child.
    const notes = [...opened.layers.flatMap((layer) => layer.notes), ...outside]
    return { opened, notes, shape }
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}

/**
 * A file as the parent of another, which need not be there yet. Relative names are made from the folder that the child
 * really lies in. @param image the parent's own layer.
 */
export function parentShape(path: string, childPath: string, image: DiskImage): ParentShape {
  const real = fs.realpathSync(path)
  const given = realFolder(childPath)
  const behind = realPath(childPath)
  const folder = behind === undefined ? given : realFolder(behind)
  const relativePath = fromFolder(folder, real)
  return {
    image,
    path: real,
    relativePath,
    // Through a link to the child the same name would be looked for in the link's folder: there only the full path
    // means the same file.
    name: folder === given ? undefined : real,
    time: Math.floor(fs.statSync(real).mtimeMs / 1000),
  }
}
