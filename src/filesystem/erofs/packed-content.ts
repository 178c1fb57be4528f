import { moveNumbers } from '../../binary/move-numbers.js'
import { Recent } from '../../binary/recent.js'
import { lastAtMost } from '../../binary/search.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import type { VolumeReader } from '../volume-reader.js'
import { clusterKinds, type Cluster, type ClusterIndex } from './clusters.js'
import { longestPlain, unpack } from './unpack.js'

/** Physical clusters are no longer (Z_EROFS_PCLUSTER_MAX_SIZE). */
const longestStored = 1048576
const mostClusters = 64 * 1048576
const mostExtents = 8 * 1048576
const keptExtents = 4

/** Something that is stored as one. */
interface Extent {
  /** In the file. */
  readonly start: number
  readonly end: number
  /** In the volume. */
  readonly position: number
  readonly stored: number
  readonly kind: number
  readonly isPartial: boolean
}

export interface PackedFile {
  readonly id: string
  readonly size: number
  readonly blockSize: number
  /** Whether what is stored ends with its block, and zeros come before it. */
  readonly isPadded: boolean
  /** Reads from the inode that ends of files are packed in. */
  readonly fragments: (offset: number, target: Uint8Array) => void
}

/** @throws ImageError unsupported E_FS_LIMIT. */
export function clusterCount({ id, size, blockSize }: PackedFile): number {
  const count = Math.ceil(size / blockSize)
  if (count > mostClusters) throw unsupported('E_FS_LIMIT', `${id} has more than ${mostClusters} clusters`)
  return count
}

/** The content of a compressed file. */
export class PackedContent {
  readonly #reader: VolumeReader
  readonly #file: PackedFile
  readonly #index: ClusterIndex
  #starts = new Float64Array(16)
  #positions = new Float64Array(16)
  /** Blocks that are stored, the kind, and whether only a part is meant. */
  #words = new Uint32Array(16)
  #count = 0
  readonly #plain = new Recent<Uint8Array>(keptExtents, (index) => this.#unpacked(this.#extent(index)))

  /** @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE, E_FS_LIMIT. */
  constructor(reader: VolumeReader, file: PackedFile, index: ClusterIndex) {
    this.#reader = reader
    this.#file = file
    this.#index = index
    this.#guard()
    this.#collect()
  }

