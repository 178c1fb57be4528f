import type { BadRun } from '../../block/salvage.js'
import type { CopyTarget } from '../../block/image-writer.js'
import type { BlockSource, Note } from '../../block/types.js'
import type { BlockDigests, PartDigests } from '../../engine/copy.js'
import type { CopyJournal, CopyResult } from '../../engine/index.js'
import { ImageError, isImageError, refused } from '../../errors.js'
import { Checkpoints } from './checkpoints.js'
import { recordDifference, sourceDifference, type SourceFacts } from './facts.js'
import type { JournalFile } from './journal-file.js'
import { ItemWriter, JournalFault } from './journal-items.js'
import { replay, SourceFault, type JournaledStore } from './replay.js'
import { isJsonObject } from '../../binary/json-object.js'

/** What a journal says of the run that began it. All of it decides the bytes of the target. */
export interface JournalFacts {
  readonly schema: 'vdisk.journal'
  readonly schemaVersion: 1
  /** The version of vdisk: another one may put things elsewhere. */
  readonly version: string
  /** The name that the target is to have, or the device. */
  readonly target: string
  /** Of the partial names: `.disk.qcow2.partial-ID`; of a device it has no meaning. */
  readonly id: string
  readonly identity: { readonly uuid: string; readonly time: number }
  readonly source: SourceFacts
  readonly options: Readonly<Record<string, string>>
}

/** What is known when the work begins. */
export type GivenFacts = Pick<JournalFacts, 'version' | 'identity' | 'source' | 'options'>

/** A file that is complete. Decimal numbers. */
export interface PlacedFile {
  readonly name: string
  readonly inode: string
  readonly size: string
}

/** Thrown where nothing that is left can be used: the work begins anew. */
export class StartAgain extends Error {}

export interface SessionEnd {
  /**
   * Is given what takes the journal of a finished target away: a program does so when it ends, so that one that is
   * killed before it could say that all went well finds out when it is run again. Default: at once.
   */
  readonly forgetLater?: (forget: () => void) => void
}

/** Work that fills a target. */
export interface JournaledWork {
  readonly source: BlockSource
  readonly digests?: BlockDigests
  readonly parts?: PartDigests
  readonly salvage?: { readonly bad: readonly BadRun[]; restore(run: BadRun): void }
  readonly copy: (journal: CopyJournal) => Promise<CopyResult>
  /** Waits for what goes on beside the copy. */
  readonly settled?: () => Promise<void>
}

/**
 * What lets the filling of a target be gone on with: a journal, found or new, and the checks that what is asked for is
 * what was begun. It belongs to one process at a time.
 */
export abstract class JournaledTarget implements Disposable {
  readonly notes: Note[] = []
  protected journal: JournalFile | undefined
  protected facts: JournalFacts | undefined
  protected found = false
  protected readonly forgetLater: SessionEnd['forgetLater']
  /** Whether it is known what of an earlier run can be used. */
  #used = false
  #recorded = 0
  #checkpoints: Checkpoints | undefined

  constructor({ forgetLater }: SessionEnd) {
    this.forgetLater = forgetLater
  }

  /** What an earlier run left, for messages, and how to begin anew. */
  protected abstract readonly left: string
  protected abstract readonly anew: string

  /** Begins a journal. */
  protected abstract create(given: GivenFacts): void

  /** The ids and the time that the target has in any case; undefined where nothing is gone on with. */
  get identity(): JournalFacts['identity'] | undefined {
    return this.found ? this.facts?.identity : undefined
  }

  /** Whether an earlier run left something. */
  get remakes(): boolean {
    return this.found
  }

  /** Bytes of the disk that were taken from an earlier run. */
  get recorded(): number {
    return this.#recorded
  }

  /** Whether what is there stays when the work fails. */
  get keeps(): boolean {
    return this.journal !== undefined && (this.#kept > 0 || (this.found && !this.#used))
  }

  /**
   * Holds what is asked for against what an earlier run began, or begins a journal.
   * @throws ImageError refused E_RESUME_SOURCE, E_RESUME_OPTIONS.
   */
  begin(given: GivenFacts): void {
    if (this.facts === undefined) this.create(given)
    else this.#compare(this.facts, given)
  }

  /** Fills what is not filled yet; whatever ends it, what was written is recorded. */
  async fill(
    writer: CopyTarget,
    stores: () => readonly JournaledStore[],
    { source, digests, parts, salvage, copy, settled }: JournaledWork,
  ): Promise<CopyResult> {
    const journal = this.opened
    const start = this.#replayed(() =>
      replay({ journal, writer, source, stores, digests, parts, bad: (run) => salvage?.restore(run) }),
    )
    this.#recorded = start
    this.#used = true
    const checkpoints = new Checkpoints({
      journal,
      start,
      source,
      stores,
      flush: async () => {
        await settled?.()
        await Promise.all(stores().map(flushed))
      },
      bad: (offset, end) => (salvage?.bad ?? []).filter((run) => run.offset >= offset && run.offset < end),
    })
    this.#checkpoints = checkpoints
    let result: CopyResult
    try {
      result = await copy(checkpoints)
    } catch (error) {
      try {
        await checkpoints.settle()
      } catch {
        // What ended the copy is the cause, and is reported.
      }
      throw error
    }
    await checkpoints.settle()
    return result
  }

