import type { Work } from '../../block/work.js'
import type { ByteStore, Extent } from '../../block/types.js'
import { HostHoles } from '../../engine/holes.js'
import { isImageError } from '../../errors.js'
import type { Layer } from '../../formats/open.js'
import type { FindingList } from './findings.js'

const pieceLength = 1048576

/**
 * Reads everything that one image stores as it is, and adds to the list what the host cannot read. Compressed units are
 * decoded by the
 * driver's own check; where it has none, here. Holes of the file are passed over.
 */
export function* readStored({ image }: Layer, list: FindingList): Work<void> {
  const { capacity, grain } = image
  const piece = new Uint8Array(pieceLength)
  const holes = new Map<ByteStore, HostHoles>()
  const decodes = image.check === undefined
  for (let offset = 0; offset < capacity;) {
    let extent: Extent
    try {
      extent = image.extentAt(offset, capacity - offset)
    } catch (error) {
      if (!isImageError(error)) throw error
      // A damaged table entry; most were reported by the driver's check already.
      if (!list.has(error.code))
        list.add({ severity: 'error', code: error.code, structure: `disk at offset ${offset}`, message: error.message })
      offset = Math.min(capacity, offset - (offset % grain) + grain)
      yield { done: offset, total: capacity }
      continue
    }
    const end = offset + extent.length
    if (extent.kind === 'data') {
      let hole = holes.get(extent.store)
      if (hole === undefined) holes.set(extent.store, (hole = new HostHoles(extent.store)))
      while (offset < end) {
        const position = extent.position + offset - extent.offset
        const run = hole.runAt(position, end - offset)
        const length = run.hole ? run.length : Math.min(run.length, pieceLength)
        if (!run.hole)
          tryRead(list, { structure: `data at offset ${offset}`, position }, () =>
            extent.store.read(position, piece.subarray(0, length)),
          )
        offset += length
        yield { done: offset, total: capacity }
      }
    } else if (extent.kind === 'packed' && decodes) {
      const { position } = extent
      while (offset < end) {
        const length = Math.min(pieceLength, end - offset)
        const at = offset
        tryRead(list, { structure: `data at offset ${at}`, position }, () => image.read(at, piece.subarray(0, length)))
        offset += length
        yield { done: offset, total: capacity }
      }
    }
    offset = end
    yield { done: offset, total: capacity }
  }
}

function tryRead(
  list: FindingList,
  at: { readonly structure: string; readonly position: number },
  read: () => void,
): void {
  try {
    read()
  } catch (error) {
    if (!isImageError(error)) throw error
    list.add({ severity: 'error', code: error.code, ...at, message: error.message })
  }
}
