import { corrupt, printable } from '../../errors.js'

/** A partition as `sfdisk -d` lists it. Positions are bytes. */
export interface DumpedPartition {
  /** Without `/dev/`: `sda1`. */
  readonly device: string
  readonly start: number
  readonly size: number
  /** A GUID, or the byte of an MBR in hexadecimal: `83`. */
  readonly type: string
}

/** The partition table of a disk, as `sfdisk -d` writes it (NAME-pt.sf). */
export interface ListedTable {
  readonly label: 'gpt' | 'dos'
  readonly sectorSize: 512 | 4096
  readonly partitions: readonly DumpedPartition[]
}

const mostPartitions = 256

/** @throws ImageError corrupt E_BACKUP. */
export function parseTable(text: string, name: string): ListedTable {
  const bad = (why: string): Error => corrupt('E_BACKUP', `${name}: ${why}`)
  const field = (key: string): string | undefined => new RegExp(`^${key}:\\s*(\\S+)`, 'im').exec(text)?.[1]
  if (field('unit') !== 'sectors') throw bad('it is no list of partitions (sfdisk -d), or is damaged')
  const label = field('label') ?? 'dos'
  if (label !== 'gpt' && label !== 'dos')
    throw bad(`the partition table is of the kind ${printable(label)}, expected gpt or dos`)
  const sectorSize = Number(field('sector-size') ?? 512)
  if (sectorSize !== 512 && sectorSize !== 4096) throw bad(`sectors have ${sectorSize} bytes, expected 512 or 4096`)
  const partitions: DumpedPartition[] = []
  for (const line of text.split('\n')) {
    const [, path, rest] = /^\/dev\/(\S+)\s*:(.*)$/.exec(line) ?? []
    if (path === undefined || rest === undefined) continue
    const number = (key: string): number => Number(new RegExp(`\\b${key}=\\s*(\\d+)`).exec(rest)?.[1] ?? NaN)
    const [start, size] = [number('start') * sectorSize, number('size') * sectorSize]
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(size) || !Number.isSafeInteger(start + size))
      throw bad(`the line of ${printable(path)} has no start and size`)
    // Old versions list unused entries too.
    if (size === 0) continue
    const type = /\b(?:type|Id)=\s*([\dA-Fa-f-]+)/.exec(rest)?.[1] ?? ''
    if (partitions.length === mostPartitions) throw bad(`it lists more than ${mostPartitions} partitions`)
    partitions.push({ device: path.replaceAll('/', '-'), start, size, type: type.toLowerCase() })
  }
  return { label, sectorSize, partitions }
}

/** Whether a partition of an MBR holds others: its content is their tables. */
export function isContainer({ type }: DumpedPartition, { label }: ListedTable): boolean {
  return label === 'dos' && ['5', '05', 'f', '0f', '85'].includes(type)
}

/** The capacity in bytes by `parted unit s print` (NAME-pt.parted); undefined where it does not say. */
export function partedCapacity(text: string, sectorSize: number): number | undefined {
  const sectors = Number(/^Disk \/dev\/\S+: (\d+)s\s*$/m.exec(text)?.[1] ?? NaN)
  return Number.isSafeInteger(sectors * sectorSize) && sectors > 0 ? sectors * sectorSize : undefined
}
