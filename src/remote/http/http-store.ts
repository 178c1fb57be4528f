import { corrupt } from '../../errors.js'
import { FarStore } from '../far-store.js'
import type { HttpAddress } from './address.js'
import type { HttpThreadData } from './http-thread.js'
import { headLength, usualOptions, type ReaderOptions } from './reader-options.js'

/** A file of a web server as host bytes. */
export class HttpStore extends FarStore {
  /**
   * Connects, and waits until it is known how large the file is.
   * @throws ImageError as RangeReader.open.
   */
  constructor(address: HttpAddress, options: ReaderOptions = usualOptions) {
    const name = address.label
    super({
      name,
      program: new URL('./http-thread.js', import.meta.url),
      data: { address, options } satisfies HttpThreadData,
      headLength,
      // A range may be asked for several times, with pauses.
      longest: 12 * options.milliseconds,
      silent: () => corrupt('E_HTTP_TIMEOUT', `${name}: the server does not answer`),
    })
  }
}
