import assert from 'node:assert/strict'
import test from 'node:test'
import { Buffer } from 'node:buffer'
import { ImageError } from '../../../src/errors.js'
import type { Extent } from '../../../src/block/types.js'
import type { ExposedDisk } from '../../../src/mount/exposed-disk.js'
import { FuseSession } from '../../../src/mount/fuse/session.js'
import { diskLike } from '../../support/content.js'

const mebibyte = 1048576

/** A disk in memory, with a hole in its second MiB. */
class MemoryDisk implements ExposedDisk {
  readonly sectorSize = 512
  readonly bytes = Buffer.from(diskLike(4 * mebibyte, 3))
  flushes = 0
  constructor(readonly writable: boolean) {}
  get capacity(): number {
    return this.bytes.length
  }
  extentAt(offset: number, limit: number): Extent {
    const hole = offset >= mebibyte && offset < 2 * mebibyte
    const end = offset < mebibyte ? mebibyte : hole ? 2 * mebibyte : this.capacity
    const length = Math.min(limit, end - offset)
    return hole
      ? { kind: 'zero', offset, length }
      : { kind: 'data', offset, length, position: offset, store: undefined as never }
  }
  read(offset: number, target: Uint8Array): void {
    target.set(this.bytes.subarray(offset, offset + target.length))
  }
  write(offset: number, bytes: Uint8Array): void {
    if (offset === 3 * mebibyte) throw new ImageError('target', 'E_NO_SPACE', 'full')
    this.bytes.set(bytes, offset)
  }
  zero(offset: number, length: number): void {
    this.bytes.fill(0, offset, offset + length)
  }
  flush(): void {
    this.flushes++
  }
  [Symbol.dispose](): void {
    return undefined
  }
}

function request(opcode: number, node: bigint, body: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(40)
  head.writeUInt32LE(40 + body.length, 0)
  head.writeUInt32LE(opcode, 4)
  head.writeBigUInt64LE(0x1122334455667788n, 8)
  head.writeBigUInt64LE(node, 16)
  return Buffer.concat([head, body])
}

/** 64-bit words first, then 32-bit words. */
function words(long: readonly bigint[], short: readonly number[] = [], length = 40): Buffer {
  const bytes = Buffer.alloc(length)
  long.forEach((value, index) => bytes.writeBigUInt64LE(value, index * 8))
  short.forEach((value, index) => bytes.writeUInt32LE(value, long.length * 8 + index * 4))
  return bytes
}

const files = [
  { name: 'disk.img', start: 0, length: 4 * mebibyte },
  { name: 'p1.img', start: 65536, length: 2 * mebibyte },
]

function session(writable: boolean) {
  const disk = new MemoryDisk(writable)
  const problems: [unknown, boolean][] = []
  const served = new FuseSession({
    descriptor: -1,
    disk,
    files,
    look: { user: 7, group: 8, writable, others: false, time: 1_700_000_000 },
    onError: (error, writes) => problems.push([error, writes]),
  })
  /** Error number and body of the reply; the head is checked. */
  const ask = (opcode: number, node: bigint, body?: Uint8Array): { error: number; body: Buffer } => {
    const bytes = served.respond(request(opcode, node, body))
    assert.ok(bytes)
    const reply = Buffer.from(bytes)
    assert.equal(reply.readUInt32LE(0), reply.length)
    assert.equal(reply.readBigUInt64LE(8), 0x1122334455667788n)
    return { error: 0 - reply.readInt32LE(4), body: reply.subarray(16) }
  }
  return { disk, problems, served, ask }
}