  read(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const index = lastAtMost(this.#starts, this.#count, offset + done)
      if (this.#index.header.fragment !== undefined && index === this.#count - 1) {
        this.#readFragment(offset + done, target.subarray(done))
        return
      }
      const plain = this.#plain.get(index)
      const within = offset + done - (this.#starts[index] ?? 0)
      const piece = plain.subarray(within, within + target.length - done)
      if (piece.length === 0) throw damaged('EROFS', `${this.#file.id} has no content at byte ${offset + done}`)
      target.set(piece, done)
      done += piece.length
    }
  }

  /** The end of the file lies among other ends. With long indexes, the block of its cluster continues the place. */
  #readFragment(offset: number, target: Uint8Array): void {
    const last = this.#count - 1
    const { header, isLong } = this.#index
    const more = isLong ? ((this.#positions[last] ?? 0) / this.#file.blockSize) * 2 ** 32 : 0
    this.#file.fragments((header.fragment ?? 0) + more + offset - (this.#starts[last] ?? 0), target)
  }

  #guard(): void {
    if (this.#index.header.clusterBits === 0) return
    const { id } = this.#file
    throw unsupported('E_FS_FEATURE', `${id} of the EROFS filesystem has clusters of more than one block`)
  }

  #collect(): void {
    const { header, clusters } = this.#index
    const { id, blockSize, size } = this.#file
    let number = 0
    let before: Cluster | undefined
    for (const cluster of clusters) {
      if (cluster.kind === clusterKinds.inner) {
        if (before === undefined && this.#count === 0) throw damaged('EROFS', `${id} begins inside of something`)
        if (before !== undefined) this.#enlarge(before, cluster)
        before = undefined
      } else {
        const start = number * blockSize + cluster.offset
        const last = this.#count === 0 ? -1 : (this.#starts[this.#count - 1] ?? -1)
        if (cluster.offset >= blockSize || start <= last || (this.#count === 0 && start !== 0) || start > size)
          throw damaged('EROFS', `${id} has something that begins at byte ${start}, behind byte ${last}`)
        // Where the last one ends inside of a block, an empty one follows.
        if (start < size) this.#push(start, cluster)
        before = start < size && this.#isLarge(cluster.kind) ? cluster : undefined
      }
      number++
    }
    if (this.#count === 0) throw damaged('EROFS', `${id} has an empty index`)
    if (header.isInline) this.#positions[this.#count - 1] = this.#index.end
  }

  #isLarge(kind: number): boolean {
    const { hasLarge, hasLargeSecond } = this.#index.header
    return (kind === clusterKinds.head && hasLarge) || (kind === clusterKinds.secondHead && hasLargeSecond)
  }

  /** The cluster behind the head of something that may be stored in several blocks says in how many. */
  #enlarge({ kind }: Cluster, { blocks }: Cluster): void {
    const { id, blockSize } = this.#file
    // What lies in the inode, or among fragments, is stored in none.
    if (blocks === undefined || blocks * blockSize > longestStored)
      throw damaged('EROFS', `${id} has something that is stored in ${blocks ?? 'an unknown number of'} blocks`)
    const last = this.#count - 1
    this.#words[last] = wordOf(blocks, kind, (this.#words[last] ?? 0) % 2 === 1)
  }

  #push(start: number, { kind, block, isPartial }: Cluster): void {
    if (this.#count === mostExtents)
      throw unsupported('E_FS_LIMIT', `${this.#file.id} lies in more than ${mostExtents} pieces`)
    if (this.#count === this.#starts.length) {
      this.#starts = moveNumbers(this.#starts, new Float64Array(this.#count * 2))
      this.#positions = moveNumbers(this.#positions, new Float64Array(this.#count * 2))
      this.#words = moveNumbers(this.#words, new Uint32Array(this.#count * 2))
    }
    this.#starts[this.#count] = start
    this.#positions[this.#count] = block * this.#file.blockSize
    this.#words[this.#count++] = wordOf(1, kind, isPartial)
  }

  #extent(index: number): Extent {
    const { blockSize, size } = this.#file
    const { header } = this.#index
    const word = this.#words[index] ?? 0
    const isLast = index === this.#count - 1
    return {
      start: this.#starts[index] ?? 0,
      end: isLast ? size : (this.#starts[index + 1] ?? 0),
      position: this.#positions[index] ?? 0,
      stored: isLast && header.isInline ? header.inlineSize : Math.floor(word / 8) * blockSize,
      kind: Math.floor(word / 2) % 4,
      isPartial: word % 2 === 1,
    }
  }

  #unpacked({ start, end, position, stored, kind, isPartial }: Extent): Uint8Array {
    const { id, blockSize, isPadded } = this.#file
    const length = end - start
    const wrong = (why: string): Error => damaged('EROFS', `${id}, from byte ${start}: ${why}`, position)
    if (length > longestPlain) throw wrong(`${length} bytes are said to be stored as one`)
    if (stored === 0) throw wrong('it is said to be stored in no blocks')
    const bytes = new Uint8Array(stored)
    this.#reader.read(position, bytes)
    if (kind === clusterKinds.plain) {
      if (length > stored) throw wrong(`${length} bytes are stored in ${stored}`)
      if (!this.#index.header.isInterlaced) return bytes.subarray(0, length)
      const first = start % blockSize
      return Uint8Array.from({ length }, (_byte, at) => bytes[(first + at) % blockSize] ?? 0)
    }
    const algorithm = this.#index.header.algorithms[kind === clusterKinds.head ? 0 : 1]
    const from = isPadded ? bytes.findIndex((byte) => byte !== 0) : 0
    if (from < 0 || from >= blockSize) throw wrong('nothing is stored there')
    return unpack(bytes.subarray(from), algorithm, {
      length,
      id,
      // Without padding, what follows in the block is not said to end.
      isPartial: isPartial || !isPadded,
      wrong,
    })
  }
}

function wordOf(blocks: number, kind: number, isPartial: boolean): number {
  return blocks * 8 + kind * 2 + (isPartial ? 1 : 0)
}
