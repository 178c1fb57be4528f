import { MemoryStore } from '../../src/block/memory-store.js'
import { targetError } from '../../src/errors.js'

/**
 * A store whose k-th write or flush fails, and everything after it too: what a full disk or a pulled plug looks like.
 */
export class FaultStore extends MemoryStore {
  #left: number

  constructor(operations: number) {
    super(undefined, 'failing')
    this.#left = operations
  }

  #spend(): void {
    if (this.#left-- <= 0) throw targetError('E_WRITE', 'failing: the medium is gone')
  }

  override write(position: number, bytes: Uint8Array): void {
    this.#spend()
    super.write(position, bytes)
  }

  override flush(): void {
    this.#spend()
  }
}
