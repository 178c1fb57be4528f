import { isImageError } from '../errors.js'
import type { Location } from './location.js'

/** Bytes of a file that are looked into. */
const headLength = 65536

/** Whether a file is the one that is meant, by its first 64 KiB. */
export function isMeant(location: Location, recognise: ((head: Uint8Array) => boolean) | undefined): boolean {
  try {
    using store = location.store()
    const head = new Uint8Array(Math.min(headLength, store.size))
    store.read(0, head)
    return recognise?.(head) === true
  } catch (error) {
    // What cannot be read is passed over: it is not known to be meant.
    if (!isImageError(error)) throw error
    return false
  }
}
