import { beginsWith } from '../../binary/begins-with.js'
import type { Note } from '../../block/types.js'
import type { WrapperDriver } from '../driver.js'
import { NumberedPlaces } from '../../binary/numbered-places.js'
import { VmaDisk } from './disk.js'
import { readExtents } from './extents.js'
import { readVmaHeader } from './header.js'
import { applianceOf, diskId, disksOf } from './machine.js'
import { clusterLength } from './structs.js'

/** Backups of Proxmox VE: all disks of a machine, and its configuration. */
export const vma: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'vma',
  title: 'Proxmox backup (VMA)',
  extensions: ['vma'],
  access: 'at any place',
  probe: (head) => (beginsWith(head, 'VMA\0') ? 'certain' : 'no'),
  *open(store) {
    const header = readVmaHeader(store)
    const lists = yield* readExtents(store, header)
    const notes: Note[] = []
    const members = disksOf(header.devices).map((device) => {
      const clusters = lists.get(device.id) ?? new NumberedPlaces()
      const missing = Math.ceil(device.size / clusterLength) - clusters.count
      if (missing > 0)
        notes.push({
          code: 'W_CLUSTERS_MISSING',
          message:
            `${store.name}: ${missing} clusters of ${device.name} are missing: the backup was interrupted. ` +
            'They cannot be read',
        })
      const source = new VmaDisk(store, device, clusters)
      return { name: device.name, id: diskId(device.name), size: device.size, source, plain: true }
    })
    return { members, notes, appliance: applianceOf(header) }
  },
}
