import type { ByteStore } from '../../block/types.js'
import { UnitList, UnitSource } from '../../block/unit-source.js'
import type { Work } from '../../block/work.js'
import { codecFor } from '../../codec/registry.js'
import { Input } from '../../codec/stream/input.js'
import { isSkippable, zstdMagic } from '../../codec/stream/marks.js'
import { frameLength, peekZstdFrame } from '../../codec/stream/zstd.js'
import type { WrapperDriver } from '../driver.js'
import { wholeStream } from './whole-stream.js'

/** Larger frames are not decoded one at a time: the whole file is unpacked instead. */
const largestFrame = 4 * 1024 * 1024
const footerLength = 9
const seekableMagic = 0x8f92eab1
const tableMagic = 0x184d2a5e

export const zstd: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'zstd',
  title: 'Zstandard',
  extensions: ['zst', 'zstd'],
  access: 'by its frames of up to 4 MiB, as a stream, or unpacked',
  probe(head) {
    const magic = head.length < 8 ? 0 : Buffer.from(head.buffer, head.byteOffset, 4).readUInt32LE(0)
    // A skippable frame alone may begin an LZ4 file too; vdisk leaves those to Zstandard, whose tools write them.
    return magic === zstdMagic || isSkippable(magic) ? 'certain' : 'no'
  },
  *open(store) {
    const units = (yield* seekTable(store)) ?? (yield* walkFrames(store))
    return units === undefined || units.count === 0
      ? wholeStream('zstd', store, undefined, firstSize(store))
      : { members: [{ size: units.capacity, source: new UnitSource(store, codecFor('zstd'), units) }] }
  },
}

/** What the first frame says that it holds: all of the content, where it is the only one. */
function firstSize(store: ByteStore): number | undefined {
  const magic = Buffer.alloc(4)
  if (store.size < 8) return undefined
  store.read(0, magic)
  if (magic.readUInt32LE(0) !== zstdMagic) return undefined
  return peekZstdFrame(new Input(store.name, (at, to) => store.read(at, to), 4, Math.min(store.size, 32))).contentSize
}

/**
 * The frames by the seek table at the end (zstd's seekable format). Undefined where there is none. @throws ImageError
 * corrupt where there is one that does not fit the file.
 */
function* seekTable(store: ByteStore): Work<UnitList | undefined> {
  if (store.size < footerLength + 8) return undefined
  const footer = Buffer.alloc(footerLength)
  store.read(store.size - footerLength, footer)
  if (footer.readUInt32LE(5) !== seekableMagic) return undefined
  const input = new Input(store.name, (position, target) => store.read(position, target), 0, store.size)
  const entryLength = (footer[4] ?? 0) > 127 ? 12 : 8
  const count = footer.readUInt32LE(0)
  const length = count * entryLength + footerLength
  const start = store.size - length - 8
  const bad = (why: string): Error => input.damaged(`its seek table ${why}`, store.size - footerLength)
  if ((footer[4] ?? 0) % 128 > 3) throw bad('has reserved bits set')
  if (start < 0) throw bad('is longer than the file')
  const header = Buffer.alloc(8)
  store.read(start, header)
  if (header.readUInt32LE(0) !== tableMagic || header.readUInt32LE(4) !== length) throw bad('has no frame of its own')
  const units = new UnitList()
  let position = 0
  input.position = start + 8
  for (let index = 0; index < count; index++) {
    const entry = input.take(entryLength, 'a seek table')
    const view = new DataView(entry.buffer, entry.byteOffset)
    const stored = view.getUint32(0, true)
    const content = view.getUint32(4, true)
    if (content > largestFrame) return undefined
    units.add(position, stored, content)
    position += stored
    if (index % 65536 === 0) yield { done: index, total: count }
  }
  if (position !== start) throw bad(`describes ${position} bytes of ${start}`)
  return units
}

/** The frames by their own headers. Undefined where one does not say how much it holds, or holds too much. */
function* walkFrames(store: ByteStore): Work<UnitList | undefined> {
  const units = new UnitList()
  const read = (position: number, target: Uint8Array): void => store.read(position, target)
  const word = Buffer.alloc(8)
  for (let position = 0, steps = 0; position < store.size; steps++) {
    if (position + 8 > store.size) return undefined
    read(position, word)
    const magic = word.readUInt32LE(0)
    if (isSkippable(magic)) {
      position += 8 + word.readUInt32LE(4)
      continue
    }
    if (magic !== zstdMagic) return undefined
    const frame = peekZstdFrame(new Input(store.name, read, position + 4, Math.min(store.size, position + 32)))
    if (frame.contentSize === undefined || frame.contentSize > largestFrame) return undefined
    const length = frameLength(read, position, store.size, frame)
    if (length === undefined) return undefined
    units.add(position, length, frame.contentSize)
    position += length
    if (steps % 256 === 0) yield { done: position, total: store.size }
  }
  return units
}
