import { isZero } from '../../../binary/zero.js'
import type { ByteStore } from '../../../block/types.js'
import { runEnd, testBit } from './entries.js'
import { sectorLength } from './structs.js'

/** A program that does not keep the bitmaps shows in the first sectors that it left clear. */
const tasteLength = 4096
const pieceLength = 1024 * 1024

/**
 * Looks for data that the sector bitmap of a block hides: by the specification such a sector was never written and
 * reads as zero; QEMU, which does not read bitmaps, shows the data.
 */
export class HiddenDataFinder {
  readonly #store: ByteStore
  readonly #deep: boolean
  readonly #piece: Uint8Array
  #read = 0

  /** @param deep all sectors are looked at whose bits are clear, else the beginning of the first run of them. */
  constructor(store: ByteStore, blockSize: number, deep: boolean) {
    this.#store = store
    this.#deep = deep
    this.#piece = new Uint8Array(Math.min(deep ? pieceLength : tasteLength, blockSize))
  }

  /** Bytes read since the last call. */
  takeRead(): number {
    const read = this.#read
    this.#read = 0
    return read
  }

  /**
   * The first such sector of a block, by its number in the block. @param data where the block's data begins, in bytes.
   * @param sectors how many of the block are on the disk. @throws ImageError E_READ
   */
  first(bitmap: Uint8Array, data: number, sectors: number): number | undefined {
    for (let sector = 0; sector < sectors;) {
      const written = testBit(bitmap, sector)
      const end = runEnd(
        bitmap,
        sector,
        written ? sectors : Math.min(sectors, sector + this.#piece.length / sectorLength),
      )
      if (!written) {
        const available = Math.min((end - sector) * sectorLength, this.#store.size - data - sector * sectorLength)
        if (available <= 0) return undefined
        const piece = this.#piece.subarray(0, available)
        this.#store.read(data + sector * sectorLength, piece)
        this.#read += piece.length
        if (!isZero(piece)) return sector + Math.floor(piece.findIndex((byte) => byte !== 0) / sectorLength)
        if (!this.#deep) return undefined
      }
      sector = end
    }
    return undefined
  }
}

/** What check and reading say of it. @param data where the block's data begins, in bytes. */
export function hiddenDataMessage(sector: number, data: number): string {
  return (
    `sector ${sector} of the block is marked as never written, but there is data at byte ` +
    `${data + sector * sectorLength}: by the specification it reads as zero, QEMU reads the data`
  )
}
