import { moveNumbers } from '../../binary/move-numbers.js'
import type { StructValues } from '../../binary/struct.js'
import { viewOf } from '../../binary/integers.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { posixName } from '../names.js'
import type { VolumeReader } from '../volume-reader.js'
import { dataWord } from './entries.js'
import type { MetadataBlocks, MetadataCursor } from './metadata.js'
import { SquashfsNode, type SquashfsBlocks, type SquashfsContent } from './node.js'
import {
  fileInode,
  folderInode,
  inodeHead,
  linkInode,
  longFileInode,
  longFolderInode,
  otherInode,
  type superblock,
} from './structs.js'

const longestTarget = 65536
/** 2 TiB in blocks of 128 KiB. */
const mostBlocks = 16 * 1024 * 1024
const noFragment = 0xffffffff
const idsPerBlock = 2048

/** Reads inodes, and the table of their owners. */
export class SquashfsInodes {
  readonly #reader: VolumeReader
  readonly #metadata: MetadataBlocks
  readonly #superblock: StructValues<typeof superblock>

  constructor(reader: VolumeReader, metadata: MetadataBlocks, values: StructValues<typeof superblock>) {
    this.#reader = reader
    this.#metadata = metadata
    this.#superblock = values
  }

  /** @param block where its block begins, counted from the table's start. @throws ImageError corrupt; unsupported. */
  read(block: number, offset: number): SquashfsNode {
    const cursor = this.#metadata.at(Number(this.#superblock.inodeTable) + block, offset)
    const head = inodeHead.read(cursor.take(inodeHead.size))
    if (head.type < 1 || head.type > 14) throw damaged('squashfs', `an inode has the unknown type ${head.type}`)
    const ids = { owner: this.#id(head.owner), group: this.#id(head.group) }
    return new SquashfsNode(head, ids, this.#content(head, cursor))
  }

  #content(
    { type, number }: { readonly type: number; readonly number: number },
    cursor: MetadataCursor,
  ): SquashfsContent {
    switch (type) {
      case 1:
        return folderInode.read(cursor.take(folderInode.size))
      case 8:
        return longFolderInode.read(cursor.take(longFolderInode.size))
      case 2:
        return this.#file({ links: 1, ...fileInode.read(cursor.take(fileInode.size)) }, number, cursor)
      case 9:
        return this.#file(longFileInode.read(cursor.take(longFileInode.size)), number, cursor)
      case 3:
      case 10: {
        const { links, size } = linkInode.read(cursor.take(linkInode.size))
        if (size > longestTarget) throw damaged('squashfs', `the link ${number} is said to have ${size} bytes`)
        return { links, size, target: posixName(cursor.take(size)) }
      }
      default:
        return { links: otherInode.read(cursor.take(otherInode.size)).links, size: 0 }
    }
  }

  #file(
    values: StructValues<typeof longFileInode>,
    number: number,
    cursor: MetadataCursor,
  ): SquashfsContent & { readonly blocks: SquashfsBlocks } {
    const { start, size, links, fragment, offset } = values
    const { blockSize } = this.#superblock
    const count = fragment === noFragment ? Math.ceil(size / blockSize) : Math.floor(size / blockSize)
    if (count > mostBlocks) throw unsupported('E_FS_LIMIT', `inode ${number} has more than ${mostBlocks} blocks`)
    // Memory grows with what is really there.
    let words = new Uint32Array(Math.min(count, 1024))
    for (let index = 0; index < count; index++) {
      if (index === words.length) words = moveNumbers(words, new Uint32Array(Math.min(count, index * 2)))
      words[index] = cursor.u32()
    }
    const positions = new Float64Array(count)
    let at = start
    for (let index = 0; index < count; index++) {
      positions[index] = at
      at += dataWord(words[index] ?? 0).length
    }
    if (at > this.#reader.size) throw damaged('squashfs', `the content of inode ${number} is said to end at byte ${at}`)
    return {
      links,
      size,
      blocks: { words, positions, fragment: fragment === noFragment ? undefined : fragment, fragmentOffset: offset },
    }
  }

  /** Owners are numbers in a table: places of its blocks, one behind the other. */
  #id(index: number): number {
    const { ids, idTable } = this.#superblock
    if (index >= ids) throw damaged('squashfs', `owner ${index} is named, and there are ${ids}`)
    const place = Number(idTable) + Math.floor(index / idsPerBlock) * 8
    const position = Number(viewOf(this.#reader.bytes(place, 8)).getBigUint64(0, true))
    return this.#metadata.at(position, (index % idsPerBlock) * 4).u32()
  }
}
