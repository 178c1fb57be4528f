import { isZero } from '../../binary/zero.js'
import { UnitList } from '../../block/unit-source.js'
import { codecFor } from '../../codec/registry.js'
import { stopIfAborted } from '../../errors.js'
import { temporaryFolder } from '../../sys/self.js'
import type { Content } from './content.js'
import { archiveContainer } from './for-platform.js'
import { tryLayout } from './layout.js'
import type { Sink, SinkOptions, SinkStepName, Transferred } from './sink.js'
import { innerImage, type Archive } from './sink-compressed.js'
import { StreamOutput, StreamSink, type OutputStream } from './sink-stream.js'
import type { Step } from './step.js'

type ArchiveOptions = SinkOptions & { readonly parent?: string }

/** Standard output that takes an archive with the image in it. */
export class ArchiveStream extends StreamOutput {
  readonly #target: OutputStream
  readonly #archive: Archive
  readonly #options: ArchiveOptions

  constructor(target: OutputStream, archive: Archive, options: ArchiveOptions) {
    super(target, options)
    this.#target = target
    this.#archive = archive
    this.#options = options
  }

  override sink(content: Content): Sink {
    return new ArchiveStreamSink(content, this.#target, this.#archive, this.#options)
  }
}

/**
 * Writes an archive to a stream, compressed as it goes. A raw image is read as it is written; others are made in a
 * scratch file first, since the archive says their size before their content.
 */
class ArchiveStreamSink implements Sink {
  readonly notes = []
  readonly #content: Content
  readonly #target: OutputStream
  readonly #archive: Archive
  readonly #options: ArchiveOptions
  #result: Transferred | undefined

  constructor(content: Content, target: OutputStream, archive: Archive, options: ArchiveOptions) {
    // It refuses a stream that goes to a file which is read.
    using plain = new StreamSink(content, target)
    this.#content = content
    this.#target = plain.target
    this.#archive = archive
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
    const { name = 'the target' } = this.#target
    return [{ name: 'write', message: `write to ${name}: ${this.#archive.title}`, run: () => this.#write() }]
  }

  [Symbol.dispose](): void {
    // The stream is the caller's.
  }

  async #write(): Promise<void> {
    const { format, disk } = this.#content
    const { signal, onProgress } = this.#options
    const plain = format.driver.plain === true
    using inner = plain
      ? { source: disk, [Symbol.dispose]: () => undefined }
      : await innerImage(this.#content, temporaryFolder())
    const archive = this.#archive.of(inner.source, this.#content)
    const container = archiveContainer()
    const { codec: id, unitLength, head } = container
    const codec = codecFor(id)
    const unit = new Uint8Array(unitLength)
    const encode = (bytes: Uint8Array): Uint8Array => {
      const stored = codec.encode?.(bytes)
      if (stored === undefined) throw new TypeError(`${id} only decompresses`)
      return stored
    }
    let zeros: Uint8Array | undefined
    let bytesWritten = 0
    const give = async (bytes: Uint8Array): Promise<void> => {
      await this.#target.output(bytes)
      bytesWritten += bytes.length
    }
    await give(head)
    for (let offset = 0; offset < archive.capacity; offset += unitLength) {
      stopIfAborted(signal)
      const piece = unit.subarray(0, Math.min(unitLength, archive.capacity - offset))
      archive.read(offset, piece)
      const empty = piece.length === unitLength && isZero(piece)
      await give(empty ? (zeros ??= encode(piece)) : encode(piece))
      onProgress?.({ phase: 'stream', done: offset + piece.length, total: archive.capacity })
    }
    await give(container.tail(new UnitList(), []))
    this.#content.assertUnchanged()
    this.#result = { bytesRead: archive.capacity, bytesWritten }
  }
}
