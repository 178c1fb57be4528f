import { createHash } from 'node:crypto'
import { OrderedTaking, type ContentTaker } from '../block/content-taker.js'
import type { BlockSource } from '../block/types.js'
import { aborted } from '../errors.js'
import { runLanes } from './lanes.js'
import { chunkLengthFor, lanesFor, Plan } from './plan.js'
import { defaultThreads, makeSlots, TaskPool } from './pool.js'
import { prefill } from './prefill.js'
import type { Progress } from './progress.js'
import { blockLength, TreeHash } from './tree-hash.js'
import { nextTurn } from '../sys/next-turn.js'

/** `sha256`: of the disk's bytes in order; `tree`: docs/tree-hash.md, by all processors, and holes cost nothing. */
export type HashAlgorithm = 'sha256' | 'tree'

export interface DiskHashOptions {
  readonly algorithm: HashAlgorithm
  /** Worker threads; 0: none. */
  readonly threads?: number
  /** Is given all that is read. */
  readonly content?: ContentTaker
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

const smallDisk = 4 * 1024 * 1024
const zeros = new Uint8Array(1024 * 1024)

/** Takes the content of a disk in order; what is left out is zero. */
interface Digest {
  add(offset: number, bytes: Uint8Array, digest: Uint8Array | undefined): Promise<void>
  finish(): Promise<Uint8Array>
}

/**
 * A digest of every guest byte of a disk, the same whatever format it is stored in.
 * @throws ImageError; aborted E_ABORTED.
 */
export async function hashSource(source: BlockSource, options: DiskHashOptions): Promise<Uint8Array> {
  const { capacity } = source
  const tree = options.algorithm === 'tree'
  const chunkLength = tree ? blockLength : chunkLengthFor(source, blockLength, 65536)
  const plan = new Plan(source, { capacity, chunkLength, align: tree ? blockLength : 65536 })
  const threads = options.threads ?? (capacity <= smallDisk ? 0 : defaultThreads())
  await using pool = new TaskPool(threads, options.signal)
  const lanes = lanesFor(Math.max(4, threads + 2), chunkLength, source)
  const slots = makeSlots(lanes, chunkLength, false)
  const report = (done: number): void => options.onProgress?.({ phase: 'hash', done, total: capacity })
  const digest = tree ? new TreeDigest(capacity) : new PlainDigest(capacity, report, options.signal)
  const content = options.content === undefined ? undefined : new OrderedTaking(options.content)
  await runLanes(
    lanes,
    () => plan.next(),
    async (chunk, lane, ticket) => {
      const slot = slots[lane]
      if (slot === undefined) throw new RangeError(`no buffer for lane ${lane}`)
      const result = await pool.run(
        {
          mode: tree ? 'hash' : 'fill',
          unit: 0,
          length: chunk.length,
          ...(await prefill(chunk.content, source, chunk.offset, slot.bytes)),
        },
        slot,
      )
      await ticket.turn
      content?.add(chunk.offset, slot.bytes.subarray(0, chunk.length))
      await digest.add(chunk.offset, slot.bytes.subarray(0, chunk.length), result.digest)
      ticket.done()
      if (chunk.next < capacity) report(chunk.next)
    },
    options.signal,
  )
  content?.zerosTo(capacity)
  const result = await digest.finish()
  report(capacity)
  return result
}

class TreeDigest implements Digest {
  readonly #tree: TreeHash

  constructor(capacity: number) {
    this.#tree = new TreeHash(capacity)
  }

  add(offset: number, _bytes: Uint8Array, digest: Uint8Array | undefined): Promise<void> {
    if (digest === undefined) throw new TypeError('a block came back without its digest')
    this.#tree.add(offset, digest)
    return Promise.resolve()
  }

  finish(): Promise<Uint8Array> {
    return Promise.resolve(this.#tree.digest())
  }
}

class PlainDigest implements Digest {
  readonly #hash = createHash('sha256')
  readonly #capacity: number
  readonly #report: (done: number) => void
  readonly #signal: AbortSignal | undefined
  #done = 0

  constructor(capacity: number, report: (done: number) => void, signal: AbortSignal | undefined) {
    this.#capacity = capacity
    this.#report = report
    this.#signal = signal
  }

  async add(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#zerosTo(offset)
    this.#hash.update(bytes)
    this.#done = offset + bytes.length
  }

  async finish(): Promise<Uint8Array> {
    await this.#zerosTo(this.#capacity)
    return this.#hash.digest()
  }

  /** Zeros are not read, but SHA-256 has to see them: terabytes of them take their time. */
  async #zerosTo(end: number): Promise<void> {
    let rested = this.#done
    while (this.#done < end) {
      const length = Math.min(zeros.length, end - this.#done)
      this.#hash.update(zeros.subarray(0, length))
      this.#done += length
      if (this.#done - rested < 64 * zeros.length) continue
      rested = this.#done
      if (this.#done < this.#capacity) this.#report(this.#done)
      await nextTurn()
      if (this.#signal?.aborted === true) throw aborted()
    }
  }
}
