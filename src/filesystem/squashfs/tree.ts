import { isPowerOfTwo, viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { StructValues } from '../../binary/struct.js'
import { shortUnits, type ShortUnitDecoder } from '../../codec/short-units.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { NodeTree, type FolderEntry } from '../node-tree.js'
import type { ByteRun } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { dataWord } from './entries.js'
import { SquashfsInodes } from './inodes.js'
import { MetadataBlocks } from './metadata.js'
import { SquashfsNode, type SquashfsBlocks } from './node.js'
import { folderEntry, folderHead, fragmentEntry, type superblock } from './structs.js'

const decoders: Readonly<Record<number, ShortUnitDecoder>> = {
  1: shortUnits.zlib,
  3: shortUnits.lzo,
  4: shortUnits.xz,
  5: shortUnits.lz4,
  6: shortUnits.zstd,
}
/** `.` and `..` count, and are not there. */
const emptyFolder = 3
const mostInRun = 256
const fragmentsPerBlock = 512
/** At most 8 MiB with blocks of 1 MiB. */
const keptBlocks = 8

/** The files of squashfs. */
export class SquashfsTree extends NodeTree<SquashfsNode> {
  readonly root: SquashfsNode
  readonly #reader: VolumeReader
  readonly #superblock: StructValues<typeof superblock>
  readonly #metadata: MetadataBlocks
  readonly #inodes: SquashfsInodes
  readonly #decode: ShortUnitDecoder
  /** Unpacked blocks and fragments by their place: reads come in pieces, and files share fragments. */
  readonly #blocks = new Recent<{ readonly word: number; readonly bytes: Uint8Array }>(keptBlocks, () => ({
    word: -1,
    bytes: new Uint8Array(0),
  }))

  /** @param compression its name, for messages. @throws ImageError corrupt; unsupported E_FS_FEATURE. */
  constructor(reader: VolumeReader, values: StructValues<typeof superblock>, compression: string) {
    super(SquashfsNode)
    const decode = decoders[values.compression]
    if (decode === undefined)
      throw unsupported('E_FS_FEATURE', `the squashfs filesystem is compressed with ${compression}, which is not read`)
    const { blockSize, root } = values
    if (!isPowerOfTwo(blockSize) || blockSize < 4096 || blockSize > 1048576)
      throw damaged('squashfs', `a block is said to have ${blockSize} bytes`, 0)
    this.#reader = reader
    this.#superblock = values
    this.#decode = decode
    this.#metadata = new MetadataBlocks(reader, decode)
    this.#inodes = new SquashfsInodes(reader, this.#metadata, values)
    this.root = this.#inodes.read(Number(root / 65536n), Number(root % 65536n))
    if (this.root.kind !== 'directory') throw damaged('squashfs', 'its root is no folder')
  }

  protected *stored({ content }: SquashfsNode): Generator<FolderEntry<SquashfsNode>> {
    const { start = 0, offset = 0, size } = content
    if (size <= emptyFolder) return
    const cursor = this.#metadata.at(Number(this.#superblock.folderTable) + start, offset)
    for (let left = size - emptyFolder; left > 0;) {
      const head = folderHead.read(cursor.take(folderHead.size))
      if (head.count >= mostInRun) throw damaged('squashfs', `a run of names is said to have ${head.count} of them`)
      left -= folderHead.size
      for (let index = 0; index <= head.count; index++) {
        const entry = folderEntry.read(cursor.take(folderEntry.size))
        const name = cursor.take(entry.size + 1)
        left -= folderEntry.size + name.length
        yield { name, open: () => this.#inodes.read(head.start, entry.offset) }
      }
    }
  }

  protected *runs({ content, size }: SquashfsNode): Generator<ByteRun> {
    const { blockSize } = this.#superblock
    const { words = new Uint32Array(0) } = content.blocks ?? {}
    let run: ByteRun | undefined
    for (let index = 0, offset = 0; offset < size; index++, offset += blockSize) {
      const length = Math.min(blockSize, size - offset)
      // What lies behind the blocks is in a fragment.
      if (index >= words.length || dataWord(words[index] ?? 0).length > 0)
        run = run === undefined ? { offset, length } : { offset: run.offset, length: run.length + length }
      else if (run !== undefined) {
        yield run
        run = undefined
      }
    }
    if (run !== undefined) yield run
  }

  protected content({ content, size }: SquashfsNode, offset: number, target: Uint8Array): void {
    const { blockSize } = this.#superblock
    const { blocks } = content
    if (blocks === undefined) throw damaged('squashfs', 'a file has no blocks')
    for (let done = 0; done < target.length;) {
      const index = Math.floor((offset + done) / blockSize)
      const within = (offset + done) % blockSize
      const piece = target.subarray(done, done + blockSize - within)
      const bytes = this.#block(blocks, index, Math.min(blockSize, size - index * blockSize))
      if (bytes === undefined) piece.fill(0)
      else piece.set(bytes.subarray(within, within + piece.length))
      done += piece.length
    }
  }

  /** The content of a block, exactly `length` bytes; undefined: a hole. */
  #block(blocks: SquashfsBlocks, index: number, length: number): Uint8Array | undefined {
    if (index >= blocks.words.length) return this.#fragment(blocks, length)
    const word = blocks.words[index] ?? 0
    if (dataWord(word).length === 0) return undefined
    const bytes = this.#unpacked(blocks.positions[index] ?? 0, word)
    if (bytes.length !== length)
      throw damaged('squashfs', `a block has ${bytes.length} bytes instead of ${length}`, blocks.positions[index])
    return bytes
  }

  #fragment({ fragment, fragmentOffset }: SquashfsBlocks, length: number): Uint8Array {
    const { fragments, fragmentTable } = this.#superblock
    if (fragment === undefined || fragment >= fragments)
      throw damaged('squashfs', `fragment ${fragment ?? 'none'} is named, and there are ${fragments}`)
    const place = Number(fragmentTable) + Math.floor(fragment / fragmentsPerBlock) * 8
    const position = Number(viewOf(this.#reader.bytes(place, 8)).getBigUint64(0, true))
    const cursor = this.#metadata.at(position, (fragment % fragmentsPerBlock) * fragmentEntry.size)
    const { start, size } = fragmentEntry.read(cursor.take(fragmentEntry.size))
    const bytes = this.#unpacked(start, size)
    if (fragmentOffset + length > bytes.length)
      throw damaged('squashfs', `the end of a file lies behind that of its fragment of ${bytes.length} bytes`, start)
    return bytes.subarray(fragmentOffset, fragmentOffset + length)
  }

  #unpacked(position: number, word: number): Uint8Array {
    const kept = this.#blocks.get(position)
    if (kept.word === word) return kept.bytes
    const { length, isPacked } = dataWord(word)
    const { blockSize } = this.#superblock
    if (length > blockSize) throw damaged('squashfs', `a block is said to be stored in ${length} bytes`, position)
    const stored = new Uint8Array(length)
    this.#reader.read(position, stored)
    let bytes: Uint8Array = stored
    if (isPacked) {
      const plain = new Uint8Array(blockSize)
      bytes = plain.subarray(0, this.#decode(stored, plain))
    }
    this.#blocks.set(position, { word, bytes })
    return bytes
  }
}
