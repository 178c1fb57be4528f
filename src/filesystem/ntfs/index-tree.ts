import { isPowerOfTwo, viewOf } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { indexEntryFlags, recordReference } from './entries.js'
import type { NtfsLayout } from './layout.js'
import type { Mft } from './mft.js'
import { applyFixups, attributeTypes, utf16Text, type FileRecord } from './record.js'
import type { Stream } from './stream.js'
import { fileName, indexBlock, indexEntry, indexRoot } from './structs.js'

/** A name in a folder. */
export interface IndexedName {
  readonly name: string
  readonly record: number
  readonly sequence: number
}

const indexName = '$I30'
/** The names of the short form (8.3) that a file has besides its long one. */
export const dosNamespace = 2
const maximumBlock = 65536
/** A tree of this depth would have more entries than NTFS has records. */
const maximumDepth = 32
const rootHeadOffset = 16
const blockHeadOffset = 24
/** Blocks that one folder may have: 8 Mi of them, for each of which one byte is kept. */
const maximumBlocks = 8 * 1024 * 1024

/**
 * The names of a folder in the order of its B+ tree, without those of the short form. @throws ImageError corrupt
 * E_FS_CORRUPT.
 */
export function* folderNames(mft: Mft, folder: FileRecord, layout: NtfsLayout): Generator<IndexedName> {
  const [root] = mft.attributes(folder, attributeTypes.indexRoot, indexName)
  if (root === undefined || !root.content.resident)
    throw damaged('NTFS', `the folder of record ${folder.number} has no index`)
  const { value } = root.content
  if (value.length < indexRoot.size)
    throw damaged('NTFS', `the index of record ${folder.number} has ${value.length} bytes`)
  const head = indexRoot.read(value)
  if (head.attributeType !== attributeTypes.fileName)
    throw damaged('NTFS', `the index of record ${folder.number} is over attributes of type ${head.attributeType}`)
  const walk = new IndexWalk(mft, folder, layout, head.blockSize)
  yield* walk.node(value.subarray(rootHeadOffset), head, 0)
}

class IndexWalk {
  readonly #mft: Mft
  readonly #folder: FileRecord
  readonly #blockSize: number
  /** Bytes that one VCN stands for. */
  readonly #vcnSize: number
  #blocks: Stream | undefined
  #visited = new Uint8Array(0)

  constructor(mft: Mft, folder: FileRecord, layout: NtfsLayout, blockSize: number) {
    this.#mft = mft
    this.#folder = folder
    this.#blockSize = blockSize
    this.#vcnSize = blockSize >= layout.clusterSize ? layout.clusterSize : 512
  }

  /**
   * The entries of a node and of what hangs below them. `bytes` begins with the head of the node, to which the offsets
   * are relative.
   */
  *node(
    bytes: Uint8Array,
    { entriesOffset, entriesLength }: { entriesOffset: number; entriesLength: number },
    depth: number,
  ): Generator<IndexedName> {
    if (entriesLength > bytes.length)
      throw this.#broken(`a node has ${entriesLength} bytes, and room for ${bytes.length}`)
    const view = viewOf(bytes)
    for (let at = entriesOffset; ;) {
      if (at + indexEntry.size > entriesLength) throw this.#broken('a node has no last entry')
      const entry = indexEntry.read(bytes, at)
      if (entry.length < indexEntry.size || at + entry.length > entriesLength)
        throw this.#broken(`an entry has ${entry.length} bytes`)
      const { hasChild, isLast } = indexEntryFlags(entry.flags)
      if (hasChild) {
        if (entry.length < indexEntry.size + 8) throw this.#broken('an entry has no room for the node below it')
        yield* this.#child(view.getBigUint64(at + entry.length - 8, true), depth + 1)
      }
      if (isLast) return
      const name = this.#name(bytes.subarray(at + indexEntry.size, at + entry.length), entry)
      if (name !== undefined) yield name
      at += entry.length
    }
  }

  #name(key: Uint8Array, { keyLength, record }: { keyLength: number; record: bigint }): IndexedName | undefined {
    if (keyLength > key.length || keyLength < fileName.size) throw this.#broken(`a name has ${keyLength} bytes`)
    const { nameLength, namespace } = fileName.read(key)
    if (fileName.size + nameLength * 2 > keyLength)
      throw this.#broken(`a name of ${nameLength} characters has ${keyLength} bytes`)
    if (namespace === dosNamespace) return undefined
    const { number, sequence } = recordReference(record)
    return { name: utf16Text(key.subarray(fileName.size, fileName.size + nameLength * 2)), record: number, sequence }
  }

  *#child(vcn: bigint, depth: number): Generator<IndexedName> {
    if (depth > maximumDepth) throw this.#broken('it is too deep')
    const bytes = this.#block(vcn)
    const head = indexBlock.read(bytes)
    if (head.magic !== 'INDX') throw this.#broken(`its block ${vcn} begins with ${JSON.stringify(head.magic)}`)
    applyFixups(bytes, head, `block ${vcn} of the index of record ${this.#folder.number}`)
    if (head.vcn !== vcn) throw this.#broken(`its block ${vcn} says that it is block ${head.vcn}`)
    yield* this.node(bytes.subarray(blockHeadOffset), head, depth)
  }

  #block(vcn: bigint): Uint8Array {
    if (this.#blocks === undefined) {
      if (!isPowerOfTwo(this.#blockSize) || this.#blockSize < 512 || this.#blockSize > maximumBlock)
        throw this.#broken(`its blocks have ${this.#blockSize} bytes`)
      this.#blocks = this.#mft.stream(this.#folder, attributeTypes.indexAllocation, indexName)
      const count = Math.floor(this.#blocks.size / this.#blockSize)
      if (count > maximumBlocks) throw this.#broken(`it has ${count} blocks`)
      this.#visited = new Uint8Array(count)
    }
    const position = Number(vcn) * this.#vcnSize
    const index = position / this.#blockSize
    if (!Number.isInteger(index) || index >= this.#visited.length)
      throw this.#broken(`it refers to block ${vcn}, and there are ${this.#visited.length}`)
    if (this.#visited[index] === 1) throw this.#broken(`it refers to block ${vcn} twice`)
    this.#visited[index] = 1
    const bytes = new Uint8Array(this.#blockSize)
    this.#blocks.read(position, bytes)
    return bytes
  }

  #broken(why: string): Error {
    return damaged('NTFS', `the index of the folder of record ${this.#folder.number} is not valid: ${why}`)
  }
}