test('INIT: only flags that were offered, and the lower of the minor versions', () => {
  const { ask } = session(false)
  const init = (minor: number, flags: number) => {
    const body = Buffer.alloc(64)
    ;[7, minor, 131072, flags].forEach((value, index) => body.writeUInt32LE(value >>> 0, index * 4))
    const reply = ask(26, 0n, body).body
    assert.equal(reply.length, 64)
    return {
      major: reply.readUInt32LE(0),
      minor: reply.readUInt32LE(4),
      flags: reply.readUInt32LE(12),
      maxWrite: reply.readUInt32LE(20),
      granularity: reply.readUInt32LE(24),
      maxPages: reply.readUInt16LE(28),
    }
  }
  // What kernel 6.18 sent.
  const asked = init(45, 0x73fffffb)
  assert.deepEqual(asked, {
    major: 7,
    minor: 31,
    flags: 0x1 + 0x20 + 0x8000 + 0x40000 + 0x400000 + 0x2000000,
    maxWrite: mebibyte,
    granularity: 1,
    maxPages: 256,
  })
  assert.deepEqual(init(23, 0x1), { major: 7, minor: 23, flags: 1, maxWrite: 131072, granularity: 1, maxPages: 0 })
})

test('names, attributes and entries are those of the files, and nothing else is there', () => {
  const { ask } = session(true)
  const found = ask(1, 1n, Buffer.from('p1.img\0'))
  assert.deepEqual([found.error, found.body.length, found.body.readBigUInt64LE(0)], [0, 128, 3n])
  assert.equal(found.body.readBigUInt64LE(40 + 8), BigInt(2 * mebibyte))
  assert.equal(ask(1, 1n, Buffer.from('p2.img\0')).error, 2)
  assert.equal(ask(1, 2n, Buffer.from('p1.img\0')).error, 2)
  const folder = ask(3, 1n, Buffer.alloc(16)).body
  assert.deepEqual(
    [
      folder.length,
      folder.readUInt32LE(16 + 60).toString(8),
      folder.readUInt32LE(16 + 68),
      folder.readUInt32LE(16 + 72),
    ],
    [104, '40500', 7, 8],
  )
  assert.equal(
    ask(3, 2n, Buffer.alloc(16))
      .body.readUInt32LE(16 + 60)
      .toString(8),
    '100600',
  )
  assert.equal(ask(3, 9n, Buffer.alloc(16)).error, 2)
  const listing = ask(28, 1n, words([0n, 0n], [4096])).body
  const names: string[] = []
  for (let at = 0; at < listing.length; at += Math.ceil((24 + listing.readUInt32LE(at + 16)) / 8) * 8)
    names.push(listing.toString('utf8', at + 24, at + 24 + listing.readUInt32LE(at + 16)))
  assert.deepEqual(names, ['.', '..', 'disk.img', 'p1.img'])
  // In pieces: each begins where the one before said.
  const piece = ask(28, 1n, words([0n, 0n], [40])).body
  assert.deepEqual([piece.length, piece.readBigUInt64LE(8)], [32, 1n])
  assert.equal(ask(28, 1n, words([0n, 4n], [4096])).body.length, 0)
  assert.equal(ask(17, 1n).body.readBigUInt64LE(0), 1024n)
})

test("READ gives what is there, and nothing past a file's end", () => {
  const { ask, disk } = session(false)
  assert.ok(ask(15, 3n, words([0n, 1000n], [5000])).body.equals(disk.bytes.subarray(66536, 71536)))
  assert.equal(ask(15, 3n, words([0n, BigInt(2 * mebibyte - 10)], [4096])).body.length, 10)
  for (const offset of [BigInt(2 * mebibyte), 2n ** 62n, 2n ** 64n - 1n])
    assert.deepEqual(ask(15, 3n, words([0n, offset], [4096])), { error: 0, body: Buffer.alloc(0) })
  assert.equal(ask(15, 1n, words([0n, 0n], [4096])).error, 22)
  assert.equal(ask(15, 2n, words([0n, 0n], [2 ** 32 - 1])).body.length, mebibyte)
})

test('a disk that is read only takes no write, in any form', () => {
  const { ask, disk } = session(false)
  const before = Buffer.from(disk.bytes)
  assert.equal(ask(16, 2n, Buffer.concat([words([0n, 0n], [4]), Buffer.from('four')])).error, 30)
  assert.equal(ask(43, 2n, words([0n, 0n, 4096n], [3], 32)).error, 30)
  assert.equal(ask(14, 2n, words([], [2], 8)).error, 30)
  // Read only and nothing else changes it: the kernel keeps what it has.
  assert.equal(ask(14, 2n, words([], [0], 8)).body.readUInt32LE(8), 2)
  assert.ok(disk.bytes.equals(before))
})

