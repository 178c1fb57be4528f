import { isPowerOfTwo, viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { posixMode } from '../entries.js'
import { FileMap } from '../file-map.js'
import { NodeTree, type FolderEntry } from '../node-tree.js'
import type { ByteRun, FileNode } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { folderRecords, readRecord, type IsoRecord } from './directory.js'
import { noRockRidge, readRockRidge, sharingSkip, type RockRidge } from './rock-ridge.js'
import { record, type descriptor } from './structs.js'
import { shortTime } from './times.js'

/** Which names and attributes are read: the richest that are there. */
type Flavour = { readonly kind: 'rock-ridge'; readonly skip: number } | { readonly kind: 'joliet' | 'plain' }

class IsoNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly size: number
  readonly mode?: number
  readonly owner?: number
  readonly group?: number
  readonly modified: bigint
  readonly accessed?: bigint
  readonly created?: bigint
  readonly id: string
  readonly links?: number
  readonly target?: string
  /** Of a folder: where its records lie. */
  readonly sections: readonly ByteRun[]
  readonly packed: string | undefined
  map: FileMap | undefined

  constructor({ values, isFolder, sections, position }: IsoRecord, extra: RockRidge = noRockRidge) {
    const { posix, target } = extra
    const stored = posix === undefined ? undefined : posixMode(posix.mode)
    this.kind = isFolder ? 'directory' : (stored?.kind ?? 'file')
    this.size = sizeOf(this.kind, sections, target)
    this.modified = extra.modified ?? shortTime(values.time)
    this.id = identity(extra.number, sections, position)
    this.sections = sections
    this.packed = extra.packed
    this.mode = stored?.permissions
    this.owner = posix?.owner
    this.group = posix?.group
    this.links = posix?.links
    this.accessed = extra.accessed
    this.created = extra.created
    if (this.kind === 'link') this.target = target ?? ''
  }
}

function sizeOf(kind: FileNode['kind'], sections: readonly ByteRun[], target: string | undefined): number {
  if (kind === 'link') return Buffer.byteLength(target ?? '')
  return kind === 'device' ? 0 : sections.reduce((sum, { length }) => sum + length, 0)
}

/** Names of one file have its number, or its place. */
function identity(number: number, [first]: readonly ByteRun[], position: number): string {
  if (number > 0) return `file ${number}`
  return first === undefined ? `record ${position}` : `byte ${first.offset}`
}

/** The files of ISO 9660: by their Rock Ridge names if there are any, else by those of Joliet, else the plain ones. */
export class IsoTree extends NodeTree<IsoNode> {
  readonly root: IsoNode
  override readonly ignoresCase: boolean
  readonly #reader: VolumeReader
  readonly #blockSize: number
  readonly #flavour: Flavour

  /** @throws ImageError corrupt E_FS_CORRUPT: the root folder cannot be read. */
  constructor(
    reader: VolumeReader,
    primary: StructValues<typeof descriptor>,
    joliet: StructValues<typeof descriptor> | undefined,
  ) {
    super(IsoNode)
    this.#reader = reader
    const { blockSize } = primary
    if (!isPowerOfTwo(blockSize) || blockSize < 512 || blockSize > 65536)
      throw damaged('ISO 9660', `a block is said to have ${blockSize} bytes`, 32768)
    this.#blockSize = blockSize
    const plain = readRecord(primary.root, 0, 32768, blockSize)
    const skip = this.#skip(plain)
    this.#flavour =
      skip !== undefined ? { kind: 'rock-ridge', skip } : { kind: joliet === undefined ? 'plain' : 'joliet' }
    this.ignoresCase = this.#flavour.kind !== 'rock-ridge'
    const stored =
      this.#flavour.kind === 'joliet' && joliet !== undefined ? readRecord(joliet.root, 0, 32768, blockSize) : plain
    if (!stored.isFolder) throw damaged('ISO 9660', 'its root is no folder', 32768)
    this.root = this.#folder(stored)
  }

  protected *stored(folder: IsoNode): Generator<FolderEntry<IsoNode>> {
    const [run] = folder.sections
    if (run === undefined) return
    for (const found of folderRecords(this.#reader, run, this.#blockSize)) {
      const extra = this.#extra(found)
      if (extra?.isMoved === true) continue
      yield { name: extra?.name ?? this.#name(found), open: () => this.#open(found, extra) }
    }
  }

  protected runs(file: IsoNode): Iterable<ByteRun> {
    return file.size === 0 ? [] : [{ offset: 0, length: file.size }]
  }

  protected content(file: IsoNode, offset: number, target: Uint8Array): void {
    if (file.packed !== undefined)
      throw unsupported('E_FS_FEATURE', `the file is stored with zisofs (${file.packed}), which is not read`)
    if (file.map === undefined) {
      file.map = new FileMap()
      for (const { offset: position, length } of file.sections) file.map.push(length, position)
    }
    file.map.read(this.#reader, offset, target)
  }

  #open(found: IsoRecord, extra: RockRidge | undefined): IsoNode {
    // A folder that lies too deep is a file here, and its content elsewhere.
    if (extra?.child !== undefined) return this.#folderAt(extra.child)
    return found.isFolder ? this.#folder(found, extra) : new IsoNode(found, extra)
  }

  #folderAt(block: number): IsoNode {
    const position = block * this.#blockSize
    const bytes = this.#reader.bytes(position, this.#blockSize)
    const self = readRecord(bytes, 0, position, this.#blockSize)
    if (!self.isFolder || self.values.block !== block)
      throw damaged('ISO 9660', 'a folder was moved to where no folder is', position)
    return this.#folder(self)
  }

  /** The attributes of a folder are in the record that leads to it, and in its own first one. */
  #folder(found: IsoRecord, extra = this.#selfExtra(found)): IsoNode {
    return new IsoNode(found, extra)
  }

  #selfExtra(found: IsoRecord): RockRidge | undefined {
    const self = this.#self(found)
    return self === undefined ? undefined : this.#extra(self)
  }

  #self({ sections: [run] }: IsoRecord): IsoRecord | undefined {
    if (run === undefined || run.length < record.size) return undefined
    return readRecord(
      this.#reader.bytes(run.offset, Math.min(run.length, this.#blockSize)),
      0,
      run.offset,
      this.#blockSize,
    )
  }

  #skip(root: IsoRecord): number | undefined {
    const self = this.#self(root)
    return self === undefined ? undefined : sharingSkip(self.use)
  }

  #extra(found: IsoRecord): RockRidge | undefined {
    return this.#flavour.kind === 'rock-ridge'
      ? readRockRidge(this.#reader, this.#blockSize, found.use, this.#flavour.skip)
      : undefined
  }

  /** Without the version, and the dot of a name that has no extension. */
  #name({ name }: IsoRecord): string {
    let text = ''
    if (this.#flavour.kind === 'joliet') {
      const view = viewOf(name)
      for (let at = 0; at + 2 <= name.length; at += 2) text += String.fromCharCode(view.getUint16(at))
    } else text = Buffer.from(name).toString('latin1')
    const bare = text.replace(/;\d*$/, '')
    return this.#flavour.kind === 'plain' ? bare.replace(/(?<=.)\.$/, '') : bare
  }
}
