import type { StructValues } from '../../binary/struct.js'
import { damaged } from '../damage.js'
import { posixMode, posixTime } from '../entries.js'
import { posixName } from '../names.js'
import { NodeTree, type FolderEntry } from '../node-tree.js'
import type { ByteRun, FileNode } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { ExtentContent, FileExtents } from './content.js'
import { DataChecksums } from './data-checksums.js'
import { defaultSubvolume } from './default-subvolume.js'
import { hasDataChecksums } from './entries.js'
import { openTrees } from './open.js'
import { checksumTree, folderItem, inodeItem, itemTypes, rootItem, rootReference, topSubvolume } from './structs.js'
import type { BtrfsSuperblock, TreeRoot, TreeWalker } from './trees.js'

const longestTarget = 4096
/** Where a snapshot was taken of a subvolume with others in it, empty folders stand for those. */
const emptyMode = 0o40755

/** A subvolume: a tree of files of its own. */
interface Subvolume extends TreeRoot {
  readonly id: bigint
  readonly folder: bigint
}

class BtrfsNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly size: number
  readonly mode: number
  readonly owner: number
  readonly group: number
  readonly modified: bigint
  readonly accessed: bigint
  readonly created: bigint
  readonly id: string
  readonly links: number
  target?: string
  /** Undefined: an empty folder where a subvolume is not. */
  readonly subvolume: Subvolume | undefined
  readonly number: bigint
  readonly hasChecksums: boolean
  extents: FileExtents | undefined

  constructor(subvolume: Subvolume | undefined, number: bigint, values: StructValues<typeof inodeItem>) {
    const { kind, permissions } = posixMode(values.mode)
    this.subvolume = subvolume
    this.number = number
    this.kind = kind
    this.size = kind === 'device' || kind === 'other' ? 0 : values.size
    this.mode = permissions
    this.owner = values.owner
    this.group = values.group
    this.modified = posixTime(BigInt.asIntN(64, values.modified), values.modifiedPart)
    this.accessed = posixTime(BigInt.asIntN(64, values.accessed), values.accessedPart)
    this.created = posixTime(BigInt.asIntN(64, values.created), values.createdPart)
    this.id = `inode ${number} of subvolume ${subvolume?.id ?? 'none'}`
    this.links = values.links
    this.hasChecksums = hasDataChecksums(values.flags)
  }
}

/**
 * The files of btrfs on one device, from its top level on: subvolumes are folders in it, wherever the system would
 * mount them. What its log tree still holds is not seen: it is what the kernel reads with `rescue=nologreplay`.
 */
export class BtrfsTree extends NodeTree<BtrfsNode> {
  readonly root: BtrfsNode
  readonly #title: string
  readonly #walker: TreeWalker
  readonly #superblock: BtrfsSuperblock
  readonly #content: ExtentContent
  readonly #subvolumes = new Map<bigint, Subvolume | undefined>()
  #defaultFolder: string | undefined

