import { createHash, randomUUID } from 'node:crypto'
import { grouped, refused, targetError, usage, type ImageError, type Label } from '../../errors.js'
import type { Note } from '../../block/types.js'
import type { Upload, UploadedObject, UploadPlan } from '../upload.js'
import type { HttpAddress } from '../../remote/http/address.js'
import type { ReaderOptions } from '../../remote/http/reader-options.js'
import { md5Of, PageBlob } from '../../remote/azure/blob.js'
import { Lanes } from '../../remote/azure/lanes.js'
import { PieceCutter, type PagePiece } from '../../remote/azure/pieces.js'
import { recordMark } from '../../remote/image-note.js'
import { markName, uploadState, type UploadState } from './upload-state.js'

const mebibyte = 1024 * 1024
const footerLength = 512
/** After so many bytes that were sent, what a later run can go on with is kept. */
const stepLength = 16 * mebibyte
/** A blob's metadata has 8 KiB at most, with the mark and their names. */
const longestNote = 7680
/** How often the lease is renewed, in milliseconds: it ends after a minute. */
const renewal = 20_000
/** How long taking back what was begun may last for each request, in milliseconds, and how often it is tried. */
const patience = { milliseconds: 2500, tries: 3 }

interface PageBlobPlan extends UploadPlan {
  readonly isManagedDisk: boolean
}

/**
 * Makes a page blob that others cannot write (a lease) and that is no VHD until it is complete (its footer comes last).
 * @throws ImageError usage E_SIZE; refused E_TARGET_CHANGED; those of {@link PageBlob}.
 */
export async function beginUpload(address: HttpAddress, options: ReaderOptions, plan: PageBlobPlan): Promise<Upload> {
  const { label } = address
  const { size } = plan
  if (size === undefined) throw new TypeError('a fixed VHD whose size is not known')
  if ((size - footerLength) % mebibyte !== 0)
    throw usage('E_SIZE', `${label}: Azure takes disks of whole MiB, and this one has ${size - footerLength} bytes`, {
      hint: 'Use --for azure-gen2 or --for azure-gen1, which rounds it up, or --size.',
      details: { size: size - footerLength },
    })
  const lanes = new Lanes(options.connections)
  const blob = new PageBlob(address, options, { signal: plan.signal, onFailure: () => lanes.slower() })
  try {
    const begun = await begin(blob, size, plan)
    return new PageBlobUpload(blob, lanes, begun, { address, options, plan, size })
  } catch (error) {
    blob[Symbol.dispose]()
    throw error
  }
}

interface Begun {
  readonly mark: string
  readonly lease: string | undefined
  readonly earlier: UploadState | undefined
}

async function begin(blob: PageBlob, size: number, plan: PageBlobPlan): Promise<Begun> {
  const kept = uploadState(plan.earlier)
  const earlier = kept?.size === size ? kept : undefined
  if (plan.isManagedDisk) return await beginManaged(blob, size, plan, earlier)
  const lease = randomUUID()
  const facts = earlier === undefined ? undefined : await blob.facts()
  if (earlier !== undefined && facts?.size === size && facts.marks[markName] === earlier.mark) {
    const taken = (await blob.takeLeaseOver(earlier.lease, lease)) || (await blob.lease(lease))
    if (!taken) throw leasedByOthers(blob.label)
    plan.save?.({ ...earlier, lease } satisfies UploadState)
    await blob.clear(earlier.sent, size - earlier.sent, lease)
    return { mark: earlier.mark, lease, earlier }
  }
  const mark = randomUUID()
  await blob.create(size, [markName, mark], plan.replaces?.version)
  if (!(await blob.lease(lease))) throw leasedByOthers(blob.label)
  return { mark, lease, earlier: undefined }
}

/** A disk that waits for its content is there, and can neither be marked nor leased. */
async function beginManaged(
  blob: PageBlob,
  size: number,
  { replaces }: PageBlobPlan,
  earlier: UploadState | undefined,
): Promise<Begun> {
  const facts = await blob.facts()
  if (facts?.size !== size) throw otherSize(blob.label, facts?.size, size)
  const kept = earlier?.sent ?? 0
  if (earlier !== undefined || replaces !== undefined) await blob.clear(kept, size - kept, undefined)
  return { mark: '', lease: undefined, earlier }
}

function otherSize(label: Label, found: number | undefined, wanted: number): ImageError {
  return targetError(
    'E_TARGET_SIZE',
    `${label} was made for a file of ${found ?? 'no'} bytes, and the fixed VHD has ${wanted}`,
    { hint: `Make the disk with --upload-size-bytes ${wanted}.`, details: { size: found, wanted } },
  )
}

function leasedByOthers(label: Label): ImageError {
  return refused('E_TARGET_CHANGED', `${label}: another program has it (it holds the lease)`, {
    hint: 'Wait for it: the lease of a program that was killed ends after a minute.',
  })
}

/** What an upload is asked for with. */
interface Given {
  readonly address: HttpAddress
  readonly options: ReaderOptions
  readonly plan: PageBlobPlan
  readonly size: number
}

