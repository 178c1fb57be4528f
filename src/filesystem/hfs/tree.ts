import { viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { posixMode } from '../entries.js'
import type { FileMap } from '../file-map.js'
import { NodeTree, type FolderEntry } from '../node-tree.js'
import type { ByteRun, FileNode } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { HfsTree } from './btree.js'
import { isCompressed } from './entries.js'
import { forkMap, forkSize, type HfsBlocks } from './forks.js'
import { catalogFileFork, catalogFileSize, catalogRecord, signatures, type volumeHeader } from './structs.js'

/** Seconds from 1904 to 1970. */
const epoch = 2_082_844_800
const second = 1_000_000_000n
const rootFolder = 2
const fileNumbers = { extents: 3, catalog: 4 }
const recordTypes = { folder: 1, file: 2 }
const longestTarget = 65536
/** Where the content of files with several names lies: a folder that no other system shows. */
const privateFolder = '\0\0\0\0HFS+ Private Data'

type CatalogValues = StructValues<typeof catalogRecord>

class HfsPlusNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly size: number
  readonly mode: number | undefined
  readonly owner: number | undefined
  readonly group: number | undefined
  readonly modified: bigint
  readonly accessed: bigint
  readonly created: bigint
  readonly id: string
  readonly links: number
  target?: string
  readonly number: number
  readonly isPacked: boolean
  /** Of a file: where its content is described. */
  readonly fork: Uint8Array | undefined
  map: FileMap | undefined

  constructor(values: CatalogValues, fork: Uint8Array | undefined, links: number) {
    const stored = values.mode === 0 ? undefined : posixMode(values.mode)
    this.kind = values.type === recordTypes.folder ? 'directory' : (stored?.kind ?? 'file')
    this.size = fork === undefined || this.kind === 'device' || this.kind === 'other' ? 0 : forkSize(fork)
    // Systems before Mac OS X wrote no rights and owners.
    this.mode = stored?.permissions
    this.owner = stored === undefined ? undefined : values.owner
    this.group = stored === undefined ? undefined : values.group
    this.modified = timeOf(values.modified)
    this.accessed = timeOf(values.accessed)
    this.created = timeOf(values.created)
    this.id = `file ${values.number}`
    this.number = values.number
    this.links = links
    this.isPacked = isCompressed(values.ownerFlags)
    this.fork = fork
  }
}

function timeOf(seconds: number): bigint {
  return seconds === 0 ? 0n : BigInt(seconds - epoch) * second
}

/** The files of HFS+ and HFSX. Names are given composed, as Linux has them. */
export class HfsPlusTree extends NodeTree<HfsPlusNode> {
  readonly root: HfsPlusNode
  override readonly ignoresCase: boolean
  readonly #reader: VolumeReader
  readonly #volume: HfsBlocks
  readonly #catalog: HfsTree
  readonly #overflow: HfsTree
  #private: HfsPlusNode | undefined