test('WRITE, FALLOCATE and FSYNC reach the disk; sizes stay', () => {
  const { ask, disk, problems } = session(true)
  const write = (node: bigint, offset: number, text: string) =>
    ask(16, node, Buffer.concat([words([0n, BigInt(offset)], [text.length]), Buffer.from(text)]))
  assert.equal(write(3n, 100, 'partition').body.readUInt32LE(0), 9)
  assert.equal(disk.bytes.toString('utf8', 65636, 65645), 'partition')
  assert.equal(write(3n, 2 * mebibyte - 3, 'four').error, 28)
  assert.equal(ask(16, 2n, words([0n, 0n], [100])).error, 22, 'fewer bytes than it says')
  assert.equal(ask(25, 2n, Buffer.alloc(24)).error, 0)
  assert.equal(ask(20, 2n, Buffer.alloc(16)).error, 0)
  assert.equal(disk.flushes, 1, 'only what was written is flushed')
  assert.equal(ask(43, 3n, words([0n, 4096n, 8192n], [3], 32)).error, 0)
  assert.ok(disk.bytes.subarray(65536 + 4096, 65536 + 12288).every((byte) => byte === 0))
  assert.equal(ask(43, 3n, words([0n, 0n, BigInt(3 * mebibyte)], [0], 32)).error, 28)
  assert.equal(ask(43, 3n, words([0n, 0n, 4096n], [8], 32)).error, 95)
  const size = (bytes: bigint) => Buffer.concat([words([8n, 0n, bytes]), Buffer.alloc(48)])
  assert.equal(ask(4, 3n, size(5n)).error, 1)
  assert.equal(ask(4, 3n, size(BigInt(2 * mebibyte))).error, 0)
  assert.equal(write(2n, 3 * mebibyte, 'full').error, 28)
  assert.deepEqual(
    problems.map(([error, writes]) => [(error as ImageError).code, writes]),
    [['E_NO_SPACE', true]],
  )
})

test('SEEK_DATA and SEEK_HOLE go by what is stored', () => {
  const { ask } = session(false)
  const seek = (node: bigint, offset: number, whence: number) => {
    const { error, body } = ask(46, node, words([0n, BigInt(offset)], [whence], 24))
    return error === 0 ? Number(body.readBigUInt64LE(0)) : -error
  }
  assert.deepEqual(
    [seek(2n, 5, 3), seek(2n, 5, 4), seek(2n, mebibyte + 1, 3), seek(2n, mebibyte + 1, 4), seek(2n, 3 * mebibyte, 4)],
    [5, mebibyte, 2 * mebibyte, mebibyte + 1, 4 * mebibyte],
  )
  // In the partition offsets are its own; its end counts as a hole.
  assert.deepEqual(
    [seek(3n, 0, 4), seek(3n, mebibyte, 3), seek(3n, 2 * mebibyte - 1, 4)],
    [mebibyte - 65536, 2 * mebibyte - 65536, 2 * mebibyte],
  )
  assert.deepEqual([seek(2n, 4 * mebibyte, 3), seek(2n, 0, 2)], [-6, -22])
})

test('what is not answered, and what is not known', () => {
  const { ask, served } = session(false)
  for (const opcode of [2, 36, 42]) assert.equal(served.respond(request(opcode, 2n, Buffer.alloc(40))), undefined)
  for (const opcode of [22, 34, 39, 47, 52, 4096]) assert.equal(ask(opcode, 2n, Buffer.alloc(64)).error, 38)
  // Shorter than its structure: an error for the program that asked, and the session goes on.
  assert.equal(ask(46, 2n, Buffer.alloc(3)).error, 5)
  assert.equal(ask(17, 1n).error, 0)
})
