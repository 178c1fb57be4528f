import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '../../../src/binary/checksum.js'
import { identifyFilesystems } from '../../../src/filesystem/index.js'
import type { Filesystem } from '../../../src/filesystem/types.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { openStore } from '../../../src/formats/open.js'
import { hfsPlus } from '../../support/small-volumes.js'

const kibibyte = 1024

function identified(bytes: Uint8Array): readonly Filesystem[] {
  return identifyFilesystems(openStore(new MemoryStore(bytes), undefined, { from: 'raw' }))
}

test('HFS+: label, sizes and the map, whose highest bit is the first block', () => {
  const bytes = hfsPlus(100, [0, 1, 2, 3, 40, 41, 99], 'Volume')
  const [found, ...others] = identified(bytes)
  assert.ok(found !== undefined && others.length === 0)
  assert.deepEqual(
    [found.type, found.title, found.label, found.state, found.blockSize, found.size, found.used],
    ['hfsplus', 'HFS+', 'Volume', 'clean', 4096, 409600, 7 * 4096],
  )
  assert.deepEqual(found.issues, [])
  assert.deepEqual(
    [...found.usedRuns!()],
    [
      { offset: 0, length: 4 * 4096 },
      { offset: 40 * 4096, length: 2 * 4096 },
      { offset: 99 * 4096, length: 4096 },
    ],
  )
  const mounted = Buffer.from(bytes)
  mounted.writeUInt32BE(0, 1024 + 4)
  assert.equal(identified(mounted)[0]?.state, 'dirty')
  assert.throws(() => [...identified(mounted)[0]!.usedRuns!()], { code: 'E_FS_DIRTY' })
  const wrong = Buffer.from(bytes)
  wrong[4096 + 10] = 1
  assert.throws(() => [...identified(wrong)[0]!.usedRuns!()], { code: 'E_FS_CORRUPT', message: /free blocks/ })
})

test('HFS+ within HFS: what surrounds it is in use', () => {
  const inner = hfsPlus(100, [0, 1, 2, 3, 99], 'Inner')
  const offset = 16 * 512 + 3 * 4096
  const bytes = Buffer.alloc(offset + inner.length + 5000)
  bytes.write('BD', 1024)
  bytes.writeUInt32BE(4096, 1024 + 20)
  bytes.writeUInt16BE(16, 1024 + 28)
  bytes.write('H+', 1024 + 124)
  bytes.writeUInt16BE(3, 1024 + 126)
  bytes.writeUInt16BE(100, 1024 + 128)
  inner.copy(bytes, offset)
  const [found] = identified(bytes)
  assert.ok(found !== undefined)
  assert.deepEqual([found.type, found.label], ['hfsplus', 'Inner'])
  assert.equal(found.facts.find(({ name }) => name === 'wrapperOffset')?.value, offset)
  const runs = [...found.usedRuns!()]
  const covered = new Set(runs.flatMap((run) => [run.offset, run.offset + run.length - 1]))
  assert.ok(covered.has(0) && covered.has(bytes.length - 1))
  assert.equal(
    runs.reduce((sum, { length }) => sum + length, 0),
    bytes.length - 95 * 4096,
  )
})

