import type { Work } from '../../../block/work.js'
import { ReferenceMap } from '../../../binary/reference-map.js'
import { nilUuid } from '../../../binary/struct.js'
import type { ByteStore } from '../../../block/types.js'
import type { Finding } from '../../driver.js'
import { BlockMap } from '../format/block-map.js'
import { isStored } from '../format/entries.js'
import type { Header } from '../format/header.js'
import { header as layout, plusLength, sectorLength, version0 } from '../format/structs.js'

/** After so many entries progress is reported. */
const entriesPerStep = 65536
const countingBytes = 64 * 1024 * 1024
const stored = 0

/** Everything that is wrong with an opened VDI: header, map, and who has what of the file. */
export function* checkVdi(store: ByteStore, header: Header): Work<void, Finding> {
  yield* checkHeader(header)
  yield* new MapCheck(store, header).run()
}

function* checkHeader(header: Header): Generator<Finding> {
  const { values, version } = header
  const isOld = version === version0
  const warning = (code: string, position: number, message: string): Finding => ({
    severity: 'warning',
    code,
    structure: 'header',
    position,
    message,
  })
  if (values.imageUuid === nilUuid)
    yield warning('W_UUID_ZERO', isOld ? 372 : 392, 'the image UUID is all zero; VirtualBox refuses such an image')
  if (values.modificationUuid === nilUuid)
    yield warning(
      'W_MODIFICATION_UUID_ZERO',
      isOld ? 388 : 408,
      'the modification UUID is all zero; VirtualBox refuses such an image',
    )
  if (header.isChild && values.linkUuid === nilUuid)
    yield {
      severity: 'error',
      code: 'E_PARENT_ID',
      structure: 'header',
      position: isOld ? 404 : 424,
      message: 'the image has a parent by its type, and the UUID of the parent is all zero',
    }
  else if (header.isChild && values.linkUuid === values.imageUuid)
    yield {
      severity: 'error',
      code: 'E_PARENT_ID',
      structure: 'header',
      position: isOld ? 404 : 424,
      message: 'the UUID of the parent is that of the image itself',
    }
  if (!isOld && values.headerSize >= plusLength && values.lchsSectorSize !== sectorLength)
    yield warning(
      'W_GEOMETRY',
      layout.fields.lchsSectorSize.offset,
      `the sector size of the logical geometry is ${values.lchsSectorSize}, not 512; VirtualBox refuses such an image`,
    )
  if (header.blocks > header.needed)
    yield warning(
      'W_BLOCKS',
      isOld ? 364 : 384,
      `the map has ${header.blocks} entries, the disk of ${header.capacity} bytes needs ${header.needed}`,
    )
  if (header.capacity % sectorLength !== 0)
    yield warning(
      'W_SIZE_NOT_SECTORS',
      isOld ? 352 : 368,
      `the disk has ${header.capacity} bytes and ends in the middle of a sector`,
    )
}

class MapCheck {
  readonly #store: ByteStore
  readonly #header: Header
  readonly #map: BlockMap
  readonly #uses = new ReferenceMap(countingBytes)
  #count = 0
  #highest = -1
  #faults = 0

  constructor(store: ByteStore, header: Header) {
    this.#store = store
    this.#header = header
    this.#map = new BlockMap(store, header.mapPosition, header.blocks)
  }

  *run(): Work<void, Finding> {
    const { blocks, allocated } = this.#header
    // Blocks of the file are counted window by window where there are too many for the memory.
    for (let start = 0; ; start = this.#uses.limit) {
      this.#uses.begin(start)
      yield* this.#pass(start === 0, blocks)
      yield* this.#twice(Math.min(this.#uses.limit, allocated))
      if (this.#uses.limit >= allocated) break
    }
    if (this.#faults === 0) yield* this.#counted()
    yield* this.#behind()
  }

  *#pass(isFirst: boolean, blocks: number): Work<void, Finding> {
    let shown = 0
    for (let block = 0; block < blocks;) {
      const word = this.#map.word(block)
      const next = isStored(word) ? block + 1 : this.#map.runEnd(block, blocks)
      if (isStored(word)) {
        if (isFirst) yield* this.#entry(block, word)
        if (word < this.#header.allocated) this.#uses.add(word, stored)
      }
      block = next
      if (block - shown < entriesPerStep) continue
      shown = block
      yield { done: block, total: blocks }
    }
  }

  *#entry(block: number, index: number): Generator<Finding> {
    const { allocated, needed, dataPosition, blockSize, extra, capacity } = this.#header
    const at = { structure: `map entry ${block}`, position: this.#map.position(block) }
    this.#count++
    this.#highest = Math.max(this.#highest, index)
    if (block >= needed) {
      yield {
        severity: 'leak',
        code: 'L_BLOCK_BEYOND_DISK',
        ...at,
        message: `block ${index} of the file lies behind the end of the disk, whose last block is ${needed - 1}`,
      }
      return
    }
    if (index >= allocated) {
      this.#faults++
      yield {
        severity: 'error',
        code: 'E_MAP',
        ...at,
        message: `names block ${index} of the file, of which only ${allocated} are said to be allocated`,
      }
      return
    }
    const start = dataPosition + index * (blockSize + extra) + extra
    const end = start + Math.min(blockSize, capacity - block * blockSize)
    if (end <= this.#store.size) return
    this.#faults++
    yield {
      severity: 'error',
      code: 'E_TRUNCATED',
      ...at,
      message: `block ${block} takes bytes ${start} to ${end}, but the file ends at byte ${this.#store.size}`,
    }
  }

  /** Blocks of the file that two entries name. */
  *#twice(end: number): Generator<Finding> {
    for (let index = this.#uses.next(this.#uses.start); index < end; index = this.#uses.next(index + 1)) {
      const uses = this.#uses.uses(index)
      if (uses < 2) continue
      this.#faults++
      const { dataPosition, blockSize, extra } = this.#header
      const position = dataPosition + index * (blockSize + extra)
      yield {
        severity: 'error',
        code: 'E_OVERLAP',
        structure: `block ${index} of the file`,
        ...(position <= this.#store.size ? { position } : {}),
        message: `${uses} entries of the map name it`,
      }
    }
  }

  /** Whether the header's count is that of the map. */
  *#counted(): Generator<Finding> {
    const { allocated, version, dataPosition, blockSize, extra } = this.#header
    const position = version === version0 ? 368 : 388
    if (allocated === this.#count) return
    yield {
      severity: 'warning',
      code: 'W_BLOCKS_ALLOCATED',
      structure: 'header',
      position,
      message: `says that ${allocated} blocks are allocated; the map names ${this.#count}`,
    }
    const lost = this.#highest + 1 - this.#count
    if (lost > 0)
      yield {
        severity: 'leak',
        code: 'L_UNREFERENCED',
        structure: 'file',
        position: dataPosition,
        message: `${lost} blocks of ${blockSize + extra} bytes among the others belong to no block of the disk`,
      }
  }

  /** What the file has behind its last block. */
  *#behind(): Generator<Finding> {
    const { dataPosition, blockSize, extra, allocated } = this.#header
    if (this.#faults > 0) return
    const end = dataPosition + Math.max(this.#highest + 1, 0) * (blockSize + extra)
    const length = this.#store.size - end
    if (length < blockSize) return
    yield {
      severity: 'leak',
      code: 'L_UNREFERENCED',
      structure: 'file',
      position: end,
      message:
        `${length} bytes behind the last block belong to nothing` +
        (allocated > this.#highest + 1 ? ', though the header counts them as blocks' : ''),
    }
  }
}
