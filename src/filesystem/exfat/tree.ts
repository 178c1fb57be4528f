import { safeNumber } from '../../binary/integers.js'
import { usage } from '../../errors.js'
import { clusterChain, contiguousClusters } from '../cluster-chain.js'
import { damaged } from '../damage.js'
import { dosTime } from '../dos-time.js'
import { FileMap } from '../file-map.js'
import { entryName } from '../names.js'
import { foldedCase } from '../../binary/folded-case.js'
import type { DirectoryEntry, FileNode, FileTree, ByteRun } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { fileType, primaryEntries, readFileEntries, type ExfatFile } from './directory.js'
import { exfatAttributes, isContiguous, zoneMinutes } from './entries.js'
import type { ExfatTable } from './table.js'

/** Section 7.4.9.2: a folder has at most 256 MiB; what is read here is less, and is room for two million files. */
const maximumFolder = 192 * 1024 * 1024

interface Content {
  readonly cluster: number
  readonly contiguous: boolean
  readonly length: number
  readonly validLength: number
}

class ExfatNode implements FileNode {
  readonly size: number
  readonly created?: bigint
  readonly accessed?: bigint
  map?: FileMap

  /** @param content undefined: the root folder, whose length is that of its chain. */
  constructor(
    readonly kind: 'file' | 'directory',
    readonly id: string,
    readonly modified: bigint,
    readonly cluster: number,
    readonly content: Content | undefined,
    times: { created?: bigint; accessed?: bigint } = {},
  ) {
    this.size = kind === 'file' ? (content?.length ?? 0) : 0
    if (times.created !== undefined) this.created = times.created
    if (times.accessed !== undefined) this.accessed = times.accessed
  }
}

/** The files of an exFAT volume. */
export class ExfatTree implements FileTree {
  readonly root: FileNode
  readonly ignoresCase = true
  readonly #reader: VolumeReader
  readonly #table: ExfatTable

  constructor(reader: VolumeReader, table: ExfatTable, rootCluster: number) {
    this.#reader = reader
    this.#table = table
    this.root = new ExfatNode('directory', `folder ${rootCluster}`, dosTime(0, 0), rootCluster, undefined)
  }

  find(directory: FileNode, name: string): FileNode | undefined {
    const folded = foldedCase(name)
    for (const file of this.#walk(directory)) if (foldedCase(entryName(file.name)) === folded) return this.#open(file)
    return undefined
  }

  *entries(directory: FileNode): Generator<DirectoryEntry> {
    for (const file of this.#walk(directory)) yield { name: entryName(file.name), open: () => this.#open(file) }
  }

  dataRuns(file: FileNode): Iterable<ByteRun> {
    const node = this.#file(file)
    return this.#map(node).dataRuns(Math.min(node.size, node.content?.validLength ?? 0))
  }

  read(file: FileNode, offset: number, target: Uint8Array): void {
    const node = this.#file(file)
    if (offset < 0 || offset + target.length > node.size)
      throw new RangeError(`read of ${target.length} bytes at offset ${offset} leaves the file of ${node.size} bytes`)
    // Clusters behind the valid length were given to the file, and never written.
    const valid = Math.max(0, Math.min(target.length, (node.content?.validLength ?? 0) - offset))
    this.#map(node).read(this.#reader, offset, target.subarray(0, valid))
    target.fill(0, valid)
  }

  #file(file: FileNode): ExfatNode {
    if (!(file instanceof ExfatNode)) throw new RangeError('the file belongs to another tree')
    if (file.kind !== 'file') throw usage('E_IS_DIRECTORY', 'a folder has no content to read')
    return file
  }

  #map(node: ExfatNode): FileMap {
    node.map ??= this.#locate(node)
    return node.map
  }

  #locate({ kind, cluster, content }: ExfatNode): FileMap {
    if (content === undefined) return clusterChain(this.#table, cluster, undefined, maximumFolder)
    const { length, contiguous } = content
    if (kind === 'directory' && length > maximumFolder)
      throw damaged(this.#reader.title, `a folder has ${length} bytes`)
    if (length === 0) return new FileMap()
    return contiguous ? contiguousClusters(this.#table, cluster, length) : clusterChain(this.#table, cluster, length)
  }

  #open({ file, stream, position, checksumHolds }: ExfatFile): FileNode {
    const { title } = this.#reader
    if (!checksumHolds) throw damaged(title, "the checksum of a file's entries is wrong", position)
    const length = safeNumber(stream.length, 'the length of a file')
    const validLength = safeNumber(stream.validLength, 'the valid length of a file')
    if (validLength > length || length > this.#table.clusters * this.#table.clusterSize) {
      throw damaged(
        title,
        `a file has ${length} bytes, ${validLength} of them valid, in a volume of ` +
          `${this.#table.clusters * this.#table.clusterSize}`,
        position,
      )
    }
    const { isDirectory } = exfatAttributes(file.attributes)
    const time = (stamp: number, hundredths: number, zone: number): bigint =>
      dosTime(Math.floor(stamp / 65536), stamp % 65536, hundredths) - BigInt(zoneMinutes(zone) ?? 0) * 60_000_000_000n
    return new ExfatNode(
      isDirectory ? 'directory' : 'file',
      isDirectory && stream.cluster !== 0 ? `folder ${stream.cluster}` : `entry ${position}`,
      time(file.modified, file.modifiedHundredths, file.modifiedZone),
      stream.cluster,
      { cluster: stream.cluster, contiguous: isContiguous(stream.flags), length, validLength },
      {
        created: time(file.created, file.createdHundredths, file.createdZone),
        accessed: time(file.accessed, 0, file.accessedZone),
      },
    )
  }

  *#walk(directory: FileNode): Generator<ExfatFile> {
    if (!(directory instanceof ExfatNode)) throw new RangeError('the folder belongs to another tree')
    if (directory.kind !== 'directory') throw usage('E_NOT_A_DIRECTORY', 'a file has no entries')
    const map = this.#map(directory)
    for (const primary of primaryEntries(this.#reader, map))
      if (primary.type === fileType) yield readFileEntries(this.#reader, map, primary)
  }
}
