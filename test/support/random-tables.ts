/**
 * Disks with partition tables in every place where a legal table may have its parts, and small filesystems in the
 * partitions: extended boot records and arrays of a GPT also lie in free space of filesystems.
 */
import { crc32 } from '../../src/binary/checksum.js'
import type { Random } from '../fuzz/random.js'

const sector = 512
/** 6 MiB: hundreds of them are written. */
export const diskSectors = 12288

/** A filesystem that is put into partitions. */
export interface PreparedFilesystem {
  readonly name: string
  readonly bytes: Buffer
  /** A byte for each sector: 1 where the filesystem has nothing. Noise lies there. */
  readonly free: Uint8Array
}

/** Sectors. */
export interface LaidPartition {
  readonly number: number
  readonly start: number
  readonly count: number
  readonly filesystem: PreparedFilesystem
}

export interface Layout {
  readonly scheme: 'mbr' | 'gpt' | 'apm' | 'bsd'
  /** Hybrid, backup under the last partition …: for messages. */
  readonly variant: string
  readonly bytes: Buffer
  readonly partitions: readonly LaidPartition[]
  /** Sectors that the table occupies, one by one. */
  readonly table: ReadonlySet<number>
}

/** A disk while it is put together: what of it a table may still take. */
class Board {
  readonly bytes = Buffer.alloc(diskSectors * sector)
  readonly table = new Set<number>()
  readonly partitions: LaidPartition[] = []
  readonly #free = new Uint8Array(diskSectors).fill(1)

  constructor(random: Random) {
    // What no filesystem has is not zero either.
    for (let at = 0; at < this.bytes.length; at += sector) this.bytes.fill(1 + random.below(255), at, at + sector)
  }

  lay(number: number, start: number, count: number, filesystem: PreparedFilesystem): void {
    this.partitions.push({ number, start, count, filesystem })
    filesystem.bytes.copy(this.bytes, start * sector)
    this.#free.set(filesystem.free, start)
  }

  /** Whether a table may lie there. */
  isFree(start: number, count = 1): boolean {
    if (start < 0 || start + count > diskSectors) return false
    return this.#free.subarray(start, start + count).every((free) => free === 1)
  }

  finished(): Pick<Layout, 'bytes' | 'partitions' | 'table'> {
    return { bytes: this.bytes, partitions: this.partitions, table: this.table }
  }

  /** Writes a part of the table. */
  put(start: number, bytes: Uint8Array): void {
    const count = Math.ceil(bytes.length / sector)
    this.bytes.fill(0, start * sector, (start + count) * sector)
    this.bytes.set(bytes, start * sector)
    for (let at = start; at < start + count; at++) this.table.add(at)
    this.#free.fill(0, start, start + count)
  }

  /** @throws RangeError where there is none. */
  firstPlace(from: number, to: number, count: number): number {
    for (let start = from; start + count <= to; start++) if (this.isFree(start, count)) return start
    throw new RangeError('the disk is full')
  }

  /** A place for `count` sectors from `from` on and before `to`, inside partitions as often as outside. */
  place(random: Random, from: number, to: number, count: number): number | undefined {
    const found: number[] = []
    for (let attempt = 0; attempt < 400 && found.length < 12; attempt++) {
      const start = from + random.below(Math.max(1, to - from))
      if (start + count <= to && this.isFree(start, count)) found.push(start)
    }
    const inside = found.filter((start) =>
      this.partitions.some((part) => start >= part.start && start < part.start + part.count),
    )
    const places = inside.length > 0 && random.chance(0.7) ? inside : found
    return places.length === 0 ? undefined : random.pick(places)
  }
}

/** Partitions one behind the other. @returns where the last one ends. */
function row(
  random: Random,
  filesystems: readonly PreparedFilesystem[],
  start: number,
  count: number,
  lay: (index: number, start: number, count: number, filesystem: PreparedFilesystem) => void,
): number {
  let at = start
  for (let index = 0; index < count; index++) {
    const filesystem = random.pick(filesystems)
    const length = filesystem.free.length + (random.chance(0.4) ? random.below(80) : 0)
    lay(index, at, length, filesystem)
    at += length + (random.chance(0.6) ? random.below(120) : 0)
  }
  return at
}

interface Entry {
  readonly type: number
  readonly start: number
  readonly count: number
}

function record(...entries: readonly (Entry | undefined)[]): Buffer {
  const bytes = Buffer.alloc(sector)
  for (const [index, entry] of entries.entries()) {
    if (entry === undefined) continue
    const at = 446 + index * 16
    bytes.writeUInt8(entry.type, at + 4)
    bytes.writeUInt32LE(entry.start, at + 8)
    bytes.writeUInt32LE(entry.count, at + 12)
  }
  bytes.writeUInt16LE(0xaa55, 510)
  return bytes
}

