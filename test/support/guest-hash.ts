import { createHash } from 'node:crypto'
import type { Image } from '../../src/index.js'
import { NonZeroHash } from '../../fixtures/guest-hash.js'

const block = 65536
const piece = 16 * block

/** sha256 of all guest bytes. */
export function guestSha256(image: Pick<Image, 'capacity' | 'read'>): string {
  const hash = createHash('sha256')
  for (let at = 0; at < image.capacity; at += piece) hash.update(image.read(at, Math.min(piece, image.capacity - at)))
  return hash.digest('hex')
}

/**
 * The hash of the 64 KiB blocks that are not all zero ({@link NonZeroHash}). What the map calls zero is not read: 2 TiB
 * take no time.
 */
export function guestNz64k(image: Pick<Image, 'capacity' | 'read' | 'extents'>): string {
  const hash = new NonZeroHash()
  // Everything before it is hashed; a multiple of the block.
  let done = 0
  for (const run of image.extents()) {
    if (run.kind === 'zero') continue
    done = Math.max(done, run.offset - (run.offset % block))
    const end = Math.min(image.capacity, Math.ceil((run.offset + run.length) / block) * block)
    for (; done < end; done = Math.min(end, done + piece)) {
      const bytes = image.read(done, Math.min(piece, end - done))
      for (let within = 0; within < bytes.length; within += block)
        hash.add((done + within) / block, bytes.subarray(within, within + block))
    }
  }
  return hash.digest()
}
