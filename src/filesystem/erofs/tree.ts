import { roundUp, viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { posixMode, posixTime } from '../entries.js'
import { FileMap } from '../file-map.js'
import { posixName } from '../names.js'
import { NodeTree, type FolderEntry } from '../node-tree.js'
import type { ByteRun, FileNode } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { compactIndex, longIndex, mapHeaderPlace } from './clusters.js'
import { chunkFormat, inodeFormat, unknownFeatures, wholeFragment } from './entries.js'
import { clusterCount, PackedContent } from './packed-content.js'
import { compactInode, extendedInode, folderEntry, inodeUnit, type superblock } from './structs.js'

const layouts = { plain: 0, packed: 1, inline: 2, compact: 3, chunks: 4 }
const hole = 0xffffffff
const longestTarget = 65536
const maximumFolder = 256 * 1024 * 1024
const mostChunks = 16 * 1024 * 1024

interface Stored {
  readonly number: bigint
  readonly layout: number
  /** A block, or the format of chunks. */
  readonly place: number
  /** Byte of the volume behind the inode and its attributes. */
  readonly end: number
}

/** Content that lies in no runs of the volume. */
type StoredContent = Pick<PackedContent, 'read'>

class ErofsNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly mode: number
  readonly size: number
  readonly owner: number
  readonly group: number
  readonly links: number
  readonly modified: bigint
  readonly id: string
  target?: string
  readonly stored: Stored
  map: FileMap | StoredContent | undefined

  constructor(
    values: Pick<StructValues<typeof extendedInode>, 'mode' | 'size' | 'owner' | 'group' | 'links'>,
    modified: bigint,
    stored: Stored,
  ) {
    const { kind, permissions } = posixMode(values.mode)
    this.kind = kind
    this.mode = permissions
    this.size = kind === 'device' || kind === 'other' ? 0 : values.size
    this.owner = values.owner
    this.group = values.group
    this.links = values.links
    this.modified = modified
    this.id = `inode ${stored.number}`
    this.stored = stored
  }
}

/** The files of EROFS, plain or compressed. */
export class ErofsTree extends NodeTree<ErofsNode> {
  readonly root: ErofsNode
  readonly #reader: VolumeReader
  readonly #superblock: StructValues<typeof superblock>
  readonly #blockSize: number
  #fragments: ErofsNode | undefined

  /** @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE. */
  constructor(reader: VolumeReader, values: StructValues<typeof superblock>) {
    super(ErofsNode)
    this.#reader = reader
    this.#superblock = values
    this.#blockSize = 2 ** values.blockShift
    const unknown = unknownFeatures(values.incompatible)
    if (unknown !== undefined)
      throw unsupported('E_FS_FEATURE', `the EROFS filesystem has features that are not read here: ${unknown}`)
    this.root = this.#open(BigInt(values.rootInode))
    if (this.root.kind !== 'directory') throw damaged('EROFS', 'its root is no folder')
  }

