import { ImageError, printable, reference } from '../errors.js'
import type { FormatDriver, ParentReference } from './driver.js'
import { detectFormat, type ProbedFile } from './probe.js'

/**
 * The format that a parent is read as. The child's record decides. Without one only a raw parent is believed: the guest
 * of a raw disk can write any header it likes into it, and the header could name any file.
 * @param child what messages call the child. @param name the parent's own name. @param given what the user says: a
 * format's id, or `auto`.
 * @throws ImageError unsupported E_UNSUPPORTED_FORMAT; reference E_PARENT_FORMAT_UNKNOWN.
 */
export function parentDriver(
  child: string,
  { format: recorded }: ParentReference,
  file: ProbedFile,
  name: string | undefined,
  given: string | undefined,
): FormatDriver {
  const { store, registry } = file
  if (recorded !== undefined) {
    const driver = registry.find(recorded)
    if (driver === undefined)
      throw new ImageError(
        'unsupported',
        'E_UNSUPPORTED_FORMAT',
        `${child} says that its parent ${store.name} is of the format ${printable(recorded)}, which vdisk cannot read`,
      )
    return driver
  }
  if (given !== undefined && given !== 'auto') return registry.get(given)
  const { driver } = detectFormat(file, name)
  if (driver.plain !== true && given !== 'auto') {
    throw reference(
      'E_PARENT_FORMAT_UNKNOWN',
      `${child} does not record the format of its parent ${store.name}, which looks like ${driver.id}; ` +
        'the guest of a raw parent can make it look so',
      { hint: `If you know that the parent is ${driver.id}, say so with --parent-format ${driver.id}` },
    )
  }
  return driver
}
