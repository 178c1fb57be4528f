import type { BlockSource, Note } from '../../block/types.js'
import { usage } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { OpenedImage } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import {
  gptTypeFor,
  mbrTypeFor,
  openPartition,
  readPartitionTable,
  selectPartition,
  wrapPartition,
  wrappedCapacity,
  wrapStart,
  type Partition,
  type TableScheme,
  type TableWrapping,
} from '../../partition/index.js'
import { targetFormat, tryLayout, type TargetFormat } from '../transfer/layout.js'
import { convertFrom, type ConvertOptions, type ConvertResult } from '../transfer/convert.js'
import type { TargetOutput } from '../transfer/target-output.js'
import { imageIdentity } from '../transfer/identity.js'
import { openDisk, parseImageArgument } from '../open/opening.js'
import { movedNotes } from './notes.js'
import { takenNotes } from './table-overlap.js'
import { shellWord } from '../../sys/shell-word.js'

export interface ExtractOptions extends Omit<ConvertOptions, 'parent' | 'parentFrom'> {
  /** Puts a new disk with such a table around the partition. */
  readonly wrap?: 'gpt' | 'mbr'
}

export interface ExtractResult extends ConvertResult {
  /** The partition as it is on its disk; absent when the disk has no table and was taken whole. */
  readonly partition?: Partition
  /** The new disk around it: where the partition starts there, in bytes. */
  readonly wrapped?: { readonly scheme: 'gpt' | 'mbr'; readonly start: number; readonly type: string }
}

/**
 * Takes one partition out of a disk into an image of its own; with `wrap` into a new disk whose only partition it is.
 * @param argument the image and the partition: `disk.vhdx@2`. Without a partition only a disk that has no table can be
 * wrapped.
 * @throws ImageError as `convert` does; usage E_NO_PARTITION; corrupt E_PART_PAST_END; refused E_PARTITIONS_DO_NOT_FIT.
 */
export async function extractPartition(
  argument: string,
  target: TargetOutput,
  options: ExtractOptions = {},
): Promise<ExtractResult> {
  const registry = options.registry ?? new Registry()
  const { wrap, size, ...rest } = options
  const format = targetFormat(
    registry,
    typeof target === 'string' ? target : undefined,
    options.to,
    options.options ?? {},
  )
  let taken: Taken | undefined
  const compose = (open: Parameters<typeof openDisk>[1]): OpenedImage => {
    const opened = openDisk(parseImageArgument(argument).path, open)
    try {
      taken = take(opened, argument, wrap, format, { ...options, registry })
      // With a table around it, the table says its type.
      return opened.composed(taken.source, [], taken.name, wrap === undefined ? taken.partition?.type.id : undefined)
    } catch (error) {
      opened[Symbol.dispose]()
      throw error
    }
  }
  const { path } = parseImageArgument(argument)
  // A wrapped disk has its size already, since its table depends on it.
  const result = await convertFrom({ open: compose, name: path }, target, {
    ...rest,
    registry,
    ...(wrap === undefined ? { size } : {}),
  })
  return {
    ...result,
    notes: [...result.notes, ...(taken?.notes ?? [])],
    partition: taken?.partition,
    wrapped: taken?.wrapped,
  }
}

interface Taken {
  readonly source: BlockSource
  readonly name: string | undefined
  readonly notes: readonly Note[]
  readonly partition: Partition | undefined
  readonly wrapped: ExtractResult['wrapped']
}

function take(
  opened: OpenedImage,
  argument: string,
  wrap: 'gpt' | 'mbr' | undefined,
  format: TargetFormat,
  options: ExtractOptions,
): Taken {
  const table = readPartitionTable(opened)
  const { partition: selector, path } = parseImageArgument(argument)
  if (selector === undefined && (wrap === undefined || table.scheme !== 'none')) {
    throw usage('E_NO_PARTITION', `${opened.name}: which partition?`, { hint: `Name it: ${shellWord(`${path}@1`)}` })
  }
  const partition = selector === undefined ? undefined : selectPartition(table, selector, opened.name)
  const content = partition === undefined ? opened : openPartition(opened, partition, opened.name)
  const name = partition === undefined ? undefined : `partition ${partition.number}`
  const notes = partition === undefined ? [] : takenNotes(table, partition)
  if (wrap === undefined) return { source: content, name, notes, partition, wrapped: undefined }
  const sectorSize =
    options.sectorSize ?? (format.driver.features.sectorSizes.includes(table.sectorSize) ? table.sectorSize : 512)
  const wrapping = wrappingOf(wrap, sectorSize, table.scheme, partition, content, options)
  const identity = imageIdentity(options.uuid, options.time)
  // What the format rounds up counts: the second GPT is at the very end.
  const { capacity } = tryLayout(format, {
    capacity: options.size ?? wrappedCapacity(content.capacity),
    sectorSize,
    identity,
  })
  return {
    source: wrapPartition(content, wrapping, capacity),
    name,
    partition,
    wrapped: { scheme: wrap, start: wrapStart, type: wrapping.type },
    notes: [...notes, ...movedNotes(content, { start: wrapStart, sectorSize, number: 1 })],
  }
}

function wrappingOf(
  scheme: 'gpt' | 'mbr',
  sectorSize: 512 | 4096,
  from: TableScheme,
  partition: Partition | undefined,
  content: BlockSource,
  { uuid, time }: ExtractOptions,
): TableWrapping {
  const identity = imageIdentity(uuid, time)
  const active =
    partition?.flags.includes('active') === true || partition?.flags.includes('legacy BIOS bootable') === true
  return {
    scheme,
    sectorSize,
    active,
    type: typeFor(scheme, from, partition, content),
    diskId: identity.derive('disk'),
    partitionId: identity.derive('partition 1'),
    ...(scheme === 'gpt'
      ? { label: partition?.label, attributes: partition?.attributes ?? (active ? 4n : undefined) }
      : {}),
  }
}

const linux = { gpt: '0fc63daf-8483-4772-8e79-3d69d8477de4', mbr: '0x83' } as const
/** Types by what a partition holds, where its own type says nothing in the new table. */
const typesByContent: Readonly<Record<string, { readonly gpt: string; readonly mbr: string }>> = {
  ntfs: { gpt: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7', mbr: '0x07' },
  exfat: { gpt: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7', mbr: '0x07' },
  vfat: { gpt: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7', mbr: '0x0c' },
  swap: { gpt: '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f', mbr: '0x82' },
  LVM2_member: { gpt: 'e6d6d379-f507-44c2-a23c-238f2a3df928', mbr: '0x8e' },
  linux_raid_member: { gpt: 'a19d880f-05fc-4d3b-a006-743f0f84911e', mbr: '0xfd' },
}

function typeFor(
  scheme: 'gpt' | 'mbr',
  from: TableScheme,
  partition: Partition | undefined,
  content: BlockSource,
): string {
  const own =
    partition === undefined || (from !== 'gpt' && from !== 'mbr')
      ? undefined
      : from === scheme
        ? partition.type.id
        : scheme === 'gpt'
          ? gptTypeFor(Number(partition.type.id))
          : mbrTypeFor(partition.type.id)?.toString()
  if (own !== undefined) return own
  const [filesystem] = identifyFilesystems(content)
  return (typesByContent[filesystem?.type ?? ''] ?? linux)[scheme]
}
