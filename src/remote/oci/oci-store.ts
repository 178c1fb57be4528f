import { corrupt } from '../../errors.js'
import { FarStore } from '../far-store.js'
import { headLength } from '../http/reader-options.js'
import type { OciOptions } from './environment.js'
import type { OciThreadData } from './oci-thread.js'
import type { OciReference } from './reference.js'

/** The layer of an image in a registry that holds the disk, as host bytes: an archive, or the disk itself. */
export class OciStore extends FarStore {
  /** Connects, and waits until the layer is found. @throws ImageError as openRegistryDisk. */
  constructor(reference: OciReference, options: OciOptions) {
    const name = reference.label
    // A range may be asked for several times, with pauses; layers may have to be looked through.
    const longest = 12 * options.http.milliseconds
    super({
      name,
      program: new URL('./oci-thread.js', import.meta.url),
      data: { reference, options } satisfies OciThreadData,
      headLength,
      longest,
      longestStart: 5 * longest,
      silent: () => corrupt('E_HTTP_TIMEOUT', `${name}: the registry does not answer`),
    })
  }
}
