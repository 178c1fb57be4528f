import { printable } from '../../errors.js'
import { temporaryFolder } from '../../sys/self.js'
import type { Content } from './content.js'
import { tryLayout } from './layout.js'
import { packInto } from './packed-file.js'
import type { Sink, SinkOptions, SinkStepName, Transferred } from './sink.js'
import { innerImage, type FilePacking } from './sink-compressed.js'
import { StreamOutput, refuseReadFile, type OutputStream } from './sink-stream.js'
import type { Step } from './step.js'

type PackedOptions = SinkOptions & { readonly parent?: string }

/** A stream that takes a compressed file, or an archive, with the image in it. */
export class PackedStream extends StreamOutput {
  readonly #stream: OutputStream
  readonly #target: FilePacking
  readonly #options: PackedOptions

  constructor(stream: OutputStream, target: FilePacking, options: PackedOptions) {
    super(stream, options)
    this.#stream = stream
    this.#target = target
    this.#options = options
  }

  override sink(content: Content): Sink {
    refuseReadFile(this.#stream, [content])
    return new PackedStreamSink(content, this.#stream, this.#target, this.#options)
  }
}

/**
 * Compresses to a stream with all threads. A raw image is read as it is written; others are made in a scratch file
 * first, since their tables are written last, and an archive says their size before their content.
 */
class PackedStreamSink implements Sink {
  readonly notes = []
  readonly #content: Content
  readonly #stream: OutputStream
  readonly #target: FilePacking
  readonly #options: PackedOptions
  #result: Transferred | undefined

  constructor(content: Content, stream: OutputStream, target: FilePacking, options: PackedOptions) {
    this.#content = content
    this.#stream = stream
    this.#target = target
    this.#options = options
  }

  get capacity(): number {
    const { format, shape } = this.#content
    return tryLayout(format, shape).capacity
  }

  get result(): Transferred | undefined {
    return this.#result
  }

  get steps(): Step<SinkStepName>[] {
    const { name = 'the target' } = this.#stream
    const { archive, container } = this.#target
    const { driver } = this.#content.format
    const scratch =
      driver.plain === true
        ? ''
        : `, from a ${driver.id} image that is made in a scratch file in ${printable(temporaryFolder())} first`
    const what = archive?.title ?? `a file compressed with ${container.codec}`
    return [{ name: 'write', message: `write to ${name}: ${what}${scratch}`, run: () => this.#write() }]
  }

  [Symbol.dispose](): void {
    // The stream is the caller's.
  }

  async #write(): Promise<void> {
    const { format, disk } = this.#content
    using inner =
      format.driver.plain === true
        ? { source: disk, [Symbol.dispose]: () => undefined }
        : await innerImage(this.#content, temporaryFolder())
    const packed = this.#target.archive?.of(inner.source, this.#content) ?? inner.source
    this.#result = await packInto(packed, this.#target.container, this.#stream.output, this.#options)
    this.#content.assertUnchanged()
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  }
}
