import { MemoryStore } from '../../src/block/memory-store.js'
import type { ByteStore } from '../../src/block/types.js'
import { printable } from '../../src/errors.js'
import { otherId, type Location } from '../../src/location/location.js'

/** A place in memory among files of the given content: what a driver's context has as `self`. */
export function memoryLocation(name: string, files: Readonly<Record<string, Uint8Array>> = {}): Location {
  return {
    scheme: 'memory',
    kind: 'file',
    id: otherId('memory', name),
    label: printable(`/images/${name}`),
    address: `/images/${name}`,
    name,
    store: (): ByteStore => new MemoryStore(files[name] ?? new Uint8Array(), `/images/${name}`),
    sibling: (other) => (Object.hasOwn(files, other) ? memoryLocation(other, files) : undefined),
    siblings: () => Object.keys(files),
  }
}
