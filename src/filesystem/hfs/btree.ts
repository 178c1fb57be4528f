import { isPowerOfTwo, viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import { damaged } from '../damage.js'
import type { FileMap } from '../file-map.js'
import type { VolumeReader } from '../volume-reader.js'
import { treeNode, treeRoot } from './structs.js'

const kinds = { leaf: 0xff, index: 0 }
const deepestTree = 16
const keptNodes = 256

/** A record of a leaf: its key with the length before it, and its data. */
export interface TreeRecord {
  readonly key: Uint8Array
  readonly data: Uint8Array
}

/** A B-tree of HFS+ ("B-Trees" in TN1150). */
export class HfsTree {
  readonly #title: string
  readonly #reader: VolumeReader
  readonly #file: FileMap
  readonly #root: number
  readonly #nodeSize: number
  readonly #count: number
  readonly #nodes = new Recent<Uint8Array>(keptNodes, (node) => this.#read(node))

  /** @throws ImageError corrupt E_FS_CORRUPT. */
  constructor(reader: VolumeReader, file: FileMap) {
    this.#title = reader.title
    this.#reader = reader
    this.#file = file
    const head = new Uint8Array(treeRoot.size)
    file.read(reader, 0, head)
    const { root, nodeSize, nodes } = treeRoot.read(head)
    if (!isPowerOfTwo(nodeSize) || nodeSize < 512 || nodeSize > 32768)
      throw this.#wrong(`a node is said to have ${nodeSize} bytes`)
    this.#root = root
    this.#nodeSize = nodeSize
    this.#count = Math.min(nodes, Math.floor(file.length / nodeSize))
  }

  /**
   * The records in their order, from the last node that may have one on. @param isBefore whether a key lies before what
   * is looked for: those before are passed over. Each node is read once at most. @throws ImageError corrupt.
   */
  *from(isBefore: (key: Uint8Array) => boolean): Generator<TreeRecord> {
    if (this.#root === 0) return
    let node = this.#root
    for (let depth = 0; ; depth++) {
      const bytes = this.#nodes.get(node)
      const { kind, records } = treeNode.read(bytes)
      if (kind === kinds.leaf) break
      if (kind !== kinds.index || records === 0 || depth >= deepestTree)
        throw this.#wrong(`node ${node} is of the kind ${kind}, with ${records} records`)
      let low = 0
      for (let high = records; high - low > 1;) {
        const middle = Math.floor((low + high) / 2)
        if (isBefore(this.#record(bytes, middle).key)) low = middle
        else high = middle
      }
      const { data } = this.#record(bytes, low)
      if (data.length < 4) throw this.#wrong(`node ${node} has a record without a place`)
      node = viewOf(data).getUint32(0)
    }
    for (let steps = 0; node !== 0; steps++) {
      if (steps > this.#count) throw this.#wrong('its leaves run in a circle')
      const bytes = this.#nodes.get(node)
      const { next, kind, records } = treeNode.read(bytes)
      if (kind !== kinds.leaf) throw this.#wrong(`node ${node} is no leaf`)
      for (let index = 0; index < records; index++) {
        const record = this.#record(bytes, index)
        if (!isBefore(record.key)) yield record
      }
      node = next
    }
  }

  /** Records are found by the offsets at the node's end. */
  #record(node: Uint8Array, index: number): TreeRecord {
    const view = viewOf(node)
    const table = node.length - 2 * (index + 2)
    if (table < treeNode.size) throw this.#wrong(`a node is said to have record ${index}`)
    const start = view.getUint16(table + 2)
    const end = view.getUint16(table)
    const keyEnd = start + 2 + (start + 2 <= node.length ? view.getUint16(start) : 0)
    // Data begins at an even byte.
    const data = keyEnd + (keyEnd % 2)
    if (start < treeNode.size || data > end || end > table) throw this.#wrong('a record leaves its node')
    return { key: node.subarray(start, keyEnd), data: node.subarray(data, end) }
  }

  #read(node: number): Uint8Array {
    if (node >= this.#count) throw this.#wrong(`node ${node} of ${this.#count} is named`)
    const bytes = new Uint8Array(this.#nodeSize)
    this.#file.read(this.#reader, node * this.#nodeSize, bytes)
    return bytes
  }

  #wrong(message: string): Error {
    return damaged(this.#title, `a tree: ${message}`)
  }
}
