import { createHash } from 'node:crypto'
import type { BlockSource } from '../../src/block/types.js'

/** Bytes that look like a disk: runs of zeros, of text, and of noise, the same for the same seed. */
export function diskLike(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % below
  }
  let at = 0
  while (at < length) {
    const run = Math.min(length - at, 512 * (1 + random(random(4) === 0 ? 1000 : 40)))
    const kind = random(3)
    if (kind === 1) bytes.fill(65 + random(26), at, at + run)
    if (kind === 2) for (let index = at; index < at + run; index++) bytes[index] = random(256)
    at += run
  }
  return bytes
}

/** All guest bytes of a small disk. */
export function readAll(source: BlockSource): Uint8Array {
  const bytes = new Uint8Array(source.capacity)
  for (let at = 0; at < bytes.length; at += 1048576)
    source.read(at, bytes.subarray(at, Math.min(bytes.length, at + 1048576)))
  return bytes
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
