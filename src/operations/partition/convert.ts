import { patchedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import type { ImageIdentity } from '../../formats/driver.js'
import type { OpenedImage } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import { convertTable, readPartitionTable, type PartitionTable, type TableConversion } from '../../partition/index.js'
import { targetFormat, tryLayout, type TargetFormat } from '../transfer/layout.js'
import { convertFrom, type ConvertOptions, type ConvertResult } from '../transfer/convert.js'
import type { TargetOutput } from '../transfer/target-output.js'
import { imageIdentity } from '../transfer/identity.js'
import { openDisk, wholeDisk } from '../open/opening.js'
import { movedNotes } from './notes.js'

export interface ConvertTableOptions extends Omit<ConvertOptions, 'parent' | 'parentFrom' | 'size' | 'usedOnly'> {
  /** The kind of table that the new disk has; the same when left out. */
  readonly table?: 'gpt' | 'mbr'
  /** Lets partitions that end inside a sector of the new size end with it. */
  readonly roundEnds?: boolean
}

export interface ConvertTableResult extends ConvertResult {
  readonly before: { readonly scheme: string; readonly sectorSize: number }
  readonly after: { readonly scheme: 'gpt' | 'mbr'; readonly sectorSize: number }
}

/**
 * A new image of the same disk with another partition table: for sectors of 512 or 4096 bytes (`sectorSize`), GPT or
 * MBR. The content of partitions stays where it is.
 * @throws ImageError as `convert` does; usage E_NO_TABLE, E_SAME_TABLE, E_NOT_A_DISK; corrupt E_TABLE_DAMAGED; refused
 * E_SECTOR_MISFIT, E_PARTITIONS_DO_NOT_FIT, E_NO_ROOM, E_TYPE_LOST, E_ATTRIBUTES_LOST, E_HYBRID.
 */
export async function convertPartitionTable(
  argument: string,
  target: TargetOutput,
  options: ConvertTableOptions,
): Promise<ConvertTableResult> {
  const path = wholeDisk(argument, 'partition convert')
  const registry = options.registry ?? new Registry()
  const { table, roundEnds, sectorSize, ...rest } = options
  const format = targetFormat(
    registry,
    typeof target === 'string' ? target : undefined,
    options.to,
    options.options ?? {},
  )
  const identity = imageIdentity(options.uuid, options.time)
  let made: NewTable | undefined
  const compose = (open: Parameters<typeof openDisk>[1]): OpenedImage => {
    const opened = openDisk(path, open)
    try {
      if (opened.unreadable !== undefined) throw opened.unreadable
      made = newTable(opened, format, identity, { table, roundEnds, sectorSize })
      return opened.composed(patchedSource(opened, made.after.writes, made.after))
    } catch (error) {
      opened[Symbol.dispose]()
      throw error
    }
  }
  const result = await convertFrom({ open: compose, name: path }, target, { ...rest, registry })
  if (made === undefined) throw new TypeError('the disk was not put together')
  const { before, after, notes } = made
  return {
    ...result,
    notes: [...result.notes, ...notes],
    before: { scheme: before.scheme, sectorSize: before.sectorSize },
    after: { scheme: after.scheme, sectorSize: after.sectorSize },
  }
}

interface NewTable {
  readonly before: PartitionTable
  readonly after: TableConversion
  readonly notes: readonly Note[]
}

/** The table of an open disk as it is, and as it is to be. */
function newTable(
  opened: OpenedImage,
  format: TargetFormat,
  identity: ImageIdentity,
  { table: scheme, roundEnds, sectorSize }: Pick<ConvertTableOptions, 'table' | 'roundEnds' | 'sectorSize'>,
): NewTable {
  const before = readPartitionTable(opened)
  const newId = (name: string): string => identity.derive(name)
  const convert = (disk: BlockSource): TableConversion =>
    convertTable(disk, before, { newId, scheme, sectorSize, roundEnds })
  const first = convert(opened)
  // A format that does not record its sectors may still hold the disk: a note says so.
  const recorded = format.driver.features.sectorSizes.includes(first.sectorSize) ? first.sectorSize : 512
  // A second GPT is at the very end: what the format rounds up counts.
  const { capacity } = tryLayout(format, { capacity: first.capacity, sectorSize: recorded, identity })
  const after = capacity === first.capacity || first.scheme === 'mbr' ? first : convert(enlarged(opened, capacity))
  const rounded: Note = {
    code: 'W_ROUNDED_UP',
    message: `the disk is enlarged to ${capacity} bytes: ${format.driver.title} cannot hold its size exactly`,
  }
  const notes = [...(after === first ? [] : [rounded]), ...after.notes]
  return { before, after, notes: [...notes, ...contentNotes(opened, before, after.sectorSize)] }
}

function enlarged(disk: BlockSource, capacity: number): BlockSource {
  return patchedSource(disk, [], { capacity, sectorSize: disk.sectorSize })
}

function contentNotes(disk: BlockSource, { partitions, sectorSize: before }: PartitionTable, after: number): Note[] {
  if (before === after) return []
  return partitions
    .filter(({ role }) => role !== 'extended')
    .flatMap(({ number, start, length }) =>
      movedNotes(new SliceSource(disk, start, length), { start, sectorSize: after, number }),
    )
}
