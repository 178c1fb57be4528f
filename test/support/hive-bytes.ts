/** Registry hives and their logs, written after M. Suhanov's "Windows registry file format specification". */
import { logHash } from '../../src/hive/entries.js'

/** A value: its name, its type (1 text, 3 bytes, 4 a number …), its data. */
export type ValueSpec = readonly [name: string, type: number, data: Buffer]

export interface KeySpec {
  readonly values?: readonly ValueSpec[]
  readonly keys?: Readonly<Record<string, KeySpec>>
  readonly className?: string
}

export interface HiveOptions {
  readonly minor?: number
  /** How lists of subkeys are written; `ri`: lists of hashes, two keys each, below one of lists. */
  readonly lists?: 'li' | 'lf' | 'lh' | 'ri'
  /** Keys have names of two bytes a character. */
  readonly wide?: boolean
  readonly sequence?: number
  readonly written?: bigint
}

export const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'utf16le')
export const texts = (...values: string[]): Buffer => Buffer.from(`${values.join('\0')}\0\0`, 'utf16le')
export function dword(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

const none = 0xffffffff
const segment = 16344

/** Bins that are filled with cells one after the other. */
class Bins {
  readonly #bins: { readonly bytes: Buffer; used: number }[] = []

  get size(): number {
    return this.#bins.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  add(content: Buffer): number {
    const length = Math.ceil((content.length + 4) / 8) * 8
    let bin = this.#bins.at(-1)
    if (bin === undefined || bin.used + length > bin.bytes.length) {
      const start = this.size
      bin = { bytes: Buffer.alloc(Math.ceil((length + 32) / 4096) * 4096), used: 32 }
      bin.bytes.write('hbin', 0, 'latin1')
      bin.bytes.writeUInt32LE(start, 4)
      bin.bytes.writeUInt32LE(bin.bytes.length, 8)
      this.#bins.push(bin)
    }
    const offset = this.size - bin.bytes.length + bin.used
    bin.bytes.writeInt32LE(-length, bin.used)
    content.copy(bin.bytes, bin.used + 4)
    bin.used += length
    return offset
  }

  /** Writes into the content of a cell. */
  patch(offset: number, at: number, bytes: Buffer): void {
    let start = 0
    for (const bin of this.#bins) {
      if (offset < start + bin.bytes.length) {
        bytes.copy(bin.bytes, offset - start + 4 + at)
        return
      }
      start += bin.bytes.length
    }
  }

  finish(written: bigint): Buffer {
    for (const { bytes, used } of this.#bins) if (used < bytes.length) bytes.writeInt32LE(bytes.length - used, used)
    this.#bins[0]?.bytes.writeBigUInt64LE(written, 20)
    return Buffer.concat(this.#bins.map(({ bytes }) => bytes))
  }
}

/** A whole hive, clean. */
export function hiveBytes(root: KeySpec, options: HiveOptions = {}): Buffer {
  const written = options.written ?? 0x01da000000000000n
  const bins = new Bins()
  const security = bins.add(Buffer.alloc(20 + 20))
  bins.patch(security, 0, securityHead(security))
  const rootCell = writeKey(bins, 'ROOT', root, none, security, { ...options, written, isRoot: true })
  const content = bins.finish(written)
  return Buffer.concat([baseBytes({ ...options, written, rootCell, binsSize: content.length }), content])
}

function securityHead(offset: number): Buffer {
  const bytes = Buffer.alloc(40)
  bytes.write('sk', 0, 'latin1')
  bytes.writeUInt32LE(offset, 4)
  bytes.writeUInt32LE(offset, 8)
  bytes.writeUInt32LE(1, 12)
  bytes.writeUInt32LE(20, 16)
  // A self-relative descriptor without an owner.
  bytes.writeUInt8(1, 20)
  bytes.writeUInt16LE(0x8000, 22)
  return bytes
}

interface BaseOptions extends HiveOptions {
  readonly written: bigint
  readonly rootCell: number
  readonly binsSize: number
}

function baseBytes({ minor = 5, sequence = 1, written, rootCell, binsSize }: BaseOptions): Buffer {
  const base = Buffer.alloc(4096)
  base.write('regf', 0, 'latin1')
  base.writeUInt32LE(sequence, 4)
  base.writeUInt32LE(sequence, 8)
  base.writeBigUInt64LE(written, 12)
  base.writeUInt32LE(1, 20)
  base.writeUInt32LE(minor, 24)
  base.writeUInt32LE(1, 32)
  base.writeUInt32LE(rootCell, 36)
  base.writeUInt32LE(binsSize, 40)
  base.writeUInt32LE(1, 44)
  return sealBase(base)
}

/** The base block at the start, with its checksum made right. */
export function sealBase(bytes: Buffer): Buffer {
  let sum = 0
  for (let at = 0; at < 508; at += 4) sum ^= bytes.readUInt32LE(at)
  bytes.writeUInt32LE(sum === 0 ? 1 : sum === -1 ? 0xfffffffe : sum >>> 0, 508)
  return bytes
}

function writeKey(
  bins: Bins,
  name: string,
  { values = [], keys = {}, className }: KeySpec,
  parent: number,
  security: number,
  options: HiveOptions & { readonly written: bigint; readonly isRoot?: boolean },
): number {
  const plain = options.wide !== true
  const stored = Buffer.from(name, plain ? 'latin1' : 'utf16le')
  const bytes = Buffer.alloc(76 + stored.length)
  const offset = bins.add(bytes)
  const below = Object.entries(keys)
    .map(([each, spec]) => [each, spec] as const)
    .sort(([one], [other]) => (one.toUpperCase() < other.toUpperCase() ? -1 : 1))
    .map(([each, spec]) => {
      const child = writeKey(bins, each, spec, offset, security, { ...options, isRoot: false })
      return { name: each, offset: child }
    })
  bytes.write('nk', 0, 'latin1')
  bytes.writeUInt16LE((plain ? 0x20 : 0) | (options.isRoot === true ? 0x0c : 0), 2)
  bytes.writeBigUInt64LE(options.written, 4)
  bytes.writeUInt32LE(parent, 16)
  bytes.writeUInt32LE(below.length, 20)
  bytes.writeUInt32LE(below.length === 0 ? none : writeList(bins, below, options), 28)
  bytes.writeUInt32LE(none, 32)
  bytes.writeUInt32LE(values.length, 36)
  bytes.writeUInt32LE(values.length === 0 ? none : writeValues(bins, values, options), 40)
  bytes.writeUInt32LE(security, 44)
  const classBytes = Buffer.from(className ?? '', 'utf16le')
  bytes.writeUInt32LE(className === undefined ? none : bins.add(classBytes), 48)
  bytes.writeUInt32LE(Math.max(0, ...below.map((key) => key.name.length * 2)), 52)
  bytes.writeUInt32LE(Math.max(0, ...values.map(([each]) => each.length * 2)), 60)
  bytes.writeUInt32LE(Math.max(0, ...values.map(([, , data]) => data.length)), 64)
  bytes.writeUInt16LE(stored.length, 72)
  bytes.writeUInt16LE(className === undefined ? 0 : classBytes.length, 74)
  stored.copy(bytes, 76)
  bins.patch(offset, 0, bytes)
  return offset
}

function writeList(
  bins: Bins,
  keys: readonly { readonly name: string; readonly offset: number }[],
  options: HiveOptions,
): number {
  const kind = options.lists ?? 'lh'
  if (kind === 'ri') {
    const leaves: number[] = []
    for (let at = 0; at < keys.length; at += 2)
      leaves.push(writeList(bins, keys.slice(at, at + 2), { ...options, lists: 'lh' }))
    return bins.add(
      listBytes(
        'ri',
        leaves.map((leaf) => [leaf]),
      ),
    )
  }
  return bins.add(
    listBytes(
      kind,
      keys.map(({ name, offset }) => (kind === 'li' ? [offset] : [offset, kind === 'lf' ? hint(name) : hash(name)])),
    ),
  )
}

function listBytes(kind: string, entries: readonly (readonly number[])[]): Buffer {
  const words = entries.flat()
  const bytes = Buffer.alloc(4 + words.length * 4)
  bytes.write(kind, 0, 'latin1')
  bytes.writeUInt16LE(entries.length, 2)
  for (const [index, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, 4 + index * 4)
  return bytes
}

function hint(name: string): number {
  const bytes = Buffer.alloc(4)
  if (/^[ -~]*$/.test(name)) bytes.write(name.slice(0, 4), 'latin1')
  return bytes.readUInt32LE(0)
}

function hash(name: string): number {
  let sum = 0n
  for (const unit of name.toUpperCase().split('')) sum = (sum * 37n + BigInt(unit.charCodeAt(0))) & 0xffffffffn
  return Number(sum)
}

function writeValues(bins: Bins, values: readonly ValueSpec[], options: HiveOptions): number {
  const list = Buffer.alloc(values.length * 4)
  for (const [index, [name, type, data]] of values.entries()) {
    const plain = /^[\0-\xff]*$/.test(name)
    const stored = Buffer.from(name, plain ? 'latin1' : 'utf16le')
    const bytes = Buffer.alloc(20 + stored.length)
    bytes.write('vk', 0, 'latin1')
    bytes.writeUInt16LE(stored.length, 2)
    bytes.writeUInt32LE(data.length <= 4 ? (0x80000000 + data.length) >>> 0 : data.length, 4)
    if (data.length <= 4) data.copy(bytes, 8)
    else bytes.writeUInt32LE(writeData(bins, data, options), 8)
    bytes.writeUInt32LE(type, 12)
    bytes.writeUInt16LE(plain ? 1 : 0, 16)
    stored.copy(bytes, 20)
    list.writeUInt32LE(bins.add(bytes), index * 4)
  }
  return bins.add(list)
}

function writeData(bins: Bins, data: Buffer, { minor = 5 }: HiveOptions): number {
  if (data.length <= segment || minor <= 3) return bins.add(data)
  const offsets: number[] = []
  for (let at = 0; at < data.length; at += segment) offsets.push(bins.add(data.subarray(at, at + segment)))
  const list = Buffer.alloc(offsets.length * 4)
  for (const [index, offset] of offsets.entries()) list.writeUInt32LE(offset, index * 4)
  const head = Buffer.alloc(8)
  head.write('db', 0, 'latin1')
  head.writeUInt16LE(offsets.length, 2)
  head.writeUInt32LE(bins.add(list), 4)
  return bins.add(head)
}

/** A hive that was left while it was written: its second sequence number lags behind. */
export function dirty(hive: Buffer): Buffer {
  const copy = Buffer.from(hive)
  copy.writeUInt32LE(copy.readUInt32LE(4) + 1, 4)
  return sealBase(copy)
}

/** Pages of 512 bytes in which the bins of two hives differ. */
function changedPages(before: Buffer, after: Buffer, size: number): number[] {
  const pages: number[] = []
  for (let at = 4096; at < after.length; at += size)
    if (!after.subarray(at, at + size).equals(before.subarray(at, at + size))) pages.push((at - 4096) / size)
  return pages
}

/** The base block of a hive as a log has it. */
function logBase(hive: Buffer, type: number, sequence: number): Buffer {
  const base = Buffer.from(hive.subarray(0, 512))
  base.writeUInt32LE(sequence, 4)
  base.writeUInt32LE(sequence, 8)
  base.writeUInt32LE(type, 28)
  return sealBase(base)
}

/** A log of the old format, which makes one hive of another. */
export function oldLog(before: Buffer, after: Buffer): Buffer {
  const pages = changedPages(before, after, 512)
  const count = (after.length - 4096) / 512
  const map = Buffer.alloc(Math.ceil((4 + count / 8) / 512) * 512)
  map.write('DIRT', 0, 'latin1')
  for (const page of pages) map.writeUInt8(map.readUInt8(4 + (page >> 3)) | (1 << (page & 7)), 4 + (page >> 3))
  return Buffer.concat([
    logBase(after, 1, after.readUInt32LE(4) + 1),
    map,
    ...pages.map((page) => after.subarray(4096 + page * 512, 4096 + page * 512 + 512)),
  ])
}

/** One entry of a log of the new format. */
export function newLogEntry(before: Buffer, after: Buffer, sequence: number): Buffer {
  const pages = changedPages(before, after, 4096)
  const references = Buffer.alloc(pages.length * 8)
  for (const [index, page] of pages.entries()) {
    references.writeUInt32LE(page * 4096, index * 8)
    references.writeUInt32LE(4096, index * 8 + 4)
  }
  const content = Buffer.concat([
    references,
    ...pages.map((page) => after.subarray(4096 + page * 4096, 4096 + (page + 1) * 4096)),
  ])
  const entry = Buffer.alloc(Math.ceil((40 + content.length) / 512) * 512)
  entry.write('HvLE', 0, 'latin1')
  entry.writeUInt32LE(entry.length, 4)
  entry.writeUInt32LE(sequence, 12)
  entry.writeUInt32LE(after.length - 4096, 16)
  entry.writeUInt32LE(pages.length, 20)
  content.copy(entry, 40)
  return sealEntry(entry)
}

/** An entry with its two hashes made right. */
export function sealEntry(entry: Buffer): Buffer {
  entry.writeBigUInt64LE(logHash(entry.subarray(40)), 24)
  entry.writeBigUInt64LE(logHash(entry.subarray(0, 32)), 32)
  return entry
}

/** A log of the new format. @param sequence that of the first entry. */
export function newLog(hive: Buffer, sequence: number, entries: readonly Buffer[]): Buffer {
  return Buffer.concat([logBase(hive, 6, sequence), ...entries])
}
