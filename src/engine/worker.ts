import { parentPort } from 'node:worker_threads'
import { isImageError, type ErrorDetails, type ErrorKind } from '../errors.js'
import { UnitBuffers } from './fill.js'
import { prepareTask, runTaskSync, type Task, type TaskResult } from './task.js'

/** What is sent to a worker: the task, and the buffer shared with the main thread. */
export interface WorkerRequest { readonly id: number; readonly task: Task; readonly buffer: SharedArrayBuffer; readonly start: number; readonly half: number }

/** An ImageError taken apart, since class and brand do not survive the way between threads. */
export interface WorkerFailure { readonly kind?: ErrorKind; readonly code?: string; readonly message: string; readonly stack?: string; readonly hint?: string; readonly details?: ErrorDetails }

export type WorkerReply = { readonly id: number } & ({ readonly result: TaskResult } | { readonly failure: WorkerFailure })

const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread only')
const buffers = new UnitBuffers()

port.on('message', (request: WorkerRequest) => {
  void work(request).then((reply) => port.postMessage(reply))
})

async function work({ id, task, buffer, start, half }: WorkerRequest): Promise<WorkerReply> {
  try {
    await prepareTask(task)
    return { id, result: runTaskSync(task, new Uint8Array(buffer, start), half, buffers) }
  } catch (error) {
    return { id, failure: takenApart(error) }
  }
}

function takenApart(error: unknown): WorkerFailure {
  if (isImageError(error)) {
    return { kind: error.kind, code: error.code, message: error.message, details: error.details, ...(error.hint === undefined ? {} : { hint: error.hint }) }
  }
  if (error instanceof Error) return { message: error.message, ...(error.stack === undefined ? {} : { stack: error.stack }) }
  return { message: String(error) }
}
