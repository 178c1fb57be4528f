import type { Codec } from '../block/types.js'
import { corrupt } from '../errors.js'

/** What stands before each cluster that is stored. */
const clusterFollows = 1

/** Clusters of an ntfsclone image: each has one byte before it, which says that it follows. All have one length. */
export const ntfscloneCodec: Codec = {
  id: 'ntfsclone',
  decode(stored, target) {
    const length = target.length / (stored.length - target.length)
    if (!Number.isSafeInteger(length) || length <= 0)
      throw corrupt('E_COMPRESSED', `${stored.length} bytes do not hold clusters of ${target.length} bytes`)
    for (let from = 0, to = 0; to < target.length; from += length + 1, to += length) {
      if (stored[from] !== clusterFollows)
        throw corrupt('E_COMPRESSED', `byte ${from} is ${stored[from] ?? 'missing'}, expected ${clusterFollows}`)
      target.set(stored.subarray(from + 1, from + 1 + length), to)
    }
  },
}
