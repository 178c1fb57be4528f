import type { Work } from '../../../block/work.js'
import { bitmapState, payloadState } from '../format/entries.js'
import { mebibyte } from '../format/structs.js'
import type { WriteSession } from './write-session.js'

/** Places that are looked at together, from the file's end down: those in 1 TiB of it, at most a million. */
const windowLength = 2 ** 40
/** Bytes that are copied between two commits. */
const copiedAtOnce = 256 * mebibyte

interface Moved {
  readonly kind: 'payload' | 'bitmap'
  readonly index: number
  readonly position: number
}

/**
 * Moves blocks from the file's end into unused space before them; the end is cut off when the session ends. A block is
 * copied, then the
 * entry that leads to the copy is committed, and only then its old place is used again: a crash finds it in one place
 * or the other.
 * What the guest sees does not change, nor does DataWriteGuid. Gives the bytes looked at between commits. The session
 * has begun.
 */
export function* compactFile(session: WriteSession): Work<void> {
  session.commit()
  session.cutEnd()
  const compactor = new Compactor(session)
  compactor.dropBitmaps()
  const total = session.space.usedEnd
  for (let high = total; high > 0 && !compactor.isDone(); high = Math.max(0, high - windowLength)) {
    for (const place of placesIn(session, Math.max(0, high - windowLength), high)) {
      if (compactor.isDone()) break
      if (compactor.move(place)) yield { done: total - place.position, total }
    }
  }
  compactor.commit()
  yield { done: total, total }
}

class Compactor {
  readonly #session: WriteSession
  /** Old places of sector bitmaps: free when no log entry can bring their sectors back. */
  readonly #retired: number[] = []
  /** Kinds of which none found a place. Those that come lie further down: they find none either. */
  readonly #stuck = new Set<'payload' | 'bitmap'>()
  readonly #piece = new Uint8Array(mebibyte)
  #copied = 0

  constructor(session: WriteSession) {
    this.#session = session
  }

  /** Whether nothing that is left can move. */
  isDone(): boolean {
    return (
      this.#stuck.has('payload') && (this.#stuck.has('bitmap') || !this.#session.layer.structures.geometry.differencing)
    )
  }

  /** Releases the sector bitmaps of chunks without a partly present block. */
  dropBitmaps(): void {
    const {
      table,
      structures: { geometry },
    } = this.#session.layer
    if (!geometry.differencing) return
    const isPartial = (block: number): boolean => table.state(block) === payloadState.partiallyPresent
    for (let chunk = 0; chunk < geometry.chunks; chunk++) {
      if (!table.hasBitmap(chunk)) continue
      const end = Math.min((chunk + 1) * geometry.chunkRatio, geometry.payloadBlocks)
      let block = chunk * geometry.chunkRatio
      while (block < end && !isPartial(block)) block++
      if (block < end) continue
      this.#retired.push(table.bitmapPosition(chunk, block))
      table.setBitmap(chunk, bitmapState.notPresent, 0)
      this.#commitSometimes()
    }
    this.commit()
  }

  /** Moves one block down, if there is room. Says whether that was committed, and with it what came before. */
  move({ kind, index, position }: Moved): boolean {
    const {
      space,
      file,
      journal,
      layer: {
        table,
        structures: { geometry },
      },
    } = this.#session
    if (this.#stuck.has(kind)) return false
    const length = kind === 'payload' ? geometry.blockSize : mebibyte
    const place = space.allocateBelow(length, position)
    if (place === undefined) {
      this.#stuck.add(kind)
      return false
    }
    // The last block's end may be missing from the file when nothing was written to it yet: begin() has made the file
    // whole.
    for (let at = 0; at < length; at += mebibyte) {
      journal.read(position + at, this.#piece)
      file.write(place.position + at, this.#piece)
    }
    this.#copied += length
    if (kind === 'payload') {
      table.setPayload(index, table.state(index), place.position)
      space.release(position, length)
    } else {
      table.setBitmap(index, bitmapState.present, place.position)
      this.#retired.push(position)
    }
    return this.#commitSometimes()
  }

  commit(): void {
    if (this.#retired.length === 0) this.#session.commit()
    else {
      this.#session.settle()
      for (const position of this.#retired) this.#session.space.release(position, mebibyte)
      this.#session.space.reuse()
      this.#retired.length = 0
    }
    this.#copied = 0
  }

  #commitSometimes(): boolean {
    if (this.#session.journal.pendingSectors < 64 && this.#copied < copiedAtOnce) return false
    this.commit()
    return true
  }
}

/** What lies in [low, high) of the file and can be moved, the last first. */
function placesIn(session: WriteSession, low: number, high: number): Moved[] {
  const places: Moved[] = []
  session.layer.table.eachPlace((kind, index, position) => {
    if (position >= low && position < high) places.push({ kind, index, position })
  })
  return places.sort((left, right) => right.position - left.position)
}
