import { createHash } from 'node:crypto'
import { grouped, printable, refused, type HostPath, type ImageError } from '../errors.js'
import { PieceCutter, type PagePiece } from '../remote/azure/pieces.js'
import type { SftpPartial } from '../remote/ssh/sftp-upload.js'
import type { Upload, UploadedObject, UploadPlan } from './upload.js'

/** After so many bytes that were sent, what a later run can go on with is flushed there, and kept. */
const stepLength = 32 * 1024 * 1024

/** What a later run goes on with. */
interface State {
  /** The name of the unfinished file. */
  readonly partial: HostPath
  /** Up to which byte everything was sent and flushed, and the digest of it. */
  readonly sent: number
  readonly digest: string
}

/** What an earlier run kept, where it is whole. */
export function sshState(kept: unknown): State | undefined {
  const { partial, sent, digest } = (kept ?? {}) as Partial<State>
  const isWhole = typeof partial === 'string' && typeof digest === 'string' && Number.isSafeInteger(sent)
  return isWhole && sent !== undefined && sent >= 0 ? { partial, sent, digest } : undefined
}

/** A file that is being written by SFTP, and stays when it cannot be completed: a later run goes on with it. */
export class ResumableSshUpload implements Upload {
  readonly resumed: number
  readonly #partial: SftpPartial
  readonly #save: NonNullable<UploadPlan['save']>
  readonly #earlier: State | undefined
  readonly #cutter = new PieceCutter()
  /** Of all pieces so far, and where the last one ends. */
  #digest = ''
  #position = 0
  #kept: number
  #isOther = false

  /** @param earlier what of an earlier run the file holds. */
  constructor(partial: SftpPartial, save: NonNullable<UploadPlan['save']>, earlier: State | undefined) {
    this.#partial = partial
    this.#save = save
    this.#earlier = earlier
    this.resumed = this.#kept = earlier?.sent ?? 0
    this.#save({ partial: partial.name, sent: this.resumed, digest: earlier?.digest ?? '' } satisfies State)
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    for (const piece of this.#cutter.take(position, bytes)) await this.#send(piece)
  }

  /** @throws ImageError also refused E_RESUME_SOURCE. */
  async commit(size: number): Promise<UploadedObject> {
    for (const piece of this.#cutter.rest()) await this.#send(piece)
    if (this.#position < this.resumed) throw this.#otherSource()
    return await this.#partial.commit(size)
  }

  async abort(): Promise<string | undefined> {
    // What another source left is of no use, and so is nothing.
    if (this.#isOther || this.#kept === 0) return await this.#partial.abort()
    await this.#partial.leave()
    return (
      `The first ${grouped(this.#kept)} bytes are kept in ${JSON.stringify(printable(this.#partial.name))} beside ` +
      'the target: run the same command again to go on.'
    )
  }

  /** Sends what an earlier run has not sent. */
  async #send({ position, bytes }: PagePiece): Promise<void> {
    const end = position + bytes.length
    this.#position = end
    this.#digest = createHash('sha256').update(`${this.#digest} ${position} `).update(bytes).digest('hex')
    if (end <= this.resumed) {
      if (end === this.resumed && this.#digest !== this.#earlier?.digest) throw this.#otherSource()
      return
    }
    if (position < this.resumed) throw this.#otherSource()
    await this.#partial.write(position, bytes)
    if (end - this.#kept < stepLength || !(await this.#partial.flushed(end))) return
    this.#save({ partial: this.#partial.name, sent: end, digest: this.#digest } satisfies State)
    this.#kept = end
  }

  #otherSource(): ImageError {
    this.#isOther = true
    return refused('E_RESUME_SOURCE', 'what was sent to the target before has other bytes than are read now', {
      hint: 'Run the command again: the unfinished file is removed, and it begins anew.',
    })
  }
}
