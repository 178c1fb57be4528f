import { MemoryStore } from '../../src/block/memory-store.js'

/** Bytes of an image whose fields are little-endian, to be damaged. */
export class ImageBytes {
  bytes: Buffer
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
  u8(position: number, value: number): this {
    this.bytes.writeUInt8(value, position)
    return this
  }
  u32(position: number, value: number): this {
    this.bytes.writeUInt32LE(value, position)
    return this
  }
  u64(position: number, value: bigint): this {
    this.bytes.writeBigUInt64LE(value, position)
    return this
  }
  text(position: number, text: string): this {
    this.bytes.write(text, position, 'latin1')
    return this
  }
  fill(position: number, length: number, value: number): this {
    this.bytes.fill(value, position, position + length)
    return this
  }
  cut(length: number): this {
    this.bytes = this.bytes.subarray(0, length)
    return this
  }
  /** @param what bytes, or how many of a value. */
  add(what: Uint8Array | number, value = 0): this {
    this.bytes = Buffer.concat([this.bytes, typeof what === 'number' ? Buffer.alloc(what, value) : what])
    return this
  }
  store(name: string): MemoryStore {
    return new MemoryStore(this.bytes, name)
  }
}