function mbrLayout(random: Random, filesystems: readonly PreparedFilesystem[]): Layout {
  const board = new Board(random)
  const primaries = random.below(2)
  let at = row(random, filesystems, 1 + random.below(200), primaries, (index, start, count, filesystem) =>
    board.lay(index + 1, start, count, filesystem),
  )
  const container = at
  const logical: { start: number; count: number; filesystem: PreparedFilesystem }[] = []
  at = row(random, filesystems, at + 1 + random.below(60), 2 + random.below(2), (_, start, count, filesystem) =>
    logical.push({ start, count, filesystem }),
  )
  const end = Math.min(diskSectors, at + random.below(100))
  // The chain may name them in any order.
  if (random.chance(0.3)) logical.sort(() => (random.chance(0.5) ? 1 : -1))
  for (const [index, { start, count, filesystem }] of logical.entries()) board.lay(5 + index, start, count, filesystem)
  const records = [container]
  board.put(container, new Uint8Array(sector))
  for (const { start } of logical.slice(1)) {
    const after = (records.at(-1) ?? container) + 1
    const place = after < start ? board.place(random, after, start, 1) : undefined
    if (place === undefined) break
    records.push(place)
    board.put(place, new Uint8Array(sector))
  }
  board.partitions.splice(primaries + records.length)
  for (const [index, place] of records.entries()) {
    const { start, count } = logical[index]!
    const data = { type: 0x83, start: start - place, count }
    const [next, following] = [records[index + 1], logical[index + 1]]
    const link =
      next === undefined || following === undefined
        ? undefined
        : { type: 5, start: next - container, count: following.start + following.count - next }
    board.put(place, record(data, link))
  }
  const master = record(
    ...board.partitions.slice(0, primaries).map(({ start, count }) => ({ type: 0x83, start, count })),
    { type: random.pick([5, 0x0f, 0x85]), start: container, count: end - container },
  )
  master.writeUInt32LE(random.word(), 440)
  board.put(0, master)
  return { scheme: 'mbr', variant: `${records.length} logical`, ...board.finished() }
}

const linuxType = Buffer.from('af3dc60f838472478e793d69d8477de4', 'hex')

interface GptPlan {
  readonly entryCount: number
  readonly entrySize: number
  readonly first: number
  readonly last: number
}

function gptHeader(plan: GptPlan, lba: number, other: number, entriesLba: number, entries: Uint8Array): Buffer {
  const header = Buffer.alloc(92)
  header.write('EFI PART')
  header.writeUInt32LE(0x10000, 8)
  header.writeUInt32LE(92, 12)
  header.writeBigUInt64LE(BigInt(lba), 24)
  header.writeBigUInt64LE(BigInt(other), 32)
  header.writeBigUInt64LE(BigInt(plan.first), 40)
  header.writeBigUInt64LE(BigInt(plan.last), 48)
  header.fill(0x5a, 56, 72)
  header.writeBigUInt64LE(BigInt(entriesLba), 72)
  header.writeUInt32LE(plan.entryCount, 80)
  header.writeUInt32LE(plan.entrySize, 84)
  header.writeUInt32LE(crc32(entries), 88)
  header.writeUInt32LE(crc32(header), 16)
  return header
}

function gptLayout(random: Random, filesystems: readonly PreparedFilesystem[]): Layout {
  const board = new Board(random)
  const entryCount = random.pick([128, 64, 40])
  const entrySize = random.pick([128, 128, 256])
  const sectors = Math.ceil((entryCount * entrySize) / sector)
  const lastLba = diskSectors - 1
  const begin = 2 + (random.chance(0.5) ? sectors : 0)
  const laid: LaidPartition[] = []
  row(random, filesystems, begin + random.below(100), 2 + random.below(2), (index, start, count, filesystem) =>
    laid.push({ number: index + 1, start, count, filesystem }),
  )
  // The last one may run over the backup.
  const over = random.chance(0.35)
  const last = laid.at(-1)!
  if (over) laid.splice(-1, 1, { ...last, count: diskSectors - last.start })
  for (const { number, start, count, filesystem } of laid) board.lay(number, start, count, filesystem)
  const usualPrimary = board.isFree(2, sectors) && random.chance(0.4)
  board.put(1, new Uint8Array(sector))
  board.put(lastLba, new Uint8Array(sector))
  const take = (usual: number | undefined): number => {
    const place = usual ?? board.place(random, 2, lastLba, sectors) ?? board.firstPlace(2, lastLba, sectors)
    board.put(place, new Uint8Array(sectors * sector))
    return place
  }
  const primary = take(usualPrimary ? 2 : undefined)
  const isUsual = board.isFree(lastLba - sectors, sectors) && random.chance(0.5)
  const backup = take(isUsual ? lastLba - sectors : undefined)
  const entries = Buffer.alloc(entryCount * entrySize)
  for (const { number, start, count } of laid) {
    const at = (number - 1) * entrySize
    linuxType.copy(entries, at)
    entries.fill(number, at + 16, at + 32)
    entries.writeBigUInt64LE(BigInt(start), at + 32)
    entries.writeBigUInt64LE(BigInt(start + count - 1), at + 40)
    entries.write(`part ${number}`, at + 56, 'utf16le')
  }
  const plan = { entryCount, entrySize, first: 2, last: over ? lastLba : lastLba - 1 }
  board.put(primary, entries)
  board.put(backup, entries)
  board.put(1, gptHeader(plan, 1, lastLba, primary, entries))
  board.put(lastLba, gptHeader(plan, lastLba, 1, backup, entries))
  const hybrid = random.chance(0.25)
  const [first] = laid
  board.put(
    0,
    record(
      { type: 0xee, start: 1, count: hybrid ? 1 : lastLba },
      hybrid && first !== undefined ? { type: 0x83, start: first.start, count: first.count } : undefined,
    ),
  )
  const variant = [
    hybrid ? 'hybrid' : '',
    over ? 'over the backup' : '',
    `entries in ${primary} and ${backup}, ${entryCount} × ${entrySize}`,
  ]
  return { scheme: 'gpt', variant: variant.filter((word) => word !== '').join(', '), ...board.finished() }
}

