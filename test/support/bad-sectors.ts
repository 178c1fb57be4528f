import { MemoryStore } from '../../src/block/memory-store.js'
import { corrupt } from '../../src/errors.js'

/** A medium with places that cannot be read: any read that touches one fails as a whole. */
export class BadSectorStore extends MemoryStore {
  /** How many reads were tried. */
  reads = 0

  constructor(
    contents: Uint8Array,
    readonly bad: readonly { readonly position: number; readonly length: number }[],
  ) {
    super(contents, 'bad disk')
  }

  override read(position: number, target: Uint8Array): void {
    this.reads++
    const hit = this.bad.find(
      (range) => range.position < position + target.length && position < range.position + range.length,
    )
    if (hit !== undefined)
      throw corrupt('E_READ', `bad disk: cannot read ${target.length} bytes at byte ${position}: input/output error`)
    super.read(position, target)
  }
}
