import { randomOf } from './power-cut.js'

/** Where the refcounts and the L2 entries of an image file are, read by the specification and by no code of ours. */
export class Qcow2Places {
  readonly clusterSize: number
  readonly refcountBits: number
  readonly extended: boolean
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    const version = bytes.readUInt32BE(4)
    this.clusterSize = 2 ** bytes.readUInt32BE(20)
    this.refcountBits = version === 2 ? 16 : 2 ** bytes.readUInt32BE(96)
    this.extended = version === 3 && (bytes.readBigUInt64BE(72) & 16n) !== 0n
  }

  #u64(position: number): number {
    return position + 8 <= this.#bytes.length ? Number(this.#bytes.readBigUInt64BE(position)) : 0
  }

  /** Positions of the refcount blocks. */
  get refcountBlocks(): number[] {
    const table = this.#u64(48)
    const entries = (this.#bytes.readUInt32BE(56) * this.clusterSize) / 8
    return Array.from({ length: entries }, (_, index) => this.#u64(table + index * 8)).filter(
      (position) => position !== 0,
    )
  }

  /** Positions of the L2 tables of the active disk. */
  get l2Tables(): number[] {
    const l1 = this.#u64(40)
    return Array.from({ length: this.#bytes.readUInt32BE(36) }, (_, index) => l1 + index * 8)
      .map((at) => Number(this.#bytes.readBigUInt64BE(at) & 0x00fffffffffffe00n))
      .filter((position) => position !== 0)
  }

  /** Positions of the L2 entries of the active disk that are not empty. */
  get l2Entries(): number[] {
    const step = this.extended ? 16 : 8
    return this.l2Tables
      .flatMap((table) => Array.from({ length: this.clusterSize / step }, (_, index) => table + index * step))
      .filter((at) => at + step <= this.#bytes.length && this.#bytes.readBigUInt64BE(at) !== 0n)
  }

  /** Sets the refcount of a cluster that the first block counts. */
  setRefcount(cluster: number, value: bigint): void {
    const bits = this.refcountBits
    const [block = 0] = this.refcountBlocks
    if (bits >= 8) {
      for (let byte = 0; byte < bits / 8; byte++)
        this.#bytes[block + (cluster * bits) / 8 + byte] = Number((value >> BigInt(bits - 8 - 8 * byte)) & 255n)
      return
    }
    const at = block + Math.floor((cluster * bits) / 8)
    const shift = (cluster * bits) % 8
    const mask = (2 ** bits - 1) << shift
    this.#bytes[at] = ((this.#bytes[at] ?? 0) & ~mask) | ((Number(value) << shift) & mask)
  }
}

/** Damages an image at random, in refcounts and in L2 entries, the same way for the same seed. Says what was done. */
export function damageAtRandom(bytes: Buffer, seed: number): string {
  const random = randomOf(seed)
  // The first numbers of neighbouring seeds are alike.
  for (let skip = 0; skip < 8; skip++) random(2)
  const places = new Qcow2Places(bytes)
  const { clusterSize, refcountBits } = places
  const clusters = Math.min(Math.ceil(bytes.length / clusterSize), (clusterSize * 8) / refcountBits)
  const done: string[] = []
  for (let count = 1 + random(3); count > 0; count--) {
    if (random(2) === 0) {
      const cluster = random(clusters)
      const value =
        [0n, 1n, 2n, (1n << BigInt(refcountBits)) - 1n, BigInt(random(65536))][random(5)]! &
        ((1n << BigInt(refcountBits)) - 1n)
      // Values beyond 2^53 are no damage that happens, and qemu takes the highest bit for a sign.
      const sane = value > 2n ** 40n ? 77n : value
      places.setRefcount(cluster, sane)
      done.push(`refcount of cluster ${cluster} = ${sane}`)
      continue
    }
    const entries = places.l2Entries
    const at = entries[random(entries.length)]
    if (at === undefined) continue
    const entry = bytes.readBigUInt64BE(at)
    const other = bytes.readBigUInt64BE(entries[random(entries.length)] ?? at)
    const changed = [
      entry ^ (1n << 63n),
      entry ^ (1n << BigInt(random(62))),
      0n,
      other,
      other ^ (1n << 63n),
      (1n << 63n) | BigInt(random(clusters) * clusterSize),
      BigInt(random(clusters) * clusterSize),
      (1n << 63n) | BigInt(random(2 * clusters) * 512),
      entry | BigInt(random(2) + 1),
      entry ^ (1n << 62n),
    ][random(10)]!
    bytes.writeBigUInt64BE(changed, at)
    done.push(`entry at ${at}: ${entry.toString(16)} -> ${changed.toString(16)}`)
  }
  return done.join(', ')
}
