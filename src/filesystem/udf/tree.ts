import { isPowerOfTwo, roundUp, viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { FileMap } from '../file-map.js'
import { NodeTree, type FolderEntry } from '../node-tree.js'
import type { ByteRun, FileNode } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import {
  descriptorChecksum,
  extentLength,
  fileFlags,
  identifierFlags,
  posixPermissions,
  zoneMinutes,
} from './entries.js'
import {
  descriptorTag,
  extendedFileEntry,
  extendedTimes,
  fileEntry,
  fileIdentifier,
  fileSet,
  fileTimes,
  furtherExtents,
  logicalVolume,
  firstMap,
  mapHead,
  namedMap,
  tags,
} from './structs.js'

const kinds: Readonly<Record<number, FileNode['kind']>> = {
  4: 'directory',
  5: 'file',
  6: 'device',
  7: 'device',
  12: 'link',
}
const extentKinds = { short: 0, long: 1, inline: 3 }
const recorded = 0
const further = 3
const longestTarget = 65536
const maximumFolder = 256 * 1024 * 1024
const mostExtentBlocks = 65536

class UdfNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly size: number
  readonly mode: number
  readonly owner: number | undefined
  readonly group: number | undefined
  readonly modified: bigint
  readonly accessed: bigint
  readonly id: string
  readonly links: number
  target?: string
  readonly map: FileMap
  /** Content that lies in the entry itself. */
  readonly inline: Uint8Array | undefined

  constructor(
    values: StructValues<typeof fileEntry>,
    times: { readonly modified: bigint; readonly accessed: bigint },
    block: number,
    content: { readonly map: FileMap; readonly inline: Uint8Array | undefined },
  ) {
    this.kind = kinds[values.type] ?? 'other'
    this.size = this.kind === 'device' || this.kind === 'other' ? 0 : values.size
    this.mode = posixPermissions(values.permissions) + fileFlags(values.flags).special
    this.owner = idOf(values.owner)
    this.group = idOf(values.group)
    this.modified = times.modified
    this.accessed = times.accessed
    this.id = `block ${block}`
    this.links = values.links
    this.map = content.map
    this.inline = content.inline
  }
}

/** UDF allows two. */
const mostMaps = 8

/** All ones say nobody. */
function idOf(word: number): number | undefined {
  return word === 0xffffffff ? undefined : word
}

/** The files of UDF in one partition that is mapped as it lies. */
export class UdfTree extends NodeTree<UdfNode> {
  readonly root: UdfNode
  readonly #reader: VolumeReader
  readonly #blockSize: number
  readonly #partition: { readonly start: number; readonly length: number }