  protected *stored(folder: ErofsNode): Generator<FolderEntry<ErofsNode>> {
    if (folder.size > maximumFolder)
      throw damaged('EROFS', `${folder.id} is said to be a folder of ${folder.size} bytes`)
    for (let start = 0; start < folder.size; start += this.#blockSize) {
      const bytes = new Uint8Array(Math.min(this.#blockSize, folder.size - start))
      this.content(folder, start, bytes)
      yield* this.#names(folder, bytes)
    }
  }

  protected runs(file: ErofsNode): Iterable<ByteRun> {
    const map = this.#map(file)
    if (map instanceof FileMap) return map.dataRuns(file.size)
    return [{ offset: 0, length: file.size }]
  }

  protected content(file: ErofsNode, offset: number, target: Uint8Array): void {
    const map = this.#map(file)
    if (map instanceof FileMap) map.read(this.#reader, offset, target)
    else map.read(offset, target)
  }

  /** A block of names: entries, the first of which says where they end; names reach up to the next one. */
  *#names(folder: ErofsNode, bytes: Uint8Array): Generator<FolderEntry<ErofsNode>> {
    const wrong = (): Error => damaged('EROFS', `the names of folder ${folder.stored.number} leave their block`)
    if (bytes.length < folderEntry.size) throw wrong()
    const { nameOffset: first } = folderEntry.read(bytes)
    const count = first / folderEntry.size
    if (!Number.isInteger(count) || count < 1 || first > bytes.length) throw wrong()
    for (let index = 0; index < count; index++) {
      const { number, nameOffset } = folderEntry.read(bytes, index * folderEntry.size)
      const end = index + 1 < count ? folderEntry.read(bytes, (index + 1) * folderEntry.size).nameOffset : bytes.length
      if (nameOffset < first || nameOffset >= end || end > bytes.length) throw wrong()
      let name = bytes.subarray(nameOffset, end)
      // The last name of a block may be followed by zeros.
      const zero = name.indexOf(0)
      if (zero >= 0) name = name.subarray(0, zero)
      if (name.length <= 2 && name.every((byte) => byte === 0x2e)) continue
      yield { name, open: () => this.#open(number) }
    }
  }

  #open(number: bigint): ErofsNode {
    const { metaBlock, built, builtPart } = this.#superblock
    if (number >= 2n ** 48n) throw damaged('EROFS', `inode ${number} is named`)
    const position = metaBlock * this.#blockSize + Number(number) * inodeUnit
    const { isExtended, layout } = inodeFormat(this.#reader.u16(position))
    const { size } = isExtended ? extendedInode : compactInode
    const bytes = this.#reader.bytes(position, size)
    // A compact inode has no time of its own.
    const values = isExtended
      ? extendedInode.read(bytes)
      : { ...compactInode.read(bytes), modified: built, modifiedPart: builtPart }
    const modified = posixTime(BigInt.asIntN(64, values.modified), values.modifiedPart)
    const attributes = values.attributes === 0 ? 0 : 12 + 4 * (values.attributes - 1)
    const end = position + size + attributes
    const node = new ErofsNode(values, modified, { number, layout, place: values.place, end })
    if (node.kind === 'link') node.target = this.#target(node)
    return node
  }

  #target(node: ErofsNode): string {
    if (node.size > longestTarget) throw damaged('EROFS', `${node.id} is said to be a link of ${node.size} bytes`)
    const target = new Uint8Array(node.size)
    this.content(node, 0, target)
    return posixName(target)
  }

  #map(node: ErofsNode): FileMap | StoredContent {
    const { layout } = node.stored
    const isPacked = node.size > 0 && (layout === layouts.packed || layout === layouts.compact)
    node.map ??= isPacked ? this.#packed(node) : this.#places(node)
    return node.map
  }

  #packed({ id, size, stored: { number, layout, end } }: ErofsNode): StoredContent {
    const { incompatible, blockShift: shift, packedInode } = this.#superblock
    const fragments = (offset: number, target: Uint8Array): void => {
      // Fragments of fragments would have no end.
      if (number === packedInode) throw damaged('EROFS', `the inode of fragments, ${number}, has fragments`)
      this.#readFragment(id, offset, target)
    }
    const whole = wholeFragment(viewOf(this.#reader.bytes(mapHeaderPlace(end), 8)).getBigUint64(0, true))
    if (whole !== undefined) return { read: (offset, target) => fragments(Number(whole) + offset, target) }
    const file = { id, size, blockSize: this.#blockSize, isPadded: incompatible % 2 === 1, fragments }
    const place = { end, count: clusterCount(file), shift }
    const index = layout === layouts.packed ? longIndex(this.#reader, place) : compactIndex(this.#reader, place)
    return new PackedContent(this.#reader, file, index)
  }

  #readFragment(id: string, offset: number, target: Uint8Array): void {
    const { packedInode } = this.#superblock
    if (packedInode === 0n) throw damaged('EROFS', `${id} has fragments, and no inode holds them`)
    this.#fragments ??= this.#open(packedInode)
    if (offset + target.length > this.#fragments.size)
      throw damaged('EROFS', `${id} has a fragment at byte ${offset} of ${this.#fragments.size}`)
    this.content(this.#fragments, offset, target)
  }

  #places({ size, stored }: ErofsNode): FileMap {
    const map = new FileMap()
    const { layout, place, end } = stored
    if (layout === layouts.plain) map.push(size, place * this.#blockSize)
    else if (layout === layouts.inline) {
      // The part of the last block lies behind the inode.
      const blocks = Math.max(0, Math.ceil(size / this.#blockSize) - 1) * this.#blockSize
      map.push(blocks, place * this.#blockSize)
      map.push(size - blocks, end)
    } else if (layout === layouts.chunks) this.#chunks(map, size, stored)
    else if (size > 0 || (layout !== layouts.packed && layout !== layouts.compact))
      throw damaged('EROFS', `inode ${stored.number} is stored in the unknown way ${layout}`)
    return map
  }

  #chunks(map: FileMap, size: number, { number, place, end }: Stored): void {
    const { logBlocks, isIndexed } = chunkFormat(place % 65536)
    const length = this.#blockSize * 2 ** logBlocks
    const count = Math.ceil(size / length)
    const width = isIndexed ? 8 : 4
    if (count > mostChunks) throw damaged('EROFS', `inode ${number} is said to have ${count} chunks`)
    const start = roundUp(end, width)
    for (let index = 0; index < count; index++) {
      const entry = viewOf(this.#reader.bytes(start + index * width, width))
      const block = entry.getUint32(width - 4, true)
      if (isIndexed && block !== hole && entry.getUint16(2, true) !== 0)
        throw unsupported('E_FS_FEATURE', `inode ${number} of the EROFS filesystem lies on another device`)
      map.push(Math.min(length, size - index * length), block === hole ? undefined : block * this.#blockSize)
    }
  }
}
