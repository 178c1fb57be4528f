import { parentPort, workerData } from 'node:worker_threads'
import { answering, type ThreadAnswer, type ThreadStart } from '../../sys/thread-calls.js'
import type { HttpAddress } from './address.js'
import { RangeReader } from './range-reader.js'
import type { ReaderOptions, RemoteFacts } from './reader-options.js'
import { firstBehind } from './stored-runs.js'

/** What the thread is started with. `head` gets the file's beginning. */
export interface HttpThreadData {
  readonly address: HttpAddress
  readonly options: ReaderOptions
  readonly head: SharedArrayBuffer
}

/**
 * A range to be read into shared memory. `state`: the caller waits on that word, which becomes 1 when the bytes are
 * there, 2 when they are not.
 */
export interface HttpRequest {
  readonly offset: number
  readonly length: number
  readonly buffer: SharedArrayBuffer
  readonly start: number
  readonly state?: SharedArrayBuffer
}

/** Which parts of the file were written, from the run that ends behind an offset on. */
export interface StoredRequest {
  readonly storedFrom: number
}

export interface HttpAnswer extends ThreadAnswer {
  readonly facts?: RemoteFacts
  /** Starts and ends, in turn; and up to where they are all that there is. */
  readonly stored?: { readonly bounds: Float64Array; readonly end: number }
}

/** As many runs as an answer has room for. */
const mostRuns = 2048

const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread only')
const { address, options, head, ...shared } = workerData as HttpThreadData & ThreadStart
const { reply, failed } = answering(port, shared)

function report({ id, state }: HttpRequest & { readonly id: number }, result: HttpAnswer): void {
  if (state === undefined) {
    reply(id, result)
    return
  }
  const word = new Int32Array(state)
  Atomics.store(word, 0, result.failure === undefined ? 1 : 2)
  Atomics.notify(word, 0)
}

function storedFrom({ stored = [], facts }: RangeReader, offset: number): HttpAnswer['stored'] {
  const first = firstBehind(stored, offset)
  const runs = stored.slice(first, first + mostRuns)
  return {
    bounds: Float64Array.from(runs.flatMap(({ start, end }) => [start, end])),
    end: stored[first + mostRuns]?.start ?? facts.size,
  }
}

RangeReader.open(address, new Uint8Array(head), options).then(
  (reader) => {
    port.on('message', (request: (HttpRequest | StoredRequest) & { readonly id: number }) => {
      if ('storedFrom' in request) {
        reply(request.id, { stored: storedFrom(reader, request.storedFrom) } satisfies HttpAnswer)
        return
      }
      const { id, offset, length, buffer, start, state } = request
      // The caller of such a request does nothing else meanwhile.
      reader.read(offset, new Uint8Array(buffer, start, length), id === 0 && state === undefined).then(
        () => report(request, {}),
        (error: unknown) => report(request, failed(error)),
      )
    })
    reply(0, { facts: reader.facts } satisfies HttpAnswer)
  },
  (error: unknown) => {
    reply(0, failed(error))
    port.close()
  },
)
