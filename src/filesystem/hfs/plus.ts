import { isPowerOfTwo, safeNumber, viewOf } from '../../binary/integers.js'
import type { BlockSource, Fact } from '../../block/types.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { FileMap } from '../file-map.js'
import { Issues, requireTrustworthy } from '../identification.js'
import { secondsText } from '../labels.js'
import { unionRuns } from '../run-union.js'
import type { Filesystem, FilesystemState, ByteRun, UsedOptions } from '../types.js'
import { bitmapRuns, volumeRuns, type UnitRun } from '../unit-runs.js'
import { VolumeReader } from '../volume-reader.js'
import { forkData, forkExtent, headerPosition, leafNode, signatures, treeHeader, volumeHeader } from './structs.js'
import { HfsPlusTree } from './tree.js'
import { hfsUuid } from './uuid.js'

/** Seconds from 1904 to 1970. */
const epoch = 2_082_844_800
const extentsInHeader = 8
const rootParent = 1
const leafKind = 0xff

/** HFS+ or HFSX at the start of a volume. @param bytes its volume header. */
export function identifyHfsPlus(volume: BlockSource, bytes: Uint8Array): Filesystem {
  return new Identification(volume, bytes).filesystem()
}

class Identification {
  readonly #reader: VolumeReader
  readonly #header
  readonly #title: string
  readonly #issues: Issues

  constructor(volume: BlockSource, bytes: Uint8Array) {
    this.#header = volumeHeader.read(bytes)
    this.#title = this.#header.signature === signatures.plus ? 'HFS+' : 'HFSX'
    this.#reader = new VolumeReader(volume, this.#title)
    this.#issues = new Issues(this.#title)
  }

