/* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is below 256 */

/** Two tables: the upper and the lower halves of the entries. */
interface Tables {
  readonly high: Uint32Array
  readonly low: Uint32Array
}

/** Made when they are first needed: this takes a millisecond. */
let tables: Tables | undefined

function makeTables(): Tables {
  const high = new Uint32Array(256)
  const low = new Uint32Array(256)
  for (let index = 0; index < 256; index++) {
    let crc = BigInt(index)
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0xc96c5795d7870f42n : crc >> 1n
    high[index] = Number(crc >> 32n)
    low[index] = Number(crc & 0xffffffffn)
  }
  return { high, low }
}

/** CRC-64 of ECMA-182, reflected, as .xz has it; over bytes that come in pieces. */
export class Crc64 {
  #high = -1
  #low = -1

  update(bytes: Uint8Array): void {
    const { high: highTable, low: lowTable } = (tables ??= makeTables())
    let high = this.#high
    let low = this.#low
    for (let at = 0; at < bytes.length; at++) {
      const index = (low ^ bytes[at]!) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ lowTable[index]!
      high = (high >>> 8) ^ highTable[index]!
    }
    this.#high = high
    this.#low = low
  }

  /** Eight bytes, the least significant first. */
  digest(): Uint8Array {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32LE(~this.#low >>> 0, 0)
    bytes.writeUInt32LE(~this.#high >>> 0, 4)
    return bytes
  }
}
