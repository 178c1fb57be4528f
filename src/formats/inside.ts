import type { Work } from '../block/work.js'
import type { BlockSource, Extent, Note } from '../block/types.js'
import { unsupported } from '../errors.js'
import { checksumFindings } from './damage.js'
import type { CheckOptions, Finding, ImageInside } from './driver.js'
import type { OpenedImage } from './opened.js'

/** An image that lies in the files of another, as the format of that one sees it. */
export class InsideImage implements ImageInside {
  readonly capacity: number
  readonly sectorSize: BlockSource['sectorSize']
  readonly grain: number
  readonly #opened: OpenedImage

  /**
   * @param formats those that it may be of. @throws ImageError unsupported E_UNSUPPORTED_FORMAT where it is of another;
   * it is closed then.
   */
  constructor(opened: OpenedImage, formats: readonly string[]) {
    const { driver } = opened.top
    if (!formats.includes(driver.id)) {
      opened[Symbol.dispose]()
      throw unsupported('E_UNSUPPORTED_FORMAT', `${opened.name} is a ${driver.title}, expected ${formats.join(' or ')}`)
    }
    this.#opened = opened
    this.capacity = opened.capacity
    this.sectorSize = opened.sectorSize
    this.grain = opened.grain
  }

  get notes(): readonly Note[] {
    return this.#opened.top.image.notes
  }

  *check(options: CheckOptions): Work<void, Finding> {
    for (const { image } of this.#opened.layers) yield* image.check?.(options) ?? []
  }

  *verify(): Work<void, Finding> {
    for (const { image } of this.#opened.layers) yield* checksumFindings(image, 0, image.capacity)
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#opened.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#opened.read(offset, target)
  }

  [Symbol.dispose](): void {
    this.#opened[Symbol.dispose]()
  }
}
