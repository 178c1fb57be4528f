import type { BlockSource } from '../../block/types.js'
import { isImageError, unsupported } from '../../errors.js'
import { resolvePath } from '../../filesystem/path.js'
import type { Filesystem, FileNode, FilePatch, FileTree, VolumeWrite } from '../../filesystem/types.js'
import type { Partition } from '../../partition/index.js'
import { problem, type Problem } from '../inspect/info.js'

/** What lies in a partition, or at the disk's first byte, opened to be looked into. */
export interface Volume {
  /** Undefined: it starts at the disk's first byte. */
  readonly partition?: Partition
  readonly source: BlockSource
  readonly filesystems: readonly Filesystem[]
}

/** What "there is no such file" is called on the ways there. */
const absent = ['E_NOT_FOUND', 'E_NOT_A_DIRECTORY', 'E_LINKS', 'E_FS_LINK']
const mostEntries = 4096
const mostProblems = 4

/**
 * The files of a volume, for looks that may fail: what is not there or cannot be read is undefined, and damage is
 * noted.
 */
export class VolumeFiles {
  /** What kept a look from being answered. */
  readonly problems: Problem[] = []
  readonly #tree: FileTree | undefined
  readonly #title: string

  constructor({ filesystems }: Pick<Volume, 'filesystems'>) {
    const filesystem = filesystems.find((one) => one.openTree !== undefined)
    this.#title = filesystem?.title ?? 'this filesystem'
    this.#tree = this.#attempt(() => filesystem?.openTree?.())
  }

  get readable(): boolean {
    return this.#tree !== undefined
  }

  /** The folder that the system mounts where nothing names another one: `/@`; empty for the root. */
  get defaultFolder(): string {
    return this.#attempt(() => this.#tree?.defaultFolder) ?? ''
  }

  /** The file with content at a path; links are followed inside the volume. */
  file(path: string): FileNode | undefined {
    const node = this.#node(path)
    return node?.kind === 'file' ? node : undefined
  }

  /** The first bytes of a file, at most `length` of them. */
  head(path: string, length: number): Uint8Array | undefined {
    const node = this.file(path)
    if (node === undefined) return undefined
    return this.#attempt(() => {
      const bytes = new Uint8Array(Math.min(length, node.size))
      this.#tree?.read(node, 0, bytes)
      return bytes
    })
  }

  /** Fills `target` with content of a file. @returns whether it could be read. */
  fill(node: FileNode, offset: number, target: Uint8Array): boolean {
    return (
      this.#attempt(() => {
        this.#tree?.read(node, offset, target)
        return true
      }) === true
    )
  }

  /**
   * What is to be written to the volume so that a file has other bytes: as `rewrite` of its tree. @throws ImageError
   * unsupported E_FILE_FIXED; corrupt.
   */
  rewrite(node: FileNode, patches: readonly FilePatch[], size: number): VolumeWrite[][] {
    const writes = this.#tree?.rewrite?.(node, patches, size)
    if (writes === undefined)
      throw unsupported('E_FILE_FIXED', `files of ${this.#title} are not changed in their place`)
    return writes
  }

  /**
   * The same so that a file goes on with `bytes`; where the tree allocates nothing, in the blocks that the file has.
   * @throws ImageError unsupported E_FILE_FIXED; corrupt.
   */
  append(node: FileNode, bytes: Uint8Array): VolumeWrite[][] {
    return (
      this.#tree?.append?.(node, bytes) ?? this.rewrite(node, [{ offset: node.size, bytes }], node.size + bytes.length)
    )
  }

  /** Names in a folder, in their order; empty where there is no such folder. Of a very large one only the first. */
  names(path: string): string[] {
    const node = this.#node(path)
    const names: string[] = []
    if (node?.kind !== 'directory') return names
    this.#attempt(() => {
      for (const { name } of this.#tree?.entries(node) ?? []) {
        if (names.push(name) >= mostEntries) break
      }
    })
    return names.sort((one, other) => (one < other ? -1 : 1))
  }

  hasFolder(path: string): boolean {
    return this.#node(path)?.kind === 'directory'
  }

  #node(path: string): FileNode | undefined {
    const tree = this.#tree
    return tree === undefined ? undefined : this.#attempt(() => resolvePath(tree, path, true).node)
  }

  #attempt<Answer>(look: () => Answer): Answer | undefined {
    try {
      return look()
    } catch (error) {
      if (!isImageError(error)) throw error
      if (
        !absent.includes(error.code) &&
        this.problems.length < mostProblems &&
        !this.problems.some(({ message }) => message === error.message)
      )
        this.problems.push(problem(error))
      return undefined
    }
  }
}
