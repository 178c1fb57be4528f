import { safeNumber } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import { damaged } from '../damage.js'
import { FileMap } from '../file-map.js'
import type { VolumeReader } from '../volume-reader.js'
import { recordFlags, recordReference } from './entries.js'
import type { NtfsLayout } from './layout.js'
import { attributeTypes, readRecord, utf16Text, type Attribute, type FileRecord } from './record.js'
import { addRuns, openStream, type Stream } from './stream.js'
import { attributeListEntry } from './structs.js'

/** Windows allows 256 KiB. */
const maximumAttributeList = 1024 * 1024
const keptRecords = 256

interface Listed {
  readonly type: number
  readonly name: string
  readonly startVcn: number
  readonly record: bigint
  readonly id: number
}

/** The master file table: records by number, and the attributes of a file wherever its records lie. */
export class Mft {
  readonly #reader: VolumeReader
  readonly #layout: NtfsLayout
  readonly #map = new FileMap()
  readonly #kept = new Recent<FileRecord>(keptRecords, (number) => this.#load(number))
  /** Known once the table's own record was read. */
  #records = Infinity
  readonly #lists = new WeakMap<FileRecord, Listed[]>()

  /** @throws ImageError corrupt E_FS_CORRUPT when the table's own record is damaged. */
  constructor(reader: VolumeReader, layout: NtfsLayout) {
    this.#reader = reader
    this.#layout = layout
    const own = readRecord(reader.bytes(layout.mftStart, layout.recordSize), 0)
    this.#kept.set(0, own)
    const first = own.attributes.find((attribute) => attribute.type === attributeTypes.data && attribute.name === '')
    if (first === undefined || first.content.resident)
      throw damaged('NTFS', 'the master file table does not say where it lies', layout.mftStart)
    addRuns(this.#map, first, layout)
    // Further parts lie in records that the parts before them contain.
    for (const part of this.attributes(own, attributeTypes.data).slice(1)) addRuns(this.#map, part, layout)
    this.#records = Math.floor(Math.min(first.content.realSize, this.#map.length) / layout.recordSize)
  }

  /**
   * @throws ImageError corrupt E_FS_CORRUPT; also when the record is not in use, or used anew since the reference was
   * made (`sequence`).
   */
  record(number: number, sequence?: number): FileRecord {
    const record = this.#kept.get(number)
    if (!recordFlags(record.flags).inUse)
      throw damaged('NTFS', `record ${number} of the master file table is not in use, but something refers to it`)
    if (sequence !== undefined && sequence !== 0 && record.sequence !== sequence) {
      throw damaged(
        'NTFS',
        `record ${number} of the master file table has the sequence number ${record.sequence}, and ` +
          `${sequence} was expected`,
      )
    }
    return record
  }

  /**
   * The attributes of a type and name; those of one that lies in parts come in order of their VCN.
   * @param name null: any.
   */
  attributes(file: FileRecord, type: number, name: string | null = ''): Attribute[] {
    const matches = (other: { readonly type: number; readonly name: string }): boolean =>
      other.type === type && (name === null || other.name === name)
    const list = file.attributes.find((attribute) => attribute.type === attributeTypes.attributeList)
    if (list === undefined) return file.attributes.filter(matches)
    let listed = this.#lists.get(file)
    if (listed === undefined) this.#lists.set(file, (listed = this.#list(list)))
    return listed
      .filter(matches)
      .sort((one, other) => one.startVcn - other.startVcn)
      .map((listed) => this.#listedAttribute(file, listed))
  }

  /** The content of an attribute; empty when there is none. @throws ImageError. */
  stream(file: FileRecord, type: number, name = ''): Stream {
    return openStream(this.#reader, this.attributes(file, type, name), this.#layout)
  }

  /** The byte of the volume where byte `at` of a record stands. @throws ImageError corrupt E_FS_CORRUPT. */
  place(number: number, at: number): number {
    const offset = number * this.#layout.recordSize + at
    const { position } = this.#map.at(offset)
    if (position === undefined) throw damaged('NTFS', `record ${number} lies in a hole of the master file table`)
    return position
  }

  /** Where the clusters of an attribute lie, whatever its parts. @throws ImageError corrupt E_FS_CORRUPT. */
  clusters(parts: readonly Attribute[]): FileMap {
    const map = new FileMap()
    for (const part of parts) addRuns(map, part, this.#layout)
    return map
  }

  #load(number: number): FileRecord {
    const { recordSize } = this.#layout
    if (!Number.isSafeInteger(number) || (number + 1) * recordSize > this.#map.length || number >= this.#records) {
      throw damaged('NTFS', `record ${number} is needed, and the master file table ends before it`)
    }
    const bytes = new Uint8Array(recordSize)
    this.#map.read(
      { read: (position, target) => target.set(this.#reader.bytes(position, target.length)) },
      number * recordSize,
      bytes,
    )
    return readRecord(bytes, number)
  }

  #listedAttribute(file: FileRecord, { record, type, id }: Listed): Attribute {
    const { number, sequence } = recordReference(record)
    const holder = number === file.number ? file : this.record(number, sequence)
    if (holder !== file && recordReference(holder.base).number !== file.number) {
      throw damaged(
        'NTFS',
        `the attribute list of record ${file.number} names record ${number}, which belongs to record ` +
          `${recordReference(holder.base).number}`,
      )
    }
    const found = holder.attributes.find((attribute) => attribute.type === type && attribute.id === id)
    if (found === undefined)
      throw damaged(
        'NTFS',
        `the attribute list of record ${file.number} names attribute ${id} of record ${number}, which is not there`,
      )
    return found
  }

  #list(attribute: Attribute): Listed[] {
    const stream = openStream(this.#reader, [attribute], this.#layout)
    if (stream.size > maximumAttributeList) throw damaged('NTFS', `an attribute list has ${stream.size} bytes`)
    const bytes = new Uint8Array(stream.size)
    stream.read(0, bytes)
    const listed: Listed[] = []
    for (let at = 0; at + attributeListEntry.size <= bytes.length;) {
      const entry = attributeListEntry.read(bytes, at)
      const nameStart = at + entry.nameOffset
      if (
        entry.length < attributeListEntry.size ||
        at + entry.length > bytes.length ||
        nameStart + entry.nameLength * 2 > bytes.length
      ) {
        throw damaged('NTFS', `an attribute list has an entry of ${entry.length} bytes at its byte ${at}`)
      }
      listed.push({
        ...entry,
        name: utf16Text(bytes.subarray(nameStart, nameStart + entry.nameLength * 2)),
        startVcn: safeNumber(entry.startVcn, 'the first VCN of an attribute'),
      })
      at += entry.length
    }
    return listed
  }
}
