import { extensionOf } from '../sys/host-path.js'
import { otherTarget } from './other-extensions.js'
import type { Registry } from './registry.js'

/** What the name of a file promises. */
export interface PromisedKind {
  /** Of the format or wrapper; undefined for a kind that vdisk only knows by its name. */
  readonly id?: string
  /** With its article. */
  readonly title: string
  /** Its files are disks, byte for byte. */
  readonly plain?: boolean
}

/** What a name promises by its extension: a format, what may be around an image, or another kind that is known. */
export function promisedKind(name: string, registry: Registry): PromisedKind | undefined {
  const format = registry.forExtension(name)
  if (format !== undefined) {
    const { id, title, plain } = format
    return { id, title: `${/^[AEIO]/.test(title) ? 'an' : 'a'} ${title}`, plain }
  }
  const wrapper = registry.wrapperFor(name)
  if (wrapper !== undefined) return { id: wrapper.id, title: `a file of the kind ${wrapper.title}`, plain: false }
  const other = otherTarget(name)
  // The image of a CD is the bytes of a disk.
  return other === undefined ? undefined : { title: other.format, plain: extensionOf(name).toLowerCase() === '.iso' }
}
