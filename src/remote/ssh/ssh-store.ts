import { corrupt } from '../../errors.js'
import { FarStore } from '../far-store.js'
import type { SshAddress } from './address.js'
import type { SshOptions } from './environment.js'
import type { SshThreadData } from './ssh-thread.js'

/** Tables of most images begin there. */
const headLength = 262_144
/** How long somebody may take to type a password, in milliseconds. */
const longestLogin = 900_000

/** A file of a computer that is reached by SSH, as host bytes. */
export class SshStore extends FarStore {
  /**
   * Connects, and waits until it is known how large the file is.
   * @throws ImageError as openSshFile.
   */
  constructor(address: SshAddress, options: SshOptions) {
    const name = address.label
    super({
      name,
      program: new URL('./ssh-thread.js', import.meta.url),
      data: { address, options } satisfies SshThreadData,
      headLength,
      longest: 4 * options.milliseconds,
      longestStart: longestLogin + 4 * options.milliseconds,
      silent: () => corrupt('E_SSH_TIMEOUT', `${name}: the other side does not answer`),
    })
  }
}
