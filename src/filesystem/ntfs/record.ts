import { safeNumber, viewOf } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { attributeFlags } from './entries.js'
import { attributeHead, fileRecord, nonResidentHead, residentHead } from './structs.js'

const fixupStride = 512
const endOfAttributes = 0xffffffff

/** Records below belong to NTFS itself. */
export const firstUserRecord = 16

/** Types of attributes. */
export const attributeTypes = {
  standardInformation: 0x10,
  attributeList: 0x20,
  fileName: 0x30,
  volumeName: 0x60,
  volumeInformation: 0x70,
  data: 0x80,
  indexRoot: 0x90,
  indexAllocation: 0xa0,
  reparsePoint: 0xc0,
} as const

/** An attribute, or the part of one that a record holds. Sizes are bytes, VCNs count clusters of the attribute. */
export interface Attribute {
  readonly type: number
  readonly name: string
  readonly id: number
  readonly isCompressed: boolean
  readonly isEncrypted: boolean
  readonly isSparse: boolean
  readonly content:
    | { readonly resident: true; readonly value: Uint8Array }
    | {
        readonly resident: false
        readonly startVcn: number
        readonly endVcn: number
        readonly runs: Uint8Array
        readonly compressionUnit: number
        readonly realSize: number
        readonly initializedSize: number
      }
}

/** A record of the master file table with its attributes. */
export interface FileRecord {
  readonly number: number
  readonly sequence: number
  readonly flags: number
  /** Reference to the record that this one continues; 0 for a file's first. */
  readonly base: bigint
  readonly attributes: readonly Attribute[]
  /** What stands there, with the fixups applied; values of attributes are views of it. */
  readonly bytes: Uint8Array
}

/**
 * Puts back the last two bytes of every 512, which are kept elsewhere so that a torn write is noticed.
 * @param what for messages. @throws ImageError corrupt E_FS_CORRUPT when they do not match.
 */
export function applyFixups(
  bytes: Uint8Array,
  { fixupOffset, fixupCount }: { fixupOffset: number; fixupCount: number },
  what: string,
): void {
  const view = viewOf(bytes)
  const strides = bytes.length / fixupStride
  if (fixupCount - 1 !== strides || fixupOffset % 2 !== 0 || fixupOffset + fixupCount * 2 > bytes.length) {
    throw damaged('NTFS', `${what} has ${fixupCount} fixups at byte ${fixupOffset}, and ${strides + 1} are needed`)
  }
  const stamp = view.getUint16(fixupOffset, true)
  for (let stride = 1; stride <= strides; stride++) {
    const place = stride * fixupStride - 2
    const found = view.getUint16(place, true)
    if (found !== stamp)
      throw damaged(
        'NTFS',
        `${what} was written in part only: its sector ${stride - 1} ends with ${found} instead of ${stamp}`,
      )
    view.setUint16(place, view.getUint16(fixupOffset + stride * 2, true), true)
  }
}

/**
 * Where in a record on the disk its byte `at` stands: the last two of every 512 are kept elsewhere.
 * @param record bytes with the fixups applied.
 */
export function storedPlace(record: Uint8Array, at: number): number {
  const within = at % fixupStride
  if (within < fixupStride - 2) return at
  const { fixupOffset } = fileRecord.read(record)
  return fixupOffset + (Math.floor(at / fixupStride) + 1) * 2 + within - (fixupStride - 2)
}

/** Reads a record. The bytes are changed (fixups) and kept. @throws ImageError corrupt E_FS_CORRUPT. */
export function readRecord(bytes: Uint8Array, number: number): FileRecord {
  const what = `record ${number} of the master file table`
  const head = fileRecord.read(bytes)
  if (head.magic !== 'FILE')
    throw damaged(
      'NTFS',
      `${what} begins with ` +
        `${JSON.stringify(head.magic)}${head.magic === 'BAAD' ? ', as chkdsk marks damaged ones' : ''}`,
    )
  applyFixups(bytes, head, what)
  const end = Math.min(head.bytesInUse, bytes.length)
  return {
    number,
    sequence: head.sequence,
    flags: head.flags,
    base: head.baseRecord,
    bytes,
    attributes: readAttributes(bytes.subarray(0, end), head.firstAttribute, what),
  }
}

function readAttributes(bytes: Uint8Array, first: number, what: string): Attribute[] {
  const attributes: Attribute[] = []
  const view = viewOf(bytes)
  let at = first
  for (;;) {
    if (at + 4 > bytes.length || at % 4 !== 0) throw damaged('NTFS', `${what} has no end of its attributes`)
    if (view.getUint32(at, true) === endOfAttributes) return attributes
    const length = at + 8 > bytes.length ? 0 : view.getUint32(at + 4, true)
    if (length < residentHead.size || at + length > bytes.length)
      throw damaged('NTFS', `${what} has an attribute of ${length} bytes at byte ${at}`)
    attributes.push(readAttribute(bytes.subarray(at, at + length), what))
    at += length
  }
}

function readAttribute(bytes: Uint8Array, what: string): Attribute {
  const head = attributeHead.read(bytes)
  const nameEnd = head.nameOffset + head.nameLength * 2
  if (head.nameLength > 0 && nameEnd > bytes.length)
    throw damaged('NTFS', `${what} has an attribute whose name leaves it`)
  const common = {
    type: head.type,
    name: utf16Text(bytes.subarray(head.nameOffset, head.nameLength > 0 ? nameEnd : head.nameOffset)),
    id: head.id,
    ...attributeFlags(head.flags),
  }
  if (head.nonResident === 0) {
    const { valueLength, valueOffset } = residentHead.read(bytes)
    if (valueOffset + valueLength > bytes.length)
      throw damaged('NTFS', `${what} has an attribute whose value of ${valueLength} bytes leaves it`)
    return { ...common, content: { resident: true, value: bytes.subarray(valueOffset, valueOffset + valueLength) } }
  }
  if (bytes.length < nonResidentHead.size)
    throw damaged('NTFS', `${what} has an attribute of ${bytes.length} bytes for runs`)
  const { startVcn, endVcn, runsOffset, compressionUnit, realSize, initializedSize } = nonResidentHead.read(bytes)
  if (runsOffset > bytes.length) throw damaged('NTFS', `${what} has an attribute whose runs leave it`)
  // An empty attribute ends at VCN −1.
  const end = endVcn === 0xffffffffffffffffn ? -1 : safeNumber(endVcn, 'the last VCN of an attribute')
  return {
    ...common,
    content: {
      resident: false,
      startVcn: safeNumber(startVcn, 'the first VCN of an attribute'),
      endVcn: end,
      runs: bytes.subarray(runsOffset),
      compressionUnit,
      // Only the part with VCN 0 has sizes.
      ...(startVcn === 0n
        ? {
            realSize: safeNumber(realSize, 'the size of an attribute'),
            initializedSize: safeNumber(initializedSize, 'the initialized size of an attribute'),
          }
        : { realSize: 0, initializedSize: 0 }),
    },
  }
}

/** UTF-16 as it is stored, also where it is not well formed. */
export function utf16Text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - (bytes.length % 2)).toString('utf16le')
}
