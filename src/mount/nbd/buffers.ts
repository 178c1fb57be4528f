/** Room before the data of a buffer for the headers of a reply. */
export const headerRoom = 64
/** Data that a buffer holds, in bytes: reads and writes are done in pieces of it. */
export const pieceLength = 256 * 1024

/** How many unused buffers are kept. */
const kept = 64

/** A buffer for one piece, in memory that other threads can fill. */
export interface PieceBuffer {
  readonly whole: Buffer
  readonly view: DataView
  readonly data: Uint8Array
}

/** Buffers that all connections of a server use in turn: fresh memory costs more than what is done with it. */
export class PieceBuffers {
  readonly #free: PieceBuffer[] = []

  get(): PieceBuffer {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const shared = new SharedArrayBuffer(headerRoom + pieceLength)
    return {
      whole: Buffer.from(shared),
      view: new DataView(shared),
      data: new Uint8Array(shared, headerRoom, pieceLength),
    }
  }

  /** Gives back a buffer that nobody reads or writes any more. */
  release(buffer: PieceBuffer): void {
    if (this.#free.length < kept) this.#free.push(buffer)
  }
}
