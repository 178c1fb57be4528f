import fs from 'node:fs'
import { isNbdUri } from '../../block/export-name.js'
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
export function parseFileAddress(text: string): FileAddress | undefined {
  // The first of an NBD URI belongs to its scheme.
  const colons = [...text.matchAll(/:(?=\/|$)/g)].map(({ index }) => index).slice(isNbdUri(text) ? 1 : 0)
  const colon = colons.find((at) => isThere(text.slice(0, at))) ?? colons[0]
  if (colon === undefined) return undefined
  return { image: text.slice(0, colon), path: text.slice(colon + 1) || '/' }
}

function isThere(image: string): boolean {
  return fs.existsSync(parseImageArgument(image).path)
}
