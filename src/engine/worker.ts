import { parentPort, workerData } from 'node:worker_threads'
import { importCodecs, type CodecModule } from '../codec/registry.js'
import { takenApart, type ErrorParts } from '../errors.js'
import { UnitBuffers } from './fill.js'
import { runTaskSync, type Task, type TaskResult } from './task.js'

/** What a worker is started with. */
export interface WorkerSetup {
  /** The codecs of plug-ins. */
  readonly codecs: readonly CodecModule[]
}

/** What is sent to a worker: the task, and the buffer shared with the main thread. */
export interface WorkerRequest {
  readonly id: number
  readonly task: Task
  readonly buffer: SharedArrayBuffer
  readonly start: number
  readonly half: number
}

export type WorkerReply = { readonly id: number } & ({ readonly result: TaskResult } | { readonly failure: ErrorParts })

const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread only')
const buffers = new UnitBuffers()
const imported = importCodecs((workerData as WorkerSetup).codecs)
// Every task that waits for it reports the failure.
imported.catch(() => undefined)

port.on('message', (request: WorkerRequest) => {
  void work(request).then((reply) => port.postMessage(reply))
})

async function work({ id, task, buffer, start, half }: WorkerRequest): Promise<WorkerReply> {
  try {
    await imported
    return { id, result: runTaskSync(task, new Uint8Array(buffer, start), half, buffers) }
  } catch (error) {
    return { id, failure: takenApart(error) }
  }
}
