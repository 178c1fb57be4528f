import { openWritableImage, type OpenedWritable, type WritableOptions } from '../../formats/open-writable.js'
import { localFile } from '../open/image-file.js'
import { guardChange, type InUseOptions } from './guard.js'

/**
 * Opens an image to change it, when nobody else has it: the one way in which operations change an image in place. A
 * draft is guarded as well, so that a dry run is refused what the run would be.
 * @throws ImageError refused E_MOUNTED, E_SWAP, E_LOCKED, E_IN_USE, E_OTHER_CHILDREN; those of opening an image to
 * change it.
 */
export function openToChange(path: string, options: WritableOptions & InUseOptions = {}): OpenedWritable {
  const file = localFile(path, options)
  const keepsChildren = options.keepsChildren ?? options.keepsContent === true
  guardChange(file, 'changed', { ...options, keepsChildren })
  // Children read all files of an image, and were looked for.
  const guard = (further: string): void => guardChange(further, 'changed', { ...options, keepsChildren: true })
  return openWritableImage(file, { ...options, guard })
}
