import { ascii, struct, u16, u32 } from '../binary/struct.js'
import type { BlockSource } from '../block/types.js'
import type { Partition, TableIssue } from './types.js'

/**
 * Apple partition map: driver descriptor in block 0, a partition map entry in each block after it (Inside Macintosh:
 * Devices, 3).
 */
const driverDescriptor = struct('big', 8, { signature: ascii(0, 2), blockSize: u16(2), blockCount: u32(4) })
const mapEntry = struct('big', 92, {
  signature: ascii(0, 2),
  mapEntries: u32(4),
  start: u32(8),
  blocks: u32(12),
  name: ascii(16, 32),
  type: ascii(48, 32),
  dataStart: u32(80),
  dataBlocks: u32(84),
  status: u32(88, 'hex'),
})

/** No map is longer; a count above it is damage. */
const mostEntries = 4096

export interface ApmReading {
  readonly partitions: readonly Partition[]
  readonly issues: readonly TableIssue[]
  /** Bytes the map counts in: 512 or 2048. */
  readonly blockSize: number
  /** Byte where the map ends that begins with the disk. */
  readonly mapEnd: number
}

const statusNames: readonly (readonly [bit: number, name: string])[] = [
  [8, 'bootable'],
  [16, 'readable'],
  [32, 'writable'],
]

/** The Apple partition map of a disk; undefined when there is none. */
export function readApm(source: BlockSource): ApmReading | undefined {
  if (source.capacity < 1024) return undefined
  const block = new Uint8Array(512)
  source.read(0, block)
  const descriptor = driverDescriptor.read(block)
  // Hybrid CDs count in 2048 and put their entries 512 bytes apart.
  const steps = [
    ...new Set([
      [512, 1024, 2048, 4096].includes(descriptor.blockSize) && descriptor.signature === 'ER'
        ? descriptor.blockSize
        : 512,
      512,
    ]),
  ]
  const step = steps.find((size) => entryAt(source, size, block)?.signature === 'PM')
  if (
    step === undefined ||
    (descriptor.signature !== 'ER' && entryAt(source, step, block)?.type !== 'Apple_partition_map')
  )
    return undefined
  const issues: TableIssue[] = []
  const partitions: Partition[] = []
  const count = entryAt(source, step, block)?.mapEntries ?? 0
  let mapEnd = 2 * step
  if (count > mostEntries)
    issues.push({
      code: 'E_APM',
      severity: 'error',
      message: `the partition map says it has ${count} entries; the first ${mostEntries} are looked at`,
    })
  for (let number = 1; number <= Math.min(count, mostEntries); number++) {
    const entry = entryAt(source, number * step, block)
    if (entry?.signature !== 'PM') {
      issues.push({
        code: 'E_APM',
        severity: 'error',
        message: `entry ${number} of ${count} of the partition map is missing: the map ends there`,
      })
      break
    }
    mapEnd = (number + 1) * step
    if (entry.type === 'Apple_Free' || entry.type === 'Apple_Void') continue
    partitions.push({
      number,
      start: entry.start * step,
      length: entry.blocks * step,
      type: { id: entry.type, name: entry.type.replaceAll('_', ' ') },
      role: 'primary',
      ...(entry.name === '' ? {} : { label: entry.name }),
      flags: statusNames.filter(([bit]) => Math.floor(entry.status / bit) % 2 === 1).map(([, name]) => name),
    })
  }
  // A hybrid CD has a map for each block size, the smaller one between the entries of the other.
  return { partitions, issues, blockSize: step, mapEnd }
}

function entryAt(
  source: BlockSource,
  position: number,
  block: Uint8Array,
): ReturnType<typeof mapEntry.read> | undefined {
  if (position + 512 > source.capacity) return undefined
  source.read(position, block)
  return mapEntry.read(block)
}
