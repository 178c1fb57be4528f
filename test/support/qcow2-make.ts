import assert from 'node:assert/strict'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { BlockSource } from '../../src/block/types.js'
import { copy } from '../../src/engine/index.js'
import type { OptionValues } from '../../src/formats/driver.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { diskLike } from './content.js'
import { openWith, shape } from './drivers.js'

/** A kind of image to be changed. */
export interface Variant {
  readonly title: string
  readonly capacity: number
  readonly options: OptionValues
  /** The share of the disk that holds something, from 0 to 1. */
  readonly filled: number
  /** Bytes of the parent's disk. */
  readonly parent?: number
  readonly snapshot?: boolean
}

const kib = 1024
export const variants: readonly Variant[] = [
  { title: 'v3', capacity: 900 * kib + 512, options: { 'cluster-size': 4096 }, filled: 0.5 },
  { title: 'v3 of large clusters', capacity: 900 * kib, options: { 'cluster-size': 65536 }, filled: 0.3 },
  {
    title: 'smallest clusters and widest refcounts, so that the refcount table grows',
    capacity: 3072 * kib,
    options: { 'cluster-size': 512, 'refcount-bits': 64 },
    filled: 0.02,
  },
  {
    title: 'refcounts of one bit',
    capacity: 700 * kib,
    options: { 'cluster-size': 1024, 'refcount-bits': 1 },
    filled: 0.4,
  },
  {
    title: 'refcounts of 32 bits, filled',
    capacity: 500 * kib,
    options: { 'cluster-size': 2048, 'refcount-bits': 32, preallocation: 'metadata' },
    filled: 0,
  },
  { title: 'v2', capacity: 600 * kib, options: { 'cluster-size': 1024, compat: '0.10' }, filled: 0.5 },
  {
    title: 'v2 with a parent',
    capacity: 600 * kib,
    options: { 'cluster-size': 1024, compat: '0.10' },
    filled: 0.2,
    parent: 500 * kib,
  },
  {
    title: 'v3 with a parent',
    capacity: 900 * kib + 512,
    options: { 'cluster-size': 4096 },
    filled: 0.2,
    parent: 1000 * kib,
  },
  { title: 'compressed', capacity: 800 * kib, options: { 'cluster-size': 4096, compress: 'zlib' }, filled: 0.7 },
  {
    title: 'subclusters',
    capacity: 900 * kib + 512,
    options: { 'cluster-size': 16384, 'extended-l2': true },
    filled: 0.4,
  },
  {
    title: 'subclusters with a parent',
    capacity: 900 * kib,
    options: { 'cluster-size': 32768, 'extended-l2': true },
    filled: 0.2,
    parent: 800 * kib + 512,
  },
  { title: 'a snapshot', capacity: 600 * kib, options: { 'cluster-size': 1024 }, filled: 0.5, snapshot: true },
  {
    title: 'a snapshot, subclusters, and a parent',
    capacity: 900 * kib,
    options: { 'cluster-size': 16384, 'extended-l2': true },
    filled: 0.4,
    parent: 800 * kib,
    snapshot: true,
  },
  {
    title: 'a snapshot of a compressed disk',
    capacity: 600 * kib,
    options: { 'cluster-size': 2048, compress: 'zlib' },
    filled: 0.6,
    snapshot: true,
  },
]

export interface Start {
  readonly bytes: Uint8Array
  readonly capacity: number
  readonly clusterSize: number
  readonly parent: BlockSource | undefined
}

export function sizeOf({ capacity }: Start): number {
  return capacity
}

/** An image of that kind, and its parent. */
export async function startOf({
  capacity,
  options,
  filled,
  parent: parentCapacity,
  snapshot = false,
}: Variant): Promise<Start> {
  const clusterSize = Number(options['cluster-size'])
  const parent =
    parentCapacity === undefined ? undefined : openWith('raw', new MemoryStore(diskLike(parentCapacity, 7)))
  const content = new Uint8Array(capacity)
  parent?.read(0, content.subarray(0, Math.min(capacity, parent.capacity)))
  const layer = diskLike(capacity, 3)
  const piece = 16384
  for (let at = 0; at < capacity; at += piece)
    if (((at / piece) * 7) % 10 < filled * 10) content.set(layer.subarray(at, at + piece), at)
  const store = new MemoryStore(undefined, 'test.qcow2')
  const parentShape =
    parent === undefined ? {} : { parent: { image: parent, path: '/p', relativePath: 'parent.raw', time: 0 } }
  using writer = qcow2.create!(store, shape(capacity, parentShape), options, {
    createFile: () => assert.fail('no file was expected'),
  })
  using source = openWith('raw', new MemoryStore(content))
  await copy({ source, target: writer, threads: 0, base: parent })
  writer.finish()
  const bytes = store.contents()
  return { bytes: snapshot ? withSnapshot(bytes) : bytes, capacity, clusterSize, parent }
}

