import zlib from 'node:zlib'
import { isZero } from '../../binary/zero.js'
import { RangeSource } from '../../block/range-source.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, printable, unsupported, type ImageError } from '../../errors.js'
import { hostName } from '../../sys/host-fs.js'
import type { WrappedFile, WrapperDriver } from '../driver.js'

/** Stream codecs of the methods that are read (APPNOTE.TXT, 4.4.5). */
const streams: Readonly<Record<number, string>> = { 8: 'deflate', 12: 'bzip2', 93: 'zstd', 95: 'xz' }
const methodNames: Readonly<Record<number, string>> = {
  1: 'Shrink',
  6: 'Implode',
  9: 'Deflate64',
  14: 'LZMA',
  98: 'PPMd',
  99: 'AES encryption',
}
const endLength = 22
const longestComment = 65535
const mostEntries = 65536
const largestDirectory = 64 * 1024 * 1024
const directoryEntryLength = 46
const localHeaderLength = 30
const pieceLength = 1048576

export const zip: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'zip',
  title: 'zip',
  extensions: ['zip'],
  access: 'at any place where it is stored as it is, as a stream, or unpacked',
  probe: (head, tail) =>
    startsWith(head, 0x504b0304) || (startsWith(head, 0x504b0506) && tail.length >= endLength) ? 'certain' : 'no',
  *open(store) {
    const members: WrappedFile[] = []
    for (const entry of yield* readDirectory(store)) {
      if (entry.name.endsWith('/') || entry.size === 0) continue
      members.push(yield* memberOf(store, entry))
    }
    return { members }
  },
}

function startsWith(bytes: Uint8Array, magic: number): boolean {
  return bytes.length >= 4 && Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32BE(0) === magic
}

/** One entry of the central directory. Sizes and positions are bytes. */
interface Entry {
  readonly name: string
  readonly flags: number
  readonly method: number
  readonly crc32: number
  readonly stored: number
  readonly size: number
  readonly position: number
}

function* readDirectory(store: ByteStore): Work<Entry[]> {
  const { start, length, count } = findEnd(store)
  if (count > mostEntries || length > largestDirectory)
    throw unsupported(
      'E_UNSUPPORTED_FORMAT',
      `${store.name} is a zip archive of ${count} entries; vdisk reads up to ${mostEntries}`,
    )
  const bytes = Buffer.alloc(length)
  store.read(start, bytes)
  const entries: Entry[] = []
  let at = 0
  while (entries.length < count) {
    if (at + directoryEntryLength > length || bytes.readUInt32BE(at) !== 0x504b0102)
      throw damaged(store, start + at, 'its directory ends too early')
    const nameEnd = at + directoryEntryLength + bytes.readUInt16LE(at + 28)
    const extraEnd = nameEnd + bytes.readUInt16LE(at + 30)
    const end = extraEnd + bytes.readUInt16LE(at + 32)
    if (end > length) throw damaged(store, start + at, 'its directory ends too early')
    const entry: Entry = {
      name: hostName(bytes.subarray(at + directoryEntryLength, nameEnd)),
      flags: bytes.readUInt16LE(at + 8),
      method: bytes.readUInt16LE(at + 10),
      crc32: bytes.readUInt32LE(at + 16),
      stored: bytes.readUInt32LE(at + 20),
      size: bytes.readUInt32LE(at + 24),
      position: bytes.readUInt32LE(at + 42),
    }
    entries.push(withLongSizes(entry, bytes.subarray(nameEnd, extraEnd)))
    at = end
    if (entries.length % 4096 === 0) yield { done: at, total: length }
  }
  // A digital signature may follow (4.3.13).
  if (at + 4 <= length && bytes.readUInt32BE(at) === 0x504b0102)
    throw damaged(store, start + at, `its directory has more than the ${count} entries that it says`)
  return entries
}

/** The sizes of the zip64 extra field (4.5.3): those only that the entry marks. */
function withLongSizes(entry: Entry, extra: Buffer): Entry {
  const values = { size: entry.size, stored: entry.stored, position: entry.position }
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (extra.readUInt16LE(at) === 1 && end <= extra.length) {
      let next = at + 4
      for (const key of ['size', 'stored', 'position'] as const) {
        if (values[key] !== 0xffffffff || next + 8 > end) continue
        values[key] = Number(extra.readBigUInt64LE(next))
        next += 8
      }
    }
    at = end
  }
  return { ...entry, ...values }
}

