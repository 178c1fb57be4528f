import { Worker } from 'node:worker_threads'
import type { FarPort } from '../../block/far-port.js'
import type { DescriptorPiece } from '../../block/file-range.js'
import { rebuilt, type ErrorParts } from '../../errors.js'

/** What a decoding thread is started with. */
export interface DecodeRequest {
  /** The file's descriptor; of a file of another computer: by what it is read, for each time that it is decoded. */
  readonly descriptor?: number
  readonly openPort?: () => FarPort
  /** The range of bytes in it that is one compressed stream. */
  readonly start: number
  readonly end: number
  /** Of a stream in several files: the files, in order. The range is then one of all of them together. */
  readonly pieces?: readonly DescriptorPiece[]
  /** What messages call it. */
  readonly name: string
  readonly codec: string
  /** What the content must be, where something outside the stream records it. */
  readonly expected?: ExpectedContent
}

/** The same as the thread has it. */
export type StartedRequest = Omit<DecodeRequest, 'openPort'> & { readonly far?: FarPort }

export interface ExpectedContent {
  readonly size: number
  readonly crc32: number
}

/** Content is handed over in slots of this many bytes; all but the last are full. */
export const slotLength = 1048576
const slotCount = 16
const errorLength = 65536
/** Numbers, and the position behind them. */
const headLength = 128
const wholeLength = headLength + errorLength + slotCount * slotLength

/**
 * Numbers that both threads see: what was produced and taken (slots), the state, the length of an error, and a count of
 * what happened, which is what is waited for.
 */
export const place = { produced: 0, taken: 1, state: 2, errorLength: 3, events: 4, stop: 5, lengths: 6 } as const
export const state = { running: 0, ended: 1, failed: 2 } as const

/** The memory that both threads see. */
export class SharedSlots {
  readonly numbers: Int32Array
  /** How far the compressed bytes were read: a position of the file. */
  readonly position: Float64Array
  readonly error: Uint8Array
  readonly slots: readonly Uint8Array[]

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(wholeLength)) {
    this.numbers = new Int32Array(memory, 0, place.lengths + slotCount)
    this.position = new Float64Array(memory, headLength - 8, 1)
    this.error = new Uint8Array(memory, headLength, errorLength)
    this.slots = Array.from(
      { length: slotCount },
      (_, index) => new Uint8Array(memory, headLength + errorLength + index * slotLength, slotLength),
    )
  }
}

/**
 * Decodes one compressed stream in a thread of its own, a few MiB ahead of the caller, in order. The
 * content is only right when its end was reached.
 */
export class DecodeThread implements Disposable {
  readonly #shared = new SharedSlots()
  readonly #worker: Worker
  #held = false
  #died: Error | undefined

  constructor({ openPort, ...rest }: DecodeRequest) {
    const far = openPort?.()
    const request: StartedRequest = { ...rest, far }
    this.#worker = new Worker(new URL('./thread-main.js', import.meta.url), {
      workerData: { request, memory: this.#shared.memory },
      transferList: far === undefined ? [] : [far.port],
    })
    this.#worker.on('error', (error) => (this.#died = error))
  }

  /** How far the file was read, in bytes. */
  get position(): number {
    return this.#shared.position[0] ?? 0
  }

  /**
   * The next bytes, this thread waiting for them; undefined at the end. They are good until the next call.
   * @throws ImageError what decoding throws.
   */
  next(): Uint8Array | undefined {
    for (;;) {
      const events = Atomics.load(this.#shared.numbers, place.events)
      const ready = this.#ready()
      if (ready !== 'wait') return ready
      Atomics.wait(this.#shared.numbers, place.events, events)
    }
  }

  /** The same without waiting for them: `wait` where they are not there yet. */
  poll(): Uint8Array | undefined | 'wait' {
    if (this.#died !== undefined) throw this.#died
    return this.#ready()
  }

  /** Resolves when {@link poll} may have another answer, at the latest after a second. */
  async changed(): Promise<void> {
    const events = Atomics.load(this.#shared.numbers, place.events)
    if (!this.#waits()) return
    const waiting = waitLater(this.#shared.numbers, place.events, events, 1000)
    if (waiting.async) await waiting.value
  }

  /** The thread is asked to end, so that it frees what libraries hold for it. */
  [Symbol.dispose](): void {
    const { numbers } = this.#shared
    Atomics.store(numbers, place.stop, 1)
    Atomics.add(numbers, place.taken, slotCount)
    Atomics.notify(numbers, place.taken)
    this.#worker.unref()
  }

  #waits(): boolean {
    const { numbers } = this.#shared
    const taken = Atomics.load(numbers, place.taken) + (this.#held ? 1 : 0)
    return Atomics.load(numbers, place.state) === state.running && Atomics.load(numbers, place.produced) === taken
  }

  #ready(): Uint8Array | undefined | 'wait' {
    const { numbers, slots, error } = this.#shared
    if (this.#held) {
      Atomics.add(numbers, place.taken, 1)
      Atomics.notify(numbers, place.taken)
      this.#held = false
    }
    // The state is looked at first: what was produced before it changed is there then.
    const now = Atomics.load(numbers, place.state)
    const taken = Atomics.load(numbers, place.taken)
    if (Atomics.load(numbers, place.produced) !== taken) {
      this.#held = true
      const index = taken % slotCount
      return slots[index]?.subarray(0, numbers[place.lengths + index])
    }
    if (now === state.ended) return undefined
    if (now === state.failed) {
      const text = Buffer.from(error.slice(0, numbers[place.errorLength])).toString()
      throw rebuilt(JSON.parse(text) as ErrorParts)
    }
    return 'wait'
  }
}

/** Atomics.waitAsync, which the types of this version of TypeScript's library do not have. */
const waitLater = (
  Atomics as unknown as {
    waitAsync: (
      numbers: Int32Array,
      index: number,
      value: number,
      timeout: number,
    ) => { readonly async: boolean; readonly value: unknown }
  }
).waitAsync
