import { parentPort, workerData } from 'node:worker_threads'
import { roundDown } from '../../binary/integers.js'
import { answering, type ThreadAnswer, type ThreadStart } from '../../sys/thread-calls.js'
import { alternating, longestStatus } from './alternating.js'
import { ClientConnection } from './client-connection.js'
import type { ExportFacts } from './client-negotiation.js'
import { commandType } from './structs.js'
import type { NbdAddress } from './uri.js'

/** What the thread is started with. */
export interface ExportThreadData {
  readonly address: NbdAddress
  readonly where: string
  readonly milliseconds: number
  /** What block status is to say. */
  readonly context: string
}

/** What is to be done. */
export interface ExportRequest {
  readonly kind: 'read' | 'status' | 'write' | 'zero' | 'flush' | 'close'
  readonly offset: number
  readonly length: number
  /** Where the bytes of a read go, and those of a write are. */
  readonly buffer?: SharedArrayBuffer
  readonly start?: number
}

export interface ExportAnswer extends ThreadAnswer {
  readonly facts?: ExportFacts
  /** Lengths; data and what is left out in turn, data first. */
  readonly runs?: readonly number[]
}

/** Connections at most; they are opened as there is work for them. */
const maximumConnections = 4
/** What one request carries, in bytes. */
const longestRequest = 512 * 1024
/** Zeros that one request makes: a server that has to write them is still heard of now and then. */
const longestZero = 128 * 1024 * 1024

const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread only')
const { address, where, milliseconds, context, ...shared } = workerData as ExportThreadData & ThreadStart
const { reply, failed } = answering(port, shared)

class Connections {
  readonly #all: ClientConnection[]
  #opening = false
  #alone: boolean

  constructor(first: ClientConnection) {
    this.#all = [first]
    this.#alone = !first.facts.flags.multipleConnections
  }

  get facts(): ExportFacts {
    const [first] = this.#all
    if (first === undefined) throw new Error('there is no connection')
    return first.facts
  }

  /** The least busy one. */
  pick(): ClientConnection {
    let best = this.#all[0]
    for (const one of this.#all) if (best === undefined || one.load < best.load) best = one
    if (best === undefined) throw new Error('there is no connection')
    if (best.load > 0) this.#another()
    return best
  }

  close(): void {
    for (const one of this.#all) one.close()
  }

  /** What more connections bring is speed only: a server that wants no more of them has its way. */
  #another(): void {
    if (this.#alone || this.#opening || this.#all.length >= maximumConnections) return
    this.#opening = true
    ClientConnection.open(address, where, milliseconds, context).then(
      (more) => {
        this.#opening = false
        if (more.facts.size === this.facts.size && more.facts.structured === this.facts.structured) this.#all.push(more)
        else {
          this.#alone = true
          more.close()
        }
      },
      () => {
        this.#opening = false
        this.#alone = true
      },
    )
  }
}

async function work(
  connections: Connections,
  { kind, offset, length, buffer, start }: ExportRequest,
): Promise<ExportAnswer> {
  const { facts } = connections
  const all: Promise<unknown>[] = []
  const pieces = (longest: number, send: (at: number, count: number) => Promise<unknown>): void => {
    for (let done = 0; done < length; done += longest) all.push(send(done, Math.min(longest, length - done)))
  }
  switch (kind) {
    case 'read':
      pieces(Math.min(longestRequest, facts.maximum), (at, count) =>
        connections.pick().request({
          type: commandType.read,
          offset: offset + at,
          length: count,
          target: bytesOf(buffer, start, at, count),
        }),
      )
      break
    case 'write':
      pieces(Math.min(longestRequest, facts.maximum), (at, count) =>
        connections.pick().request({
          type: commandType.write,
          offset: offset + at,
          length: count,
          payload: bytesOf(buffer, start, at, count),
        }),
      )
      break
    case 'zero':
      pieces(roundDown(longestZero, facts.minimum), (at, count) =>
        connections.pick().request({ type: commandType.writeZeroes, offset: offset + at, length: count }),
      )
      break
    case 'flush':
      // A flush covers what every connection has written, or there is only one.
      all.push(connections.pick().request({ type: commandType.flush, offset: 0, length: 0 }))
      break
    case 'status':
      return {
        runs: alternating(
          await connections
            .pick()
            .request({ type: commandType.blockStatus, offset, length: Math.min(length, longestStatus) }),
        ),
      }
    case 'close':
      connections.close()
      setImmediate(() => port?.close())
      break
  }
  // Nothing may still use the buffer when one has failed.
  for (const result of await Promise.allSettled(all)) if (result.status === 'rejected') throw result.reason
  return {}
}

function bytesOf(buffer: SharedArrayBuffer | undefined, start = 0, at: number, count: number): Uint8Array {
  if (buffer === undefined) throw new TypeError('there is no memory for the bytes')
  return new Uint8Array(buffer, start + at, count)
}

ClientConnection.open(address, where, milliseconds, context).then(
  (first) => {
    const connections = new Connections(first)
    port.on('message', (request: ExportRequest & { readonly id: number }) => {
      work(connections, request).then(
        (result) => reply(request.id, result),
        (error: unknown) => reply(request.id, failed(error)),
      )
    })
    reply(0, { facts: first.facts } satisfies ExportAnswer)
  },
  (error: unknown) => reply(0, failed(error)),
)
