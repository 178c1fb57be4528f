import { isPowerOfTwo } from '../binary/integers.js'
import type { BlockSource } from '../block/types.js'
import { damaged } from './damage.js'
import { Issues } from './identification.js'
import type { Filesystem } from './types.js'

type ReadOnly = Pick<Filesystem, 'type' | 'title' | 'version' | 'label' | 'uuid' | 'facts' | 'openTree'> & {
  readonly blockSize: number
  readonly size: bigint
}

/**
 * A filesystem that is made once and never written to: all of it is in use, and it is always in order. @param found
 * `size` in bytes, as it is stored.
 */
export function readOnlyImage(volume: BlockSource, { blockSize, size: stored, ...found }: ReadOnly): Filesystem {
  const issues = new Issues(found.title)
  const size = stored <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(stored) : undefined
  issues.checkSize(size ?? Number.MAX_SAFE_INTEGER, volume.capacity)
  return {
    ...found,
    kind: 'filesystem',
    state: 'clean',
    issues: issues.list,
    ...(isPowerOfTwo(blockSize) ? { blockSize } : {}),
    ...(size === undefined ? {} : { size, used: size, free: 0 }),
    usedRuns: () => {
      if (size === undefined || size > volume.capacity)
        throw damaged(found.title, `it has ${stored} bytes, and the volume only ${volume.capacity}`)
      return [{ offset: 0, length: volume.capacity }]
    },
  }
}
