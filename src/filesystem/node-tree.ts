import { usage } from '../errors.js'
import { entryName, posixName } from './names.js'
import type { ByteRun, DirectoryEntry, FileNode, FilePatch, FileTree, VolumeWrite } from './types.js'

/** An entry of a folder as a filesystem stores it. */
export interface FolderEntry<Node> {
  /** The name's bytes, or its text where names are UTF-16. */
  readonly name: Uint8Array | string
  /** As of {@link DirectoryEntry}. */
  readonly order?: number
  open(): Node
}

/**
 * What all trees of files share: nodes are the tree's own and of the right kind, reads stay inside a file, and names
 * are made safe. A filesystem says what its folders hold, and where the content of its files lies.
 */
export abstract class NodeTree<Node extends FileNode> implements FileTree {
  readonly ignoresCase: boolean = false
  abstract readonly root: Node
  readonly #kind: new (...parameters: never[]) => Node

  /** @param kind the class of the tree's nodes. */
  constructor(kind: new (...parameters: never[]) => Node) {
    this.#kind = kind
  }

  /** What a folder holds, in the order of the disk, without `.` and `..`. */
  protected abstract stored(folder: Node): Iterable<FolderEntry<Node>>
  /** The runs of a file that hold data; those behind its end are cut off. */
  protected abstract runs(file: Node): Iterable<ByteRun>
  /** Fills `target` with the content of a file at `offset`, inside its size. */
  protected abstract content(file: Node, offset: number, target: Uint8Array): void

  find(directory: FileNode, name: string): Node | undefined {
    const folder = this.#folder(directory)
    for (const entry of this.stored(folder)) if (nameOf(entry) === name) return entry.open()
    if (!this.ignoresCase) return undefined
    const folded = foldedName(name)
    for (const entry of this.stored(folder)) if (foldedName(nameOf(entry)) === folded) return entry.open()
    return undefined
  }

  *entries(directory: FileNode): Generator<DirectoryEntry> {
    for (const entry of this.stored(this.#folder(directory)))
      yield { name: nameOf(entry), order: entry.order, open: () => entry.open() }
  }

  *dataRuns(file: FileNode): Generator<ByteRun> {
    const node = this.#file(file)
    for (const { offset, length } of this.runs(node)) {
      if (offset >= node.size) return
      yield { offset, length: Math.min(length, node.size - offset) }
    }
  }

  read(file: FileNode, offset: number, target: Uint8Array): void {
    const node = this.#file(file)
    if (offset < 0 || offset + target.length > node.size)
      throw new RangeError(`read of ${target.length} bytes at offset ${offset} leaves the file of ${node.size} bytes`)
    this.content(node, offset, target)
  }

  /** As {@link FileTree.rewrite}. */
  protected rewritten?(file: Node, patches: readonly FilePatch[], size: number): VolumeWrite[][]

  get rewrite(): FileTree['rewrite'] {
    if (this.rewritten === undefined) return undefined
    return (file, patches, size) => this.rewritten?.(this.#file(file), patches, size) ?? []
  }

  /** As {@link FileTree.append}. */
  protected appended?(file: Node, bytes: Uint8Array): VolumeWrite[][]

  get append(): FileTree['append'] {
    if (this.appended === undefined) return undefined
    return (file, bytes) => this.appended?.(this.#file(file), bytes) ?? []
  }

  #folder(node: FileNode): Node {
    const own = this.#own(node)
    if (own.kind !== 'directory') throw usage('E_NOT_A_DIRECTORY', 'a file has no entries')
    return own
  }

  #file(node: FileNode): Node {
    const own = this.#own(node)
    if (own.kind === 'directory') throw usage('E_IS_DIRECTORY', 'a folder has no content to read')
    if (own.kind !== 'file') throw usage('E_NOT_A_FILE', 'a link or a device has no content to read')
    return own
  }

  #own(node: FileNode): Node {
    if (!(node instanceof this.#kind)) throw new RangeError('the file belongs to another tree')
    return node
  }
}

function nameOf({ name }: FolderEntry<FileNode>): string {
  return entryName(typeof name === 'string' ? name : posixName(name))
}

/** Names that differ in case, or in how accents are written, become the same. */
export function foldedName(name: string): string {
  return name.normalize('NFD').toLowerCase().toUpperCase().toLowerCase()
}
