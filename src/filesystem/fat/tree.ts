import { viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { usage } from '../../errors.js'
import { clusterChain } from '../cluster-chain.js'
import { damaged } from '../damage.js'
import { dosTime } from '../dos-time.js'
import { FileMap } from '../file-map.js'
import { codePage437, entryName } from '../names.js'
import { foldedCase } from '../../binary/folded-case.js'
import { fixed, mappedRewrite } from '../rewrite.js'
import type { DirectoryEntry, FileNode, FilePatch, FileTree, ByteRun, VolumeWrite } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { appendToFatFile } from './append.js'
import { fatAttributes } from './entries.js'
import type { FatLayout } from './layout.js'
import { LongName, shortName } from './names.js'
import { fatEntryStruct } from './structs.js'
import type { FatTable } from './table.js'

/** Folders have at most 65,536 entries; some systems go on, none goes on for ever. */
const maximumFolder = 16 * 1024 * 1024
const pieceLength = 8192

class FatNode implements FileNode {
  readonly created?: bigint
  readonly accessed?: bigint
  /** Where its bytes lie, once they were asked for. */
  map?: FileMap

  /** @param cluster the first one; undefined: the fixed root folder. */
  constructor(
    readonly kind: 'file' | 'directory',
    readonly id: string,
    readonly size: number,
    readonly modified: bigint,
    readonly cluster: number | undefined,
    times: { created?: bigint; accessed?: bigint } = {},
    /** Byte of the volume where its entry lies. */
    readonly entryPosition?: number,
  ) {
    if (times.created !== undefined) this.created = times.created
    if (times.accessed !== undefined) this.accessed = times.accessed
  }
}

interface Listed {
  readonly name: string
  /** The short name, under which the file is found too. */
  readonly alias: string
  readonly entry: StructValues<typeof fatEntryStruct>
  /** Byte of the volume. */
  readonly position: number
}

/** The files of FAT12, FAT16 and FAT32 with their long names. Deleted entries are not shown. */
export class FatTree implements FileTree {
  readonly root: FileNode
  readonly ignoresCase = true
  readonly #reader: VolumeReader
  readonly #layout: FatLayout
  readonly #table: FatTable

  constructor(reader: VolumeReader, layout: FatLayout, table: FatTable) {
    this.#reader = reader
    this.#layout = layout
    this.#table = table
    this.root = new FatNode('directory', folderId(layout.rootCluster), 0, dosTime(0, 0), layout.rootCluster)
  }

  /** The label in the root folder. */
  label(): string | undefined {
    for (const { entry } of this.#walk(this.root, true)) return codePage437(labelBytes(entry.name)).replace(/ +$/, '')
    return undefined
  }

  find(directory: FileNode, name: string): FileNode | undefined {
    const folded = foldedCase(name)
    let byAlias: Listed | undefined
    for (const listed of this.#walk(directory, false)) {
      if (foldedCase(listed.name) === folded) return this.#open(listed)
      if (foldedCase(listed.alias) === folded) byAlias ??= listed
    }
    return byAlias === undefined ? undefined : this.#open(byAlias)
  }

  *entries(directory: FileNode): Generator<DirectoryEntry> {
    for (const listed of this.#walk(directory, false)) yield { name: listed.name, open: () => this.#open(listed) }
  }

  dataRuns(file: FileNode): Iterable<ByteRun> {
    const node = this.#file(file)
    return this.#map(node).dataRuns(node.size)
  }

  read(file: FileNode, offset: number, target: Uint8Array): void {
    const node = this.#file(file)
    if (offset < 0 || offset + target.length > node.size)
      throw new RangeError(`read of ${target.length} bytes at offset ${offset} leaves the file of ${node.size} bytes`)
    this.#map(node).read(this.#reader, offset, target)
  }

  rewrite(file: FileNode, patches: readonly FilePatch[], size: number): VolumeWrite[][] {
    const node = this.#file(file)
    const { title } = this.#reader
    return mappedRewrite(
      {
        title,
        map: this.#map(node),
        size: node.size,
        unit: this.#layout.clusterSize,
        resized: (bytes) => [this.#sizeWrite(node, bytes)],
      },
      patches,
      size,
    )
  }

  append(file: FileNode, bytes: Uint8Array): VolumeWrite[][] {
    const node = this.#file(file)
    const size = node.size + bytes.length
    const map = this.#map(node)
    if (size <= map.length) return this.rewrite(node, [{ offset: node.size, bytes }], size)
    const grown = { size: node.size, map, resized: (length: number) => this.#sizeWrite(node, length) }
    return appendToFatFile({ reader: this.#reader, layout: this.#layout, table: this.#table }, grown, bytes)
  }

  /** The size stands in the entry of the file's folder, which has no checksum. */
  #sizeWrite({ entryPosition }: FatNode, size: number): VolumeWrite {
    if (entryPosition === undefined) throw fixed(this.#reader.title, 'it has no entry in a folder')
    const bytes = new Uint8Array(4)
    viewOf(bytes).setUint32(0, size, true)
    return { position: entryPosition + fatEntryStruct.fields.size.offset, bytes }
  }

  #file(file: FileNode): FatNode {
    if (!(file instanceof FatNode)) throw new RangeError('the file belongs to another tree')
    if (file.kind !== 'file') throw usage('E_IS_DIRECTORY', 'a folder has no content to read')
    return file
  }

  #map(node: FatNode): FileMap {
    if (node.map === undefined) {
      if (node.kind === 'directory') {
        node.map =
          node.cluster === undefined
            ? this.#fixedRoot()
            : clusterChain(this.#table, node.cluster, undefined, maximumFolder)
      } else node.map = node.size === 0 ? new FileMap() : clusterChain(this.#table, node.cluster ?? 0, node.size)
    }
    return node.map
  }

  #fixedRoot(): FileMap {
    const map = new FileMap()
    map.push(this.#layout.rootLength, this.#layout.rootStart)
    return map
  }

  #open({ entry, position }: Listed): FileNode {
    const { isDirectory } = fatAttributes(entry.attributes)
    // The upper half is something else on FAT12 and FAT16.
    const cluster = entry.clusterLow + (this.#layout.bits === 32 ? entry.clusterHigh * 65536 : 0)
    return new FatNode(
      isDirectory ? 'directory' : 'file',
      isDirectory ? folderId(cluster) : `entry ${position}`,
      isDirectory ? 0 : entry.size,
      dosTime(entry.modifiedDate, entry.modifiedTime),
      cluster,
      {
        ...(entry.createdDate === 0
          ? {}
          : { created: dosTime(entry.createdDate, entry.createdTime, entry.createdHundredths) }),
        ...(entry.accessedDate === 0 ? {} : { accessed: dosTime(entry.accessedDate, 0) }),
      },
      position,
    )
  }

  /** The files of a folder, or its labels (the root has one). */
  *#walk(directory: FileNode, labels: boolean): Generator<Listed> {
    if (!(directory instanceof FatNode)) throw new RangeError('the folder belongs to another tree')
    if (directory.kind !== 'directory') throw usage('E_NOT_A_DIRECTORY', 'a file has no entries')
    if (directory.cluster === 0) throw damaged(this.#reader.title, 'a folder has no cluster')
    const map = this.#map(directory)
    const longName = new LongName()
    const piece = new Uint8Array(pieceLength)
    for (let offset = 0; offset < map.length; offset += pieceLength) {
      const bytes = piece.subarray(0, Math.min(pieceLength, map.length - offset))
      map.read(this.#reader, offset, bytes)
      for (let at = 0; at + 32 <= bytes.length; at += 32) {
        const raw = bytes.subarray(at, at + 32)
        if (raw[0] === 0) return
        const { isLongName, isLabel } = fatAttributes(raw[11] ?? 0)
        if (raw[0] === 0xe5) longName.reset()
        else if (isLongName) longName.add(raw)
        else {
          const entry = fatEntryStruct.read(raw)
          const long = longName.take(entry.name)
          if (isLabel !== labels || isDots(entry.name)) continue
          const alias = entryName(shortName(entry.name, entry.caseFlags))
          const { position = 0 } = map.at(offset + at)
          yield { name: long === undefined ? alias : entryName(long), alias, entry, position }
        }
      }
    }
  }
}

function folderId(cluster: number | undefined): string {
  return cluster === undefined ? 'root' : `folder ${cluster}`
}

/** `.` and `..`, with which every folder but the root begins. */
function isDots(name: Uint8Array): boolean {
  return name[0] === 0x2e && (name[1] === 0x20 || (name[1] === 0x2e && name[2] === 0x20))
}

function labelBytes(name: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(name)
  if (bytes[0] === 0x05) bytes[0] = 0xe5
  return bytes
}