  /** @param raw the superblock's bytes. @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE. */
  constructor(reader: VolumeReader, superblock: BtrfsSuperblock, raw: Uint8Array) {
    super(BtrfsNode)
    this.#title = reader.title
    this.#superblock = superblock
    const { chunks, walker } = openTrees(reader, superblock, raw)
    this.#walker = walker
    const { checksumType, sectorSize } = superblock
    const checksums = new DataChecksums(walker, this.#subvolume(checksumTree), checksumType, sectorSize)
    this.#content = new ExtentContent(reader, chunks, checksums, sectorSize)
    const top = this.#subvolume(topSubvolume)
    if (top === undefined) throw damaged(this.#title, 'it has no tree of files')
    this.root = this.#open(top, top.folder)
    if (this.root.kind !== 'directory') throw damaged(this.#title, 'its root is no folder')
  }

  get defaultFolder(): string {
    const { root: block, rootLevel: level } = this.#superblock
    return (this.#defaultFolder ??= defaultSubvolume({
      walker: this.#walker,
      roots: { block, level },
      files: (id) => this.#subvolume(id),
    }))
  }

  protected *stored(folder: BtrfsNode): Generator<FolderEntry<BtrfsNode>> {
    const { subvolume, number } = folder
    if (subvolume === undefined) return
    const start = { object: number, type: itemTypes.folderIndex, offset: 0n }
    for (const { type, data } of this.#walker.from(subvolume, start)) {
      if (type !== itemTypes.folderIndex) return
      if (data.length < folderItem.size) throw this.#wrong(folder, 'an entry is cut short')
      const { object, type: kind, nameLength } = folderItem.read(data)
      if (nameLength === 0 || folderItem.size + nameLength > data.length)
        throw this.#wrong(folder, `a name is said to have ${nameLength} bytes`)
      const name = data.subarray(folderItem.size, folderItem.size + nameLength)
      yield { name, order: Number(object), open: () => this.#entry(folder, subvolume, { object, kind, name }) }
    }
  }

  protected runs(file: BtrfsNode): Iterable<ByteRun> {
    return this.#extents(file).runs()
  }

  protected content(file: BtrfsNode, offset: number, target: Uint8Array): void {
    this.#content.read(this.#extents(file), file.hasChecksums, offset, target)
  }

  #entry(
    folder: BtrfsNode,
    subvolume: Subvolume,
    { object, kind, name }: { readonly object: bigint; readonly kind: number; readonly name: Uint8Array },
  ): BtrfsNode {
    if (kind === itemTypes.inode) return this.#open(subvolume, object)
    if (kind !== itemTypes.root) throw this.#wrong(folder, `an entry leads to an item of type ${kind}`)
    const below = this.#isReferred(subvolume, folder, object, name) ? this.#subvolume(object) : undefined
    if (below !== undefined) return this.#open(below, below.folder)
    return new BtrfsNode(undefined, 2n, emptyFolder(folder))
  }

  /** A snapshot has the entries of the subvolumes in it, but not those: no reference leads from it to them. */
  #isReferred({ id }: Subvolume, folder: BtrfsNode, object: bigint, name: Uint8Array): boolean {
    const { root: block, rootLevel: level } = this.#superblock
    const key = { object: id, type: itemTypes.rootReference, offset: object }
    for (const { type, offset, data } of this.#walker.from({ block, level }, key)) {
      if (type !== itemTypes.rootReference || offset !== object || data.length < rootReference.size) return false
      const { folder: number, nameLength } = rootReference.read(data)
      const stored = data.subarray(rootReference.size, rootReference.size + nameLength)
      return number === folder.number && Buffer.from(stored).equals(name)
    }
    return false
  }

  #subvolume(id: bigint): Subvolume | undefined {
    if (this.#subvolumes.has(id)) return this.#subvolumes.get(id)
    const { root: block, rootLevel: level } = this.#superblock
    let found: Subvolume | undefined
    for (const { type, data } of this.#walker.from(
      { block, level },
      { object: id, type: itemTypes.root, offset: 0n },
    )) {
      if (type !== itemTypes.root) break
      if (data.length >= rootItem.size) found = { id, ...rootItem.read(data) }
    }
    this.#subvolumes.set(id, found)
    return found
  }

  #open(subvolume: Subvolume, number: bigint): BtrfsNode {
    for (const { type, data } of this.#walker.from(subvolume, { object: number, type: itemTypes.inode, offset: 0n })) {
      if (type !== itemTypes.inode || data.length < inodeItem.size) break
      const node = new BtrfsNode(subvolume, number, inodeItem.read(data))
      if (node.kind === 'link') node.target = this.#target(node)
      return node
    }
    throw damaged(this.#title, `inode ${number} of subvolume ${subvolume.id} is named, and is not there`)
  }

  #extents(node: BtrfsNode): FileExtents {
    if (node.extents !== undefined) return node.extents
    const extents = new FileExtents(this.#title)
    if (node.subvolume !== undefined)
      for (const item of this.#walker.from(node.subvolume, {
        object: node.number,
        type: itemTypes.fileExtent,
        offset: 0n,
      })) {
        if (item.type !== itemTypes.fileExtent) break
        extents.add(item, this.#superblock.sectorSize)
      }
    node.extents = extents
    return extents
  }

  #target(node: BtrfsNode): string {
    if (node.size > longestTarget)
      throw damaged(this.#title, `the link ${node.number} is said to have ${node.size} bytes`)
    const target = new Uint8Array(node.size)
    this.#content.read(this.#extents(node), node.hasChecksums, 0, target)
    return posixName(target)
  }

  #wrong(folder: BtrfsNode, message: string): Error {
    return damaged(this.#title, `folder ${folder.number}: ${message}`)
  }
}

/** With the owner and times of the folder that it stands in. */
function emptyFolder(folder: BtrfsNode): StructValues<typeof inodeItem> {
  const second = 1_000_000_000n
  const time = (value: bigint): bigint => value / second
  const part = (value: bigint): number => Number(value % second)
  return {
    size: 0,
    links: 1,
    owner: folder.owner,
    group: folder.group,
    mode: emptyMode,
    flags: 0n,
    accessed: time(folder.accessed),
    accessedPart: part(folder.accessed),
    modified: time(folder.modified),
    modifiedPart: part(folder.modified),
    created: time(folder.modified),
    createdPart: part(folder.modified),
  }
}
