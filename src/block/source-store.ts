import { printable, type Label } from '../errors.js'
import { ReadOnlyStore } from './read-only-store.js'
import type { BlockSource, ByteStore } from './types.js'

/**
 * The bytes of a disk as those of a file: an image inside a compressed file, a member of an archive. It is only read.
 * The engine sees through it (`source`), so that what lies inside is read and decoded by all its threads.
 */
export class SourceStore extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly source: BlockSource & Pick<ByteStore, 'glance'>
  readonly #below: Disposable & Pick<ByteStore, 'changed'>

  /** @param below what is closed together with it: the store that holds the source's bytes. */
  constructor(
    name: string,
    source: BlockSource & Pick<ByteStore, 'glance'>,
    below: Disposable & Pick<ByteStore, 'changed'>,
  ) {
    super()
    this.name = printable(name)
    this.size = source.capacity
    this.source = source
    this.#below = below
  }

  changed(): string | undefined {
    return this.#below.changed?.()
  }

  read(position: number, target: Uint8Array): void {
    this.source.read(position, target)
  }

  glance(position: number, target: Uint8Array): void {
    if (this.source.glance === undefined) this.read(position, target)
    else this.source.glance(position, target)
  }

  [Symbol.dispose](): void {
    this.source[Symbol.dispose]()
    this.#below[Symbol.dispose]()
  }
}
