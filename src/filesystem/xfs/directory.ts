import { roundUp, viewOf } from '../../binary/integers.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import type { FileMap } from '../file-map.js'
import type { VolumeReader } from '../volume-reader.js'
import { littleChecksumHolds, type XfsFiles, type XfsNode } from './inode.js'
import { folderBlock, folderBlockChecksum, folderBlockSize, folderIndexStart } from './structs.js'

/** Room for some twenty million names. */
const maximumFolder = 1024 * 1024 * 1024
const freeTag = 0xffff
/** Bytes of an entry's number and length before its name, and of its tag behind it. */
const entryHead = 9
const entryTail = 2

/** A name in a folder, as it is stored. */
export interface FolderName {
  readonly inode: bigint
  readonly name: Uint8Array
}

/**
 * The names of a folder in the order of the disk, without `.` and `..`.
 * @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_LIMIT.
 */
export function* folderNames(
  reader: VolumeReader,
  files: XfsFiles,
  node: XfsNode,
  map: () => FileMap,
): Generator<FolderName> {
  if (node.isLocal) {
    yield* shortNames(files, node)
    return
  }
  const blocks = map()
  const end = Math.min(blocks.length, folderIndexStart)
  const size = files.folderBlockSize
  let read = 0
  for (const run of blocks.dataRuns(end)) {
    for (let offset = run.offset; offset < run.offset + run.length; offset += size) {
      if (offset % size !== 0) throw damaged('XFS', `folder ${node.number} has a part of a block`)
      if ((read += size) > maximumFolder)
        throw unsupported('E_FS_LIMIT', `folder ${node.number} has more than the ${maximumFolder} bytes that are read`)
      const bytes = new Uint8Array(size)
      blocks.read({ read: (at, target) => target.set(reader.bytes(at, target.length)) }, offset, bytes)
      yield* blockNames(files, node, bytes, offset)
    }
  }
}

/** Names in the inode: two counts, the number of the folder above, then the entries. */
function* shortNames({ fileTypes }: XfsFiles, node: XfsNode): Generator<FolderName> {
  const { fork } = node
  const wrong = (): Error => damaged('XFS', `the names in inode ${node.number} leave it`)
  if (fork.length < 6) throw wrong()
  const [count = 0, long = 0] = fork
  const width = long > 0 ? 8 : 4
  const view = viewOf(fork)
  let at = 2 + width
  for (let index = 0; index < Math.max(count, long); index++) {
    const length = fork[at] ?? 0
    const number = at + 3 + length + (fileTypes ? 1 : 0)
    if (length === 0 || number + width > fork.length) throw wrong()
    yield {
      name: fork.subarray(at + 3, at + 3 + length),
      inode: width === 8 ? view.getBigUint64(number) : BigInt(view.getUint32(number)),
    }
    at = number + width
  }
}

const marks: Readonly<Record<4 | 5, readonly [single: string, several: string]>> = {
  4: ['XD2B', 'XD2D'],
  5: ['XDB3', 'XDD3'],
}

function* blockNames(files: XfsFiles, node: XfsNode, bytes: Uint8Array, offset: number): Generator<FolderName> {
  const { version, fileTypes } = files
  const wrong = (message: string): Error =>
    damaged('XFS', `folder ${node.number}: ${message} (byte ${offset} of the folder)`)
  const { magic } = folderBlock.read(bytes)
  const [single, several] = marks[version]
  if (magic !== single && magic !== several) throw wrong('a block has another mark than it should')
  if (version === 5 && !littleChecksumHolds(bytes, folderBlockChecksum)) throw wrong('the checksum of a block is wrong')
  const view = viewOf(bytes)
  // A folder of one block has its index behind the names, and the index's length at the end.
  const index = magic === single ? view.getUint32(bytes.length - 8) * 8 + 8 : 0
  const end = bytes.length - index
  if (end < folderBlockSize[version]) throw wrong('its index is longer than the block')
  for (let at = folderBlockSize[version]; at + 8 <= end;) {
    if (view.getUint16(at) === freeTag) {
      const length = view.getUint16(at + 2)
      if (length < 8 || length % 8 !== 0 || at + length > end) throw wrong(`${length} bytes are said to be free`)
      at += length
      continue
    }
    const length = bytes[at + 8] ?? 0
    const size = roundUp(entryHead + length + (fileTypes ? 1 : 0) + entryTail, 8)
    if (length === 0 || at + size > end) throw wrong(`a name is said to have ${length} bytes`)
    const name = bytes.subarray(at + entryHead, at + entryHead + length)
    if (!isDots(name)) yield { name, inode: view.getBigUint64(at) }
    at += size
  }
}

function isDots(name: Uint8Array): boolean {
  return name.length <= 2 && name.every((byte) => byte === 0x2e)
}
