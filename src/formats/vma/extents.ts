import { createHash } from 'node:crypto'
import { viewOf } from '../../binary/integers.js'
import type { ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints, type ImageError } from '../../errors.js'
import { NumberedPlaces } from '../../binary/numbered-places.js'
import { storedBefore } from './entries.js'
import { damagedSum, type VmaHeader } from './header.js'
import { blockInfo, vmaBlockLength, clusterLength, extentClusters, extentHeader } from './structs.js'

const extentsPerStep = 512

/**
 * Walks all extents: where each cluster of each device is. Every header is verified; no content is read.
 * @throws ImageError corrupt E_EXTENT, E_CHECKSUM, E_TRUNCATED, E_OVERLAP.
 */
export function* readExtents(store: ByteStore, { devices, uuid, end }: VmaHeader): Work<Map<number, NumberedPlaces>> {
  const lists = new Map(devices.map(({ id }) => [id, new NumberedPlaces()]))
  const sizes = new Map(devices.map(({ id, size }) => [id, Math.ceil(size / clusterLength)]))
  const bytes = new Uint8Array(extentHeader.size)
  const view = viewOf(bytes)
  let position = end
  for (let steps = 0; position < store.size; steps++) {
    if (position + bytes.length > store.size) throw cutOff(store, position)
    store.read(position, bytes)
    const { magic, blockCount, uuid: own, md5 } = extentHeader.read(bytes)
    if (magic !== 'VMAE') throw badExtent(store, position, 'it begins with other bytes')
    const sum = createHash('md5').update(extentHeader.without('md5', bytes)).digest()
    if (!sum.equals(md5)) throw damagedSum(store, position, `the extent at byte ${position}`)
    if (own !== uuid) throw badExtent(store, position, `it is of another archive, ${own}`)
    let stored = 0
    for (let entry = 0; entry < extentClusters; entry++) {
      const at = blockInfo + entry * 8
      const mask = view.getUint16(at)
      const device = view.getUint8(at + 3)
      const cluster = view.getUint32(at + 4)
      // An unused entry.
      if (device === 0) continue
      const list = lists.get(device)
      if (list === undefined)
        throw badExtent(store, position, `it has a cluster of device ${device}, which there is not`)
      if (cluster >= (sizes.get(device) ?? 0))
        throw badExtent(store, position, `it has cluster ${cluster} of device ${device}, behind the end of that`)
      list.add(cluster, position + bytes.length + stored * vmaBlockLength, mask)
      stored += storedBefore(mask)
    }
    if (stored !== blockCount)
      throw badExtent(store, position, `its clusters have ${stored} blocks, its header says ${blockCount}`)
    position += bytes.length + stored * vmaBlockLength
    if (position > store.size) throw cutOff(store, position)
    if (steps % extentsPerStep === 0) yield { done: position, total: store.size }
  }
  for (const { id, name } of devices) {
    const twice = lists.get(id)?.finish()
    if (twice !== undefined)
      throw corrupt('E_OVERLAP', `${store.name}: cluster ${twice} of ${name} is there twice`, {
        details: { cluster: twice },
      })
  }
  return lists
}

function badExtent({ name }: ByteStore, position: number, why: string): ImageError {
  return corrupt('E_EXTENT', `${name}: the extent at byte ${position} is damaged: ${why}`, { details: { position } })
}

function cutOff({ name, size }: ByteStore, position: number): ImageError {
  return corrupt('E_TRUNCATED', `${name} is cut off: an extent goes on to byte ${position}, the file ends at ${size}`, {
    details: { position, size },
    hint: hints.incomplete,
  })
}
