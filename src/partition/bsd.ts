import { xorOfWords } from '../binary/checksum.js'
import { roundUp } from '../binary/integers.js'
import { struct, u16, u32, u8 } from '../binary/struct.js'
import type { BlockSource } from '../block/types.js'
import type { Partition, TableIssue } from './types.js'

/** BSD disklabel (sys/disklabel.h): the part that is read. */
const label = struct('little', 148, {
  magic: u32(0, 'hex'),
  sectorSize: u32(40),
  sectorsPerUnit: u32(60),
  magic2: u32(132, 'hex'),
  checksum: u16(136),
  partitions: u16(138),
  bootSize: u32(140),
})
const labelEntry = struct('little', 16, { size: u32(0), offset: u32(4), fragment: u32(8), type: u8(12) })

const labelMagic = 0x82564557
/** Where labels are: sector 1 (FreeBSD, OpenBSD), byte 64 of sector 0 (NetBSD, parted). */
const places = [512, 64]
const mostPartitions = 22
/** Bytes of boot code around a label that are believed. */
const mostBoot = 65536
/** Types of slices of FreeBSD, OpenBSD and NetBSD, in which a label divides further. */
export const bsdSliceTypes: readonly string[] = ['0xa5', '0xa6', '0xa9']

const typeNames: Readonly<Record<number, string>> = {
  1: 'swap',
  7: '4.2BSD',
  8: 'MSDOS',
  13: 'HPFS',
  14: 'ISO 9660',
  15: 'boot',
  17: 'ext2',
  18: 'NTFS',
  19: 'RAID',
  27: 'ZFS',
}

export interface BsdReading {
  readonly partitions: readonly Partition[]
  readonly issues: readonly TableIssue[]
  /** The label and the boot code around it, in bytes; `end` is exclusive. */
  readonly start: number
  readonly end: number
}

/** The BSD label of a disk or slice; undefined when there is none. Partition `a` is number 1. */
export function readBsd(source: BlockSource): BsdReading | undefined {
  const block = new Uint8Array(Math.min(1536, source.capacity))
  source.read(0, block)
  const at = places.find(
    (place) =>
      place + 148 <= block.length &&
      label.read(block, place).magic === labelMagic &&
      label.read(block, place).magic2 === labelMagic,
  )
  if (at === undefined) return undefined
  const values = label.read(block, at)
  const issues: TableIssue[] = []
  const count = Math.min(values.partitions, mostPartitions)
  if (count < values.partitions)
    issues.push({
      code: 'W_BSD_COUNT',
      severity: 'warning',
      message: `the BSD label says it has ${values.partitions} partitions; the first ${count} are looked at`,
    })
  if (xorOfWords(block.subarray(at, at + 148 + count * 16)) !== 0)
    issues.push({ code: 'W_BSD_CHECKSUM', severity: 'warning', message: 'the checksum of the BSD label is wrong' })
  const sectorSize = [512, 1024, 2048, 4096].includes(values.sectorSize) ? values.sectorSize : 512
  const partitions: Partition[] = []
  for (let index = 0; index < count && at + 148 + index * 16 + 16 <= block.length; index++) {
    const entry = labelEntry.read(block, at + 148 + index * 16)
    const letter = String.fromCharCode(97 + index)
    // `c` is the whole slice, and type 0 is unused.
    if (entry.size === 0 || entry.type === 0) continue
    partitions.push({
      number: index + 1,
      start: entry.offset * sectorSize,
      length: entry.size * sectorSize,
      role: 'primary',
      label: letter,
      flags: [],
      type: {
        id: `0x${entry.type.toString(16).padStart(2, '0')}`,
        name: typeNames[entry.type] ?? `BSD type ${entry.type}`,
      },
    })
  }
  const labelEnd = roundUp(at + 148 + count * 16, 512)
  const end = values.bootSize <= mostBoot ? Math.max(labelEnd, roundUp(values.bootSize, 512)) : labelEnd
  return { partitions, issues, start: 0, end }
}
