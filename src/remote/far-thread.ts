import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import type { FarFailure, FarRead } from '../block/far-port.js'
import type { Note } from '../block/types.js'
import { answering, type ThreadAnswer, type ThreadStart } from '../sys/thread-calls.js'

/** What is known of a file when it is open. */
export interface FarFacts {
  /** Bytes. */
  readonly size: number
  readonly notes: readonly Note[]
  /** How much of the file's beginning was read already. */
  readonly headLength: number
  /** Whether `runs` and `changed` are answered. */
  readonly knowsHoles?: boolean
  readonly knowsChange?: boolean
  /** Bytes that are best under way at once, where the usual is too little. */
  readonly underWay?: number
  /** Whether something outlives the thread that is not closed. */
  readonly isToBeClosed?: boolean
  /** Which of several disks in it is meant. */
  readonly member?: string
  /** What it says of itself: the record of an image. */
  readonly note?: string
}

export type FarRequest =
  | FarRead
  | { readonly kind: 'runs'; readonly offset: number }
  | { readonly kind: 'changed' }
  | { readonly kind: 'close' }
  /** Another thread reads by this port; what failed is said there. */
  | { readonly kind: 'port'; readonly port: MessagePort }

type Numbered = FarRequest & { readonly id: number }
type Performed = Exclude<Numbered, { readonly kind: 'port' }>

export interface FarAnswer extends ThreadAnswer {
  readonly facts?: FarFacts
  /** Lengths; data and holes in turn, data first. */
  readonly runs?: readonly number[]
  /** What changed since it was opened, as an end of a sentence about it. */
  readonly changed?: string
}

/** A file of another computer, as the thread has it. */
export interface FarReader {
  readonly facts: FarFacts
  /** Fills `target` whole. @param isUrgent the caller does nothing else meanwhile. @throws ImageError */
  read(offset: number, target: Uint8Array, isUrgent: boolean): Promise<void>
  runs?(offset: number): Promise<readonly number[]>
  changed?(): Promise<string | undefined>
  close?(): void
}

/**
 * The program of a thread that reads one file for a `FarStore`.
 * @param open gets what the thread was started with, and memory for the file's beginning.
 */
export function answerFar(open: (data: object, head: Uint8Array) => Promise<FarReader>): void {
  const port = parentPort
  if (port === null) throw new Error('this file runs as a worker thread only')
  const { head, control, answer, ...data } = workerData as ThreadStart & { readonly head: SharedArrayBuffer }
  const { reply, failed } = answering(port, { control, answer })
  const report = (request: Numbered, result: FarAnswer): void => {
    if (request.kind === 'read' && request.state !== undefined) settle(request.state, result)
    else reply(request.id, result)
  }
  const carryOut = (reader: FarReader, request: Performed, done: (result: FarAnswer) => void): void => {
    perform(reader, request).then(done, (error: unknown) => done(failed(error)))
  }
  /** What another thread asks for. */
  const answerBy = (reader: FarReader, other: MessagePort): void => {
    other.on('message', (read: FarRead & { readonly state: SharedArrayBuffer }) => {
      carryOut(reader, { id: 0, ...read }, (result) => {
        const { failure } = result
        if (failure !== undefined) other.postMessage({ offset: read.offset, failure } satisfies FarFailure)
        settle(read.state, result)
      })
    })
  }
  open(data, new Uint8Array(head)).then(
    (reader) => {
      port.on('message', (message: Numbered | readonly Numbered[]) => {
        for (const request of Array.isArray(message) ? (message as readonly Numbered[]) : [message as Numbered]) {
          if (request.kind === 'port') answerBy(reader, request.port)
          else carryOut(reader, request, (result) => report(request, result))
        }
      })
      reply(0, { facts: { ...reader.facts, isToBeClosed: reader.close !== undefined } } satisfies FarAnswer)
    },
    (error: unknown) => {
      reply(0, failed(error))
      port.close()
    },
  )
}

/** Wakes the thread that waits for a range. */
function settle(state: SharedArrayBuffer, { failure }: FarAnswer): void {
  const word = new Int32Array(state)
  Atomics.store(word, 0, failure === undefined ? 1 : 2)
  Atomics.notify(word, 0)
}

async function perform(reader: FarReader, request: Performed): Promise<FarAnswer> {
  switch (request.kind) {
    case 'read': {
      const { id, offset, length, buffer, start, state } = request
      await reader.read(offset, new Uint8Array(buffer, start, length), id === 0 && state === undefined)
      return {}
    }
    case 'runs':
      return { runs: (await reader.runs?.(request.offset)) ?? [] }
    case 'close':
      reader.close?.()
      return {}
    case 'changed':
      return { changed: await reader.changed?.() }
  }
}
