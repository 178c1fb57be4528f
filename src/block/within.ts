import { corrupt } from '../errors.js'
import type { ByteStore } from './types.js'

/** @throws ImageError corrupt E_TRUNCATED where a range that is to be read does not lie in what there is. */
export function assertWithin(store: Pick<ByteStore, 'name' | 'size'>, position: number, length: number): void {
  if (position < 0 || position + length > store.size)
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: ${length} bytes were to be read at byte ${position}, but it has ${store.size}`,
      { details: { position } },
    )
}