/** JSON in the characters that headers may have. */
function inAscii(json: string): string {
  return json.replaceAll(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

class PageBlobUpload implements Upload {
  readonly resumed: number
  readonly #blob: PageBlob
  readonly #lanes: Lanes
  readonly #begun: Begun
  readonly #given: Given
  readonly #cutter = new PieceCutter()
  readonly #footer = new Uint8Array(footerLength)
  readonly #timer: NodeJS.Timeout
  /** Ends of pieces that are begun, in order, with the digest of everything up to there. */
  readonly #open: { readonly end: number; readonly digest: string; done: boolean }[] = []
  /** Of all pieces so far, and where the last one ends. */
  #digest = ''
  #position = 0
  #sentTo: { readonly end: number; readonly digest: string } | undefined
  #kept: number

  constructor(blob: PageBlob, lanes: Lanes, begun: Begun, given: Given) {
    this.#blob = blob
    this.#lanes = lanes
    this.#begun = begun
    this.#given = given
    this.resumed = this.#kept = begun.earlier?.sent ?? 0
    this.#timer = setInterval(() => void this.#renew(), renewal)
    this.#timer.unref()
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    const dataEnd = this.#given.size - footerLength
    const data = bytes.subarray(0, Math.max(0, Math.min(bytes.length, dataEnd - position)))
    for (const piece of this.#cutter.take(position, data)) await this.#send(piece)
    if (data.length < bytes.length) this.#footer.set(bytes.subarray(data.length), position + data.length - dataEnd)
  }

  async commit(size: number): Promise<UploadedObject> {
    const { lease } = this.#begun
    if (size !== this.#given.size) throw new TypeError(`${size} bytes, and ${this.#given.size} were planned`)
    for (const piece of this.#cutter.rest()) await this.#send(piece)
    await this.#lanes.settled()
    if (this.#position < this.resumed) throw this.#otherSource()
    const notes = await this.#carryNote()
    const version = await this.#blob.put(size - footerLength, this.#footer, md5Of(this.#footer), lease)
    clearInterval(this.#timer)
    if (lease !== undefined) await this.#blob.endLease(lease)
    this.#blob[Symbol.dispose]()
    return { size, version, notes }
  }

  async abort(): Promise<string | undefined> {
    const { address, options, plan } = this.#given
    const { lease } = this.#begun
    clearInterval(this.#timer)
    this.#blob[Symbol.dispose]()
    await this.#lanes.ended()
    const { label } = this.#blob
    using blob = new PageBlob(address, { ...options, milliseconds: patience.milliseconds })
    try {
      this.#keep()
      if (plan.save !== undefined && this.#kept > 0) {
        if (lease !== undefined) await blob.endLease(lease, patience.tries)
        return `The first ${grouped(this.#kept)} bytes are kept in ${label}: run the same command again to go on.`
      }
      if (lease === undefined) return `${label} holds a part of the new disk, and is no VHD: write it again.`
      if (await blob.remove({ lease }, patience.tries))
        return plan.replaces === undefined
          ? undefined
          : `What was begun at ${label} is removed; so is what stood there.`
    } catch {
      // What ended the upload is the cause, and is reported.
    }
    return `${label} could not be removed: it holds a part of the new disk, and is no VHD.`
  }

  /** Puts the note beside the mark, before the footer makes it a VHD. */
  async #carryNote(): Promise<readonly Note[]> {
    const { mark, lease } = this.#begun
    const note = this.#given.plan.note?.()
    if (note === undefined || lease === undefined) return []
    const value = inAscii(note)
    if (value.length <= longestNote) {
      await this.#blob.setMarks({ [markName]: mark, [recordMark]: value }, lease)
      return []
    }
    return [
      {
        code: 'W_NO_RECORD',
        message:
          `${this.#blob.label} carries at most ${longestNote} characters, and the record of the disk has ` +
          `${value.length}: it is not kept there`,
      },
    ]
  }

  /** Sends what an earlier run has not sent. */
  async #send(piece: PagePiece): Promise<void> {
    const { position, bytes } = piece
    const end = position + bytes.length
    const md5 = md5Of(bytes)
    this.#position = end
    this.#digest = createHash('sha256').update(`${this.#digest} ${position} `).update(md5).digest('hex')
    if (end <= this.resumed) {
      if (end === this.resumed && this.#digest !== this.#begun.earlier?.digest) throw this.#otherSource()
      return
    }
    if (position < this.resumed) throw this.#otherSource()
    await this.#lanes.free()
    const open = { end, digest: this.#digest, done: false }
    this.#open.push(open)
    this.#lanes.begin(
      this.#blob.put(position, bytes, md5, this.#begun.lease).then(() => {
        open.done = true
        this.#advance()
      }),
    )
  }

  #otherSource(): ImageError {
    return refused('E_RESUME_SOURCE', `what was sent to ${this.#blob.label} before has other bytes than are read now`, {
      hint: 'Use --force, without --resume, to begin anew.',
    })
  }

  /** Finds out how far everything is sent, and keeps that now and then. */
  #advance(): void {
    while (this.#open[0]?.done === true) this.#sentTo = this.#open.shift()
    if ((this.#sentTo?.end ?? 0) - this.#kept >= stepLength) this.#keep()
  }

  #keep(): void {
    const { plan, size } = this.#given
    const { mark, lease = '' } = this.#begun
    if (this.#sentTo === undefined || plan.save === undefined) return
    const { end, digest } = this.#sentTo
    plan.save({ mark, lease, size, sent: end, digest } satisfies UploadState)
    this.#kept = end
  }

  async #renew(): Promise<void> {
    const { lease } = this.#begun
    if (lease === undefined) return
    try {
      await this.#blob.renewLease(lease)
    } catch (error) {
      this.#lanes.fail(error)
    }
  }
}
