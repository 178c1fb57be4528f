import { safeNumber } from '../../binary/integers.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { chunkType } from './entries.js'
import { chunkItem, chunkStripe } from './structs.js'

/** 256 TiB in chunks of a gigabyte. */
const mostChunks = 256 * 1024

/** Where a run of logical addresses lies on this device; twice when it is kept twice. Bytes. */
export interface Stripe {
  readonly logical: number
  readonly length: number
  readonly position: number
  readonly isSystem: boolean
  /** Whether the same addresses were listed before. */
  readonly isCopy: boolean
}

/** How logical addresses map to places of the one device. */
export class ChunkMap {
  readonly #title: string
  readonly #device: bigint
  readonly #volumeSize: number
  readonly #stripes: Stripe[] = []
  readonly #known = new Set<number>()
  #sorted: Stripe[] | undefined

  constructor(title: string, device: bigint, volumeSize: number) {
    this.#title = title
    this.#device = device
    this.#volumeSize = volumeSize
  }

  /**
   * @param item a chunk item. @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE (stripes over several
   * devices), E_FS_LIMIT.
   */
  add(logicalStart: bigint, item: Uint8Array): void {
    const logical = safeNumber(logicalStart, 'the address of a chunk')
    if (this.#known.has(logical)) return
    if (this.#known.size >= mostChunks)
      throw unsupported('E_FS_LIMIT', `the ${this.#title} filesystem has more than ${mostChunks} chunks`)
    this.#known.add(logical)
    if (item.length < chunkItem.size)
      throw damaged(this.#title, `the chunk at logical address ${logical} is said to have ${item.length} bytes`)
    const { length: stored, type, stripes } = chunkItem.read(item)
    const { isSystem, isStriped } = chunkType(type)
    const length = safeNumber(stored, 'the length of a chunk')
    if (stripes === 0 || chunkItem.size + stripes * chunkStripe.size > item.length || length === 0)
      throw damaged(
        this.#title,
        `the chunk at logical address ${logical} is said to have ${stripes} stripes of ${length} bytes`,
      )
    if (stripes > 1 && isStriped)
      throw unsupported('E_FS_FEATURE', `the ${this.#title} filesystem is striped over several devices`)
    let isCopy = false
    for (let index = 0; index < stripes; index++) {
      const { device, offset } = chunkStripe.read(item, chunkItem.size + index * chunkStripe.size)
      if (device !== this.#device) continue
      const position = safeNumber(offset, 'the place of a chunk')
      if (position + length > this.#volumeSize)
        throw damaged(
          this.#title,
          `the chunk at logical address ${logical} is said to lie at byte ${position}, and the volume has ` +
            `${this.#volumeSize}`,
        )
      this.#stripes.push({ logical, length, position, isSystem, isCopy })
      isCopy = true
    }
    this.#sorted = undefined
  }

  /**
   * The bytes of the volume where a logical address lies: several where it is kept twice. @throws ImageError corrupt
   * E_FS_CORRUPT: no chunk has it whole.
   */
  positions(logical: number, length: number): readonly number[] {
    const stripes = (this.#sorted ??= [...this.#stripes].sort((one, other) => one.logical - other.logical))
    let low = 0
    let high = stripes.length
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if ((stripes[middle]?.logical ?? 0) > logical) high = middle
      else low = middle + 1
    }
    const chunk = stripes[low - 1]
    if (chunk === undefined || logical + length > chunk.logical + chunk.length)
      throw damaged(this.#title, `no chunk has the logical address ${logical}`)
    const positions: number[] = []
    for (let index = low - 1; stripes[index]?.logical === chunk.logical; index--)
      positions.push((stripes[index]?.position ?? 0) + logical - chunk.logical)
    return positions
  }

  /** All stripes by their place in the volume. @throws ImageError corrupt E_FS_CORRUPT: two share a byte. */
  byPosition(): readonly Stripe[] {
    const stripes = [...this.#stripes].sort((one, other) => one.position - other.position)
    let end = 0
    for (const { position, length } of stripes) {
      if (position < end) throw damaged(this.#title, `two chunks lie at byte ${position} of the volume`)
      end = position + length
    }
    return stripes
  }
}
