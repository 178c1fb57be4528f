import { isImageError, type HostPath } from '../../errors.js'
import { openFile } from '../../formats/open.js'
import { lastPart } from '../../sys/host-path.js'
import { rebindBlocks } from '../imaging/blocks-file.js'
import { writeImageRecord } from '../imaging/record.js'
import type { LinkedPoint } from './links.js'
import { recordsOf } from './set.js'

/**
 * Brings the records of a set in line with its images: a point whose parent was taken away names the image that it
 * really needs. For who has the lock: also what an interrupted prune left undone.
 * @param links of all images: a parent may be one that is no point, being merged, or with a damaged record.
 */
export function settle(links: readonly LinkedPoint[]): void {
  const { points } = recordsOf(links)
  const records = new Map(points.map(({ path, record }) => [path, record]))
  for (const { path, record, parent, problem } of points) {
    if (problem !== undefined) continue
    const name = parent === undefined ? undefined : lastPart(parent)
    if (record.parent?.name === name) continue
    const below = records.get(parent ?? '')
    // The images know best what they need. Of a parent that is no point any more the digest is not known.
    const { compared = 'content' } = record.parent ?? {}
    writeImageRecord(path, {
      ...record,
      parent:
        name === undefined
          ? undefined
          : { name, digest: below?.digests.disk.digest ?? record.parent?.digest ?? '0'.repeat(64), compared },
    })
  }
}

/**
 * Binds the digests of points to their files as they are now.
 * @param paths points whose content is known to be right.
 */
export function rebind(paths: readonly HostPath[]): void {
  for (const path of paths) {
    try {
      using opened = openFile(path)
      rebindBlocks(path, opened.files)
    } catch (error) {
      // Without them the next image is compared by reading.
      if (!isImageError(error)) throw error
    }
  }
}