  /**
   * @param logical the descriptor of the logical volume. @param partition sectors. @throws ImageError corrupt
   * E_FS_CORRUPT; unsupported E_FS_FEATURE (metadata, virtual and sparable partitions).
   */
  constructor(
    reader: VolumeReader,
    logical: Uint8Array,
    partition: { readonly start: number; readonly length: number },
    sectorSize: number,
  ) {
    super(UdfNode)
    this.#reader = reader
    const { blockSize, fileSet: setBlock, maps, mapType } = logicalVolume.read(logical)
    if (!isPowerOfTwo(blockSize) || blockSize < 512 || blockSize > 65536)
      throw damaged('UDF', `a block is said to have ${blockSize} bytes`)
    if (maps !== 1 || mapType !== 1)
      throw unsupported('E_FS_FEATURE', `the UDF filesystem has a partition of the kind ${mapKind(logical, maps)}`)
    this.#blockSize = blockSize
    this.#partition = { start: partition.start * sectorSize, length: partition.length * sectorSize }
    const { rootBlock } = fileSet.read(this.#descriptor(setBlock, [tags.fileSet]))
    this.root = this.#open(rootBlock)
    if (this.root.kind !== 'directory') throw damaged('UDF', 'its root is no folder')
  }

  protected *stored(folder: UdfNode): Generator<FolderEntry<UdfNode>> {
    if (folder.size > maximumFolder) throw damaged('UDF', `a folder is said to have ${folder.size} bytes`)
    const bytes = new Uint8Array(folder.size)
    this.content(folder, 0, bytes)
    for (let at = 0; at < bytes.length;) {
      if (at + fileIdentifier.size > bytes.length)
        throw damaged('UDF', `a name of the folder at ${folder.id} is cut short`)
      const { flags, nameLength, block, useLength } = fileIdentifier.read(bytes, at)
      const start = at + fileIdentifier.size + useLength
      const end = start + nameLength
      if (descriptorTag.read(bytes, at).id !== tags.identifier || end > bytes.length)
        throw damaged('UDF', `a name of the folder at ${folder.id} is none`)
      const { isDeleted, isParent } = identifierFlags(flags)
      if (!isDeleted && !isParent)
        yield { name: unicodeText(bytes.subarray(start, end)), open: () => this.#open(block) }
      at += roundUp(fileIdentifier.size + useLength + nameLength, 4)
    }
  }

  protected runs(file: UdfNode): Iterable<ByteRun> {
    if (file.inline !== undefined) return file.size === 0 ? [] : [{ offset: 0, length: file.size }]
    return file.map.dataRuns(file.size)
  }

  protected content(file: UdfNode, offset: number, target: Uint8Array): void {
    if (file.inline === undefined) file.map.read(this.#reader, offset, target)
    else target.set(file.inline.subarray(offset, offset + target.length))
  }

  #open(block: number): UdfNode {
    const bytes = this.#descriptor(block, [tags.file, tags.extendedFile])
    const isExtended = descriptorTag.read(bytes).id === tags.extendedFile
    const values = isExtended ? extendedFileEntry.read(bytes) : fileEntry.read(bytes)
    const places = isExtended ? extendedTimes : fileTimes
    const start = (isExtended ? extendedFileEntry.size : fileEntry.size) + values.attributesLength
    if (start + values.extentsLength > bytes.length)
      throw damaged('UDF', `the extents of the file at block ${block} leave it`)
    const stored = bytes.subarray(start, start + values.extentsLength)
    const { extentKind } = fileFlags(values.flags)
    const inline = extentKind === extentKinds.inline ? stored : undefined
    if (inline !== undefined && values.size > inline.length)
      throw damaged('UDF', `the content of the file at block ${block} leaves it`)
    const map = inline === undefined ? this.#map(block, stored, extentKind) : new FileMap()
    const times = { modified: timeAt(bytes, places.modified), accessed: timeAt(bytes, places.accessed) }
    const node = new UdfNode(values, times, block, { map, inline })
    if (node.kind === 'link') node.target = this.#target(node)
    return node
  }

  #map(block: number, first: Uint8Array, kind: number): FileMap {
    if (kind !== extentKinds.short && kind !== extentKinds.long)
      throw unsupported(
        'E_FS_FEATURE',
        `the file at block ${block} of the UDF filesystem has extents of the kind ${kind}`,
      )
    const width = kind === extentKinds.short ? 8 : 16
    const map = new FileMap()
    let bytes = first
    for (let blocks = 0; ; blocks++) {
      let next: number | undefined
      const view = viewOf(bytes)
      for (let at = 0; at + width <= bytes.length && next === undefined; at += width) {
        const { length, kind: state } = extentLength(view.getUint32(at, true))
        const place = view.getUint32(at + 4, true)
        if (length === 0) return map
        if (state === further) next = place
        else map.push(length, state === recorded ? this.#position(place, length) : undefined)
      }
      if (next === undefined) return map
      if (blocks >= mostExtentBlocks) throw damaged('UDF', `the extents of the file at block ${block} go on and on`)
      const more = this.#descriptor(next, [tags.furtherExtents])
      const { length } = furtherExtents.read(more)
      bytes = more.subarray(furtherExtents.size, furtherExtents.size + length)
    }
  }

  #target(node: UdfNode): string {
    if (node.size > longestTarget) throw damaged('UDF', `the link at ${node.id} is said to have ${node.size} bytes`)
    const bytes = new Uint8Array(node.size)
    this.content(node, 0, bytes)
    const parts: string[] = []
    // ECMA-167, 4/14.16.1: parts of a path.
    for (let at = 0; at + 4 <= bytes.length;) {
      const [type = 0, length = 0] = bytes.subarray(at)
      const name = unicodeText(bytes.subarray(at + 4, at + 4 + length))
      parts.push(type === 2 ? '' : type === 3 ? '..' : type === 4 ? '.' : name)
      at += 4 + length
    }
    return parts.length === 1 && parts[0] === '' ? '/' : parts.join('/')
  }

  #position(block: number, length: number): number {
    const at = block * this.#blockSize
    if (at + length > this.#partition.length)
      throw damaged('UDF', `${length} bytes are said to lie at block ${block} of the partition`)
    return this.#partition.start + at
  }

  /** A descriptor of the partition, with a whole checksum. */
  #descriptor(block: number, ids: readonly number[]): Uint8Array {
    const position = this.#position(block, this.#blockSize)
    const bytes = this.#reader.bytes(position, this.#blockSize)
    const { id, checksum, checksumLength, block: own } = descriptorTag.read(bytes)
    if (!ids.includes(id) || own !== block)
      throw damaged('UDF', `at block ${block} of the partition is another descriptor than there should be`, position)
    const end = descriptorTag.size + checksumLength
    if (end > bytes.length || descriptorChecksum(bytes.subarray(descriptorTag.size, end)) !== checksum)
      throw damaged('UDF', `the checksum of the descriptor at block ${block} of the partition is wrong`, position)
    return bytes
  }
}

/** The names of the maps that are not plain: `Metadata Partition`. */
function mapKind(logical: Uint8Array, maps: number): string {
  const names: string[] = []
  for (let at = firstMap, index = 0; index < Math.min(maps, mostMaps); index++) {
    if (at + namedMap.size > logical.length) break
    const { type, length } = mapHead.read(logical, at)
    if (type === 2)
      names.push(
        namedMap
          .read(logical, at)
          .name.replace(/^\*UDF /, '')
          .replaceAll('\0', '')
          .trim(),
      )
    if (length < mapHead.size) break
    at += length
  }
  return names.length === 0 ? `${maps} plain maps` : names.join(', ')
}

/** OSTA compressed Unicode (UDF 2.60, 2.1.1). */
function unicodeText(bytes: Uint8Array): string {
  const [kind] = bytes
  const view = viewOf(bytes)
  let text = ''
  if (kind === 8 || kind === 254)
    for (let at = 1; at < bytes.length; at++) text += String.fromCharCode(view.getUint8(at))
  else for (let at = 1; at + 2 <= bytes.length; at += 2) text += String.fromCharCode(view.getUint16(at))
  return text
}

/** ECMA-167, 1/7.3, in nanoseconds since 1970. */
function timeAt(bytes: Uint8Array, at: number): bigint {
  const view = viewOf(bytes)
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0, centi = 0, hundreds = 0, micro = 0] = bytes.subarray(
    at + 4,
  )
  if (month === 0) return 0n
  const zone = zoneMinutes(view.getUint16(at, true))
  const seconds = Date.UTC(view.getInt16(at + 2, true), month - 1, day, hour, minute, second) / 1000 - zone * 60
  return BigInt(seconds) * 1_000_000_000n + BigInt(centi * 10_000 + hundreds * 100 + micro) * 1000n
}
