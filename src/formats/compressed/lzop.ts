import { crc32 } from 'node:zlib'
import { adler32 } from '../../binary/adler32.js'
import { viewOf } from '../../binary/integers.js'
import { beginsWith } from '../../binary/mark.js'
import type { ByteStore } from '../../block/types.js'
import { UnitList, UnitSource } from '../../block/unit-source.js'
import type { Work } from '../../block/work.js'
import { lzopBlockHeader, lzopFlags } from '../../codec/lzop.js'
import { codecFor } from '../../codec/registry.js'
import { corrupt, unsupported, type ImageError } from '../../errors.js'
import type { WrapperDriver } from '../driver.js'

const magic = '\x89LZO\0\r\n\x1a\n'
/** The largest block that lzop makes is 256 KiB. */
const largestBlock = 64 * 1024 * 1024
/** lzop: blocks with their lengths in front, so that each is found without decoding the ones before. */
export const lzop: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'lzop',
  title: 'lzop',
  extensions: ['lzo', 'lzop'],
  access: 'by its blocks',
  probe: (head) => (beginsWith(head, magic) ? 'certain' : 'no'),
  *open(store) {
    const { sums, end } = readHeader(store)
    const units = yield* blocksOf(store, end, sums)
    return { members: [{ size: units.capacity, source: new UnitSource(store, codecFor(`lzop-${sums}`), units) }] }
  },
}

/** @throws ImageError corrupt E_COMPRESSED, E_TRUNCATED; unsupported E_CODEC. */
function readHeader(store: ByteStore): { readonly sums: number; readonly end: number } {
  const bytes = Buffer.alloc(Math.min(1024, store.size))
  store.read(0, bytes)
  let at = magic.length
  const take = (length: number): number => {
    if (at + length > bytes.length) throw cutOff(store, bytes.length)
    at += length
    return bytes.readUIntBE(at - length, length)
  }
  const version = take(2)
  const isNew = version >= 0x940
  take(isNew ? 4 : 2)
  const method = take(1)
  if (isNew) take(1)
  const flags = take(4)
  const { sums, headerCrc, extraField, unread } = lzopFlags(flags)
  if (unread || method < 1 || method > 3)
    throw unsupported(
      'E_CODEC',
      `${store.name}: lzop's method ${method} with flags 0x${flags.toString(16)} is not read`,
      {
        hint: 'Unpack it with lzop -d first.',
      },
    )
  at += isNew ? 12 : 8
  const nameLength = take(1)
  at += nameLength
  const length = at
  const recorded = take(4)
  const content = bytes.subarray(magic.length, length)
  if ((headerCrc ? crc32(content) : adler32(content)) !== recorded)
    throw damaged(store, length, 'the checksum of its header is wrong')
  if (extraField) {
    const extraLength = take(4)
    at += extraLength + 4
  }
  return { sums, end: at }
}

function* blocksOf(store: ByteStore, start: number, sums: number): Work<UnitList> {
  const units = new UnitList()
  const bytes = new Uint8Array(8)
  const view = viewOf(bytes)
  for (let position = start, steps = 0; ; steps++) {
    if (position + 4 > store.size) throw cutOff(store, position)
    store.read(position, bytes.subarray(0, 4))
    const length = view.getUint32(0)
    if (length === 0) {
      assertNothing(store, position + 4)
      return units
    }
    if (position + 8 > store.size) throw cutOff(store, position)
    store.read(position, bytes)
    const stored = view.getUint32(4)
    if (length > largestBlock || stored === 0 || stored > length)
      throw damaged(store, position, `a block of ${length} bytes takes ${stored}`)
    const whole = lzopBlockHeader(sums, stored < length) + stored
    if (position + whole > store.size) throw cutOff(store, position)
    units.add(position, whole, length)
    position += whole
    if (steps % 4096 === 0) yield { done: position, total: store.size }
  }
}

/** Behind the end there may be zeros, as tapes have them. */
function assertNothing(store: ByteStore, position: number): void {
  const bytes = new Uint8Array(65536)
  for (let at = position; at < store.size; at += bytes.length) {
    const piece = bytes.subarray(0, Math.min(bytes.length, store.size - at))
    store.read(at, piece)
    if (piece.some((byte) => byte !== 0))
      throw corrupt(
        'E_TRAILING_DATA',
        `${store.name}: other bytes follow the end of the lzop data at byte ${position}`,
        {
          details: { position },
        },
      )
  }
}

function cutOff(store: ByteStore, position: number): ImageError {
  return corrupt('E_TRUNCATED', `${store.name} is cut off: it ends at byte ${store.size}, in the middle of a block`, {
    hint: 'Copy or download it again.',
    details: { position, size: store.size },
  })
}

function damaged(store: ByteStore, position: number, why: string): ImageError {
  return corrupt('E_COMPRESSED', `${store.name} is damaged at byte ${position}: ${why}`, {
    hint: 'Copy or download it again.',
    details: { position },
  })
}
