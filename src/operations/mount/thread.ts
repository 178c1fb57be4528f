import { Worker } from 'node:worker_threads'
import { ImageError } from '../../errors.js'
import type { FolderLook } from '../../mount/fuse/folder.js'
import type { Progress } from '../progress.js'
import type { OpenedDisk, OpenRequest, ThreadOrder, ThreadReport } from './messages.js'
import { fromWire } from './wire.js'

/** A thread that holds an image open, as the server's main thread sees it. */
export class ServingThread {
  /** What it found; rejects when the image cannot be opened. */
  readonly opened: Promise<OpenedDisk>
  /** Resolves when the image is closed, with what went wrong with that. */
  readonly ended: Promise<ImageError | undefined>
  readonly #worker: Worker

  constructor(request: OpenRequest, onTrouble: (message: string) => void, onProgress?: (progress: Progress) => void) {
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: request })
    const opened = deferred<OpenedDisk>()
    const ended = deferred<ImageError | undefined>()
    this.opened = opened.promise
    this.ended = ended.promise
    // A thread may fail before anybody asks.
    this.opened.catch(() => undefined)
    const end = (error: ImageError | undefined): void => {
      opened.reject(
        error ?? new ImageError('internal', 'E_INTERNAL', 'the serving thread ended before it opened the image'),
      )
      ended.resolve(error)
    }
    this.#worker.on('message', (report: ThreadReport) => {
      if (report.kind === 'opened') opened.resolve(report.disk)
      else if (report.kind === 'progress') onProgress?.(report.progress)
      else if (report.kind === 'trouble') onTrouble(report.message)
      else end(report.error === undefined ? undefined : fromWire(report.error))
    })
    this.#worker.on('error', (error) =>
      end(new ImageError('internal', 'E_INTERNAL', `the serving thread failed: ${error.message}`, { cause: error })),
    )
    this.#worker.on('exit', () => end(undefined))
  }

  /** Answers the kernel from now on, until the folder is unmounted. */
  serve(descriptor: number, look: FolderLook): void {
    this.#order({ kind: 'serve', descriptor, look })
  }

  /** Closes an image that was not served. */
  close(): void {
    this.#order({ kind: 'close' })
  }

  #order(order: ThreadOrder): void {
    this.#worker.postMessage(order)
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}

function deferred<T>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  if (settle === undefined) throw new Error('a promise runs its function at once')
  return { promise, ...settle }
}
