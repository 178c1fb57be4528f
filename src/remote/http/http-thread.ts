import { serialize } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { takenApart, type ErrorParts } from '../../errors.js'
import type { HttpAddress } from './address.js'
import { RangeReader, type ReaderOptions, type RemoteFacts } from './range-reader.js'

/**
 * What the thread is started with. `control`: one word, 1 when an answer stands in `answer`; its second word is the
 * answer's bytes. `head` gets the file's beginning.
 */
export interface HttpThreadStart {
  readonly address: HttpAddress
  readonly options: ReaderOptions
  readonly control: SharedArrayBuffer
  readonly answer: SharedArrayBuffer
  readonly head: SharedArrayBuffer
}

/**
 * A range to be read into shared memory. `id` 0: the caller waits on the control word. `state`: it waits on that word,
 * which becomes 1 when the bytes are there, 2 when they are not. Else the answer comes as a message.
 */
export interface HttpRead {
  readonly id: number
  readonly offset: number
  readonly length: number
  readonly buffer: SharedArrayBuffer
  readonly start: number
  readonly state?: SharedArrayBuffer
}

export interface HttpAnswer {
  readonly failure?: ErrorParts
  readonly facts?: RemoteFacts
}
export type HttpReply = HttpAnswer & { readonly id: number }

const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread only')
const { address, options, control, answer, head } = workerData as HttpThreadStart
const words = new Int32Array(control)
const answerBytes = new Uint8Array(answer)

function reply({ id, state }: Pick<HttpRead, 'id' | 'state'>, result: HttpAnswer): void {
  if (state !== undefined) {
    const word = new Int32Array(state)
    Atomics.store(word, 0, result.failure === undefined ? 1 : 2)
    Atomics.notify(word, 0)
    return
  }
  if (id > 0) {
    port?.postMessage({ id, ...result } satisfies HttpReply)
    return
  }
  const bytes = serialize(result)
  answerBytes.set(bytes)
  Atomics.store(words, 1, bytes.length)
  Atomics.store(words, 0, 1)
  Atomics.notify(words, 0)
}

RangeReader.open(address, new Uint8Array(head), options).then(
  (reader) => {
    port.on('message', (request: HttpRead | 'close') => {
      if (request === 'close') {
        reader[Symbol.dispose]()
        port.close()
        return
      }
      const { offset, length, buffer, start } = request
      reader.read(offset, new Uint8Array(buffer, start, length)).then(
        () => reply(request, {}),
        (error: unknown) => reply(request, { failure: takenApart(error) }),
      )
    })
    reply({ id: 0 }, { facts: reader.facts })
  },
  (error: unknown) => {
    reply({ id: 0 }, { failure: takenApart(error) })
    port.close()
  },
)