const flag = (word: bigint, bit: number): boolean => ((word >> BigInt(bit)) & 1n) === 1n
const offsetMask = 0x00fffffffffffe00n

/** What the header says, as far as the functions here need it. */
class Layout {
  readonly bytes: Buffer
  readonly cluster: number
  readonly order: number
  readonly entry: number
  readonly version: number

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.version = this.u32(4)
    this.cluster = 2 ** this.u32(20)
    this.order = this.version === 2 ? 4 : this.u32(96)
    this.entry = this.version === 3 && (this.u32(76) & 16) !== 0 ? 16 : 8
  }

  u32(at: number): number {
    return at + 4 <= this.bytes.length ? this.bytes.readUInt32BE(at) : 0
  }

  /** What lies behind the end of the file is zero. */
  u64(at: number): bigint {
    return at + 8 <= this.bytes.length ? this.bytes.readBigUInt64BE(at) : 0n
  }

  count(cluster: number): bigint {
    const bits = 2 ** this.order
    const perBlock = (this.cluster * 8) / bits
    const index = Math.floor(cluster / perBlock)
    if (index >= (this.u32(56) * this.cluster) / 8) return 0n
    const block = Number(this.u64(Number(this.u64(48)) + index * 8) & offsetMask)
    if (block === 0) return 0n
    const bit = (cluster % perBlock) * bits
    if (bits < 8) return BigInt(((this.bytes[block + Math.floor(bit / 8)] ?? 0) >> (bit % 8)) & (2 ** bits - 1))
    let count = 0n
    for (let at = 0; at < bits / 8; at++) count = count * 256n + BigInt(this.bytes[block + bit / 8 + at] ?? 0)
    return count
  }

  /** The bytes that a compressed cluster descriptor names. */
  packed(word: bigint): { position: number; length: number } {
    const x = BigInt(62 - (this.u32(20) - 8))
    const position = Number(word & ((1n << x) - 1n))
    const sectors = Number((word >> x) & ((1n << (62n - x)) - 1n)) + 1
    return { position, length: sectors * 512 - (position % 512) }
  }
}

/** Takes a snapshot by hand (16-bit refcounts): its own L1 table, all refcounts raised, no COPIED flag left. */
function withSnapshot(before: Uint8Array): Uint8Array {
  const old = new Layout(before)
  const end = Math.ceil(before.length / old.cluster) * old.cluster
  const l1Size = old.u32(36)
  const l1Length = Math.ceil((l1Size * 8) / old.cluster) * old.cluster
  const bytes = Buffer.alloc(end + l1Length + old.cluster)
  bytes.set(before)
  const layout = new Layout(bytes)
  const at = (cluster: number): number => {
    const perBlock = layout.cluster / 2
    const block = Number(layout.u64(Number(layout.u64(48)) + Math.floor(cluster / perBlock) * 8) & offsetMask)
    assert.notEqual(block, 0, 'the refcount blocks have room for a snapshot')
    return block + (cluster % perBlock) * 2
  }
  const raise = (position: number, length: number): void => {
    for (let cluster = Math.floor(position / layout.cluster); cluster * layout.cluster < position + length; cluster++)
      bytes.writeUInt16BE(bytes.readUInt16BE(at(cluster)) + 1, at(cluster))
  }
  const unflag = (position: number): number => bytes.writeBigUInt64BE(layout.u64(position) & ~(1n << 63n), position)
  const l1 = Number(layout.u64(40))
  for (let index = 0; index < l1Size; index++) {
    const l2 = Number(layout.u64(l1 + index * 8) & offsetMask)
    if (l2 === 0) continue
    unflag(l1 + index * 8)
    raise(l2, layout.cluster)
    for (let entry = l2; entry < l2 + layout.cluster; entry += layout.entry) {
      const word = layout.u64(entry)
      if (flag(word, 62)) raise(layout.packed(word).position, layout.packed(word).length)
      else if ((word & offsetMask) !== 0n) {
        unflag(entry)
        raise(Number(word & offsetMask), layout.cluster)
      }
    }
  }
  bytes.copy(bytes, end, l1, l1 + l1Size * 8)
  raise(end, l1Length + layout.cluster)
  const table = end + l1Length
  bytes.writeBigUInt64BE(BigInt(end), table)
  bytes.writeUInt32BE(l1Size, table + 8)
  bytes.writeUInt16BE(1, table + 12)
  bytes.writeUInt16BE(6, table + 14)
  bytes.writeUInt32BE(24, table + 36)
  bytes.writeBigUInt64BE(layout.u64(24), table + 48)
  bytes.write('1before', table + 64)
  bytes.writeUInt32BE(1, 60)
  bytes.writeBigUInt64BE(BigInt(table), 64)
  return bytes
}

