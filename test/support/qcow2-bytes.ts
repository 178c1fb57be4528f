import { MemoryStore } from '../../src/block/memory-store.js'

/**
 * Bytes of a file under construction, written field by field from the specification: no code of ours decides anything
 * here.
 */
export class FileBytes {
  #bytes: Buffer = Buffer.alloc(0)

  get size(): number {
    return this.#bytes.length
  }

  #reach(end: number): void {
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(end - this.#bytes.length)])
  }

  put(position: number, bytes: Uint8Array | string): this {
    const piece = Buffer.from(bytes)
    this.#reach(position + piece.length)
    piece.copy(this.#bytes, position)
    return this
  }

  u8(position: number, value: number): this {
    return this.put(position, Uint8Array.of(value))
  }

  u16(position: number, value: number): this {
    this.#reach(position + 2)
    this.#bytes.writeUInt16BE(value, position)
    return this
  }

  u32(position: number, value: number): this {
    this.#reach(position + 4)
    this.#bytes.writeUInt32BE(value, position)
    return this
  }

  u64(position: number, value: bigint | number): this {
    this.#reach(position + 8)
    this.#bytes.writeBigUInt64BE(BigInt(value), position)
    return this
  }

  cut(size: number): this {
    this.#bytes = this.#bytes.subarray(0, size)
    return this
  }

  pad(size: number): this {
    this.#reach(size)
    return this
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes)
  }

  store(): MemoryStore {
    return new MemoryStore(this.#bytes, 'hand.qcow2')
  }
}

export interface HandShape {
  readonly version?: 2 | 3
  readonly clusterBits?: number
  readonly size?: number
  readonly extended?: boolean
  readonly incompatible?: bigint
  readonly compressionType?: number
  /** In the order they are written, before the end mark. */
  readonly extensions?: readonly (readonly [type: number, data: Uint8Array | string])[]
  readonly backing?: string
}

/**
 * An image with one L1 and one L2 table: cluster 0 header, 1 refcount table, 2 refcount block, 3 L1, 4 L2; data from
 * cluster 5 on.
 */
export class HandImage extends FileBytes {
  readonly cluster: number
  readonly l1: number
  readonly l2: number
  readonly #entry: number

  constructor(shape: HandShape = {}) {
    super()
    const { version = 3, clusterBits = 16, extended = false, extensions = [], backing } = shape
    const cluster = 2 ** clusterBits
    this.cluster = cluster
    this.l1 = 3 * cluster
    this.l2 = 4 * cluster
    this.#entry = extended ? 16 : 8
    const size = shape.size ?? 8 * cluster
    this.pad(5 * cluster)
    this.put(0, Buffer.from('QFI\u00fb', 'latin1')).u32(4, version).u32(20, clusterBits).u64(24, size)
    this.u32(36, Math.max(1, Math.ceil(size / ((cluster / this.#entry) * cluster)))).u64(40, this.l1)
    this.u64(48, cluster)
      .u32(56, 1)
      .u64(cluster, 2 * cluster)
    let at = 72
    if (version === 3) {
      const compression = shape.compressionType ?? 0
      this.u64(72, (shape.incompatible ?? 0n) | (extended ? 16n : 0n) | (compression !== 0 ? 8n : 0n))
      this.u32(96, 4).u32(100, 112).u8(104, compression)
      at = 112
    }
    for (const [type, data] of extensions) {
      const piece = Buffer.from(data)
      this.u32(at, type)
        .u32(at + 4, piece.length)
        .put(at + 8, piece)
      at += 8 + Math.ceil(piece.length / 8) * 8
    }
    if (backing !== undefined)
      this.u64(8, at + 8)
        .u32(16, Buffer.byteLength(backing))
        .put(at + 8, backing)
    this.u64(this.l1, (1n << 63n) | BigInt(this.l2))
  }

  /** Sets the L2 entry of a guest cluster. */
  map(guest: number, entry: bigint | number, bitmap = 0n): this {
    this.u64(this.l2 + guest * this.#entry, entry)
    return this.#entry === 16 ? this.u64(this.l2 + guest * 16 + 8, bitmap) : this
  }

  /** Puts data into a host cluster and maps a guest cluster to it. */
  data(guest: number, host: number, bytes: Uint8Array): this {
    return this.pad((host + 1) * this.cluster)
      .put(host * this.cluster, bytes)
      .map(guest, (1n << 63n) | BigInt(host * this.cluster))
  }
}

/** The compressed cluster descriptor of the specification: x = 62 − (cluster_bits − 8). */
export function compressedEntry(clusterBits: number, position: number, additionalSectors: number): bigint {
  return (1n << 62n) | (BigInt(additionalSectors) << BigInt(62 - (clusterBits - 8))) | BigInt(position)
}
