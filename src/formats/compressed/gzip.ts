import type { ByteStore } from '../../block/types.js'
import { UnitList, UnitSource } from '../../block/unit-source.js'
import type { Work } from '../../block/work.js'
import { codecFor } from '../../codec/registry.js'
import type { WrapperDriver } from '../driver.js'
import { wholeStream } from './whole-stream.js'

const headerLength = 18

export const gzip: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'gzip',
  title: 'gzip',
  extensions: ['gz', 'gzip', 'bgz'],
  access: 'by its blocks (BGZF), as a stream, or unpacked',
  // Bits 5 to 7 of the flags are reserved, method 8 is the only one.
  probe: (head) =>
    head[0] === 0x1f && head[1] === 0x8b && head[2] === 8 && head.length >= 18 && (head[3] ?? 255) < 32
      ? 'certain'
      : 'no',
  *open(store) {
    const units = yield* bgzfUnits(store)
    return units === undefined
      ? wholeStream('gzip', store, undefined, likelySize(store))
      : { members: [{ size: units.capacity, source: new UnitSource(store, codecFor('gzip-member'), units) }] }
  },
}

/** Deflate makes 1032 bytes of one at most (RFC 1951: a match of 258 bytes takes two bits). */
const highestRatio = 1032

/** The last member's size modulo 2^32, where that can be the size of everything: most files have one member. */
function likelySize(store: ByteStore): number | undefined {
  const trailer = Buffer.alloc(4)
  if (store.size < headerLength) return undefined
  store.read(store.size - 4, trailer)
  const size = trailer.readUInt32LE(0)
  // What does not compress gets longer by five bytes for every 16 KiB at most.
  return size + size / 1024 + 65536 < store.size || size > store.size * highestRatio ? undefined : size
}

/**
 * The blocks of a BGZF file (SAM specification, 4.1): members that record their own length in an extra field. The last
 * one is empty. Undefined where the file is not such from its start to its end: it is then read as any gzip file.
 */
function* bgzfUnits(store: ByteStore): Work<UnitList | undefined> {
  const units = new UnitList()
  const bytes = Buffer.alloc(headerLength)
  const size = Buffer.alloc(4)
  let last = -1
  for (let position = 0, steps = 0; position < store.size; steps++) {
    if (position + headerLength + 10 > store.size) return undefined
    store.read(position, bytes)
    const isBlock =
      bytes.readUInt32BE(0) === 0x1f8b0804 && bytes.readUInt16LE(10) === 6 && bytes.readUInt32BE(12) === 0x42430200
    if (!isBlock) return undefined
    const length = bytes.readUInt16LE(16) + 1
    if (length < headerLength + 10 || position + length > store.size) return undefined
    store.read(position + length - 4, size)
    last = size.readUInt32LE(0)
    if (last > 65536) return undefined
    units.add(position, length, last)
    position += length
    if (steps % 4096 === 0) yield { done: position, total: store.size }
  }
  // Without the empty block the file may be cut off: gzip itself would not see it.
  return last === 0 && units.count > 0 ? units : undefined
}
