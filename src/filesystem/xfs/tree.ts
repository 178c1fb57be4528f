import { roundUp } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import type { FileMap } from '../file-map.js'
import { posixName } from '../names.js'
import { NodeTree, type FolderEntry } from '../node-tree.js'
import { fixed, mappedRewrite } from '../rewrite.js'
import type { ByteRun, FilePatch, VolumeWrite } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { appendToXfsFile } from './append.js'
import { folderNames } from './directory.js'
import { extentMap } from './extents.js'
import { littleChecksumHolds, readXfsInode, resizedInode, XfsNode, type XfsFiles } from './inode.js'
import { linkPiece, linkPieceChecksum } from './structs.js'

const longestTarget = 1024

/** The files of XFS. What its log still holds is not seen: it is what the kernel reads with `norecovery`. */
export class XfsTree extends NodeTree<XfsNode> {
  readonly root: XfsNode
  override readonly ignoresCase: boolean
  readonly #reader: VolumeReader
  readonly #files: XfsFiles

  /** @throws ImageError corrupt E_FS_CORRUPT: the root folder cannot be read. */
  constructor(reader: VolumeReader, files: XfsFiles, rootInode: bigint) {
    super(XfsNode)
    this.#reader = reader
    this.#files = files
    this.ignoresCase = files.ignoresCase
    this.root = this.#open(rootInode)
    if (this.root.kind !== 'directory') throw damaged('XFS', 'its root is no folder')
  }

  protected *stored(folder: XfsNode): Generator<FolderEntry<XfsNode>> {
    for (const { name, inode } of folderNames(this.#reader, this.#files, folder, () => this.#map(folder)))
      yield { name, order: Number(inode), open: () => this.#open(inode) }
  }

  protected runs(file: XfsNode): Iterable<ByteRun> {
    return this.#map(file).dataRuns(file.size)
  }

  protected content(file: XfsNode, offset: number, target: Uint8Array): void {
    this.#map(file).read(this.#reader, offset, target)
  }

  /** Blocks of data have no checksums; the inode, which has the size, has one. */
  protected override rewritten(file: XfsNode, patches: readonly FilePatch[], size: number): VolumeWrite[][] {
    const { version, blockSize } = this.#files
    this.#requireChangeable(file)
    return mappedRewrite(
      {
        title: 'XFS',
        map: this.#map(file),
        size: file.size,
        unit: blockSize,
        resized: (bytes) => [{ position: file.position, bytes: resizedInode(file.bytes, version, bytes) }],
      },
      patches,
      size,
    )
  }

  /** In blocks that were set aside for the file, where its last one has no room: nothing is allocated. */
  protected override appended(file: XfsNode, bytes: Uint8Array): VolumeWrite[][] {
    const size = file.size + bytes.length
    if (size <= roundUp(file.size, this.#files.blockSize))
      return this.rewritten(file, [{ offset: file.size, bytes }], size)
    this.#requireChangeable(file)
    return appendToXfsFile(this.#files, file, bytes)
  }

  /** @throws ImageError unsupported E_FILE_FIXED. */
  #requireChangeable(file: XfsNode): void {
    const { unknownToWriters } = this.#files
    if (unknownToWriters !== undefined) throw fixed('XFS', unknownToWriters)
    if (file.isShared) throw fixed('XFS', 'its blocks may belong to other files too (reflink)')
  }

  #open(number: bigint): XfsNode {
    const node = readXfsInode(this.#reader, this.#files, number)
    if (node.kind === 'link') node.target = posixName(this.#target(node))
    return node
  }

  #map(node: XfsNode): FileMap {
    if (!node.hasExtents)
      throw damaged('XFS', `the content of inode ${node.number} is stored in the way ${node.format}`)
    node.map ??= extentMap(this.#reader, this.#files, node)
    return node.map
  }

  /** A short target lies in the inode; each extent of a long one begins with a head in version 5. */
  #target(node: XfsNode): Uint8Array {
    if (node.size > longestTarget) throw damaged('XFS', `the link ${node.number} is said to have ${node.size} bytes`)
    if (node.isLocal) {
      if (node.size > node.fork.length) throw damaged('XFS', `the target of link ${node.number} leaves its inode`)
      return node.fork.subarray(0, node.size)
    }
    const map = this.#map(node)
    const target = new Uint8Array(node.size)
    for (let at = 0, done = 0; done < target.length;) {
      if (at >= map.length) throw damaged('XFS', `the target of link ${node.number} is cut short`)
      const { length, position } = map.at(at)
      if (position === undefined) throw damaged('XFS', `the target of link ${node.number} has a hole`)
      const piece = this.#reader.bytes(position, Math.min(length, 2 * 65536))
      const start = this.#files.version === 5 ? linkPiece.size : 0
      if (start > 0 && (linkPiece.read(piece).magic !== 'XSLM' || !littleChecksumHolds(piece, linkPieceChecksum)))
        throw damaged('XFS', `the target of link ${node.number} has a wrong mark or checksum`, position)
      const part = piece.subarray(start, start + target.length - done)
      target.set(part, done)
      done += part.length
      at += length
    }
    return target
  }
}