/** The end of the central directory (4.3.16), and that of zip64 where there is one (4.3.14). */
function findEnd(store: ByteStore): { readonly start: number; readonly length: number; readonly count: number } {
  const window = Buffer.alloc(Math.min(store.size, endLength + longestComment + 20))
  const base = store.size - window.length
  let ended: number | undefined
  store.read(base, window)
  for (let at = window.length - endLength; at >= 0; at--) {
    if (window.readUInt32BE(at) !== 0x504b0506) continue
    const behind = window.subarray(at + endLength + window.readUInt16LE(at + 20))
    if (at + endLength + window.readUInt16LE(at + 20) > window.length) continue
    if (!isZero(behind)) {
      ended ??= store.size - behind.length
      continue
    }
    let count = window.readUInt16LE(at + 10)
    let length = window.readUInt32LE(at + 12)
    let start = window.readUInt32LE(at + 16)
    let end = base + at
    if (at >= 20 && window.readUInt32BE(at - 20) === 0x504b0607) {
      const position = Number(window.readBigUInt64LE(at - 12))
      const long = Buffer.alloc(56)
      if (position + long.length > store.size)
        throw damaged(store, base + at - 20, 'its zip64 locator leads outside it')
      store.read(position, long)
      if (long.readUInt32BE(0) !== 0x504b0606) throw damaged(store, position, 'its zip64 end of directory is not there')
      count = Number(long.readBigUInt64LE(32))
      length = Number(long.readBigUInt64LE(40))
      start = Number(long.readBigUInt64LE(48))
      end = position
    }
    if (window.readUInt16LE(at + 4) !== 0 && window.readUInt16LE(at + 4) !== 0xffff)
      throw unsupported('E_UNSUPPORTED_FORMAT', `${store.name} is a part of a zip archive of several files`, {
        hint: 'Put the parts together first: zip -s 0 SET.zip --out WHOLE.zip',
      })
    if (start + length > end) throw damaged(store, base + at, 'its directory does not lie before its end')
    return { start, length, count }
  }
  if (ended !== undefined)
    throw corrupt('E_TRAILING_DATA', `${store.name} is a zip archive that ends at byte ${ended}, and more follows`, {
      hint: `If it does not belong to the file, cut it off: head -c ${ended} FILE`,
      details: { position: ended },
    })
  throw corrupt('E_TRUNCATED', `${store.name} is a zip archive whose directory is missing: it is cut off or damaged`, {
    hint: 'Copy or download it again.',
    details: { size: store.size },
  })
}

function* memberOf(store: ByteStore, entry: Entry): Work<WrappedFile> {
  const { name, method, crc32, size, stored } = entry
  const stopped = problemOf(store, entry)
  if (stopped !== undefined) return { name, size, source: unreadable(size, stopped) }
  const start = dataStart(store, entry)
  if (method !== 0)
    return {
      name,
      size,
      stream: { codec: streams[method] ?? '', start, end: start + stored, expected: { size, crc32 } },
    }
  if (stored !== size) throw damaged(store, entry.position, `its member ${printable(name)} records two sizes`)
  yield* checkStored(store, start, entry)
  return { name, size, source: new RangeSource(store, start, size) }
}

/** Why a member cannot be read; that matters only when it is the one wanted. */
function problemOf(store: ByteStore, { flags, method, name }: Entry): ImageError | undefined {
  const what = `${printable(name)} in ${store.name}`
  const hint = 'Unpack it with 7z x first.'
  if (flags % 2 === 1) return unsupported('E_ENCRYPTED', `${what} is encrypted`, { hint })
  if (method !== 0 && streams[method] === undefined)
    return unsupported(
      'E_CODEC',
      `${what} is compressed with ${methodNames[method] ?? `method ${method}`}, which vdisk does not read`,
      { hint },
    )
  return undefined
}

/** The local header (4.3.7) is as long as its own name and extra field, which may differ from the directory's. */
function dataStart(store: ByteStore, { position, stored, name, method }: Entry): number {
  const header = Buffer.alloc(localHeaderLength)
  if (position + localHeaderLength > store.size)
    throw damaged(store, position, `its member ${printable(name)} is not there`)
  store.read(position, header)
  if (header.readUInt32BE(0) !== 0x504b0304 || header.readUInt16LE(8) !== method)
    throw damaged(store, position, `the header of its member ${printable(name)} is damaged`)
  const start = position + localHeaderLength + header.readUInt16LE(26) + header.readUInt16LE(28)
  if (start + stored > store.size) throw damaged(store, position, `its member ${printable(name)} passes its end`)
  return start
}

/** What is stored as it is, is read where it lies later on: its checksum is looked at now. */
function* checkStored(store: ByteStore, start: number, { size, crc32, name }: Entry): Work<void> {
  const bytes = new Uint8Array(Math.min(pieceLength, size))
  let crc = 0
  for (let done = 0; done < size;) {
    const piece = bytes.subarray(0, Math.min(bytes.length, size - done))
    store.read(start + done, piece)
    crc = zlib.crc32(piece, crc)
    done += piece.length
    yield { done, total: size }
  }
  if (crc !== crc32)
    throw damaged(store, start, `the checksum (CRC-32) of its member ${printable(name)} is not that of its content`)
}

/** A member that says why it cannot be read when it is. */
function unreadable(capacity: number, error: ImageError): BlockSource {
  const fail = (): never => {
    throw error
  }
  return { capacity, sectorSize: 512, grain: 512, extentAt: fail, read: fail, [Symbol.dispose]: () => undefined }
}

function damaged(store: ByteStore, position: number, why: string): ImageError {
  return corrupt('E_COMPRESSED', `${store.name} is damaged at byte ${position}: ${why}`, {
    hint: 'Copy or download it again.',
    details: { position },
  })
}
