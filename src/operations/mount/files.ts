import type { Note } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import { openPartition } from '../../partition/index.js'
import type { Exposure } from '../serve/exposed-disk.js'
import type { ShownContent, ShownFile } from './session.js'

/** The files in which a disk is shown: `disk.img`, and `pN.img` for each partition that lies on it. */
export function shownFiles(exposure: Exposure): {
  readonly files: readonly ShownFile[]
  readonly notes: readonly Note[]
} {
  const { disk, table } = exposure
  const notes: Note[] = []
  const whole: ShownFile = {
    name: 'disk.img',
    start: 0,
    length: disk.capacity,
    ...(table.scheme === 'none' ? contentOf(exposure, 0, disk.capacity) : {}),
  }
  const partitions = table.partitions
    .filter(({ role }) => role !== 'extended')
    .flatMap((partition): ShownFile[] => {
      try {
        const { capacity: length } = openPartition(disk, partition, `partition ${partition.number}`)
        return [
          {
            name: `p${partition.number}.img`,
            partition: partition.number,
            start: partition.start,
            length,
            ...contentOf(exposure, partition.start, length),
          },
        ]
      } catch (error) {
        if (!isImageError(error)) throw error
        notes.push({
          code: 'W_PARTITION_NOT_SHOWN',
          message: `partition ${partition.number} is not shown: ${error.message}`,
        })
        return []
      }
    })
  return { files: [whole, ...partitions], notes }
}

/** What is recognised there; nothing where the marks are those of several filesystems. */
function contentOf(exposure: Exposure, start: number, length: number): { readonly content?: ShownContent } {
  const [found, ...others] = identifyFilesystems(exposure.slice(start, length))
  if (found === undefined || others.length > 0) return {}
  const { type, title, kind, label, uuid } = found
  return { content: { type, title, kind, label, uuid } }
}
