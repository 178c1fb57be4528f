import { corrupt } from '../errors.js'
import type { ByteStore } from './types.js'

/**
 * Makes sure that a source is still what it was when it was opened: what was read of one that changed meanwhile is
 * neither its old content nor its new one. @throws ImageError corrupt E_SOURCE_CHANGED.
 */
export function assertUnchanged(store: Pick<ByteStore, 'name' | 'changed'>): void {
  const change = store.changed?.()
  if (change !== undefined)
    throw corrupt('E_SOURCE_CHANGED', `${store.name} changed while it was read: ${change}`, {
      hint: 'Stop what writes to it, and try again.',
    })
}