  filesystem(): Filesystem {
    const { blockSize, blocks, freeBlocks, identifier } = this.#header
    const sane = this.#issues.attempt(() => {
      this.#requireGeometry()
      return true
    })
    const size = blocks * blockSize
    this.#issues.checkSize(size, this.#reader.size)
    const label = sane === undefined ? undefined : this.#issues.attempt(() => this.#label())
    const id = hfsUuid(identifier)
    const state = this.#state()
    return {
      type: 'hfsplus',
      title: this.#title,
      kind: 'filesystem',
      state,
      facts: this.#facts(),
      issues: this.#issues.list,
      ...(label === undefined || label === '' ? {} : { label }),
      uuid: id,
      ...(sane === undefined
        ? {}
        : { blockSize, size, free: freeBlocks * blockSize, used: (blocks - freeBlocks) * blockSize }),
      usedRuns: (options) => this.#usedRuns(state, options),
      openTree: () => {
        this.#requireGeometry()
        return new HfsPlusTree(this.#reader, this.#header)
      },
    }
  }

  #requireGeometry(): void {
    const { blockSize, blocks, freeBlocks } = this.#header
    if (!isPowerOfTwo(blockSize) || blockSize < 512 || blocks === 0 || freeBlocks > blocks) {
      throw damaged(
        this.#title,
        `${freeBlocks} of ${blocks} blocks of ${blockSize} bytes are said to be free`,
        headerPosition,
      )
    }
  }

  /** Bit 8: it was unmounted; bit 11: found damaged. */
  #state(): FilesystemState {
    const { attributes } = this.#header
    return Math.floor(attributes / 256) % 2 === 1 && Math.floor(attributes / 2048) % 2 === 0 ? 'clean' : 'dirty'
  }

  #facts(): Fact[] {
    const { version, attributes, files, folders, created } = this.#header
    const time = created < epoch ? undefined : secondsText(created - epoch)
    return [
      { name: 'format', value: version },
      { name: 'journaled', value: Math.floor(attributes / 8192) % 2 === 1 },
      { name: 'files', value: files, unit: 'count' },
      { name: 'folders', value: folders, unit: 'count' },
      ...(time === undefined ? [] : [{ name: 'created', value: time }]),
    ]
  }

  /** Where a file of the volume's own lies, as far as the header says. */
  #file(fork: Uint8Array): FileMap {
    const { blockSize, blocks } = this.#header
    const map = new FileMap()
    for (let index = 0; index < extentsInHeader; index++) {
      const { start, count } = forkExtent.read(fork, forkData.size + index * forkExtent.size)
      if (count === 0) break
      if (start + count > blocks)
        throw damaged(
          this.#title,
          `a file of its own is said to have ${count} blocks from block ${start} on, and there are ${blocks}`,
          headerPosition,
        )
      map.push(count * blockSize, start * blockSize)
    }
    return map
  }

  /** The name of the root folder: the first record of the catalog. */
  #label(): string | undefined {
    const catalog = this.#file(this.#header.catalogFile)
    const read = (offset: number, length: number): Uint8Array => {
      const target = new Uint8Array(length)
      catalog.read(this.#reader, offset, target)
      return target
    }
    const { firstLeaf, nodeSize } = treeHeader.read(read(0, treeHeader.size))
    if (!isPowerOfTwo(nodeSize) || nodeSize < 512 || firstLeaf === 0) return undefined
    const node = read(firstLeaf * nodeSize, nodeSize)
    const { kind, records, parent, nameLength } = leafNode.read(node)
    if (
      kind !== leafKind ||
      records === 0 ||
      parent !== rootParent ||
      nameLength > 255 ||
      leafNode.size + nameLength * 2 > node.length
    )
      return undefined
    const view = viewOf(node)
    return Array.from({ length: nameLength }, (_, index) =>
      String.fromCharCode(view.getUint16(leafNode.size + index * 2)),
    )
      .join('')
      .normalize('NFC')
  }

  #usedRuns(state: FilesystemState, options: UsedOptions | undefined): Iterable<ByteRun> {
    this.#requireGeometry()
    const { blockSize, blocks, allocationFile } = this.#header
    const size = blocks * blockSize
    requireTrustworthy(this.#title, { size, volumeSize: this.#reader.size, state }, options)
    const map = this.#file(allocationFile)
    const needed = Math.ceil(blocks / 8)
    if (safeNumber(forkData.read(allocationFile).size, 'the size of the allocation file') < needed)
      throw damaged(this.#title, `its map of blocks is shorter than the ${needed} bytes needed`)
    if (map.length < needed)
      throw unsupported(
        'E_FS_LIMIT',
        `the map of blocks of the ${this.#title} filesystem lies in more than ${extentsInHeader} pieces`,
      )
    return volumeRuns(this.#used(map, state === 'clean'), blockSize, 0, size, this.#reader.size)
  }

  /** Blocks in use; the headers at both ends are, whatever the map says. */
  *#used(map: FileMap, exact: boolean): Generator<UnitRun> {
    const { blockSize, blocks, freeBlocks } = this.#header
    const head = Math.min(blocks, Math.ceil((headerPosition + volumeHeader.size) / blockSize))
    const tail = Math.min(blocks, Math.ceil(headerPosition / blockSize))
    const bits = bitmapRuns((offset, target) => {
      map.read(this.#reader, offset, target)
      for (let index = 0; index < target.length; index++) target[index] = reversed[target[index] ?? 0] ?? 0
    }, blocks)
    let used = 0
    for (const run of unionRuns([bits, [{ first: 0, count: head }], [{ first: blocks - tail, count: tail }]])) {
      used += run.count
      yield run
    }
    if (exact && blocks - used !== freeBlocks)
      throw damaged(this.#title, `its map has ${blocks - used} free blocks, and its header says ${freeBlocks}`)
  }
}

/** In its map the highest bit of a byte is the first block. */
const reversed = Uint8Array.from({ length: 256 }, (_, byte) =>
  Array.from({ length: 8 }, (_bit, bit) => (Math.floor(byte / 2 ** bit) % 2) * 2 ** (7 - bit)).reduce(
    (sum, value) => sum + value,
    0,
  ),
)
