import type { Label } from '../errors.js'
import type { ByteStore } from './types.js'

/** A store that is only read. Writing to it is a mistake of the caller, which drivers never make. */
export abstract class ReadOnlyStore implements ByteStore {
  readonly growable = false
  readonly alignment = 1
  readonly zeroed = false
  abstract readonly name: Label
  abstract readonly size: number

  abstract read(position: number, target: Uint8Array): void

  write(): never {
    throw new TypeError(`${this.name} is only read`)
  }

  truncate(): never {
    throw new TypeError(`${this.name} is only read`)
  }

  flush(): void {
    // Nothing is written.
  }

  abstract [Symbol.dispose](): void
}
