import type { ByteStore } from '../../block/types.js'
import type { Wrapped } from '../driver.js'

/** A file that is one compressed stream from its first to its last byte. */
export function wholeStream(codec: string, store: ByteStore, size?: number): Wrapped {
  return { members: [{ size, stream: { codec, start: 0, end: store.size } }] }
}
