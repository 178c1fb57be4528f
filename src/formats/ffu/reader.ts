import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import { printable } from '../../errors.js'
import { chooseMember, type DiskImage, type OpenContext } from '../driver.js'
import { manifestSections, readFfuHeader, type FfuHeader } from './header.js'
import { readStores, type FfuStore } from './stores.js'

const longestRun = 64 * 1024 * 1024

/** A disk of a full flash update: blocks that are stored; what no block is for is not in the image. */
export class FfuImage extends ExtentSource implements DiskImage {
  readonly format = 'ffu'
  readonly subformat: string
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  override readonly sectorSize: 512 | 4096
  readonly #header: FfuHeader
  readonly #stores: readonly FfuStore[]
  readonly #disk: FfuStore

  /** @throws ImageError corrupt; unsupported; usage E_WHICH_MEMBER, E_NO_MEMBER. */
  constructor(store: ByteStore, { self }: OpenContext) {
    super(store)
    this.#header = readFfuHeader(store)
    this.#stores = readStores(this.#header)
    const disks = this.#stores.map((disk, index) => ({ name: `store${index + 1}`, id: disk.devicePath, disk }))
    this.#disk = chooseMember(disks, store.name, self.member).disk
    this.subformat = `v${this.#disk.version}`
    this.capacity = this.#disk.capacity
    this.grain = this.#disk.blockSize
    this.sectorSize = this.#disk.sectorSize
    this.notes = this.#disk.isSized
      ? []
      : [{ code: 'W_CAPACITY', message: 'the image does not say how large the disk is: it ends with its last block' }]
  }

  protected runAt(offset: number, end: number): Extent {
    const { blockSize, blocks } = this.#disk
    const first = Math.floor(offset / blockSize)
    const within = offset - first * blockSize
    const place = this.#placeOf(first)
    const last = Math.min(end, offset + longestRun)
    let next = first + 1
    for (let position = place; next * blockSize < last; next++) {
      if (place >= 0) position += blockSize
      if (this.#placeOf(next) !== position) break
    }
    const length = Math.min(last, next * blockSize) - offset
    if (place < 0 || blocks.count === 0) return { kind: 'absent', offset, length }
    return { kind: 'data', offset, length, store: this.#header.chunks, position: place + within }
  }

  describe(): Section[] {
    const { manifest, algorithm, chunkSize } = this.#header
    const { platforms, devicePath, blockSize, blocks, rows } = this.#disk
    const [flash] = manifestSections(manifest, 'fullflash')
    const shown: readonly (readonly [name: string, key: string])[] = [
      ['description', 'description'],
      ['version', 'version'],
      ['operatingSystem', 'osversion'],
    ]
    return [
      {
        title: 'Full flash update',
        facts: [
          ...shown.flatMap(([name, key]) => {
            const value = flash?.get(key)
            return value === undefined || value === '' ? [] : [{ name, value: printable(value.slice(0, 200)) }]
          }),
          { name: 'platforms', value: printable(platforms.join(', ')) },
          { name: 'disks', value: this.#stores.length, unit: 'count' },
          ...(devicePath === '' ? [] : [{ name: 'devicePath', value: printable(devicePath) }]),
          { name: 'blockSize', value: blockSize, unit: 'bytes' },
          { name: 'storedBlocks', value: blocks.count, unit: 'count' },
          { name: 'hashes', value: `${algorithm} of each ${chunkSize} bytes` },
          { name: 'signature', value: 'not checked' },
        ],
        fields: [...this.#header.rows, ...rows],
      },
    ]
  }

  /** Where a block is stored; −1 where it is not. */
  #placeOf(block: number): number {
    const { blocks } = this.#disk
    const index = blocks.find(block)
    return index < 0 ? -1 : blocks.position(index)
  }
}
