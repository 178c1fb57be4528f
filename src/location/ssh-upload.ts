import type { HostPath, Label } from '../errors.js'
import { besideAddress, type SshAddress } from '../remote/ssh/address.js'
import type { SshOptions } from '../remote/ssh/environment.js'
import type { KeptConnection, SftpPlace } from '../remote/ssh/sftp-upload.js'
import { isPartialOf, partialName } from './partial.js'
import type { StandingObject, Upload, UploadedObject, UploadPlan, UploadTarget } from './upload.js'

/** A connection for several files, as soon as it is needed. */
interface Kept extends Disposable {
  connection?: KeptConnection
}

/** A file on another computer as the target: it is made beside its place, and gets its name when it is whole. */
export class SshUpload implements UploadTarget {
  readonly isSparse = true
  readonly resumes = true
  readonly #address: SshAddress
  readonly #options: SshOptions
  #kept: Kept | undefined
  #place: SftpPlace | undefined

  /** @param kept a connection that the caller closes. */
  constructor(address: SshAddress, options: SshOptions, kept?: Kept) {
    this.#address = address
    this.#options = options
    this.#kept = kept
  }

  get label(): Label {
    return this.#address.label
  }

  beside(ending: string): SshUpload {
    return new SshUpload(besideAddress(this.#address, ending), this.#options, this.#kept)
  }

  keep(): Disposable {
    this.#kept ??= { [Symbol.dispose]: () => this.#kept?.connection?.[Symbol.dispose]() }
    return this.#kept
  }

  async look(): Promise<StandingObject | undefined> {
    // A connection that is open would keep the program from ending, and it may be that nothing is begun.
    using place = await this.#opened()
    return await place.look()
  }

  async begin({ replaces, earlier, save, isPrivate }: UploadPlan): Promise<Upload> {
    const place = await this.#opened()
    const standing = replaces?.version === undefined ? undefined : { version: replaces.version }
    try {
      if (save === undefined) return await place.begin(standing, isPrivate)
      const { ResumableSshUpload, sshState } = await import('./ssh-resume.js')
      const begun = sshState(earlier)
      const again = begun === undefined ? undefined : await place.beginAgain(standing, begun)
      return new ResumableSshUpload(
        again ?? (await place.begin(standing)),
        save,
        again === undefined ? undefined : begun,
      )
    } catch (error) {
      place[Symbol.dispose]()
      throw error
    }
  }

  async remove(made: UploadedObject): Promise<boolean> {
    using place = await this.#opened()
    if ((await place.standing())?.version !== made.version) return false
    await place.removeMade()
    return true
  }

  // Those who only name such an address load no client.
  async #opened(): Promise<SftpPlace> {
    const { KeptConnection, SftpPlace } = await import('../remote/ssh/sftp-upload.js')
    if (this.#kept !== undefined) this.#kept.connection ??= new KeptConnection()
    const naming = { partialName: (name: HostPath) => partialName(name), isPartialOf }
    this.#place ??= new SftpPlace(this.#address, this.#options, naming, this.#kept?.connection)
    return this.#place
  }
}
