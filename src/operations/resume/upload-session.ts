import { printable, refused } from '../../errors.js'
import type { Location } from '../../location/location.js'
import { writeWhole } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { takeLockFile, type LockFile } from './lock-file.js'
import { resumeFile } from './resume-folder.js'

/** What decides the bytes of an image besides its source and the options. */
interface Identity {
  readonly uuid: string
  readonly time: number
}

/** What is kept of an upload, a file of JSON. */
interface Kept {
  readonly schema: 'vdisk.upload'
  readonly schemaVersion: 1
  readonly identity: Identity
  /** The target's own. */
  readonly state: unknown
}

/**
 * What lets an upload be gone on with: a file of this computer, in the folder for state, which says what the server was
 * given. An image is made anew with the ids and the time that it had, and what the server has already is compared with
 * it and not sent again: nothing in this file is believed.
 */
export class UploadSession implements Disposable {
  readonly #path: string
  readonly #lock: LockFile
  readonly #found: Kept | undefined
  #identity: Identity | undefined

  /**
   * Takes the target for this run alone, where the system has locks: two that go on with one upload would both write
   * to it. @throws ImageError refused E_RESUME_BUSY; target where the folder for state cannot be written.
   */
  constructor({ id, label }: Location) {
    this.#path = resumeFile('upload', id, 'json')
    const lock = takeLockFile(resumeFile('upload', id, 'lock'))
    if (lock === 'busy')
      throw refused('E_RESUME_BUSY', `another process is uploading to ${label} with --resume`, {
        hint: 'Wait for it, or stop it.',
        details: { session: printable(this.#path) },
      })
    this.#lock = lock
    this.#found = keptIn(this.#path)
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]()
  }

  /** The ids and the time that the image has in any case; undefined where nothing is gone on with. */
  get identity(): Identity | undefined {
    return this.#found?.identity
  }

  /** What the target kept. */
  get earlier(): unknown {
    return this.#found?.state
  }

  begin({ uuid, time }: Identity): void {
    this.#identity = { uuid, time }
  }

  /** Keeps what the target can go on with; whole at any moment. @throws ImageError target. */
  save(state: unknown): void {
    if (this.#identity === undefined) throw new TypeError('the upload was not begun')
    const kept: Kept = { schema: 'vdisk.upload', schemaVersion: 1, identity: this.#identity, state }
    // What a crash of the system loses is sent once more.
    writeWhole(this.#path, JSON.stringify(kept), 0o600, false)
  }

  /** Nothing is left to be gone on with. */
  forget(): void {
    fs.removeFileSync(this.#path)
  }
}

/** A file that cannot be read as one of these is not one: it is written anew. */
function keptIn(path: string): Kept | undefined {
  let kept: Partial<Kept> | null
  try {
    kept = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<Kept> | null
  } catch {
    return undefined
  }
  const { schema, schemaVersion, identity } = kept ?? {}
  const isOurs = schema === 'vdisk.upload' && schemaVersion === 1
  if (!isOurs || typeof identity?.uuid !== 'string' || !Number.isSafeInteger(identity.time)) return undefined
  return kept as Kept
}