/** A superblock of mdraid version 1 (struct mdp_superblock_1), with the sum that belongs to it. */
function raid(bytes: Buffer, position: number): Buffer {
  bytes.writeUInt32LE(0xa92b4efc, position)
  bytes.writeUInt32LE(1, position + 4)
  bytes.write('0123456789abcdef', position + 16)
  bytes.write('host:0', position + 32)
  bytes.writeInt32LE(1, position + 72)
  bytes.writeUInt32LE(2, position + 92)
  bytes.writeBigUInt64LE(BigInt(position / 512), position + 144)
  let sum = 0
  for (let at = 0; at < 256; at += 4) sum += bytes.readUInt32LE(position + at)
  bytes.writeUInt32LE(((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32, position + 216)
  return bytes
}

test('mdraid: at each of its places, and nowhere else', () => {
  const size = 300 * kibibyte + 512
  for (const [version, position] of [
    ['1.1', 0],
    ['1.2', 4096],
    ['1.0', Math.floor(size / 4096) * 4096 - 8192],
  ] as const) {
    const [found, ...others] = identified(raid(Buffer.alloc(size), position))
    assert.ok(found !== undefined && others.length === 0, version)
    assert.deepEqual(
      [found.type, found.version, found.label, found.uuid, found.issues],
      ['linux_raid_member', version, 'host:0', '30313233-3435-3637-3839-616263646566', []],
    )
    assert.equal(found.facts.find(({ name }) => name === 'level')?.value, 'RAID 1')
  }
  const moved = raid(Buffer.alloc(size), 4096)
  moved.writeBigUInt64LE(77n, 4096 + 144)
  assert.deepEqual(identified(moved), [], 'it says that it lies elsewhere')
  const changed = raid(Buffer.alloc(size), 4096)
  changed[4096 + 33] = 1
  assert.deepEqual(
    identified(changed)[0]?.issues.map(({ code }) => code),
    ['E_FS_CHECKSUM'],
  )
})

test('a container wins over what an older filesystem left; two filesystems are ambiguous, without a map', () => {
  const erofs = Buffer.alloc(128 * kibibyte)
  erofs.writeUInt32LE(0xe0f5e1e2, 1024)
  erofs[1024 + 12] = 12
  erofs.writeUInt32LE(32, 1024 + 36)
  erofs.writeUInt32LE(1, 1024 + 8)
  erofs.writeUInt32LE(0xffffffff - crc32c(erofs.subarray(1024, 4096)), 1024 + 4)
  const [alone] = identified(erofs)
  assert.deepEqual([alone?.type, alone?.size, alone?.issues], ['erofs', 128 * kibibyte, []])
  assert.deepEqual([...alone!.usedRuns!()], [{ offset: 0, length: 128 * kibibyte }])
  const both = Buffer.from(erofs)
  both.write('SWAPSPACE2', 8192 - 10)
  const [one, other] = identified(both)
  assert.equal(other, undefined, 'a mark alone is no swap area')
  assert.equal(one?.type, 'erofs')
  const squash = Buffer.from(erofs)
  squash.write('hsqs', 0)
  squash.writeUInt32LE(131_072, 12)
  squash.writeUInt16LE(4, 28)
  squash.writeBigUInt64LE(50_000n, 40)
  const found = identified(squash)
  assert.deepEqual(
    found.map(({ type }) => type),
    ['squashfs', 'erofs'],
  )
  for (const filesystem of found) {
    assert.ok(!('usedRuns' in filesystem))
    assert.ok(filesystem.issues.some(({ code }) => code === 'W_FS_AMBIGUOUS'))
  }
  assert.deepEqual(
    identified(raid(squash, 4096)).map(({ type }) => type),
    ['linux_raid_member'],
  )
})

/** A label of ZFS: pairs in XDR and an uberblock. */
function zfsLabel(bytes: Buffer, position: number): void {
  bytes[position + 16 * kibibyte] = 1
  let at = position + 16 * kibibyte + 12
  const word = (value: number): void => {
    at = bytes.writeUInt32BE(value, at)
  }
  const head = (name: string, type: number, size: number): void => {
    const padded = Math.ceil(name.length / 4) * 4
    word(12 + padded + 8 + size)
    word(0)
    word(name.length)
    bytes.write(name, at)
    at += padded
    word(type)
    word(1)
  }
  head('name', 9, 8)
  word(4)
  bytes.write('tank', at)
  at += 4
  // A list in the list: its pairs count too.
  head('vdev_tree', 19, 8 + 12 + 8 + 8 + 8 + 8)
  word(0)
  word(1)
  head('ashift', 8, 8)
  at = bytes.writeBigUInt64BE(12n, at)
  at += 8
  head('pool_guid', 8, 8)
  at = bytes.writeBigUInt64BE(12345678901234567890n, at)
  bytes.writeBigUInt64LE(0x00bab10cn, position + 128 * kibibyte + 4096)
  bytes.writeBigUInt64LE(5000n, position + 128 * kibibyte + 4096 + 8)
}

test('ZFS: from any of its four labels', () => {
  const size = 1500 * kibibyte
  const end = size - (size % (256 * kibibyte))
  for (const position of [0, 256 * kibibyte, end - 512 * kibibyte, end - 256 * kibibyte]) {
    const bytes = Buffer.alloc(size)
    zfsLabel(bytes, position)
    const [found] = identified(bytes)
    assert.deepEqual(
      [found?.type, found?.label, found?.uuid, found?.version, found?.blockSize],
      ['zfs_member', 'tank', '12345678901234567890', '5000', 4096],
    )
  }
  assert.deepEqual(identified(Buffer.alloc(size)), [])
})
