import { crc32 } from 'node:zlib'
import { viewOf } from '../../binary/integers.js'
import { Xxh128 } from '../../codec/stream/xxh3.js'
import { Xxh64 } from '../../codec/stream/xxh64.js'
import { withoutInversion } from './entries.js'
import { checksumMode } from './structs.js'

/** A checksum over bytes that come in pieces. */
export interface Checksum {
  update(bytes: Uint8Array): void
  /** Of all bytes so far, as the file stores it. */
  digest(littleEndian: boolean): Uint8Array
}

/** A way of taking checksums: its number in version 2, and its bytes. */
export interface ChecksumKind {
  readonly mode: number | undefined
  readonly title: string
  readonly length: number
  start(): Checksum
}

export const noChecksum: ChecksumKind = {
  mode: checksumMode.none,
  title: 'none',
  length: 0,
  start: () => ({ update: () => undefined, digest: () => new Uint8Array(0) }),
}

export const checksums = {
  crc32: { mode: checksumMode.crc32, title: 'CRC-32', length: 4, start: () => new Crc32() },
  xxh64: { mode: checksumMode.xxh64, title: 'XXH64', length: 8, start: () => new Hash(new Xxh64(), 8) },
  xxh128: { mode: checksumMode.xxh128, title: 'XXH128', length: 16, start: () => new Hash(new Xxh128(), 16) },
  /** Of version 1, whose loop never leaves the first byte of a block. */
  first: { mode: undefined, title: 'CRC-32 of first bytes', length: 4, start: () => new FirstByteCrc32() },
} satisfies Record<string, ChecksumKind>

/** The usual CRC-32 without the inversion at its end. */
class Crc32 implements Checksum {
  protected value = 0

  update(bytes: Uint8Array): void {
    this.value = crc32(bytes, this.value)
  }

  digest(littleEndian: boolean): Uint8Array {
    const bytes = new Uint8Array(4)
    viewOf(bytes).setUint32(0, withoutInversion(this.value), littleEndian)
    return bytes
  }
}

/** Each call is a block: its first byte counts as often as it has bytes. */
class FirstByteCrc32 extends Crc32 {
  #repeated = new Uint8Array(0)

  override update(bytes: Uint8Array): void {
    if (this.#repeated.length !== bytes.length) this.#repeated = new Uint8Array(bytes.length)
    this.value = crc32(this.#repeated.fill(bytes[0] ?? 0), this.value)
  }
}

/** A hash that the machine stored as its own numbers of 64 bits, the lower one first. */
class Hash implements Checksum {
  readonly #hash: Xxh64 | Xxh128
  readonly #length: number

  constructor(hash: Xxh64 | Xxh128, length: number) {
    this.#hash = hash
    this.#length = length
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
  }

  digest(littleEndian: boolean): Uint8Array {
    const bytes = new Uint8Array(this.#length)
    const view = viewOf(bytes)
    let rest = this.#hash.digest()
    for (let at = 0; at < this.#length; at += 8) {
      view.setBigUint64(at, BigInt.asUintN(64, rest), littleEndian)
      rest = rest / 2n ** 64n
    }
    return bytes
  }
}
