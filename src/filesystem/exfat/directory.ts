import type { StructValues } from '../../binary/struct.js'
import { damaged } from '../damage.js'
import type { FileMap } from '../file-map.js'
import type { VolumeReader } from '../volume-reader.js'
import { entrySetChecksum, entryType } from './entries.js'
import { exfatFileEntry, exfatStreamEntry } from './structs.js'

/** A file or folder as its entries describe it. */
export interface ExfatFile {
  readonly name: string
  readonly file: StructValues<typeof exfatFileEntry>
  readonly stream: StructValues<typeof exfatStreamEntry>
  /** Byte of the volume where its first entry lies. */
  readonly position: number
  /** Whether the sum over its entries is the recorded one. */
  readonly checksumHolds: boolean
}

const entryLength = 32
const pieceLength = 8192
export const fileType = 0x85
const streamType = 0xc0
const nameType = 0xc1
const charactersPerName = 15

/** An entry in use, with its bytes and where it lies in the folder. */
export interface RawEntry {
  readonly type: number
  readonly bytes: Uint8Array
  readonly offset: number
}

/**
 * The entries of a folder that are in use and no secondary ones, up to the end mark. The bytes hold until the next one.
 */
export function* primaryEntries(reader: VolumeReader, map: FileMap): Generator<RawEntry> {
  const piece = new Uint8Array(pieceLength)
  for (let offset = 0; offset < map.length; offset += pieceLength) {
    const bytes = piece.subarray(0, Math.min(pieceLength, map.length - offset))
    map.read(reader, offset, bytes)
    for (let at = 0; at + entryLength <= bytes.length; at += entryLength) {
      const type = bytes[at] ?? 0
      if (type === 0) return
      const { inUse, isSecondary } = entryType(type)
      if (inUse && !isSecondary) yield { type, bytes: bytes.subarray(at, at + entryLength), offset: offset + at }
    }
  }
}

/**
 * Puts the entries of one file together. @throws ImageError corrupt E_FS_CORRUPT when they are not the ones a file has.
 */
export function readFileEntries(reader: VolumeReader, map: FileMap, primary: RawEntry): ExfatFile {
  const { position = 0 } = map.at(primary.offset)
  const file = exfatFileEntry.read(primary.bytes)
  const length = (file.secondaries + 1) * entryLength
  const broken = (what: string): Error =>
    damaged(reader.title, `the entries of a file are not whole: ${what}`, position)
  if (file.secondaries < 2) throw broken(`there are ${file.secondaries} further ones`)
  if (primary.offset + length > map.length) throw broken('the folder ends before them')
  const set = new Uint8Array(length)
  map.read(reader, primary.offset, set)
  if (set[entryLength] !== streamType) throw broken(`the second is of type ${set[entryLength] ?? 0}`)
  const stream = exfatStreamEntry.read(set, entryLength)
  let name = ''
  for (let at = entryLength * 2; at < length && name.length < stream.nameLength; at += entryLength) {
    if (set[at] !== nameType) throw broken(`one of its name is of type ${set[at] ?? 0}`)
    name += Buffer.from(set.subarray(at + 2, at + 2 + charactersPerName * 2)).toString('utf16le')
  }
  if (name.length < stream.nameLength)
    throw broken(`its name has ${stream.nameLength} characters, and there is room for ${name.length}`)
  return {
    name: name.slice(0, stream.nameLength),
    file,
    stream,
    position,
    checksumHolds: entrySetChecksum(set) === file.checksum,
  }
}
