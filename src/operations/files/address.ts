import { printable, usage } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { hostLocation } from '../../location/file.js'
import { Schemes } from '../../location/schemes.js'
import { parseImageArgument } from '../open/opening.js'

/** A file inside an image, as the user names it: `disk.vhdx@2:/etc/fstab`. */
export interface FileAddress {
  /** The image, with `@N` where a partition is named. */
  readonly image: string
  /** Absolute; `/` where nothing was said. */
  readonly path: string
}

/**
 * Splits an address at its colon. Names of images may have colons too: the first one counts that ends the name of a
 * file that is there.
 * Undefined when there is no `:/` (and no `:` at the end): a file of the host.
 */
export function parseFileAddress(text: string, schemes = new Schemes()): FileAddress | undefined {
  // The first of a URI belongs to its scheme.
  const colons = [...text.matchAll(/:(?=\/|$)/g)]
    .map(({ index }) => index)
    .slice(schemes.of(text).id === 'file' ? 0 : 1)
  const colon = colons.find((at) => isThere(text.slice(0, at))) ?? colons[0]
  if (colon === undefined) return undefined
  return { image: text.slice(0, colon), path: text.slice(colon + 1) || '/' }
}

/** The same, where the user has to name a file inside an image. @throws ImageError usage E_FILE_ADDRESS. */
export function neededFileAddress(text: string, schemes?: Schemes): FileAddress {
  const address = parseFileAddress(text, schemes)
  if (address !== undefined) return address
  throw usage('E_FILE_ADDRESS', `${printable(text)} names no file inside an image`, {
    hint: 'Write IMAGE:/PATH, for example disk.vhdx@2:/etc/fstab',
  })
}

function isThere(image: string): boolean {
  return fs.existsSync(hostLocation(parseImageArgument(image).path).path)
}
