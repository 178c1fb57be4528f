import fs from '../../sys/host-fs.js'
import { dirname, relative, resolve, sep } from 'node:path'
import type { Note } from '../../block/types.js'
import { usage } from '../../errors.js'
import type { DiskImage, FormatDriver, ParentShape } from '../../formats/driver.js'
import { openImage, type OpenedImage, type OpenOptions } from '../../formats/open.js'

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
  const opened = openImage(path, {
    ...options,
    from: options.from ?? (parentFormat === 'auto' ? undefined : parentFormat),
  })
  try {
    if (opened.unreadable !== undefined) throw opened.unreadable
    const shape = parentShape(path, childPath, opened.top.image)
    const notes: Note[] = shape.relativePath.startsWith('../')
      ? [
          {
            code: 'W_PARENT_OUTSIDE',
            message:
              `the parent ${shape.path} lies outside the child's folder: reading the child will need ` +
              '--allow-reference',
          },
        ]
      : []
    return { opened, notes, shape }
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}

/** A file as the parent of another, which need not be there yet. @param image the parent's own layer. */
export function parentShape(path: string, childPath: string, image: DiskImage): ParentShape {
  const real = fs.realpathSync(path)
  const child = resolve(childPath)
  const folder = fs.realpathSync(dirname(child))
  return {
    image,
    path: real,
    relativePath: relative(folder, real).split(sep).join('/'),
    childPath: child,
    time: Math.floor(fs.statSync(real).mtimeMs / 1000),
  }
}