  /** All is complete, and gets its name, or its first bytes, now. @throws ImageError target. */
  async placing(files: readonly PlacedFile[]): Promise<void> {
    const items = new ItemWriter(0)
    items.add({ kind: 'placing', text: JSON.stringify(files) })
    this.opened.append(items.finish())
    await this.opened.flush()
  }

  /** A target that is wrong cannot be gone on with. */
  end(): void {
    this.journal?.remove()
    this.journal = undefined
  }

  /** A target that is in place needs no journal any more. */
  finished(): void {
    const { journal } = this
    this.journal = undefined
    if (this.forgetLater === undefined) journal?.remove()
    else this.forgetLater(() => journal?.remove())
  }

  /** Makes an error's hint say that the work can be gone on with. */
  explained(error: unknown): unknown {
    if (!this.keeps || this.#kept === 0 || !isImageError(error)) return error
    const { kind, code, message, hint, details } = error
    const how =
      `The first ${this.#kept} bytes of the disk are kept in ${this.left}: ` + 'run the same command again to go on.'
    return new ImageError(kind, code, message, {
      hint: hint === undefined ? how : `${hint} ${how}`,
      details,
      cause: error,
    })
  }

  [Symbol.dispose](): void {
    if (!this.keeps) this.end()
    this.journal?.[Symbol.dispose]()
    this.journal = undefined
  }

  /** Nothing of what is left is used: another session begins anew. */
  startAgain(reason: string): void {
    this.notes.push({
      code: 'W_STARTED_AGAIN',
      message:
        `what an earlier run left in ${this.left} was not used, because its journal cannot be of it (${reason}): ` +
        'it begins anew',
    })
    this.#recorded = 0
    this.#checkpoints = undefined
    this.end()
  }

  protected get opened(): JournalFile {
    if (this.journal === undefined) throw new TypeError('the work was not begun')
    return this.journal
  }

  get #kept(): number {
    return Math.max(this.#recorded, this.#checkpoints?.recorded ?? 0)
  }

  #compare(before: JournalFacts, given: GivenFacts): void {
    const source = sourceDifference(before.source, given.source)
    if (source !== undefined) throw this.#otherSource(source)
    const { uuid, time } = before.identity
    const option = recordDifference(
      { version: before.version, ...before.options, uuid, time: String(time) },
      {
        version: given.version,
        ...given.options,
        uuid: given.identity.uuid,
        time: String(given.identity.time),
      },
    )
    if (option !== undefined)
      throw refused('E_RESUME_OPTIONS', `${this.left} was begun with other options: ${option}`, {
        hint: `Give what was given then. ${this.anew}`,
      })
  }

  #otherSource(difference: string): ImageError {
    return refused('E_RESUME_SOURCE', `the source is not what it was when ${this.left} was begun: ${difference}`, {
      hint: this.anew,
    })
  }

  /** @throws StartAgain; ImageError refused E_RESUME_SOURCE. */
  #replayed(work: () => number): number {
    try {
      const start = work()
      const { tail } = this.opened
      if (tail > 0)
        this.notes.push({
          code: 'W_JOURNAL_CUT',
          message: `the last ${tail} bytes of the journal are not whole, and what they spoke of is done again`,
        })
      return start
    } catch (error) {
      if (error instanceof SourceFault) throw this.#otherSource(error.message)
      if (!(error instanceof JournalFault || error instanceof RangeError || error instanceof TypeError)) throw error
      throw new StartAgain(error.message, { cause: error })
    }
  }
}

async function flushed(store: JournaledStore): Promise<void> {
  if (store.flushLater === undefined) store.flush()
  else await store.flushLater()
}

/** Facts that are all there. */
export function factsOf(value: unknown): JournalFacts | undefined {
  const facts = value as Partial<JournalFacts> | undefined
  if (!isJsonObject(facts) || facts.schema !== 'vdisk.journal') return undefined
  const { id, target, version, identity, source, options } = facts
  const whole =
    typeof id === 'string' &&
    /^[0-9a-f]{8,16}$/.test(id) &&
    typeof target === 'string' &&
    typeof version === 'string' &&
    isJsonObject(identity) &&
    typeof identity.uuid === 'string' &&
    Number.isSafeInteger(identity.time) &&
    isJsonObject(source) &&
    Array.isArray(source.files) &&
    source.files.every(isJsonObject) &&
    isJsonObject(options)
  return whole ? (facts as JournalFacts) : undefined
}
