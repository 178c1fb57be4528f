import { posixTime } from '../entries.js'
import type { FileNode } from '../types.js'

const kinds: Readonly<Record<number, FileNode['kind']>> = {
  1: 'directory',
  2: 'file',
  3: 'link',
  4: 'device',
  5: 'device',
}

/** What is in an inode besides what all have. */
export interface SquashfsContent {
  readonly links: number
  /** Bytes of content or target; of a folder, of its listing. */
  readonly size: number
  readonly target?: string
  /** Of a folder: where its listing begins, in a block of the table of folders. */
  readonly start?: number
  readonly offset?: number
  readonly blocks?: SquashfsBlocks
}

/** Where the content of a file lies. */
export interface SquashfsBlocks {
  /** The words of its blocks, and the byte of the volume where each begins. */
  readonly words: Uint32Array
  readonly positions: Float64Array
  /** Which fragment its end lies in, and where in that; undefined: it has none. */
  readonly fragment: number | undefined
  readonly fragmentOffset: number
}

export class SquashfsNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly size: number
  readonly mode: number
  readonly owner: number
  readonly group: number
  readonly modified: bigint
  readonly id: string
  readonly links: number
  readonly target?: string
  readonly content: SquashfsContent

  constructor(
    head: { readonly type: number; readonly mode: number; readonly modified: number; readonly number: number },
    ids: { readonly owner: number; readonly group: number },
    content: SquashfsContent,
  ) {
    this.kind = kinds[head.type > 7 ? head.type - 7 : head.type] ?? 'other'
    this.size = this.kind === 'directory' || this.kind === 'file' || this.kind === 'link' ? content.size : 0
    this.mode = head.mode % 0o10000
    this.owner = ids.owner
    this.group = ids.group
    this.modified = posixTime(head.modified, 0)
    this.id = `inode ${head.number}`
    this.links = content.links
    this.content = content
    if (content.target !== undefined) this.target = content.target
  }
}