/** How many clusters of a file have a refcount. */
export function clustersInUse(bytes: Uint8Array): number {
  const layout = new Layout(bytes)
  let used = 0
  for (let cluster = 0; cluster * layout.cluster < bytes.length; cluster++) if (layout.count(cluster) > 0n) used++
  return used
}

/** Who uses which cluster of a file, as a walk over it finds. */
class ClusterUses {
  readonly counts = new Map<number, bigint>()
  readonly owners = new Map<number, string>()

  constructor(
    readonly layout: Layout,
    readonly fileBytes: number,
    readonly what: string,
  ) {}

  /** Counts a range of the file, which nothing else may lie on unless it is shared with its like. */
  use(position: number, length: number, owner: string, shared = false): void {
    const { cluster: size } = this.layout
    assert.ok(
      position < this.fileBytes || length === 0,
      `${this.what}: ${owner} at ${position} is past the end ${this.fileBytes}`,
    )
    for (let cluster = Math.floor(position / size); cluster * size < position + length; cluster++) {
      this.counts.set(cluster, (this.counts.get(cluster) ?? 0n) + 1n)
      const other = this.owners.get(cluster)
      assert.ok(
        other === undefined || (shared && other === owner),
        `${this.what}: ${owner} and ${other} share cluster ${cluster}`,
      )
      this.owners.set(cluster, owner)
    }
  }

  /** Counts the tables and the data of a disk: the active one, or a snapshot's. */
  disk(l1: number, l1Size: number, active: boolean): void {
    const { layout, what } = this
    this.use(l1, l1Size * 8, active ? 'L1 table' : `L1 table of a snapshot at ${l1}`)
    for (let index = 0; index < l1Size; index++) {
      const word = layout.u64(l1 + index * 8)
      const l2 = Number(word & offsetMask)
      if (l2 === 0) continue
      this.use(l2, layout.cluster, 'L2 table', true)
      if (active) this.#copied(word, l2, 'an L2 table')
      for (let at = l2; at < l2 + layout.cluster; at += layout.entry) {
        const entry = layout.u64(at)
        if (flag(entry, 62)) {
          const { position, length } = layout.packed(entry)
          this.use(position, Math.min(length, this.fileBytes - position), 'packed', true)
          continue
        }
        if (layout.entry === 16)
          assert.equal(
            (layout.u64(at + 8) >> 32n) & layout.u64(at + 8) & 0xffffffffn,
            0n,
            `${what}: subclusters both zero and allocated`,
          )
        const position = Number(entry & offsetMask)
        if (position === 0) continue
        assert.equal(position % layout.cluster, 0)
        this.use(position, layout.cluster, 'data', true)
        if (active) this.#copied(entry, position, 'data')
      }
    }
  }

  #copied(word: bigint, position: number, owner: string): void {
    const once = this.layout.count(position / this.layout.cluster) === 1n
    assert.equal(flag(word, 63), once, `${this.what}: COPIED of ${owner} at ${position}`)
  }
}

/**
 * Walks a file as the specification says: every cluster counted at least as often as it is used, COPIED where the
 * refcount is one, all tables inside the file, no structure on another. With `no leaks` refcounts are exact.
 */
export function assertSound(bytes: Uint8Array, what: string, leaks?: 'no leaks'): void {
  const layout = new Layout(bytes)
  const { cluster: size } = layout
  const uses = new ClusterUses(layout, bytes.length, what)
  uses.use(0, size, 'header')
  const table = Number(layout.u64(48))
  const tableLength = layout.u32(56) * size
  uses.use(table, tableLength, 'refcount table')
  for (let at = table; at < table + tableLength; at += 8)
    if (layout.u64(at) !== 0n) uses.use(Number(layout.u64(at)), size, 'refcount block')
  uses.disk(Number(layout.u64(40)), layout.u32(36), true)
  const snapshots = Number(layout.u64(64))
  let at = snapshots
  for (let index = 0; index < layout.u32(60); index++) {
    uses.disk(Number(layout.u64(at)), layout.u32(at + 8), false)
    at +=
      Math.ceil(
        (40 + layout.u32(at + 36) + Math.floor(layout.u32(at + 12) / 65536) + (layout.u32(at + 12) % 65536)) / 8,
      ) * 8
  }
  uses.use(snapshots, at - snapshots, 'snapshot table')
  for (const [cluster, count] of uses.counts) {
    const stored = layout.count(cluster)
    const owner = uses.owners.get(cluster)
    assert.ok(
      stored >= count,
      `${what}: cluster ${cluster} (${owner}) has refcount ${stored} and is used ${count} times`,
    )
    if (leaks === 'no leaks') assert.equal(stored, count, `${what}: cluster ${cluster} (${owner}) leaks`)
  }
  if (leaks !== 'no leaks') return
  for (let cluster = 0; cluster * size < bytes.length; cluster++)
    if (!uses.counts.has(cluster)) assert.equal(layout.count(cluster), 0n, `${what}: cluster ${cluster} leaks`)
}
