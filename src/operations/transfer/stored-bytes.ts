import type { BlockSource, ByteStore } from '../../block/types.js'
import { HostHoles, longestRun } from '../../engine/index.js'

/** Bytes of a disk up to an offset that are stored somewhere: what is neither hole nor known zero. Reads no content. */
export function storedBytes(source: BlockSource, end = source.capacity): number {
  const holes = new Map<ByteStore, HostHoles>()
  let stored = 0
  for (let offset = 0; offset < end;) {
    const extent = source.extentAt(offset, Math.min(longestRun, end - offset))
    let { length } = extent
    if (extent.kind === 'data') {
      let known = holes.get(extent.store)
      if (known === undefined) holes.set(extent.store, (known = new HostHoles(extent.store)))
      const run = known.runAt(extent.position, length)
      ;({ length } = run)
      if (!run.hole) stored += length
    } else if (extent.kind === 'packed') stored += length
    offset += length
  }
  return stored
}
