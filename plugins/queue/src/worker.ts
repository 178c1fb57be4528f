import { hostname } from 'node:os'
import { DelayedError, UnrecoverableError, Worker, type ConnectionOptions, type Job } from 'bullmq'
import { connect, type QueuePlace } from './connection.js'
import { commandLine, refusalOf, type JobData, type JobEnd } from './jobs.js'
import { exitCodes, runAgain, runCommand } from './run-job.js'

export interface WorkOptions extends QueuePlace {
  /** The file that starts vdisk. */
  readonly program: string
  /** The folder that names in jobs are meant from. */
  readonly folder: string
  readonly parallel: number
  /** How long a job belongs to a worker that says nothing, in seconds. */
  readonly lease: number
  readonly onEnd: (line: WorkLine) => void
}

export interface WorkLine {
  readonly outcome: 'done' | 'failed' | 'returned'
  readonly name: string
  readonly end?: JobEnd
}

/** How often a job may lose its worker before it counts as failed: a job that kills its workers must end. */
const mostLosses = 100
/** A worker that ends gives its jobs back after so many milliseconds. */
const returnedAfter = 200

/**
 * Takes jobs from the queue and runs them, each in a process of its own. A lease that is not renewed lets another
 * worker have the job; a worker that goes on with it nevertheless does no harm (docs/queue.md).
 */
export class QueueWorker {
  readonly #options: WorkOptions
  readonly #worker: Worker<JobData, JobEnd>
  readonly #connection: ReturnType<typeof connect>
  readonly #ending = new AbortController()
  readonly #running = new Map<string, AbortController>()
  failed = 0

  constructor(options: WorkOptions) {
    this.#options = options
    const lockDuration = options.lease * 1000
    this.#connection = connect(options)
    this.#worker = new Worker<JobData, JobEnd>(options.queue, (job, token) => this.#work(job, token), {
      connection: this.#connection as ConnectionOptions,
      concurrency: options.parallel,
      lockDuration,
      stalledInterval: lockDuration / 2,
      maxStalledCount: mostLosses,
    })
    // The connection comes back by itself; the job that is running does not need it.
    this.#worker.on('error', () => undefined)
    // Others may have the job by now: it is ended so that they find it where it is.
    this.#worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.#running.get(id)?.abort()
    })
    this.#worker.on('failed', () => this.failed++)
  }

  /** Ends: running jobs are asked to stop, and go back to the queue. */
  async end(): Promise<void> {
    this.#ending.abort()
    for (const running of this.#running.values()) running.abort()
    await this.#worker.close()
    this.#connection.disconnect()
  }

  get idle(): boolean {
    return this.#running.size === 0
  }

  /** Resolves when the queue was found empty, or after so many milliseconds. */
  async drained(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#worker.off('drained', end)
        resolve()
      }
      const timer = setTimeout(end, milliseconds)
      this.#worker.on('drained', end)
    })
  }

  async #work(job: Job<JobData, JobEnd>, token: string | undefined): Promise<JobEnd> {
    const refusal = refusalOf(job.data.words)
    if (refusal !== undefined) throw new UnrecoverableError(`the job ${refusal}`)
    const { program, folder, onEnd } = this.#options
    const stop = new AbortController()
    const id = job.id ?? ''
    this.#running.set(id, stop)
    const began = Date.now()
    const starts = job.attemptsStarted
    try {
      if (this.#ending.signal.aborted) stop.abort()
      const { exitCode, error } = await (starts > 1 ? runAgain : runCommand)(commandLine(job.data), {
        program,
        folder,
        signal: stop.signal,
      })
      const end: JobEnd = {
        exitCode,
        host: hostname(),
        pid: process.pid,
        seconds: (Date.now() - began) / 1000,
        starts,
        error: error === undefined ? undefined : { code: error.code, message: error.message },
      }
      if (stop.signal.aborted && exitCode !== 0) await this.#giveBack(job, token, end)
      if (exitCode !== 0) {
        onEnd({ outcome: 'failed', name: job.name, end })
        throw new UnrecoverableError(JSON.stringify(end))
      }
      onEnd({ outcome: 'done', name: job.name, end })
      return end
    } finally {
      this.#running.delete(id)
    }
  }

  /** @throws DelayedError always: the job is not done, and not failed. */
  async #giveBack(job: Job<JobData, JobEnd>, token: string | undefined, end: JobEnd): Promise<never> {
    this.#options.onEnd({ outcome: 'returned', name: job.name, end: { ...end, exitCode: exitCodes.aborted } })
    await job.moveToDelayed(Date.now() + returnedAfter, token)
    throw new DelayedError()
  }
}
