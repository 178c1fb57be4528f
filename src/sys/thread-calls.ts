import { deserialize, serialize } from 'node:v8'
import { Worker, type MessagePort } from 'node:worker_threads'
import { rebuilt, takenApart, type ErrorParts } from '../errors.js'

/** What a thread is started with, besides what its work needs. */
export interface ThreadStart {
  /** Two words: 1 when an answer stands in `answer`, and how many bytes it has. */
  readonly control: SharedArrayBuffer
  readonly answer: SharedArrayBuffer
}

/** What every answer of a thread may hold. */
export interface ThreadAnswer {
  readonly failure?: ErrorParts
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

interface CallOptions {
  /** What the thread works with, for messages. */
  readonly name: string
  /** Room for an answer, in bytes. */
  readonly answerLength: number
  /** The error when the thread does not answer in time. */
  readonly silent: () => Error
  /** Whether the thread takes lists: what is asked for in one turn of this thread is sent together. */
  readonly takesLists?: boolean
}

/**
 * A thread that does work for this one, which may wait for it (`call`) or not (`ask`). While nothing was asked the
 * thread keeps the program from ending no longer.
 * @template Request what it is asked for, without the number that the answer has.
 */
export class ThreadCalls<Request extends object, Answer extends ThreadAnswer> {
  readonly #worker: Worker
  readonly #words = new Int32Array(new SharedArrayBuffer(8))
  readonly #answer: Uint8Array
  readonly #silent: () => Error
  readonly #waiting = new Map<number, Waiting>()
  readonly #takesLists: boolean
  /** What was asked for in this turn, and is not sent yet. */
  #asked: (Request & { readonly id: number })[] = []
  #nextId = 1

  /** @param file the thread's program. @param data what it is started with, besides {@link ThreadStart}. */
  constructor(file: URL, data: object, { name, answerLength, silent, takesLists = false }: CallOptions) {
    const answer = new SharedArrayBuffer(answerLength)
    this.#answer = new Uint8Array(answer)
    this.#silent = silent
    this.#takesLists = takesLists
    this.#worker = new Worker(file, { workerData: { ...data, control: this.#words.buffer, answer } })
    this.#worker.unref()
    this.#worker.on('message', (reply: Answer & { readonly id: number }) => this.#settle(reply))
    this.#worker.on('error', (error) => this.#failAll(error))
    this.#worker.on('exit', () => this.#failAll(new Error(`${name}: its thread has ended`)))
  }

  /** What the thread answers to being started. @throws what the thread threw; `silent`. */
  started(milliseconds: number): Answer {
    try {
      return this.#awaitAnswer(milliseconds)
    } catch (error) {
      this.terminate()
      throw error
    }
  }

  /** Has the thread do something, and waits for it. @throws what the thread threw; `silent`. */
  call(request: Request, milliseconds: number): Answer {
    Atomics.store(this.#words, 0, 0)
    this.send(request, 0)
    return this.#awaitAnswer(milliseconds)
  }

  /** The same without waiting; what the thread threw, the promise is rejected with. */
  ask(request: Request): Promise<void> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) this.#worker.ref()
      this.#waiting.set(id, { resolve, reject })
      if (!this.#takesLists) this.send(request, id)
      else if (this.#asked.push({ id, ...request }) === 1) setImmediate(() => this.#sendAsked())
    })
  }

  /** A request whose answer is had in another way. @param moved what the thread has from then on, and nobody else. */
  send(request: Request, id = 0, moved: readonly MessagePort[] = []): void {
    this.#worker.postMessage({ id, ...request }, [...moved])
  }

  #sendAsked(): void {
    if (this.#asked.length > 0) this.#worker.postMessage(this.#asked)
    this.#asked = []
  }

  terminate(): void {
    void this.#worker.terminate()
  }

  #awaitAnswer(milliseconds: number): Answer {
    if (Atomics.wait(this.#words, 0, 0, milliseconds) === 'timed-out') throw this.#silent()
    const answer = deserialize(this.#answer.slice(0, Atomics.load(this.#words, 1))) as Answer
    if (answer.failure !== undefined) throw rebuilt(answer.failure)
    return answer
  }

  #settle({ id, failure }: Answer & { readonly id: number }): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (failure === undefined) waiting.resolve()
    else waiting.reject(rebuilt(failure))
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

/** The other end: reports results in the thread. Id 0: the caller waits on the control word. */
export function answering(
  port: MessagePort,
  { control, answer }: ThreadStart,
): { readonly reply: (id: number, result: object) => void; readonly failed: (error: unknown) => ThreadAnswer } {
  const words = new Int32Array(control)
  const answerBytes = new Uint8Array(answer)
  return {
    failed: (error) => ({ failure: takenApart(error) }),
    reply: (id, result) => {
      if (id > 0) {
        port.postMessage({ id, ...result })
        return
      }
      const bytes = serialize(result)
      answerBytes.set(bytes)
      Atomics.store(words, 1, bytes.length)
      Atomics.store(words, 0, 1)
      Atomics.notify(words, 0)
    },
  }
}
