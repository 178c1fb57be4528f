import { stream } from '../../engine/index.js'
import { printable, refused, usage } from '../../errors.js'
import type { Content } from './content.js'
import { tryLayout } from './layout.js'
import type { Output, Sink, SinkStepName, Transferred } from './sink.js'
import type { Step } from './step.js'

/** What takes the bytes of an image in order: standard output. */
export interface OutputStream {
  /** Resolves when more may come; the bytes are reused afterwards. */
  readonly output: (bytes: Uint8Array) => Promise<void>
  /** Is given how many bytes will come, before the first, where that is known. */
  readonly planned?: (size: number) => Promise<void>
  /** Takes so many zeros, where they need not be given out as bytes. */
  readonly zeros?: (length: number) => Promise<void>
  readonly name?: string
  /** What the image is called where it goes. */
  readonly fileName?: string
  /** The file that it is, where it is one: it may be none of those that are read. */
  readonly file?: { readonly device: bigint; readonly inode: bigint }
}

/** A stream as the target of a conversion. It is gone when it is written. */
export class StreamOutput implements Output {
  readonly name: string
  readonly path = undefined
  readonly formatName = undefined
  readonly #stream: OutputStream
  readonly #options: { readonly verify?: boolean; readonly parent?: string }

  constructor(stream: OutputStream, options: { readonly verify?: boolean; readonly parent?: string }) {
    this.name = stream.name ?? '-'
    this.#stream = stream
    this.#options = options
  }

  /** @throws ImageError usage E_STREAM */
  check(): void {
    const { parent, verify } = this.#options
    if (parent !== undefined)
      throw usage('E_STREAM', 'a target that is a stream cannot have a parent: it has no folder')
    if (verify === true)
      throw usage('E_STREAM', 'a target that is a stream cannot be verified: it is gone when it is written')
  }

  checkPlace(): void {
    // It is there.
  }

  sink(content: Content): Sink {
    return new StreamSink(content, this.#stream)
  }
}

/** @throws ImageError refused E_SAME_FILE when a stream goes to a file that is read (`convert a.raw - >> a.raw`). */
export function refuseReadFile({ file, name = 'the target' }: OutputStream, contents: readonly Content[]): void {
  const same = contents
    .flatMap(({ opened }) => opened.files)
    .find(({ device, inode }) => device === file?.device && inode === file.inode)
  if (same === undefined) return
  throw refused('E_SAME_FILE', `${name} goes to ${printable(same.path)}, which is being read`, {
    hint: 'Send it to another file; no flag overrides this.',
  })
}

/** Writes an image to a stream. It throws ImageError: usage E_STREAM; corrupt E_SOURCE_CHANGED; aborted E_ABORTED. */
class StreamSink implements Sink {
  readonly notes = []
  readonly #content: Content
  readonly #target: OutputStream
  #capacity: number | undefined
  #result: Transferred | undefined

  /** @throws ImageError refused E_SAME_FILE when it goes to a file that is read. */
  constructor(content: Content, target: OutputStream) {
    refuseReadFile(target, [content])
    this.#content = content
    this.#target = target
  }

  get capacity(): number {
    const { format, shape } = this.#content
    return this.#capacity ?? tryLayout(format, shape).capacity
  }

  get result(): Transferred | undefined {
    return this.#result
  }

  get steps(): Step<SinkStepName>[] {
    const { id } = this.#content.format.driver
    const { name = 'the target' } = this.#target
    return [
      {
        name: 'write',
        message: `write a ${id} image to ${name}, from its first byte to its last`,
        run: () => this.#write(),
      },
    ]
  }

  [Symbol.dispose](): void {
    // The stream is the caller's.
  }

  async #write(): Promise<void> {
    const { format, shape, moving } = this.#content
    this.#result = await stream({
      ...moving,
      output: this.#target.output,
      planned: this.#target.planned,
      zeros: this.#target.zeros,
      layout: (store) => {
        const writer = format.driver.create(store, shape, format.options, {
          onePass: true,
          name: this.#target.fileName,
          createFile: () => {
            throw usage('E_STREAM', 'an image of several files cannot go to a stream')
          },
        })
        this.#capacity = writer.capacity
        return writer
      },
    })
    this.#content.assertUnchanged()
    moving.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  }
}
