import type { HostPath, Label } from '../errors.js'
import { lastPart } from '../sys/host-path.js'
import { parseSshAddress, type SshAddress } from '../remote/ssh/address.js'
import { sshOptionsOf } from '../remote/ssh/environment.js'
import { SshStore } from '../remote/ssh/ssh-store.js'
import { SshUpload } from './ssh-upload.js'
import { otherId, type Location, type LocationId, type Scheme } from './location.js'

/** A file of a computer that is reached by SSH. What it names is not looked for there: it has no neighbours. */
class SshLocation implements Location {
  readonly scheme = 'ssh'
  readonly kind = 'file'
  readonly id: LocationId
  readonly label: Label
  readonly name: HostPath
  /** The same file by ssh:// and sftp://. */
  readonly place: string
  readonly #at: SshAddress

  /** @throws ImageError usage E_SSH_URL. */
  constructor(readonly address: string) {
    this.#at = parseSshAddress(address)
    const { host, user = '', port = 0, path, label } = this.#at
    this.id = otherId('ssh', host.toLowerCase(), user, port, path)
    this.place = this.id
    this.label = label
    this.name = lastPart(path)
  }

  store(): SshStore {
    return new SshStore(this.#at, sshOptionsOf(process.env))
  }

  upload(): SshUpload {
    return new SshUpload(this.#at, sshOptionsOf(process.env))
  }

  beside(ending: string): SshLocation {
    return new SshLocation(this.address + ending)
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }
}

export const sshScheme: Scheme = {
  id: 'ssh',
  title: 'a file of a computer that is reached by SSH',
  matches: (address) => /^(ssh|sftp):\/\//i.test(address),
  locate: (address) => new SshLocation(address),
}
