import { isReaderGone, outputError } from './outputs.js'
import { withoutSecrets } from '../sys/secrets.js'

interface Stream {
  write(text: string, done: (error?: Error | null) => void): boolean
}

/** How much is gathered before it is written. */
const pieceLength = 65536

/** Long text for a stream, written as fast as its reader takes it. */
export class TextOutput {
  readonly #stream: Stream
  #pending: string[] = []
  #length = 0

  constructor(stream: Stream) {
    this.#stream = stream
  }

  /** Adds text. Resolves to false when the reader went away (`| head`): nothing more is wanted then. */
  async add(text: string): Promise<boolean> {
    this.#pending.push(text)
    this.#length += text.length
    return this.#length < pieceLength || (await this.flush())
  }

  async flush(): Promise<boolean> {
    const text = withoutSecrets(this.#pending.join(''))
    this.#pending = []
    this.#length = 0
    if (text === '') return true
    return await new Promise((resolve, reject) => {
      this.#stream.write(text, (cause) => {
        if (cause === undefined || cause === null) resolve(true)
        else if (isReaderGone(cause)) resolve(false)
        else reject(outputError(cause, 'standard output'))
      })
    })
  }
}
