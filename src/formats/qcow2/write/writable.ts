import type { Work } from '../../../block/work.js'
import { roundUp } from '../../../binary/integers.js'
import type { BlockSource, ByteStore, Extent, Note, Section } from '../../../block/types.js'
import { corrupt, hints, unsupported, usage } from '../../../errors.js'
import type { ImageSnapshot, OpenContext, ParentReference, ParentShape, WritableImage } from '../../driver.js'
import { ClusterMover } from './cluster-mover.js'
import { ClusterWriter } from './cluster-writer.js'
import { compactFile } from './compact.js'
import { bitmapsFit } from '../format/bitmaps.js'
import { hasBit } from '../../../binary/flags.js'
import { readHeader } from '../format/header.js'
import { autoclear } from '../format/structs.js'
import { relinkDisk } from './relink.js'
import { resizeDisk } from './resize.js'
import { removeSnapshot, takeSnapshot } from './snapshot-changes.js'
import { WriteSession } from './write-session.js'

/**
 * One QCOW2 layer, open for changes. Data goes to the file at once; `flush` writes the tables of all that was written
 * since the last, in
 * the order that keeps the file free of errors.
 */
export class WritableQcow2 implements WritableImage {
  readonly format = 'qcow2'
  readonly sectorSize = 512
  readonly #context: OpenContext
  readonly #parent: BlockSource | undefined
  #session: WriteSession
  #clusters: ClusterWriter

  constructor(session: WriteSession, context: OpenContext, parent: BlockSource | undefined) {
    this.#session = session
    this.#context = context
    this.#parent = parent
    this.#clusters = new ClusterWriter(session, parent)
  }

  get parentReference(): ParentReference | undefined {
    return this.#session.image.parentReference
  }

  get subformat(): string {
    return this.#session.image.subformat
  }

  get notes(): readonly Note[] {
    return [...this.#session.image.notes, ...this.#session.notes]
  }

  get capacity(): number {
    return this.#session.image.capacity
  }

  get grain(): number {
    return this.#session.image.grain
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#session.image.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#session.image.read(offset, target)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#change(offset, bytes.length, (done) => this.#clusters.write(offset + done, bytes.subarray(done)))
  }

  discard(offset: number, length: number): void {
    this.#change(offset, length, (done) => this.#clusters.zero(offset + done, length - done))
  }

  flush(): void {
    this.#session.commit()
  }

  /**
   * @throws ImageError usage E_SIZE; unsupported E_NO_RESIZE where snapshots are in the way; reference E_PARENT_NEEDED
   */
  resize(capacity: number): void {
    const rounded = roundUp(capacity, this.sectorSize)
    if (!Number.isSafeInteger(rounded) || capacity < 0) throw usage('E_SIZE', `a disk of ${capacity} bytes cannot be`)
    if (rounded === this.capacity) return
    this.#session.begin(!this.#keepsBitmaps(rounded))
    resizeDisk(this.#session, this.#clusters, rounded, this.#parent)
  }

  /** Whether the bitmaps are right afterwards: what is added to the disk is clear in them, and they are long enough. */
  #keepsBitmaps(capacity: number): boolean {
    const { file, header } = this.#session
    if (!hasBit(header.autoclearFeatures, autoclear.bitmaps) || capacity < this.capacity) return false
    return bitmapsFit(file, header, capacity)
  }

  /**
   * Moves clusters down into unused space, so that the file is shorter when it is closed. Gives how far it is; may be
   * stopped anywhere.
   */
  *compact(): Work<void> {
    // What a guest sees stays as it is.
    this.#session.begin(false)
    yield* compactFile(this.#session, new ClusterMover(this.#clusters.entries))
  }

  relink(parent: ParentShape | undefined): () => void {
    return relinkDisk(this.#session, parent)
  }

  get snapshots(): readonly ImageSnapshot[] {
    return this.#session.image.snapshots
  }

  *takeSnapshot(wanted: { readonly name: string; readonly time: number }): Work<ImageSnapshot> {
    const id = yield* this.#replacing(takeSnapshot(this.#session, wanted))
    const taken = this.snapshots.find((snapshot) => snapshot.id === id)
    if (taken === undefined) throw new TypeError(`the snapshot ${id} was made and is not there`)
    return taken
  }

  *deleteSnapshot(wanted: string): Work<void> {
    yield* this.#replacing(removeSnapshot(this.#session, wanted))
  }

  describe(): Section[] {
    return this.#session.image.describe()
  }

  [Symbol.dispose](): void {
    try {
      this.#session.end()
    } finally {
      this.#session.file[Symbol.dispose]()
    }
  }

  /** Does what leaves the session useless, stopped or not, and goes on with a new one. */
  *#replacing<Result>(steps: Work<Result>): Work<Result> {
    this.#session.commit()
    // What was released last is still counted in the file.
    this.#session.commit()
    try {
      return yield* steps
    } finally {
      const { file } = this.#session
      this.#session = new WriteSession(file, this.#context)
      this.#clusters = new ClusterWriter(this.#session, this.#parent)
    }
  }

  #change(offset: number, length: number, step: (done: number) => number): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.capacity) {
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.capacity} bytes`)
    }
    if (length === 0) return
    this.#session.begin()
    for (let done = 0; done < length;) {
      done += step(done)
      this.#session.relieve()
    }
  }
}

/**
 * Opens one layer to change it; nothing is written before the first change.
 * @param parent the disk below a differencing image.
 * @throws ImageError of the codes that reading has; unsupported E_ENCRYPTED, E_NOT_WRITABLE; corrupt E_MARKED_CORRUPT,
 * E_DIRTY,
 * E_REFCOUNT_TABLE, E_OVERLAP where a change could damage something else
 */
export function openWritableQcow2(file: ByteStore, context: OpenContext, parent?: BlockSource): WritableQcow2 {
  const header = readHeader(file)
  const { name } = file
  if (header.dataFile)
    throw unsupported(
      'E_NOT_WRITABLE',
      `${name} keeps its data in an external file, and such images are not changed in place`,
      { hint: 'Convert it to an image of one file.' },
    )
  if (header.corrupt)
    throw corrupt('E_MARKED_CORRUPT', `${name}: the image is marked corrupt (header byte 72): it is not changed`, {
      hint: hints.repair,
      details: { position: 72 },
    })
  if (header.dirty)
    throw corrupt(
      'E_DIRTY',
      `${name}: the image was not closed cleanly, and its refcounts may be stale (header byte 72): it is not changed`,
      { hint: 'vdisk repair mends it.', details: { position: 72 } },
    )
  if (header.refcountTable.entries === 0)
    throw corrupt(
      'E_REFCOUNT_TABLE',
      `${name}: the image has no refcount table (header byte 56): it cannot be changed`,
      { hint: 'vdisk repair makes one.', details: { position: 56 } },
    )
  const session = new WriteSession(file, context)
  if (session.image.unreadable !== undefined) throw session.image.unreadable
  return new WritableQcow2(session, context, parent)
}
