import { threadId } from 'node:worker_threads'
import type { Codec } from '../../src/block/types.js'

/** A plug-in's codec: every byte once, inverted, repeated to the unit's length; its last byte is the thread's id. */
const codec: Codec = {
  id: 'inverted',
  module: import.meta.url,
  decode: (stored, target) => {
    target.fill((stored[0] ?? 0) ^ 0xff)
    target[target.length - 1] = threadId
  },
  encode: (bytes) => Uint8Array.of((bytes[0] ?? 0) ^ 0xff),
}

export default codec
