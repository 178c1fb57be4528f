import { safeNumber, viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import { shortUnits } from '../../codec/short-units.js'
import { corrupt, unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import type { ByteRun } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import type { ChunkMap } from './chunks.js'
import type { DataChecksums } from './data-checksums.js'
import { fileExtent, fileExtentHead, itemTypes } from './structs.js'
import type { TreeItem } from './trees.js'

const mostExtents = 1024 * 1024
/** Compressed extents hold 128 KiB at most (BTRFS_MAX_UNCOMPRESSED), stored ones no more. */
const longestUnit = 128 * 1024
const keptUnits = 32
const types = { inline: 0, regular: 1, allocated: 2 }
const compressions: Readonly<Record<number, 'zlib' | 'lzo' | 'zstd'>> = { 1: 'zlib', 2: 'lzo', 3: 'zstd' }

/** A run of a file that holds data. Bytes. */
interface FileExtent extends ByteRun {
  /** Content that lies in the tree itself. */
  readonly inline?: Uint8Array
  /** Logical address of what is stored, and its length. */
  readonly logical: number
  readonly storedLength: number
  /** Where the run begins in what is stored, after it was unpacked. */
  readonly within: number
  readonly plainLength: number
  readonly compression: number
}

/** Where the content of a file lies: runs in ascending order; between them it reads as zero. */
export class FileExtents {
  readonly #title: string
  readonly #list: FileExtent[] = []

  constructor(title: string) {
    this.#title = title
  }

  /** Adds what an item says. @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE, E_FS_LIMIT. */
  add({ object, type, offset: key, data }: TreeItem, sectorSize: number): void {
    if (type !== itemTypes.fileExtent) return
    const wrong = (message: string): Error => damaged(this.#title, `inode ${object}: ${message}`)
    if (data.length < fileExtentHead.size) throw wrong('an extent is cut short')
    const head = fileExtentHead.read(data)
    const offset = safeNumber(key, 'the offset of an extent')
    const { compression } = head
    if (head.encryption !== 0 || head.encoding !== 0 || (compression !== 0 && compressions[compression] === undefined))
      throw unsupported('E_FS_FEATURE', `inode ${object} of the btrfs filesystem is stored in a way not known here`)
    const plainLength = safeNumber(head.plainLength, 'the length of an extent')
    const last = this.#list.at(-1)
    if (last !== undefined && offset < last.offset + last.length) throw wrong('its extents overlap')
    if (head.type === types.inline) {
      if (plainLength > longestUnit) throw wrong(`${plainLength} bytes are said to lie in the tree`)
      const inline = data.subarray(fileExtentHead.size)
      this.#push({
        offset,
        length: plainLength,
        inline,
        logical: 0,
        storedLength: 0,
        within: 0,
        plainLength,
        compression,
      })
      return
    }
    const extent = data.length < fileExtent.size ? undefined : regularExtent(data, offset, plainLength, compression)
    if (extent === undefined) throw wrong('an extent is cut short')
    if (extent.logical === 0 || head.type === types.allocated) return
    if (head.type !== types.regular) throw wrong(`an extent has the unknown type ${head.type}`)
    const fault = faultOf(extent, sectorSize)
    if (fault !== undefined) throw wrong(fault)
    this.#push(extent)
  }

  #push(extent: FileExtent): void {
    if (this.#list.length >= mostExtents)
      throw unsupported('E_FS_LIMIT', `a file of the btrfs filesystem has more than ${mostExtents} extents`)
    this.#list.push(extent)
  }

  /** The runs that hold data; neighbours are joined. */
  *runs(): Generator<ByteRun> {
    let run: ByteRun | undefined
    for (const { offset, length } of this.#list) {
      if (run !== undefined && run.offset + run.length === offset)
        run = { offset: run.offset, length: run.length + length }
      else {
        if (run !== undefined) yield run
        run = { offset, length }
      }
    }
    if (run !== undefined && run.length > 0) yield run
  }

  /** The extent at `offset`; undefined in a hole, which goes on up to `end`. */
  at(offset: number): { readonly extent: FileExtent | undefined; readonly end: number } {
    let low = 0
    let high = this.#list.length
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if ((this.#list[middle]?.offset ?? 0) > offset) high = middle
      else low = middle + 1
    }
    const extent = this.#list[low - 1]
    const end = extent === undefined ? 0 : extent.offset + extent.length
    if (offset < end) return { extent, end }
    return { extent: undefined, end: this.#list[low]?.offset ?? Infinity }
  }
}

/** What cannot be in an extent that is stored outside the tree. */
function faultOf(extent: FileExtent, sectorSize: number): string | undefined {
  const { offset, length, within, storedLength, plainLength, compression } = extent
  if (length === 0 || offset % sectorSize !== 0 || !Number.isSafeInteger(offset + length))
    return `${length} bytes are said to lie at offset ${offset}`
  if (within + length > (compression === 0 ? storedLength : plainLength))
    return 'an extent is shorter than the part of it that is used'
  return compression !== 0 && (plainLength > longestUnit || storedLength > longestUnit)
    ? `${plainLength} bytes are said to be compressed to ${storedLength}`
    : undefined
}

function regularExtent(data: Uint8Array, offset: number, plainLength: number, compression: number): FileExtent {
  const { block, storedLength, offset: within, length } = fileExtent.read(data)
  const what = 'a number in an extent'
  return {
    offset,
    length: safeNumber(length, what),
    logical: safeNumber(block, what),
    storedLength: safeNumber(storedLength, what),
    within: safeNumber(within, what),
    plainLength,
    compression,
  }
}

/** Reads what extents lead to: plain through the checksums of data, compressed unpacked. */
export class ExtentContent {
  readonly #reader: VolumeReader
  readonly #chunks: ChunkMap
  readonly #checksums: DataChecksums
  readonly #sectorSize: number
  /** Unpacked extents by their logical address: reads come in pieces. */
  readonly #units = new Recent<{ readonly key: string; readonly plain: Uint8Array }>(keptUnits, () => ({
    key: '',
    plain: new Uint8Array(0),
  }))

  constructor(reader: VolumeReader, chunks: ChunkMap, checksums: DataChecksums, sectorSize: number) {
    this.#reader = reader
    this.#chunks = chunks
    this.#checksums = checksums
    this.#sectorSize = sectorSize
  }

  read(extents: FileExtents, withChecksums: boolean, offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const at = offset + done
      const { extent, end } = extents.at(at)
      const piece = target.subarray(done, done + Math.min(target.length - done, end - at))
      if (extent === undefined) piece.fill(0)
      else this.#extent(extent, withChecksums, at - extent.offset, piece)
      done += piece.length
    }
  }

  #extent(extent: FileExtent, withChecksums: boolean, at: number, target: Uint8Array): void {
    const { inline, compression, logical, within, plainLength } = extent
    if (inline !== undefined) {
      const plain = compression === 0 ? inline : this.#plain(inline, compression, plainLength)
      copyOrZero(plain, at, target)
    } else if (compression === 0) this.#stored(logical + within + at, target, withChecksums)
    else copyOrZero(this.#unit(extent, withChecksums), within + at, target)
  }

  /** Plain content: whole sectors are read, since checksums are over those. The copy that is whole is taken. */
  #stored(logical: number, target: Uint8Array, withChecksums: boolean): void {
    const size = this.#sectorSize
    const pieceLength = 1024 * size
    for (let done = 0; done < target.length;) {
      const at = logical + done
      const start = at - (at % size)
      const wanted = Math.min(target.length - done, pieceLength - size)
      const end = Math.ceil((at + wanted) / size) * size
      const isWhole = start === at && end === at + wanted
      const bytes = isWhole ? target.subarray(done, done + wanted) : new Uint8Array(end - start)
      this.#sectors(start, bytes, withChecksums)
      if (!isWhole) target.set(bytes.subarray(at - start, at - start + wanted), done)
      done += wanted
    }
  }

  #sectors(logical: number, bytes: Uint8Array, withChecksums: boolean): void {
    const expected = withChecksums ? this.#checksums.of(logical, bytes.length) : undefined
    for (const position of this.#chunks.positions(logical, bytes.length)) {
      this.#reader.read(position, bytes)
      if (expected === undefined || this.#checksums.hold(bytes, expected)) return
    }
    throw corrupt(
      'E_FS_CORRUPT',
      `the btrfs filesystem is damaged: the checksum of content at logical address ${logical} is wrong`,
      { details: { logical } },
    )
  }

  #unit(extent: FileExtent, withChecksums: boolean): Uint8Array {
    const key = `${extent.storedLength} ${extent.plainLength} ${extent.compression} ${withChecksums}`
    const kept = this.#units.get(extent.logical)
    if (kept.key === key) return kept.plain
    const plain = this.#decode(extent, withChecksums)
    this.#units.set(extent.logical, { key, plain })
    return plain
  }

  #decode({ logical, storedLength, plainLength, compression }: FileExtent, withChecksums: boolean): Uint8Array {
    const stored = new Uint8Array(storedLength)
    this.#stored(logical, stored, withChecksums)
    return this.#plain(stored, compression, plainLength)
  }

  /** Content may end early: the rest is zero, as the kernel has it. */
  #plain(stored: Uint8Array, compression: number, length: number): Uint8Array {
    const plain = new Uint8Array(length)
    const kind = compressions[compression]
    if (kind === 'lzo') this.#lzo(stored, plain)
    else if (kind !== undefined) shortUnits[kind](stored, plain)
    return plain
  }

  /** A length of all, then pieces of a sector with their lengths, which do not cross the end of a sector. */
  #lzo(stored: Uint8Array, plain: Uint8Array): void {
    const wrong = (): Error => corrupt('E_COMPRESSED', 'the LZO data of an extent of btrfs is damaged')
    const view = viewOf(stored)
    if (stored.length < 4) throw wrong()
    const end = view.getUint32(0, true)
    if (end > stored.length) throw wrong()
    let done = 0
    for (let at = 4; at + 4 <= end && done < plain.length;) {
      const length = view.getUint32(at, true)
      at += 4
      if (at + length > end) throw wrong()
      done += shortUnits.lzo(stored.subarray(at, at + length), plain.subarray(done, done + this.#sectorSize))
      at += length
      const left = this.#sectorSize - (at % this.#sectorSize)
      if (left < 4) at += left
    }
  }
}

function copyOrZero(plain: Uint8Array, at: number, target: Uint8Array): void {
  const part = plain.subarray(at, at + target.length)
  target.set(part)
  target.fill(0, part.length)
}
