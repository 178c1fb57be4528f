import type { ByteStore, Note } from '../../block/types.js'
import type { DiskImage, OpenContext } from '../driver.js'
import { readChunks } from './chunks.js'
import type { SparsePart } from './joined.js'
import { partsOf } from './parts.js'
import { SparseImage } from './reader.js'
import { magic } from './structs.js'

/**
 * Opens an Android sparse image; one of several parts brings the others that lie beside it.
 * @throws ImageError corrupt; unsupported; reference E_PART_MISSING.
 */
export function openSparse(store: ByteStore, context: OpenContext): DiskImage {
  const own: SparsePart = { store, chunks: readChunks(store) }
  const places = context.options['parts'] === false ? [] : partsOf(context.self)
  const parts: SparsePart[] = []
  const notes: Note[] = []
  try {
    for (const { place, isSelf } of places) {
      const other = isSelf ? store : context.openReference({ role: 'extent', path: place.address }, place)
      if (other === undefined) continue
      if (isSelf) parts.push(own)
      else if (isSparse(other)) parts.push({ store: other, chunks: readChunks(other) })
      else {
        other[Symbol.dispose]()
        notes.push({
          code: 'W_PART_OTHER',
          message: `${other.name} is named as a part of ${store.name}, but is no Android sparse image: it is left out`,
        })
      }
    }
    const [first = own, ...others] = parts
    if (first !== own)
      notes.push({
        code: 'W_EXTENT_GIVEN',
        message: `${store.name} is one part of the image that ${first.store.name} begins: the whole disk is read`,
      })
    return new SparseImage([first, ...others], notes)
  } catch (error) {
    // The image's own store is closed by the caller.
    for (const part of parts) if (part !== own) part.store[Symbol.dispose]()
    throw error
  }
}

function isSparse(store: ByteStore): boolean {
  if (store.size < 4) return false
  const bytes = new Uint8Array(4)
  store.read(0, bytes)
  return new DataView(bytes.buffer).getUint32(0, true) === magic
}