  /** @throws ImageError corrupt E_FS_CORRUPT. */
  constructor(reader: VolumeReader, header: StructValues<typeof volumeHeader>) {
    super(HfsPlusNode)
    this.#reader = reader
    this.#volume = { title: reader.title, blockSize: header.blockSize, blocks: header.blocks }
    this.ignoresCase = header.signature === signatures.plus
    this.#overflow = new HfsTree(reader, forkMap(this.#volume, header.extentsFile, fileNumbers.extents, undefined))
    const catalog = forkMap(this.#volume, header.catalogFile, fileNumbers.catalog, this.#overflow)
    this.#catalog = new HfsTree(reader, catalog)
    const root = this.#rootRecord()
    if (root === undefined) throw damaged(reader.title, 'it has no root folder')
    this.root = root
  }

  protected *stored(folder: HfsPlusNode): Generator<FolderEntry<HfsPlusNode>> {
    for (const { name, data } of this.#children(folder.number)) {
      const isPrivate = folder.number === rootFolder && name.startsWith('\0\0\0\0')
      // A slash in a name is what a colon is elsewhere.
      if (!isPrivate) yield { name: name.normalize('NFC').replaceAll('/', ':'), open: () => this.#open(data) }
    }
  }

  protected runs(file: HfsPlusNode): Iterable<ByteRun> {
    return this.#map(file).dataRuns(file.size)
  }

  protected content(file: HfsPlusNode, offset: number, target: Uint8Array): void {
    this.#map(file).read(this.#reader, offset, target)
  }

  /** The files and folders of a folder; records without a kind (threads) have no name, and are passed over. */
  *#children(number: number): Generator<{ readonly name: string; readonly data: Uint8Array }> {
    for (const { key, data } of this.#catalog.from((one) => parentOf(one) < number)) {
      if (parentOf(key) !== number) return
      if (data.length < catalogRecord.size) continue
      const { type } = catalogRecord.read(data)
      if (type === recordTypes.folder || type === recordTypes.file) yield { name: this.#name(key), data }
    }
  }

  /** The record of one name of ASCII characters, which a folder of many names is not read for. */
  #child(number: number, name: string): Uint8Array | undefined {
    const wanted = name.toLowerCase()
    const isBefore = (key: Uint8Array): boolean =>
      parentOf(key) < number || (parentOf(key) === number && this.#name(key).toLowerCase() < wanted)
    for (const { key, data } of this.#catalog.from(isBefore))
      return parentOf(key) === number && this.#name(key) === name ? data : undefined
    return undefined
  }

  #name(key: Uint8Array): string {
    const view = viewOf(key)
    const length = key.length < 8 ? 0 : view.getUint16(6)
    if (8 + length * 2 > key.length && length > 0) throw damaged(this.#volume.title, 'a name leaves its key')
    let name = ''
    for (let index = 0; index < length; index++) name += String.fromCharCode(view.getUint16(8 + index * 2))
    return name
  }

  /** The root folder is the one child of folder 1. */
  #rootRecord(): HfsPlusNode | undefined {
    for (const { data } of this.#children(1)) {
      const values = catalogRecord.read(data)
      if (values.type === recordTypes.folder && values.number === rootFolder)
        return new HfsPlusNode(values, undefined, 1)
    }
    return undefined
  }

  #open(data: Uint8Array): HfsPlusNode {
    const values = catalogRecord.read(data)
    if (values.type === recordTypes.folder) return new HfsPlusNode(values, undefined, 1)
    if (data.length < catalogFileSize)
      throw damaged(this.#volume.title, `the record of file ${values.number} is cut short`)
    if (values.fileType === 'hlnk' && values.creator === 'hfs+') return this.#linked(values)
    return this.#file(values, data, 1)
  }

  #file(values: CatalogValues, data: Uint8Array, links: number): HfsPlusNode {
    const node = new HfsPlusNode(values, data.subarray(catalogFileFork, catalogFileFork + 80), links)
    if (node.kind === 'link') node.target = this.#target(node)
    return node
  }

  /** One of several names of a file, which is `iNode` and a number in the private folder. */
  #linked({ number, special }: CatalogValues): HfsPlusNode {
    const data = this.#child(this.#privateFolder().number, `iNode${special}`)
    if (data !== undefined && data.length >= catalogFileSize) {
      const values = catalogRecord.read(data)
      return this.#file(values, data, Math.max(1, values.special))
    }
    throw damaged(this.#volume.title, `file ${number} is a name of file ${special}, which is not there`)
  }

  #privateFolder(): HfsPlusNode {
    if (this.#private !== undefined) return this.#private
    for (const { name, data } of this.#children(rootFolder))
      if (name === privateFolder) return (this.#private = this.#open(data))
    throw damaged(this.#volume.title, 'it has no folder for files with several names')
  }

  #map(node: HfsPlusNode): FileMap {
    if (node.isPacked)
      throw unsupported('E_FS_FEATURE', `file ${node.number} of the ${this.#volume.title} filesystem is compressed`)
    if (node.fork === undefined) throw damaged(this.#volume.title, `file ${node.number} has no content`)
    node.map ??= forkMap(this.#volume, node.fork, node.number, this.#overflow)
    if (node.map.length < node.size)
      throw damaged(this.#volume.title, `file ${node.number} has ${node.size} bytes in ${node.map.length}`)
    return node.map
  }

  #target(node: HfsPlusNode): string {
    if (node.size > longestTarget)
      throw damaged(this.#volume.title, `the link ${node.number} is said to have ${node.size} bytes`)
    const bytes = new Uint8Array(node.size)
    this.content(node, 0, bytes)
    return Buffer.from(bytes).toString('utf8')
  }
}

function parentOf(key: Uint8Array): number {
  return key.length < 8 ? 0 : viewOf(key).getUint32(2)
}
