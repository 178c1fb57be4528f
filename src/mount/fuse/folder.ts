import { modeOf } from './entries.js'
import { attributes, attributesOut, direntHead, entryOut, entryTypes, statfsOut } from './protocol.js'

/** Nothing but the disk's bytes ever changes: the kernel need not ask again. */
const validSeconds = 3600n
const rootNode = 1n
const blockSize = 4096

/** One file that is shown: the whole disk, or a partition of it. Bytes throughout. */
export interface ServedFile {
  readonly name: string
  /** Where on the disk it begins. */
  readonly start: number
  readonly length: number
}

/** What the one folder of a mounted disk looks like. */
export interface FolderLook {
  readonly user: number
  readonly group: number
  readonly writable: boolean
  /** Others than the user may look. */
  readonly others: boolean
  /** Seconds since 1970. */
  readonly time: number
}

/**
 * The folder that is shown: node 1, and in it one node a file, in order from 2 on. All replies about names and
 * attributes.
 */
export class FileFolder {
  readonly #files: readonly ServedFile[]
  readonly #look: FolderLook

  constructor(files: readonly ServedFile[], look: FolderLook) {
    this.#files = files
    this.#look = look
  }

  /** The file of a node; undefined for the folder and for nodes that are not. */
  file(node: bigint): ServedFile | undefined {
    return this.#files[Number(node) - 2]
  }

  isFolder(node: bigint): boolean {
    return node === rootNode
  }

  /** fuse_entry_out; undefined where no such file is. */
  lookup(name: string): Uint8Array | undefined {
    const index = this.#files.findIndex((file) => file.name === name)
    if (index < 0) return undefined
    const node = BigInt(index + 2)
    return entryOut.write({
      node,
      generation: 0n,
      entryValidSeconds: validSeconds,
      attributesValidSeconds: validSeconds,
      attributes: this.#attributes(node),
    })
  }

  /** fuse_attr_out; undefined for nodes that are not. */
  attributes(node: bigint): Uint8Array | undefined {
    if (!this.isFolder(node) && this.file(node) === undefined) return undefined
    return attributesOut.write({ validSeconds, attributes: this.#attributes(node) })
  }

  /** As many whole entries as fit into `limit` bytes, from the entry number `from` on. */
  entries(from: number, limit: number): Uint8Array {
    const all = [
      { name: '.', node: rootNode, type: entryTypes.directory },
      { name: '..', node: rootNode, type: entryTypes.directory },
      ...this.#files.map(({ name }, index) => ({ name, node: BigInt(index + 2), type: entryTypes.file })),
    ]
    const parts: Uint8Array[] = []
    let length = 0
    for (let index = from; index < all.length; index++) {
      const entry = all[index]
      if (entry === undefined) break
      const name = Buffer.from(entry.name)
      const head = direntHead.write({
        node: entry.node,
        next: BigInt(index + 1),
        nameLength: name.length,
        type: entry.type,
      })
      const part = new Uint8Array(Math.ceil((head.length + name.length) / 8) * 8)
      part.set(head)
      part.set(name, head.length)
      if (length + part.length > limit) break
      parts.push(part)
      length += part.length
    }
    return Buffer.concat(parts)
  }

  /** fuse_kstatfs: a full filesystem of the disk's size. */
  statistics(capacity: number): Uint8Array {
    return statfsOut.write({
      blocks: BigInt(Math.ceil(capacity / blockSize)),
      free: 0n,
      available: 0n,
      files: BigInt(this.#files.length + 1),
      freeFiles: 0n,
      blockSize,
      nameLength: 255,
      fragmentSize: blockSize,
    })
  }

  #attributes(node: bigint): Uint8Array {
    const { user, group, writable, others, time } = this.#look
    const file = this.file(node)
    const seconds = BigInt(time)
    const size = file?.length ?? 0
    return attributes.write({
      node,
      size: BigInt(size),
      blocks: BigInt(Math.ceil(size / 512)),
      accessed: seconds,
      modified: seconds,
      changed: seconds,
      mode:
        file === undefined
          ? modeOf('directory', others ? 0o555 : 0o500)
          : modeOf('file', (writable ? 0o600 : 0o400) + (others ? 0o044 : 0)),
      links: file === undefined ? 2 : 1,
      user,
      group,
      blockSize,
    })
  }
}
