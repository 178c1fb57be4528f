import { Worker } from 'node:worker_threads'
import { aborted, rebuilt, stopIfAborted } from '../errors.js'
import { codecModules } from '../codec/registry.js'
import { roundUp } from '../binary/integers.js'
import { memoryPage, pageAlignedMemory } from '../binary/pages.js'
import { allOf } from './all-of.js'
import { fillAsync, UnitBuffers } from './fill.js'
import { PoolTasks } from './pool-task.js'
import { doneByTags, runTaskAsync, type Task, type TaskContent, type TaskResult } from './task.js'
import type { WorkerReply, WorkerRequest, WorkerSetup } from './worker.js'
import { allowedThreads } from '../sys/allowance.js'
import { workerHeap } from '../sys/worker-heap.js'

/**
 * A buffer for one chunk, shared with the workers: `bytes` lie at `start` of `shared`. From `half` on it holds the
 * base's content, if any.
 */
export interface Slot {
  readonly shared: SharedArrayBuffer
  readonly start: number
  readonly bytes: Uint8Array
  readonly half: number
}

/** Buffers for `count` chunks, each at a page: writing past the page cache needs it. */
export function makeSlots(count: number, chunkLength: number, withBase: boolean): Slot[] {
  const half = roundUp(chunkLength, memoryPage)
  const length = withBase ? 2 * half : half
  const shared = pageAlignedMemory(count * length)
  return Array.from({ length: count }, (_, index) => ({
    shared,
    start: index * length,
    bytes: new Uint8Array(shared, index * length, length),
    half,
  }))
}

/** Threads worth having for work bound by the processor. */
export function defaultThreads(): number {
  return Math.min(8, allowedThreads())
}

interface Waiting {
  resolve(result: TaskResult): void
  reject(error: unknown): void
}

/**
 * Runs tasks. Plain reading and scanning stays in this thread, where the system's own thread pool reads ahead.
 * Compression and decompression go to that pool too where the system has libraries for them, and to worker threads
 * otherwise, as hashing does; those are started when the first such task comes.
 */
export class TaskPool implements AsyncDisposable {
  readonly #threads: number
  readonly #workers: Worker[] = []
  readonly #load: number[] = []
  readonly #waiting = new Map<number, Waiting & { readonly worker: number }>()
  readonly #buffers = new UnitBuffers()
  readonly #poolTasks = new PoolTasks()
  readonly #signal: AbortSignal | undefined
  #nextId = 0

  /**
   * @param threads worker threads at most; 0 does everything here.
   * @param signal ends them in the middle of a task: one can take half a minute (xz).
   */
  constructor(threads: number, signal?: AbortSignal) {
    this.#threads = threads
    this.#signal = signal
    signal?.addEventListener('abort', this.#end, { once: true })
  }

  async run(task: Task, slot: Slot): Promise<TaskResult> {
    if (this.#threads > 0 && isHeavy(task)) {
      if (this.#poolTasks.takes(task)) return await this.#poolTasks.run(task, slot.bytes, slot.half)
      const { task: rest, result } = doneByTags(await this.#readAhead(task, slot), slot.bytes)
      return result ?? (await this.#send(rest, slot))
    }
    return await runTaskAsync(task, slot.bytes, slot.half, this.#buffers)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#end)
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  /** What a thread works on fails when the thread is over: until then it may read. */
  readonly #end = (): void => {
    for (const worker of this.#workers) void worker.terminate()
  }

  /**
   * The same task when its plain bytes are in the buffer: read by the system's own threads, so that a worker never
   * waits for the disk, and the disk never for a worker. @throws ImageError
   */
  async #readAhead(task: Task, { bytes, half }: Slot): Promise<Task> {
    const { base } = task
    const own = this.#read(task, bytes.subarray(0, task.length))
    if (base === undefined) return { ...task, ...(await own) }
    const [content, below] = await allOf([own, this.#read(base, bytes.subarray(half, half + task.length))])
    return { ...task, ...content, base: below }
  }

  async #read(content: TaskContent, target: Uint8Array): Promise<TaskContent> {
    const plain = content.pieces.filter(({ kind }) => kind === 'data')
    if (plain.length === 0) return content
    await fillAsync(plain, target, this.#buffers)
    const present = [...content.present, ...plain.map(({ at, length }) => ({ at, length }))]
    return { pieces: content.pieces.filter(({ kind }) => kind !== 'data'), present }
  }

  #send(task: Task, slot: Slot): Promise<TaskResult> {
    // The threads answer no more.
    stopIfAborted(this.#signal)
    const index = this.#pick()
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, worker: index })
      this.#load[index] = (this.#load[index] ?? 0) + 1
      const request: WorkerRequest = { id, task, buffer: slot.shared, start: slot.start, half: slot.half }
      this.#workers[index]?.postMessage(request)
    })
  }

  /** The least loaded worker; a new one as long as all are busy and there may be more. */
  #pick(): number {
    let best = 0
    for (let index = 1; index < this.#workers.length; index++)
      if ((this.#load[index] ?? 0) < (this.#load[best] ?? 0)) best = index
    if (this.#workers.length > 0 && this.#load[best] === 0) return best
    if (this.#workers.length >= this.#threads) return best
    const index = this.#workers.length
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: { codecs: codecModules() } satisfies WorkerSetup,
      resourceLimits: workerHeap,
    })
    worker.on('message', (reply: WorkerReply) => this.#settle(reply))
    worker.on('error', (error) => this.#fail(index, error))
    worker.on('exit', (code) =>
      this.#fail(
        index,
        this.#signal?.aborted === true ? aborted() : new Error(`a worker thread ended with code ${code}`),
      ),
    )
    this.#workers.push(worker)
    this.#load.push(0)
    return index
  }

  #settle(reply: WorkerReply): void {
    const waiting = this.#waiting.get(reply.id)
    if (waiting === undefined) return
    this.#waiting.delete(reply.id)
    this.#load[waiting.worker] = (this.#load[waiting.worker] ?? 1) - 1
    if ('result' in reply) waiting.resolve(reply.result)
    else waiting.reject(rebuilt(reply.failure))
  }

  #fail(worker: number, error: Error): void {
    for (const [id, waiting] of this.#waiting) {
      if (waiting.worker !== worker) continue
      this.#waiting.delete(id)
      waiting.reject(error)
    }
  }
}

/** Whether a task is bound by the processor: for a worker thread. */
export function isHeavy(task: Task): boolean {
  return (
    task.mode === 'hash' ||
    (task.digests?.length ?? 0) > 0 ||
    task.parts !== undefined ||
    task.packing !== undefined ||
    task.pieces.some((piece) => piece.kind === 'packed') ||
    (task.base?.pieces.some((piece) => piece.kind === 'packed') ?? false)
  )
}
