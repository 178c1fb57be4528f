import { unsupported, usage } from '../../errors.js'
import { damaged } from '../damage.js'
import type { FileMap } from '../file-map.js'
import { entryName, posixName } from '../names.js'
import { foldedName } from '../node-tree.js'
import type { DirectoryEntry, FileNode, FilePatch, FileTree, ByteRun, VolumeWrite } from '../types.js'
import { appendToExtFile } from './append.js'
import { blockMap } from './block-map.js'
import { storedEntries } from './directory.js'
import type { ExtGroups } from './groups.js'
import { inodeTimes, readInode, type Inode } from './inode.js'
import { inlineContent, inlineHead } from './inline.js'
import { rewriteExtFile } from './rewrite.js'

const rootInode = 2

class ExtNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly size: number
  readonly mode: number
  readonly owner: number
  readonly group: number
  readonly modified: bigint
  readonly accessed: bigint
  readonly created?: bigint
  readonly id: string
  readonly links: number
  readonly target?: string
  readonly inode: Inode
  map: FileMap | undefined

  constructor(inode: Inode, target: string | undefined) {
    const { values, mode } = inode
    const { modified, accessed, created } = inodeTimes(inode)
    this.inode = inode
    this.kind = mode.kind
    this.size = inode.size
    this.mode = mode.permissions
    this.owner = values.ownerLow + values.ownerHigh * 65536
    this.group = values.groupLow + values.groupHigh * 65536
    this.modified = modified
    this.accessed = accessed
    if (created !== undefined) this.created = created
    this.id = `inode ${inode.number}`
    this.links = values.links
    if (target !== undefined) this.target = target
  }
}

/** A name in a folder, which may have millions: none has a function of its own. */
class ExtEntry implements DirectoryEntry {
  readonly name: string
  readonly order: number
  readonly #open: (inode: number) => FileNode

  constructor(name: string, inode: number, open: (inode: number) => FileNode) {
    this.name = name
    this.order = inode
    this.#open = open
  }

  open(): FileNode {
    return this.#open(this.order)
  }
}

/**
 * The files of ext2, ext3 and ext4. What a journal still holds is not seen: it is what the kernel reads with `noload`.
 */
export class ExtTree implements FileTree {
  readonly root: FileNode
  readonly ignoresCase = false
  readonly #groups: ExtGroups

  /** @throws ImageError corrupt E_FS_CORRUPT: the root folder cannot be read. */
  constructor(groups: ExtGroups) {
    this.#groups = groups
    this.root = this.#open(rootInode)
    if (this.root.kind !== 'directory') throw damaged(groups.reader.title, 'its root is no folder')
  }

  find(directory: FileNode, name: string): FileNode | undefined {
    const folder = this.#folder(directory)
    const wanted = Buffer.from(name)
    for (const entry of this.#walk(folder))
      if (wanted.equals(entry.name) || entryName(posixName(entry.name)) === name) return this.#open(entry.inode)
    if (folder.inode.flags.ignoresCase) {
      const folded = foldedName(name)
      for (const entry of this.#walk(folder))
        if (foldedName(entryName(posixName(entry.name))) === folded) return this.#open(entry.inode)
    }
    return undefined
  }

  *entries(directory: FileNode): Generator<DirectoryEntry> {
    const open = (inode: number): FileNode => this.#open(inode)
    for (const { name, inode } of this.#walk(this.#folder(directory)))
      yield new ExtEntry(entryName(posixName(name)), inode, open)
  }

  dataRuns(file: FileNode): Iterable<ByteRun> {
    const node = this.#file(file)
    if (node.inode.flags.isInline) return node.size === 0 ? [] : [{ offset: 0, length: node.size }]
    return this.#map(node).dataRuns(node.size)
  }

  read(file: FileNode, offset: number, target: Uint8Array): void {
    const node = this.#file(file)
    if (offset < 0 || offset + target.length > node.size)
      throw new RangeError(`read of ${target.length} bytes at offset ${offset} leaves the file of ${node.size} bytes`)
    this.#read(node, offset, target)
  }

  rewrite(file: FileNode, patches: readonly FilePatch[], size: number): VolumeWrite[][] {
    const node = this.#file(file)
    return rewriteExtFile(this.#groups, node.inode, () => this.#map(node), patches, size)
  }

  append(file: FileNode, bytes: Uint8Array): VolumeWrite[][] {
    const node = this.#file(file)
    return appendToExtFile(this.#groups, node.inode, () => this.#map(node), bytes)
  }

  #read(node: ExtNode, offset: number, target: Uint8Array): void {
    const { inode } = node
    if (inode.flags.isEncrypted)
      throw unsupported(
        'E_FS_FEATURE',
        `inode ${inode.number} of the ${this.#groups.reader.title} filesystem is encrypted`,
      )
    if (inode.flags.isCompressed)
      throw unsupported(
        'E_FS_FEATURE',
        `inode ${inode.number} of the ${this.#groups.reader.title} filesystem is compressed`,
      )
    if (!inode.flags.isInline) {
      this.#map(node).read(this.#groups.reader, offset, target)
      return
    }
    const { head, rest } = inlineContent(this.#groups.reader.title, inode)
    const all = new Uint8Array(inlineHead + rest.length)
    all.set(head)
    all.set(rest, inlineHead)
    target.set(all.subarray(offset, offset + target.length))
  }

  #map(node: ExtNode): FileMap {
    node.map ??= blockMap(this.#groups, node.inode)
    return node.map
  }

  #open(number: number): ExtNode {
    const inode = readInode(this.#groups, number)
    return new ExtNode(inode, inode.mode.kind === 'link' && !inode.flags.isEncrypted ? this.#target(inode) : undefined)
  }

  /** A short target lies where block numbers would. */
  #target(inode: Inode): string {
    const { layout, reader } = this.#groups
    const { values, flags, size } = inode
    if (size > layout.blockSize)
      throw damaged(reader.title, `the link ${inode.number} is said to have ${size} bytes`, inode.position)
    const attributes =
      values.attributeBlockLow + values.attributeBlockHigh > 0 ? (layout.blockSize * layout.ratio) / 512 : 0
    const isShort = !flags.isInline && !flags.hasExtents && size < inlineHead && values.sectorsLow - attributes <= 0
    const target = new Uint8Array(size)
    if (isShort) target.set(values.block.subarray(0, size))
    else this.#read(new ExtNode(inode, undefined), 0, target)
    return posixName(target)
  }

  #walk(node: ExtNode): ReturnType<typeof storedEntries> {
    return storedEntries(this.#groups, node.inode, () => this.#map(node))
  }

  #folder(node: FileNode): ExtNode {
    const own = this.#own(node)
    if (own.kind !== 'directory') throw usage('E_NOT_A_DIRECTORY', 'a file has no entries')
    return own
  }

  #file(node: FileNode): ExtNode {
    const own = this.#own(node)
    if (own.kind === 'directory') throw usage('E_IS_DIRECTORY', 'a folder has no content to read')
    if (own.kind !== 'file') throw usage('E_NOT_A_FILE', 'a link or a device has no content to read')
    return own
  }

  #own(node: FileNode): ExtNode {
    if (!(node instanceof ExtNode)) throw new RangeError('the file belongs to another tree')
    return node
  }
}
