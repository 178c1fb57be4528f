import { printable, refused } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'
import { syscalls } from '../../sys/syscalls.js'
import type { Job } from './jobs.js'

/** A file that a job made, as it was when the job ended. */
interface Output {
  readonly path: string
  readonly size: number
  /** Decimal: nanoseconds do not fit into a number. */
  readonly modified: string
}

/** What the folder of states remembers of a job that ran. */
export interface JobRecord {
  readonly schema: 'vdisk.batch-job'
  readonly schemaVersion: 1
  readonly words: readonly string[]
  readonly exitCode: number
  readonly started: string
  readonly ended: string
  readonly outputs: readonly Output[]
}

/** The folder in which a batch remembers which of its jobs are done, and keeps what they said. */
export class BatchState {
  /** The descriptor that holds the lock. */
  #lock: number | undefined

  constructor(readonly folder: string) {}

  /**
   * Takes the folder for this process alone.
   * @throws ImageError refused E_BATCH_RUNS while another one has it
   */
  lock(): void {
    fs.mkdirSync(this.folder, { recursive: true })
    this.#lock = fs.openSync(inFolder(this.folder, 'lock'), 'a')
    // The system frees it with the process. Where it cannot be asked, two runs do the same work twice, and each command
    // is guarded by itself.
    if (syscalls()?.lock(this.#lock) !== false) return
    this.unlock()
    throw refused('E_BATCH_RUNS', `${printable(this.folder)} is in use: this batch runs already`, {
      hint: 'Wait for it, or choose another folder with --state.',
    })
  }

  unlock(): void {
    if (this.#lock !== undefined) fs.closeSync(this.#lock)
    this.#lock = undefined
  }

  logOf(job: Job): string {
    return inFolder(this.folder, `${job.id}.log`)
  }

  /** Whether the job was done, and what it made is as it left it. */
  isDone(job: Job): boolean {
    const record = this.#read(job)
    return record?.exitCode === 0 && record.outputs.every(isUnchanged)
  }

  /** Remembers how a job ended. The record appears whole. */
  write(
    job: Job,
    record: Omit<JobRecord, 'schema' | 'schemaVersion' | 'words' | 'outputs'>,
    made: readonly string[],
  ): void {
    const whole: JobRecord = {
      schema: 'vdisk.batch-job',
      schemaVersion: 1,
      words: job.words,
      ...record,
      outputs: made.flatMap(outputAt),
    }
    const path = this.#recordOf(job)
    fs.writeFileSync(`${path}.partial`, `${JSON.stringify(whole, undefined, 2)}\n`)
    fs.renameSync(`${path}.partial`, path)
  }

  #recordOf(job: Job): string {
    return inFolder(this.folder, `${job.id}.json`)
  }

  /** Undefined where there is none, or none that is whole: the job is then run again. */
  #read(job: Job): JobRecord | undefined {
    try {
      const found = JSON.parse(fs.readFileSync(this.#recordOf(job), 'utf8')) as Partial<JobRecord>
      return found.schema === 'vdisk.batch-job' && Array.isArray(found.outputs) ? (found as JobRecord) : undefined
    } catch (error) {
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }
}

function outputAt(path: string): Output[] {
  const found = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return found?.isFile() === true ? [{ path, size: Number(found.size), modified: String(found.mtimeNs) }] : []
}

const isUnchanged = ({ path, size, modified }: Output): boolean => {
  const [now] = outputAt(path)
  return now?.size === size && now.modified === modified
}
