import { crc32 } from 'node:zlib'
import { nilUuid } from '../../binary/struct.js'
import { parseXml, type XmlElement } from '../../binary/xml.js'
import type { BlockSource } from '../../block/types.js'
import { gptEntryCount, backedGptEntry, backedGptHeader, mbr, mbrEntries, backedMbrEntry, types } from './structs.js'

/** A partition of one virtual disk of the backup. Positions and lengths are bytes. */
export interface BackedPartition {
  readonly start: number
  readonly length: number
  /** Its type in an MBR; undefined where the table is a GPT. */
  readonly mbrType?: number
  readonly active: boolean
  /** Its entry in a GPT. */
  readonly gpt?: { readonly type: string; readonly id: string; readonly attributes: bigint; readonly name: Uint8Array }
}

/** What the table of a virtual disk says. */
export interface BackedTable {
  readonly kind: 'mbr' | 'gpt'
  readonly partitions: readonly BackedPartition[]
  readonly diskSignature: number
  readonly bootCode: Uint8Array
  readonly diskId: string | undefined
}

/** Undefined without a sound table: a damaged one, a volume, nothing. @throws ImageError where it cannot be read. */
export function tableOf(disk: BlockSource): BackedTable | undefined {
  const { sectorSize, capacity } = disk
  if (capacity < 64 * sectorSize) return undefined
  const sector = new Uint8Array(512)
  disk.read(0, sector)
  const { code, diskSignature, signature } = mbr.read(sector)
  // The boot sector of a volume has the same mark.
  const oem = Buffer.from(sector.subarray(3, 11)).toString('latin1')
  if (signature !== 0xaa55 || /^(?:NTFS|EXFAT|MSDOS|-FVE-FS|ReFS)/.test(oem)) return undefined
  const partitions: BackedPartition[] = []
  for (let index = 0; index < 4; index++) {
    const { status, type, first, count } = backedMbrEntry.read(sector, mbrEntries + index * backedMbrEntry.size)
    if (type === types.protective) return gptOf(disk, diskSignature, code)
    if (type === 0 || count === 0) continue
    partitions.push({ start: first * sectorSize, length: count * sectorSize, mbrType: type, active: status === 0x80 })
  }
  return { kind: 'mbr', partitions, diskSignature, bootCode: code, diskId: undefined }
}

function gptOf(disk: BlockSource, diskSignature: number, bootCode: Uint8Array): BackedTable | undefined {
  const { sectorSize, capacity } = disk
  const head = new Uint8Array(sectorSize)
  disk.read(sectorSize, head)
  const { signature, headerSize, checksum, entriesAt, entryCount, entrySize, entriesChecksum, diskId } =
    backedGptHeader.read(head)
  const at = Number(entriesAt) * sectorSize
  if (
    Buffer.from(signature).toString('latin1') !== 'EFI PART' ||
    headerSize < backedGptHeader.size ||
    headerSize > sectorSize ||
    entrySize !== backedGptEntry.size ||
    entryCount > 4 * gptEntryCount ||
    at + entryCount * backedGptEntry.size > capacity
  )
    return undefined
  const bytes = new Uint8Array(entryCount * backedGptEntry.size)
  disk.read(at, bytes)
  head.fill(0, 16, 20)
  if (crc32(head.subarray(0, headerSize)) !== checksum || crc32(bytes) !== entriesChecksum) return undefined
  const partitions: BackedPartition[] = []
  for (let index = 0; index < entryCount; index++) {
    const { type, id, first, last, attributes, name } = backedGptEntry.read(bytes, index * backedGptEntry.size)
    if (type === nilUuid) continue
    const start = Number(first) * sectorSize
    const length = (Number(last) + 1) * sectorSize - start
    partitions.push({ start, length, active: false, gpt: { type, id, attributes, name } })
  }
  return { kind: 'gpt', partitions, diskSignature, bootCode, diskId }
}

/**
 * The volumes that a backup lists, by their GUIDs, with where they were mounted (empty where nowhere).
 * @throws SyntaxError where the list is no XML.
 */
export function listedVolumes(specs: Uint8Array): ReadonlyMap<string, string> {
  const volumes = new Map<string, string>()
  collect(parseXml(textOf(specs)), volumes)
  return volumes
}

function collect({ name, attributes, children }: XmlElement, volumes: Map<string, string>): void {
  const guid = /\{([0-9a-f-]{36})\}/i.exec(attributes.get('Name') ?? '')?.[1]?.toLowerCase()
  const point = attributes.get('AccessPath') ?? attributes.get('OriginalAccessPath') ?? ''
  if (name === 'Volume' && guid !== undefined && (point !== '' || !volumes.has(guid))) volumes.set(guid, point)
  for (const child of children) collect(child, volumes)
}

function textOf(bytes: Uint8Array): string {
  const order = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[1] === 0 ? 'utf-16le' : 'utf-8'
  return new TextDecoder(order).decode(bytes)
}
