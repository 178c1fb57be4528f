import { viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints, type ImageError } from '../../errors.js'
import { verifyBlock, type MetadataBlock } from './metadata.js'
import { deltaElementLength, element } from './structs.js'

/** Where a block lies; filled anew for each. */
export interface StoredBlock {
  file: number
  position: number
  length: number
  digest: Uint8Array
}

const perWindow = 2048
const keptWindows = 8
const fields = { position: 0, digest: 8, length: 24, file: 28, block: 30 } as const
/** 8 TiB in blocks of 64 KiB. */
const mostElements = 2 ** 27

/** A list of elements in the index of a file. */
export class ElementList {
  readonly count: number
  /** Where it ends in its block of metadata. */
  readonly end: number
  readonly #step: number
  readonly #windows: Recent<DataView>

  /** @param at where it begins in the block: with the count of its elements. @throws ImageError corrupt E_MAP. */
  constructor(
    readonly store: ByteStore,
    block: MetadataBlock,
    at: number,
    isDelta: boolean,
  ) {
    this.#step = isDelta ? deltaElementLength : element.size
    if (at + 4 > block.length) throw tooShort(store, block)
    const head = new Uint8Array(4)
    store.read(block.position + at, head)
    this.count = viewOf(head).getUint32(0, true)
    this.end = at + 4 + this.count * this.#step
    if (this.end > block.length || this.count > mostElements) throw tooShort(store, block)
    const position = block.position + at + 4
    this.#windows = new Recent(keptWindows, (window) => {
      const first = window * perWindow
      const bytes = new Uint8Array(Math.min(perWindow, this.count - first) * this.#step)
      store.read(position + first * this.#step, bytes)
      return viewOf(bytes)
    })
  }

  /** @throws ImageError corrupt E_MAP. */
  read(index: number, into: StoredBlock): void {
    const view = this.#windowOf(index)
    const at = this.#placeOf(index)
    into.position =
      view.getUint32(at + fields.position, true) + view.getUint32(at + fields.position + 4, true) * 2 ** 32
    into.digest = new Uint8Array(view.buffer, view.byteOffset + at + fields.digest, 16)
    into.length = view.getUint32(at + fields.length, true)
    into.file = view.getUint16(at + fields.file, true)
  }

  /** Of an index of changes: which block an element is for. */
  blockOf(index: number): number {
    return this.#windowOf(index).getUint32(this.#placeOf(index) + fields.block, true)
  }

  isStored(index: number): boolean {
    return this.#windowOf(index).getUint32(this.#placeOf(index) + fields.length, true) > 0
  }

  /** The elements that stand around one, and itself. */
  #windowOf(index: number): DataView {
    return this.#windows.get(Math.floor(index / perWindow))
  }

  /** Where in its window an element begins. */
  #placeOf(index: number): number {
    return (index % perWindow) * this.#step
  }
}

/** The two lists of an index: blocks before the filesystem's own, and those. */
export interface IndexLists {
  readonly reserved: ElementList
  readonly blocks: ElementList
}

/**
 * The lists of an index, after all of it was verified. Gives how far it is.
 * @throws ImageError corrupt E_CHECKSUM, E_MAP.
 */
export function* readIndex(store: ByteStore, block: MetadataBlock, isDelta: boolean): Work<IndexLists> {
  yield* verifyBlock(store, block)
  const reserved = new ElementList(store, block, 0, false)
  const blocks = new ElementList(store, block, reserved.end, isDelta)
  if (blocks.end !== block.length)
    throw corrupt(
      'E_MAP',
      `${store.name}: the index at byte ${block.position} has ${block.length} bytes, its elements end at ${blocks.end}`,
      { details: { position: block.position } },
    )
  return { reserved, blocks }
}

function tooShort({ name }: ByteStore, { position, length }: MetadataBlock): ImageError {
  return corrupt('E_MAP', `${name}: the index at byte ${position} has ${length} bytes, too few for its elements`, {
    details: { position },
    hint: hints.incomplete,
  })
}
