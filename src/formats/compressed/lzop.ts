import { viewOf } from '../../binary/integers.js'
import { beginsWith } from '../../binary/begins-with.js'
import type { ByteStore } from '../../block/types.js'
import { UnitList, UnitSource } from '../../block/unit-source.js'
import type { Work } from '../../block/work.js'
import { lzopBlockHeader } from '../../codec/lzop.js'
import { codecFor } from '../../codec/registry.js'
import { Input } from '../../codec/stream/input.js'
import { takeLzopHeader } from '../../codec/stream/lzop.js'
import { largestLzopBlock, lzopMagic } from '../../codec/stream/marks.js'
import { corrupt, type ImageError } from '../../errors.js'
import type { WrapperDriver } from '../driver.js'

/** Of the header, in bytes. */
const headWindow = 1024

/** lzop: blocks with their lengths in front, so that each is found without decoding the ones before. */
export const lzop: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'lzop',
  title: 'lzop',
  extensions: ['lzo', 'lzop'],
  access: 'by its blocks',
  probe: (head) => (beginsWith(head, lzopMagic) ? 'certain' : 'no'),
  *open(store) {
    const { sums, end } = readHeader(store)
    const units = yield* blocksOf(store, end, sums)
    return { members: [{ size: units.capacity, source: new UnitSource(store, codecFor(`lzop-${sums}`), units) }] }
  },
}

/** @throws ImageError corrupt E_COMPRESSED, E_TRUNCATED; unsupported E_CODEC. */
function readHeader(store: ByteStore): { readonly sums: number; readonly end: number } {
  const read = (position: number, target: Uint8Array): void => store.read(position, target)
  const input = new Input(store.name, read, 0, store.size, headWindow)
  return { sums: takeLzopHeader(input), end: input.position }
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
    if (length > largestLzopBlock || stored === 0 || stored > length)
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
