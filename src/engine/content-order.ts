import { OrderedTaking, type ContentTaker } from '../block/content-taker.js'

/** A chunk's place in the order in which content is given out. */
export interface ContentPlace {
  /** Gives the bytes of the disk at `offset`, when those of all chunks before were given. */
  give(offset: number, bytes: Uint8Array): Promise<void>
  /** The chunk gives nothing more: those behind it go on. To be called whatever happens. */
  end(): void
}

/**
 * Gives the content of chunks to what takes it, in the order of the disk, where that cannot wait for the chunk's turn:
 * it is compressed in its place before.
 */
export class ContentOrder {
  readonly #taking: OrderedTaking
  #last = Promise.resolve()

  constructor(taker: ContentTaker) {
    this.#taking = new OrderedTaking(taker)
  }

  /** The place of the next chunk: asked for in the order of the disk. */
  place(): ContentPlace {
    const before = this.#last
    let end: () => void = () => undefined
    this.#last = new Promise((resolve) => (end = resolve))
    return {
      give: async (offset, bytes) => {
        await before
        this.#taking.add(offset, bytes)
        end()
      },
      end: () => void before.then(end),
    }
  }

  /** The chunk whose turn it is. */
  add(offset: number, bytes: Uint8Array): void {
    this.#taking.add(offset, bytes)
  }

  /** Nothing more is stored before `end`. */
  finish(end: number): void {
    this.#taking.zerosTo(end)
  }
}
