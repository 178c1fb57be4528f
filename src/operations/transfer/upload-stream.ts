import { isZero } from '../../binary/zero.js'
import type { StandingObject, Upload, UploadedObject, UploadImage, UploadTarget } from '../../location/upload.js'
import type { UploadSession } from '../resume/upload-session.js'
import type { OutputStream } from './sink-stream.js'

/** Zeros are left out in pieces of this many bytes, where the target has them already. */
const zeroPiece = 65536
/** What an image may need besides its disk, in bytes: tables, and what does not get smaller. */
const mostTables = 16 * 1024 * 1024

/** Most bytes that an image of a disk takes, an estimate from above. @param capacity bytes of the disk. */
export function mostOf(capacity: number): number {
  return Math.ceil(capacity * 1.01) + mostTables
}

interface UploadStreamOptions {
  /** What an earlier run began, and what a later one can go on with. */
  readonly upload?: UploadSession
  /** What the object is to carry, where it can. */
  readonly note?: () => string
  readonly isPrivate?: boolean
  readonly signal?: AbortSignal
}

/** An upload as a stream: it is begun with the first byte. */
export class UploadStream implements OutputStream {
  readonly name: string
  readonly fileName: string | undefined
  readonly zeros: OutputStream['zeros']
  /** No more bytes will come. */
  most = 0
  standing: StandingObject | undefined
  made: UploadedObject | undefined
  image: UploadImage | undefined
  readonly #target: UploadTarget
  readonly #options: UploadStreamOptions
  #upload: Upload | undefined
  #position = 0

  constructor(target: UploadTarget, fileName: string | undefined, options: UploadStreamOptions) {
    this.name = target.label
    this.fileName = fileName
    this.#target = target
    this.#options = options
    if (target.isSparse === true)
      this.zeros = (length) => {
        this.#position += length
        return Promise.resolve()
      }
  }

  /** Bytes that an earlier run had sent. */
  get resumed(): number {
    return this.#upload?.resumed ?? 0
  }

  readonly planned = async (size: number | undefined): Promise<void> => {
    const { signal, upload: session, note, isPrivate } = this.#options
    this.#upload = await this.#target.begin({
      size,
      image: this.image,
      most: size ?? this.most,
      replaces: this.standing,
      earlier: session?.earlier,
      save: session === undefined ? undefined : (state) => session.save(state),
      note,
      isPrivate,
      signal,
    })
  }

  readonly output = async (bytes: Uint8Array): Promise<void> => {
    if (this.#upload === undefined) await this.planned(undefined)
    if (this.zeros === undefined) await this.#upload?.write(this.#position, bytes)
    else await this.#writeStored(bytes)
    this.#position += bytes.length
  }

  async commit(): Promise<void> {
    // An image may have no byte.
    if (this.#upload === undefined) await this.planned(0)
    this.made = await this.#upload?.commit(this.#position)
    this.#options.upload?.forget()
  }

  /** @returns what is left, a sentence. */
  async takeBack(): Promise<string | undefined> {
    if (this.#upload === undefined || this.made !== undefined) return undefined
    return await this.#upload.abort()
  }

  async #writeStored(bytes: Uint8Array): Promise<void> {
    let start = 0
    while (start < bytes.length) {
      const pieceEnd = (at: number): number =>
        Math.min(bytes.length, at + zeroPiece - ((this.#position + at) % zeroPiece))
      let end = start
      while (end < bytes.length && !isZero(bytes.subarray(end, pieceEnd(end)))) end = pieceEnd(end)
      if (end > start) await this.#upload?.write(this.#position + start, bytes.subarray(start, end))
      start = end < bytes.length ? pieceEnd(end) : end
    }
  }
}
