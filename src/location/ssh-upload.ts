import type { Label } from '../errors.js'
import type { SshAddress } from '../remote/ssh/address.js'
import type { SshOptions } from '../remote/ssh/environment.js'
import type { SftpPartial, SftpPlace } from '../remote/ssh/sftp-upload.js'
import { partialName } from './partial.js'
import type { StandingObject, Upload, UploadedObject, UploadPlan, UploadTarget } from './upload.js'

/** A file on another computer as the target: it is made beside its place, and gets its name when it is whole. */
export class SshUpload implements UploadTarget {
  readonly isSparse = true
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
    const place = await this.#opened()
    try {
      return await place.look()
    } finally {
      // A connection that is open would keep the program from ending, and it may be that nothing is begun.
      place[Symbol.dispose]()
    }
  }

  async begin({ replaces }: UploadPlan): Promise<Upload> {
    const place = await this.#opened()
    const version = replaces?.version
    try {
      return new SshFile(await place.begin(version === undefined ? undefined : { version }), place)
    } catch (error) {
      place[Symbol.dispose]()
      throw error
    }
  }

  async remove(made: UploadedObject): Promise<boolean> {
    const place = await this.#opened()
    try {
      if ((await place.standing())?.version !== made.version) return false
      await place.removeMade()
      return true
    } finally {
      place[Symbol.dispose]()
    }
  }

  // Those who only name such an address load no client.
  async #opened(): Promise<SftpPlace> {
    const { SftpPlace } = await import('../remote/ssh/sftp-upload.js')
    this.#place ??= new SftpPlace(this.#address, this.#options, (name) => partialName(name))
    return this.#place
  }
}

class SshFile implements Upload {
  readonly #partial: SftpPartial
  readonly #place: SftpPlace

  constructor(partial: SftpPartial, place: SftpPlace) {
    this.#partial = partial
    this.#place = place
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    await this.#partial.write(position, bytes)
  }

  async commit(size: number): Promise<UploadedObject> {
    const { version } = await this.#partial.commit(size)
    this.#place[Symbol.dispose]()
    return { size, version }
  }

  async abort(): Promise<string | undefined> {
    return await this.#partial.abort()
  }
}
