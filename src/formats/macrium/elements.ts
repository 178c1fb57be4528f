import { viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints, type ImageError } from '../../errors.js'
import { eachPieceOf, type MetadataBlock } from './metadata.js'
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
  readonly #store: ByteStore
  readonly #position: number
  readonly #step: number
  readonly #windows: Recent<Uint8Array>

  /** @param at where it begins in the block: with the count of its elements. @throws ImageError corrupt E_MAP. */
  constructor(store: ByteStore, block: MetadataBlock, at: number, isDelta: boolean) {
    this.#step = isDelta ? deltaElementLength : element.size
    if (at + 4 > block.length) throw tooShort(store, block)
    const head = new Uint8Array(4)
    store.read(block.position + at, head)
    this.count = viewOf(head).getUint32(0, true)
    this.end = at + 4 + this.count * this.#step
    if (this.end > block.length || this.count > mostElements) throw tooShort(store, block)
    this.#store = store
    this.#position = block.position + at + 4
    this.#windows = new Recent(keptWindows, (window) => {
      const first = window * perWindow
      const bytes = new Uint8Array(Math.min(perWindow, this.count - first) * this.#step)
      store.read(this.#position + first * this.#step, bytes)
      return bytes
    })
  }

  /** @throws ImageError corrupt E_MAP. */
  read(index: number, into: StoredBlock): void {
    const window = Math.floor(index / perWindow)
    const bytes = this.#windows.get(window)
    const at = (index - window * perWindow) * this.#step
    const view = viewOf(bytes)
    into.position =
      view.getUint32(at + fields.position, true) + view.getUint32(at + fields.position + 4, true) * 2 ** 32
    into.digest = bytes.subarray(at + fields.digest, at + fields.digest + 16)
    into.length = view.getUint32(at + fields.length, true)
    into.file = view.getUint16(at + fields.file, true)
  }

  /** Of an index of changes: which block an element is for. */
  blockOf(index: number): number {
    const window = Math.floor(index / perWindow)
    return viewOf(this.#windows.get(window)).getUint32((index - window * perWindow) * this.#step + fields.block, true)
  }

  isStored(index: number): boolean {
    const window = Math.floor(index / perWindow)
    const at = (index - window * perWindow) * this.#step
    return viewOf(this.#windows.get(window)).getUint32(at + fields.length, true) > 0
  }

  fileOf(index: number): number {
    const window = Math.floor(index / perWindow)
    return viewOf(this.#windows.get(window)).getUint16((index - window * perWindow) * this.#step + fields.file, true)
  }

  /** Where an element stands in the file, for messages. */
  placeOf(index: number): number {
    return this.#position + index * this.#step
  }

  get store(): ByteStore {
    return this.#store
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
  yield* eachPieceOf(store, block, () => undefined)
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
