import { BytesSource } from '../../block/bytes-source.js'
import { ConcatenatedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { ZeroSource } from '../../block/zero.js'
import { corrupt, printable, unsupported, type ImageError } from '../../errors.js'
import { roundUp } from '../../binary/integers.js'
import type { ImageInside } from '../driver.js'
import { gptTail, isGpt, makeTable, type PlacedPartition } from './table.js'
import type { BackedTable } from './volumes.js'

/** A virtual disk of the backup, opened. */
export interface BackedDisk {
  readonly file: string
  /** The GUID of its volume: what the file is named after. */
  readonly volume: string | undefined
  readonly image: ImageInside
  readonly table: BackedTable | undefined
}

/** A disk of the machine: the virtual disks that hold its volumes. */
export interface Assembled {
  readonly source: BlockSource
  readonly sectorSize: 512 | 4096
  readonly kind: 'mbr' | 'gpt'
  readonly parts: readonly (PlacedPartition & { readonly file: string })[]
  readonly notes: readonly Note[]
}

const mebibyte = 1048576

export function hasPartitions({ table }: BackedDisk): boolean {
  return table !== undefined && table.partitions.length > 0
}

/** Virtual disks of one size are volumes of one disk, each at its own place. */
export function groupsOf(disks: readonly BackedDisk[]): BackedDisk[][] {
  const groups = new Map<string, BackedDisk[]>()
  for (const disk of disks) {
    if (!hasPartitions(disk)) continue
    const key = `${disk.image.capacity} ${disk.image.sectorSize}`
    groups.set(key, [...(groups.get(key) ?? []), disk])
  }
  return [...groups.values()]
}

/** @throws ImageError corrupt E_PART_RANGE, E_OVERLAP; unsupported E_UNSUPPORTED_FEATURE. */
export function assemble(disks: readonly BackedDisk[], label: string): Assembled {
  const [first] = disks
  if (first === undefined) throw new RangeError('a disk has at least one volume')
  const { sectorSize, capacity: recorded } = first.image
  const parts = disks
    .flatMap(({ file, volume, image, table }) =>
      (table?.partitions ?? []).map((partition) => ({ ...partition, file, volume, image })),
    )
    .sort((one, other) => one.start - other.start)
  const kind = isGpt(parts) ? 'gpt' : 'mbr'
  const headLength = kind === 'mbr' ? sectorSize : sectorSize + gptTail(sectorSize)
  let end = headLength
  for (const { start, length, file } of parts) {
    if (length <= 0 || start + length > recorded)
      throw corrupt('E_PART_RANGE', `${label}: the partition in ${printable(file)} leaves its disk`, {
        hint: alone(file),
      })
    if (start < end)
      throw corrupt('E_OVERLAP', `${label}: the partition in ${printable(file)} overlaps another, or the table`, {
        hint: alone(file),
      })
    end = start + length
  }
  if (kind === 'mbr' && parts.length > 4) throw tooMany(label, parts.length, first.file)
  const tailLength = kind === 'gpt' ? gptTail(sectorSize) : 0
  const capacity = Math.max(recorded, roundUp(end + tailLength, mebibyte))
  const tables = disks.flatMap(({ table }) => (table === undefined ? [] : [table]))
  const made = makeTable(parts, tables, { capacity, sectorSize })
  const pieces: BlockSource[] = [new BytesSource(made.head, 'the new table', sectorSize)]
  let at = made.head.length
  const fill = (to: number): void => {
    if (to > at) pieces.push(new ZeroSource(to - at, sectorSize))
    at = to
  }
  for (const { start, length, image } of parts) {
    fill(start)
    pieces.push(new SliceSource(image, start, length))
    at += length
  }
  fill(capacity - made.tail.length)
  if (made.tail.length > 0) pieces.push(new BytesSource(made.tail, 'the new table', sectorSize))
  return {
    source: new ConcatenatedSource(pieces, sectorSize),
    sectorSize,
    kind,
    parts,
    notes: [
      {
        code: 'W_TABLE_MADE',
        message:
          `${label}: the disk is put together of ${disks.length} virtual disks, and its ${kind.toUpperCase()} is ` +
          'made anew from theirs; what lay between the partitions is not in the backup, and reads as zero',
      },
    ],
  }
}

function alone(file: string): string {
  return `Each volume can be read alone: @disk=${printable(file)}`
}

function tooMany(label: string, count: number, file: string): ImageError {
  return unsupported(
    'E_UNSUPPORTED_FEATURE',
    `${label}: ${count} partitions without a GPT: the backup does not say which of them were logical`,
    { hint: alone(file) },
  )
}