function apmLayout(random: Random, filesystems: readonly PreparedFilesystem[]): Layout {
  const board = new Board(random)
  const mapBlocks = 8 + random.below(56)
  row(random, filesystems, 1 + mapBlocks, 1 + random.below(4), (index, start, count, filesystem) =>
    board.lay(index + 2, start, count, filesystem),
  )
  const descriptor = Buffer.alloc(sector)
  descriptor.write('ER')
  descriptor.writeUInt16BE(sector, 2)
  descriptor.writeUInt32BE(diskSectors, 4)
  board.put(0, descriptor)
  const entries = [
    { type: 'Apple_partition_map', start: 1, count: mapBlocks },
    ...board.partitions.map(({ start, count }) => ({ type: 'Apple_UNIX_SVR2', start, count })),
  ]
  for (const [index, { type, start, count }] of entries.entries()) {
    const block = Buffer.alloc(sector)
    block.write('PM')
    block.writeUInt32BE(entries.length, 4)
    block.writeUInt32BE(start, 8)
    block.writeUInt32BE(count, 12)
    block.write(`part ${index + 1}`, 16)
    block.write(type, 48)
    block.writeUInt32BE(count, 84)
    block.writeUInt32BE(0x33, 88)
    board.put(1 + index, block)
  }
  return { scheme: 'apm', variant: `${entries.length} entries`, ...board.finished() }
}

function bsdLayout(random: Random, filesystems: readonly PreparedFilesystem[]): Layout {
  const board = new Board(random)
  // ext leaves its first 1024 bytes to boot code and labels.
  const atStart = random.chance(0.5)
  const fit = atStart ? filesystems.filter(({ name }) => name.startsWith('ext')) : filesystems
  const letters = [0, 1, 3, 4]
  let end = 16
  if (atStart) end = row(random, fit, 0, 1, (_, start, count, filesystem) => board.lay(1, start, count, filesystem))
  row(random, filesystems, end, 1 + random.below(3), (index, start, count, filesystem) =>
    board.lay((letters[index + (atStart ? 1 : 0)] ?? 5) + 1, start, count, filesystem),
  )
  const label = Buffer.alloc(148 + 8 * 16)
  label.writeUInt32LE(0x82564557, 0)
  label.writeUInt32LE(sector, 40)
  label.writeUInt32LE(32, 44)
  label.writeUInt32LE(16, 48)
  label.writeUInt32LE(48, 52)
  label.writeUInt32LE(512, 56)
  label.writeUInt32LE(diskSectors, 60)
  label.writeUInt32LE(0x82564557, 132)
  label.writeUInt16LE(8, 138)
  label.writeUInt32LE(atStart ? 0 : 8192, 140)
  const entry = (index: number, start: number, count: number, type: number): void => {
    label.writeUInt32LE(count, 148 + index * 16)
    label.writeUInt32LE(start, 152 + index * 16)
    label.writeUInt8(type, 160 + index * 16)
  }
  entry(2, 0, diskSectors, 0)
  for (const { number, start, count } of board.partitions) entry(number - 1, start, count, 7)
  let sum = 0
  for (let at = 0; at < label.length; at += 2) sum ^= label.readUInt16LE(at)
  label.writeUInt16LE(sum, 136)
  const boot = Buffer.from(board.bytes.subarray(0, sector))
  board.put(1, label)
  board.put(0, boot)
  if (!atStart)
    for (let at = 2; at < 16; at++) board.put(at, Buffer.from(board.bytes.subarray(at * sector, (at + 1) * sector)))
  return { scheme: 'bsd', variant: atStart ? 'a from the first sector' : 'a behind the boot code', ...board.finished() }
}

/** A random layout: as many MBRs and GPTs as of the others together, twice over. */
export function randomLayout(random: Random, filesystems: readonly PreparedFilesystem[]): Layout {
  const make = random.pick([mbrLayout, mbrLayout, gptLayout, gptLayout, apmLayout, bsdLayout])
  return make(random, filesystems)
}
