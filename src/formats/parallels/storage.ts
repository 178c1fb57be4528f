import { extentFaults } from '../../block/extent-faults.js'
import { OverlaySource } from '../../block/overlay.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, ByteStore, Extent, Note } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints, reference } from '../../errors.js'
import type { CheckOptions, Finding } from '../driver.js'
import type { Storage, StoredImage } from './descriptor.js'
import { sectorLength } from './structs.js'
import { ParallelsImage } from './reader.js'

/** What one file of a storage says. */
export interface ImageLayer extends BlockSource {
  readonly notes: readonly Note[]
  check(options?: CheckOptions): Work<void, Finding>
}

/** A disk that ends where its storage does, without a store of its own. */
abstract class Layer implements ImageLayer {
  readonly sectorSize = 512
  readonly grain = sectorLength
  readonly notes: readonly Note[] = []

  constructor(readonly capacity: number) {}

  abstract extentAt(offset: number, limit: number): Extent

  /** Layers are read through the disk that they are put together to. */
  read(): void {
    throw new Error('a layer is not read alone')
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    for (const item of extentFaults(this, this.capacity, deep))
      if ('error' in item)
        yield { severity: 'error', code: item.error.code, structure: 'image', message: item.error.message }
      else yield item
  }

  [Symbol.dispose](): void {
    // The stores belong to the bundle.
  }
}

/** A file of the bytes of the disk, as they are. What it should hold and does not is no zeros. */
class PlainLayer extends Layer {
  readonly #store: ByteStore

  constructor(store: ByteStore, capacity: number) {
    super(capacity)
    this.#store = store
  }

  extentAt(offset: number, limit: number): Extent {
    const { name, size } = this.#store
    if (offset >= size)
      throw corrupt('E_TRUNCATED', `${name} has ${size} bytes, and ${this.capacity} are needed`, {
        details: { position: offset, size },
        hint: hints.incomplete,
      })
    const length = Math.min(limit, this.capacity - offset, size - offset)
    return { kind: 'data', offset, length, store: this.#store, position: offset }
  }
}

/** A file that was not opened: reading it says so. */
class MissingLayer extends Layer {
  readonly #message: string

  constructor(message: string, capacity: number) {
    super(capacity)
    this.#message = message
  }

  extentAt(): Extent {
    throw reference('E_REFERENCE_NOT_OPENED', this.#message)
  }

  /** What is missing was said when it was not opened. */
  override *check(): Work<void, Finding> {
    // There is nothing to look at.
  }
}

/** @param isFirst whether nothing is below it: what it does not hold is zero. */
export function layerOf(
  { type, file }: StoredImage,
  store: ByteStore | undefined,
  { length }: Storage,
  isFirst: boolean,
): ImageLayer {
  if (store === undefined) return new MissingLayer(`the image ${file} was not opened`, length)
  return type === 'Plain' ? new PlainLayer(store, length) : new ParallelsImage(store, isFirst ? 'zero' : 'absent')
}

/**
 * The files of a storage as one disk, the newest first, which has the storage's length.
 * @param isLast whether it is the end of the disk: that may be shorter than the descriptor says.
 * @throws ImageError corrupt E_EXTENT_SIZE.
 */
export function storageDisk(
  { length, blockSize }: Storage,
  layers: readonly { readonly layer: ImageLayer; readonly store: ByteStore | undefined }[],
  { isLast, note }: { readonly isLast: boolean; readonly note: (note: Note) => void },
): BlockSource | undefined {
  for (const [index, { layer, store }] of layers.entries()) {
    if (!(layer instanceof ParallelsImage) || store === undefined) continue
    const { capacity, clusterSize } = layer
    if (capacity !== length) {
      const message = `${store.name}: its header says that the image has ${capacity} bytes, the descriptor ${length}`
      if (capacity < length && index === 0 && !isLast) throw corrupt('E_EXTENT_SIZE', message)
      note({ code: 'W_EXTENT_SIZE', message: `${message}: the smaller counts` })
    }
    if (blockSize !== undefined && blockSize * sectorLength !== clusterSize)
      note({
        code: 'W_BLOCK_SIZE',
        message:
          `${store.name}: its header says that a cluster has ${clusterSize} bytes, the descriptor ` +
          `${blockSize * sectorLength}: the header counts`,
      })
  }
  const disk = layers.reduceRight<BlockSource | undefined>(
    (below, { layer }) => (below === undefined ? layer : new OverlaySource(layer, below)),
    undefined,
  )
  return disk === undefined || disk.capacity <= length ? disk : new SliceSource(disk, 0, length)
}
