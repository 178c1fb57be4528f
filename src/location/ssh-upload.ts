import type { Label } from '../errors.js'
import type { SshAddress } from '../remote/ssh/address.js'
import type { SshOptions } from '../remote/ssh/environment.js'
import type { SftpPlace } from '../remote/ssh/sftp-upload.js'
import { isPartialOf, partialName } from './partial.js'
import type { StandingObject, Upload, UploadedObject, UploadPlan, UploadTarget } from './upload.js'

/** A file on another computer as the target: it is made beside its place, and gets its name when it is whole. */
export class SshUpload implements UploadTarget {
  readonly isSparse = true
  readonly resumes = true
  readonly #address: SshAddress
  readonly #options: SshOptions
  #place: SftpPlace | undefined

  constructor(address: SshAddress, options: SshOptions) {
    this.#address = address
    this.#options = options
  }

  get label(): Label {
    return this.#address.label
  }

  async look(): Promise<StandingObject | undefined> {
    // A connection that is open would keep the program from ending, and it may be that nothing is begun.
    using place = await this.#opened()
    return await place.look()
  }

  async begin({ replaces, earlier, save }: UploadPlan): Promise<Upload> {
    const place = await this.#opened()
    const standing = replaces?.version === undefined ? undefined : { version: replaces.version }
    try {
      if (save === undefined) return await place.begin(standing)
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
    const { SftpPlace } = await import('../remote/ssh/sftp-upload.js')
    this.#place ??= new SftpPlace(this.#address, this.#options, {
      partialName: (name) => partialName(name),
      isPartialOf,
    })
    return this.#place
  }
}
