import type { StructValues } from '../../binary/struct.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import type { ByteRun } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { recordFlags } from './entries.js'
import { record } from './structs.js'

/** Room for some five million names. */
const maximumFolder = 256 * 1024 * 1024
/** 4 TiB in pieces of 4 GiB. */
const mostSections = 1024

/** A file as a folder lists it; one that is larger than 4 GiB has several records. */
export interface IsoRecord {
  readonly values: StructValues<typeof record>
  readonly isFolder: boolean
  readonly name: Uint8Array
  readonly use: Uint8Array
  /** Where its content lies: bytes of the volume, in order. */
  readonly sections: readonly ByteRun[]
  /** Byte of the volume where the record lies. */
  readonly position: number
}

/** The record at a byte of a folder's content. @throws ImageError corrupt E_FS_CORRUPT. */
export function readRecord(bytes: Uint8Array, at: number, position: number, blockSize: number): IsoRecord {
  const values = record.read(bytes, at)
  const { length, nameLength, attributeBlocks, block, size, unitSize, gapSize } = values
  const nameEnd = record.size + nameLength
  if (nameLength === 0 || nameEnd > length || at + length > bytes.length)
    throw damaged('ISO 9660', `a record of ${length} bytes has a name of ${nameLength}`, position)
  if (unitSize !== 0 || gapSize !== 0)
    throw unsupported('E_FS_FEATURE', 'the ISO 9660 filesystem has files that are stored in turns')
  return {
    values,
    isFolder: recordFlags(values.flags).isFolder,
    name: bytes.subarray(at + record.size, at + nameEnd),
    // The name is filled up to an even length.
    use: bytes.subarray(at + nameEnd + (nameLength % 2 === 0 ? 1 : 0), at + length),
    sections: size === 0 ? [] : [{ offset: (block + attributeBlocks) * blockSize, length: size }],
    position,
  }
}

/** The records of a folder in the order of the disk, without itself and the folder above. @throws ImageError. */
export function* folderRecords(reader: VolumeReader, folder: ByteRun, blockSize: number): Generator<IsoRecord> {
  if (folder.length > maximumFolder)
    throw unsupported('E_FS_LIMIT', `a folder has ${folder.length} bytes, more than the ${maximumFolder} that are read`)
  let first: IsoRecord | undefined
  for (let start = 0; start < folder.length; start += blockSize) {
    const position = folder.offset + start
    const bytes = reader.bytes(position, Math.min(blockSize, folder.length - start))
    // Records do not cross the ends of blocks; what is left of one is zero.
    for (let at = 0; at + record.size <= bytes.length && (bytes[at] ?? 0) !== 0;) {
      const found = readRecord(bytes, at, position + at, blockSize)
      at += found.values.length
      if (found.name.length === 1 && (found.name[0] ?? 0) <= 1) continue
      const whole: IsoRecord =
        first === undefined ? found : { ...first, sections: [...first.sections, ...found.sections] }
      if (whole.sections.length > mostSections) throw damaged('ISO 9660', 'a file has too many parts', position)
      if (recordFlags(found.values.flags).goesOn) first = whole
      else {
        first = undefined
        yield whole
      }
    }
  }
  if (first !== undefined) throw damaged('ISO 9660', 'the last part of a file is missing', folder.offset)
}
