import { spawn, type ChildProcess } from 'node:child_process'
import { aborted, exitCodes } from '../../errors.js'
import { progressVariable, type Progress } from '../progress.js'
import { systemEnvironment } from '../../sys/commands.js'
import fs from '../../sys/host-fs.js'
import { absolute } from '../../sys/host-path.js'
import { readJobs, type Job } from './jobs.js'
import { JobsProgress } from './jobs-progress.js'
import { BatchState } from './state.js'

export interface BatchOptions {
  /** The folder of states. */
  readonly state: string
  /** How many jobs run at a time, from 1. */
  readonly parallel: number
  /** What starts vdisk: a program and its first arguments. */
  readonly program: readonly [string, ...string[]]
  /** Most bytes of a disk that each job moves a second, where its own words do not say it. */
  readonly rate?: string
  /** `same`: a conversion whose target is there is done, where the target's record says that it is the same. */
  readonly ifExists?: 'same'
  /** Report what would run, and run nothing. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  /** How many jobs have ended, and what part of those that run. */
  readonly onProgress?: (progress: Progress) => void
  /** Called when a job has ended. */
  readonly onJob?: (result: JobResult) => void
}

/** `already`: done by an earlier run. `planned`: would run (dry run). */
export type JobOutcome = 'done' | 'already' | 'failed' | 'planned'

export interface JobResult {
  readonly name: string
  readonly words: readonly string[]
  readonly outcome: JobOutcome
  readonly exitCode?: number
  /** Wall time. */
  readonly seconds?: number
  /** The code and message of the error that ended it. */
  readonly error?: { readonly code: string; readonly message: string }
  /** The file with everything it wrote on standard error. */
  readonly log?: string
}

export interface BatchResult {
  readonly state: string
  readonly dryRun: boolean
  readonly jobs: readonly JobResult[]
}

/** How many bytes of a job's document are kept: documents are small, and a job gone mad is not. */
const largestDocument = 64 * 1024 * 1024

/**
 * Runs the jobs of a file, some at a time. Jobs that an earlier run has done, and whose outputs are as it left them,
 * are not run again. A failed job does not stop the others.
 * @param path the file of jobs: YAML or JSON (docs/batch.md)
 * @throws ImageError usage E_JOBS; refused E_BATCH_RUNS; aborted E_ABORTED, after every job that ran has ended
 */
export async function runBatch(path: string, options: BatchOptions): Promise<BatchResult> {
  const { dryRun = false, signal } = options
  const jobs = readJobs(path, absolute('.'))
  const state = new BatchState(options.state)
  if (!dryRun) state.lock()
  try {
    const results: JobResult[] = []
    const progress = new JobsProgress(jobs.length, options.onProgress)
    let next = 0
    const worker = async (): Promise<void> => {
      while (signal?.aborted !== true) {
        const index = next++
        const job = jobs[index]
        if (job === undefined) return
        const result = await oneJob(job, state, { ...options, dryRun, onProgress: progress.of(index) })
        results[index] = result
        progress.ended(index)
        options.onJob?.(result)
      }
    }
    await Promise.all(Array.from({ length: Math.max(1, options.parallel) }, worker))
    if (signal?.aborted === true) {
      const done = results.filter(({ outcome }) => outcome === 'done' || outcome === 'already').length
      throw aborted(`interrupted; ${done} of ${jobs.length} jobs are done, and the next run goes on with the others`)
    }
    return { state: options.state, dryRun, jobs: results }
  } finally {
    state.unlock()
  }
}

async function oneJob(job: Job, state: BatchState, options: BatchOptions): Promise<JobResult> {
  const { name, words } = job
  if (state.isDone(job)) return { name, words, outcome: 'already' }
  if (options.dryRun === true) return { name, words, outcome: 'planned' }
  const started = new Date()
  const { exitCode, document } = await runJob(job, state, options)
  const ended = new Date()
  state.write(
    job,
    { exitCode, started: started.toISOString(), ended: ended.toISOString() },
    exitCode === 0 ? outputsOf(document) : [],
  )
  const outcome = exitCode === 0 ? 'done' : 'failed'
  return {
    name,
    words,
    outcome,
    exitCode,
    seconds: (ended.getTime() - started.getTime()) / 1000,
    error: exitCode === 0 ? undefined : errorOf(document),
    log: state.logOf(job),
  }
}

/** Runs one command to its end. It is asked once to end when the batch is interrupted, and cleans up by itself. */
function runJob(
  job: Job,
  state: BatchState,
  { program: [program, ...first], rate, ifExists, signal, onProgress }: BatchOptions,
): Promise<{ readonly exitCode: number; readonly document: unknown }> {
  const log = fs.openSync(state.logOf(job), 'w', 0o644)
  let child: ChildProcess
  try {
    const words = withFlags(job.words, { json: true, rate, 'if-exists': ifExists })
    // A group of its own: Ctrl-C reaches the batch alone. A job that is interrupted twice leaves its partial files.
    child = spawn(program, [...first, ...words], {
      stdio: ['ignore', 'pipe', log, 'ipc'],
      env: { ...systemEnvironment(), [progressVariable]: '1' },
      detached: true,
    })
  } finally {
    fs.closeSync(log)
  }
  child.on('message', (progress: Progress) => onProgress?.(progress))
  const pieces: Buffer[] = []
  let kept = 0
  child.stdout?.on('data', (piece: Buffer) => {
    if (kept < largestDocument) pieces.push(piece)
    kept += piece.length
  })
  const end = (): void => void child.kill('SIGTERM')
  signal?.addEventListener('abort', end, { once: true })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      signal?.removeEventListener('abort', end)
      resolve({ exitCode: code ?? exitCodes.internal, document: documentOf(Buffer.concat(pieces)) })
    })
  })
}

/** Commands that have a flag; of others it is not asked. */
const commandsWith: Readonly<Record<string, readonly string[]>> = {
  rate: ['convert', 'image', 'restore', 'clone'],
  'if-exists': ['convert'],
}

/** A command with flags that it has, and does not give itself. */
function withFlags(
  words: readonly string[],
  flags: Readonly<Record<string, string | true | undefined>>,
): readonly string[] {
  const [command = ''] = words
  const added = Object.entries(flags).flatMap(([name, value]) => {
    const flag = `--${name}`
    const given = words.some((word) => word === flag || word.startsWith(`${flag}=`))
    if (value === undefined || given || commandsWith[name]?.includes(command) === false) return []
    return value === true ? [flag] : [flag, value]
  })
  return [...words, ...added]
}

function documentOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    // A command that writes no document (cat), or was killed: its exit code says how it ended.
    return undefined
  }
}

interface Document {
  readonly schema?: unknown
  readonly code?: unknown
  readonly message?: unknown
  readonly target?: { readonly path?: unknown }
  readonly image?: { readonly path?: unknown }
}

/** The files that a command's document says it made. */
function outputsOf(document: unknown): readonly string[] {
  const { target, image } = (document ?? {}) as Document
  return [target?.path, image?.path].filter((path) => typeof path === 'string').map(absolute)
}

function errorOf(document: unknown): JobResult['error'] {
  const { schema, code, message } = (document ?? {}) as Document
  return schema === 'vdisk.error' ? { code: String(code), message: String(message) } : undefined
}
