import type { ByteStore } from '../../block/types.js'
import type { WrappedFile, WrappedStream } from '../driver.js'

/** A file that is one compressed stream from its first to its last byte. */
export function wholeStream(
  codec: string,
  store: ByteStore,
  size?: number,
  likelySize?: number,
): { readonly members: readonly (WrappedFile & { readonly stream: WrappedStream })[] } {
  return { members: [{ size, likelySize, stream: { codec, start: 0, end: store.size } }] }
}
