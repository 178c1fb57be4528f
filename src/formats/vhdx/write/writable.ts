import { eachPiece } from '../../../block/pieces.js'
import type { Work } from '../../../block/work.js'
import { roundUp } from '../../../binary/integers.js'
import type { BlockSource, ByteStore, Extent, Note, Section } from '../../../block/types.js'
import { usage } from '../../../errors.js'
import type { OpenContext, ParentReference, ParentShape, WritableImage } from '../../driver.js'
import { BlockWriter } from './block-writer.js'
import { compactFile } from './compact.js'
import { readHeader } from '../format/header.js'
import { readVhdxFile } from '../format/structures.js'
import { relinkDisk } from './relink.js'
import { replayIntoFile } from '../format/replay.js'
import { resizeDisk } from './resize.js'
import { maximumCapacity } from '../format/structs.js'
import { WriteSession } from './write-session.js'

/**
 * Metadata sectors that may wait for the log. One change of a block adds fewer than 40, and an entry holds 252 in the
 * smallest log.
 */
const mostPending = 128

/**
 * One VHDX layer, open for changes. Payload goes to the file at once, metadata through the log: `flush` writes one log
 * entry for all that
 * was written since the last, where any is needed, and makes both durable. Closing brings the metadata to its place and
 * empties the log.
 */
export class WritableVhdx implements WritableImage {
  readonly format = 'vhdx'
  readonly notes: readonly Note[]
  readonly #session: WriteSession
  readonly #parent: BlockSource | undefined
  readonly #blocks: BlockWriter

  constructor(session: WriteSession, notes: readonly Note[], parent: BlockSource | undefined) {
    this.#session = session
    this.#parent = parent
    this.notes = notes
    this.#blocks = new BlockWriter(session, parent)
  }

  get parentReference(): ParentReference | undefined {
    return this.#session.layer.image.parentReference
  }

  get subformat(): string {
    return this.#session.layer.image.subformat
  }

  get capacity(): number {
    return this.#session.layer.image.capacity
  }

  get sectorSize(): 512 | 4096 {
    return this.#session.layer.image.sectorSize
  }

  get grain(): number {
    return this.#session.layer.image.grain
  }

  /** DataWriteGuid; another after the first change. */
  get identity(): string {
    return this.#session.identity
  }

  get nextIdentity(): string {
    return this.#session.nextIdentity
  }

  relink(parent: ParentShape | undefined): () => void {
    return relinkDisk(this.#session, this.#blocks, parent)
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#session.layer.image.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#session.layer.image.read(offset, target)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#eachBlock(offset, bytes.length, (block, within, done, length) =>
      this.#blocks.write(block, within, bytes.subarray(done, done + length)),
    )
  }

  discard(offset: number, length: number): void {
    this.#eachBlock(offset, length, (block, within, _, piece) => this.#blocks.zero(block, within, piece))
  }

  flush(): void {
    this.#session.commit()
  }

  /** @throws ImageError usage E_SIZE above 64 TiB; target E_NO_SPACE */
  resize(capacity: number): void {
    const rounded = roundUp(capacity, this.sectorSize)
    if (!Number.isSafeInteger(capacity) || capacity < 0 || rounded > maximumCapacity)
      throw usage('E_SIZE', `a VHDX holds at most 64 TiB (${maximumCapacity} bytes), not ${capacity}`)
    if (rounded === this.capacity) return
    this.#session.begin(true)
    resizeDisk(this.#session, this.#blocks, rounded, this.#parent)
  }

  /**
   * Moves blocks down into unused space, so that the file is shorter when it is closed. Gives how far it is; may be
   * stopped anywhere.
   */
  *compact(): Work<void> {
    this.#session.begin(false)
    yield* compactFile(this.#session)
  }

  describe(): Section[] {
    return this.#session.read().image.describe()
  }

  [Symbol.dispose](): void {
    try {
      this.#session.end()
    } finally {
      this.#session.file[Symbol.dispose]()
    }
  }

  #eachBlock(
    offset: number,
    length: number,
    visit: (block: number, within: number, done: number, length: number) => void,
  ): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.capacity) {
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.capacity} bytes`)
    }
    if (length === 0) return
    this.#session.begin(true)
    const { blockSize } = this.#session.layer.structures.geometry
    eachPiece(offset, length, blockSize, (block, within, done, piece) => {
      visit(block, within, done, piece)
      if (this.#session.journal.pendingSectors > mostPending) this.#session.commit()
    })
  }
}

/**
 * Opens one layer to change it. What its log holds is brought into the file first; nothing else is written before the
 * first change.
 * @param parent the disk below a differencing image.
 * @throws ImageError of the codes that reading has; corrupt E_OVERLAP where a change could damage something else; usage
 * E_OPTIONS
 */
export function openWritableVhdx(file: ByteStore, context: OpenContext, parent?: BlockSource): WritableVhdx {
  if (context.options['ignore-log'] === true)
    throw usage('E_OPTIONS', `${file.name}: an image that is to be changed cannot be opened with its log ignored`)
  const header = readHeader(file, [])
  const notes: Note[] = []
  if (header.dirty) {
    // Opened as it will be, in memory: an image that does not open is left as it is.
    const { notes: found, structures } = readVhdxFile(file, context)
    notes.push(...found)
    if (structures.replay !== undefined) replayIntoFile(file, header, structures.replay)
  }
  const session = new WriteSession(file, context.keepsContent)
  return new WritableVhdx(session, header.dirty ? notes : session.notes, parent)
}
