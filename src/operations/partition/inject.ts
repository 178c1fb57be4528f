import { changingInPlace } from '../change/left-state.js'
import { ConcatenatedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { corrupt, refused, usage } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { openToChange } from '../in-use/changing.js'
import { guardSource } from '../in-use/guard.js'
import { readPartitionTable, selectPartition, type Partition } from '../../partition/index.js'
import { convertFrom, type ConvertOptions, type ConvertResult } from '../transfer/convert.js'
import {
  chainOptions,
  openDisk,
  openReadable,
  parseImageArgument,
  readOptions,
  sourceInfo,
  verifyStored,
  type ReadOptions,
  type SourceInfo,
} from '../open/opening.js'
import { guardTable, overlapNotes, tableOverlap, withTable } from './table-overlap.js'
import { guardMember, lossNotes } from './resized-volume.js'
import { movedNotes, slackNotes, slackOf, type Slack } from './notes.js'
import { shellWord } from '../../sys/shell-word.js'

export interface InjectOptions extends Omit<ConvertOptions, 'parent' | 'parentFrom' | 'size' | 'usedOnly'> {
  /** The new image; with `inPlace` the disk's own image is changed instead. One of the two. */
  readonly output?: string
  readonly inPlace?: boolean
  /** Overwrites what the table of the disk has inside the partition: a boot record of another one, a backup. */
  readonly allowTableLoss?: boolean
  /** Puts in what is a member (RAID, dynamic disk) at its own size only. */
  readonly allowMisplacedMetadata?: boolean
  /** How the image that is put in is opened. */
  readonly content?: Pick<ReadOptions, 'from' | 'fromOptions' | 'snapshot'>
}

export interface InjectResult {
  readonly disk: SourceInfo
  readonly partition: Partition
  readonly source: SourceInfo
  readonly slack: Slack
  readonly inPlace: boolean
  /** The new image. */
  readonly target?: ConvertResult['target']
  readonly verified: boolean
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/**
 * Puts an image into a partition: into a copy of the disk, or in place. What the image does not reach of the partition
 * reads as zero, but for what the table of the disk has there.
 * @param argument the disk and the partition: `disk.vhdx@2`. @param source any image, or a partition of one.
 * @throws ImageError usage E_NO_PARTITION, E_TARGET; refused E_DOES_NOT_FIT, E_SAME_FILE, E_TABLE_IN_PARTITION; corrupt
 * E_PART_PAST_END;
 * those of `convert` and of changing images.
 */
export async function injectPartition(argument: string, source: string, options: InjectOptions): Promise<InjectResult> {
  const { output, inPlace = false, content, ...rest } = options
  if ((output === undefined) === !inPlace)
    throw usage('E_TARGET', 'where is the changed disk to be?', {
      hint: "Say --output FILE for a new image, or --in-place to change the disk's own.",
    })
  if (parseImageArgument(argument).partition === undefined)
    throw usage('E_NO_PARTITION', `${argument}: into which partition?`, {
      hint: `Name it: ${shellWord(`${argument}@1`)}`,
    })
  using opened = openReadable(source, { ...chainOptions(rest), ...content })
  // What goes into a copy is verified with the disk that it is put into.
  if (inPlace) await verifyStored(opened, rest)
  return output === undefined
    ? await changingInPlace(
        () => 'The partition may hold a part of the new content and the rest of the old: write it again.',
        () => changeInPlace(argument, source, opened, rest),
      )
    : await intoCopy(argument, source, opened, output, rest)
}

/** What goes where, after the checks. */
interface Plan {
  readonly partition: Partition
  readonly slack: Slack
  /** The partition as it is to read, all of it. */
  readonly content: BlockSource
  readonly notes: readonly Note[]
}

function planned(
  disk: BlockSource,
  name: string,
  argument: string,
  content: OpenedImage,
  {
    allowTableLoss = false,
    allowMisplacedMetadata = false,
  }: Pick<InjectOptions, 'allowTableLoss' | 'allowMisplacedMetadata'>,
): Plan {
  const table = readPartitionTable(disk)
  const { partition: selector } = parseImageArgument(argument)
  if (selector === undefined) throw usage('E_NO_PARTITION', `${name}: into which partition?`)
  const partition = selectPartition(table, selector, name)
  const { number, start, length } = partition
  if (start + length > disk.capacity)
    throw corrupt(
      'E_PART_PAST_END',
      `partition ${number} of ${name} ends at byte ${start + length}, and the disk has ${disk.capacity}`,
      { details: { partition: number } },
    )
  if (content.capacity > length) {
    throw refused(
      'E_DOES_NOT_FIT',
      `${content.name} has ${content.capacity} bytes, and partition ${number} of ${name} has ${length}: ` +
        `${content.capacity - length} too few`,
      {
        hint:
          'Shrink its filesystem and cut the image with convert --size, or enlarge the partition. No flag ' +
          'overrides this.',
        details: { capacity: content.capacity, length },
      },
    )
  }
  const where = `partition ${number} of ${name}`
  if (!allowMisplacedMetadata) guardMember(content.name, content, length, where)
  const overlap = tableOverlap(disk, table, partition, content)
  guardTable(overlap, partition, name, allowTableLoss)
  const slack = slackOf(content, partition)
  return {
    partition,
    slack,
    content: withTable(disk, partition, content, overlap),
    notes: [
      ...lossNotes(content.name, content, length, where),
      ...overlapNotes(overlap, partition),
      ...slackNotes(slack, number),
      ...movedNotes(content, { start, sectorSize: table.sectorSize, number }),
    ],
  }
}

async function intoCopy(
  argument: string,
  source: string,
  content: OpenedImage,
  output: string,
  options: Omit<InjectOptions, 'output' | 'inPlace' | 'content'>,
): Promise<InjectResult> {
  const { path } = parseImageArgument(argument)
  const made: { plan?: Plan; disk?: SourceInfo } = {}
  const result = await convertFrom(
    {
      name: path,
      open: (open) => {
        let disk: OpenedImage | undefined
        try {
          disk = openDisk(path, open)
          if (disk.unreadable !== undefined) throw disk.unreadable
          const plan = planned(disk, disk.name, argument, content, options)
          Object.assign(made, { plan, disk: sourceInfo(path, disk) })
          return disk.composed(inserted(disk, plan.partition, plan.content), [content])
        } catch (error) {
          disk?.[Symbol.dispose]()
          throw error
        }
      },
    },
    output,
    options,
  )
  const { plan, disk } = made
  if (plan === undefined || disk === undefined) throw new TypeError('the disk was not put together')
  return {
    disk,
    partition: plan.partition,
    slack: plan.slack,
    inPlace: false,
    source: sourceInfo(parseImageArgument(source).path, content),
    target: result.target,
    verified: result.verified,
    dryRun: result.dryRun,
    notes: [...result.notes, ...plan.notes],
  }
}

/** The disk with another content of all of one partition. Nothing is copied. */
function inserted(disk: BlockSource, { start, length }: Partition, content: BlockSource): BlockSource {
  const end = start + length
  return new ConcatenatedSource(
    [new SliceSource(disk, 0, start), content, new SliceSource(disk, end, disk.capacity - end)],
    disk.sectorSize,
  )
}

async function changeInPlace(
  argument: string,
  source: string,
  content: OpenedImage,
  options: Omit<InjectOptions, 'output' | 'inPlace' | 'content'>,
): Promise<InjectResult> {
  const { path } = parseImageArgument(argument)
  const { writeContent } = await import('../change/write-in-place.js')
  using target = openToChange(path, readOptions(options))
  const shared = target.opened.files.find((file) =>
    content.files.some(({ device, inode }) => device === file.device && inode === file.inode),
  )
  if (shared !== undefined)
    throw refused('E_SAME_FILE', `${shared.path} is a file of both images: it cannot be read and changed at once`, {
      hint: 'Take the partition out first (vdisk partition extract), or use --output. No flag overrides this.',
    })
  guardSource(
    path,
    content.files.map((file) => file.path),
  )
  const { name } = target.opened
  target.opened.findDamage()
  const plan = planned(target.disk, name, argument, content, options)
  if (options.dryRun !== true)
    await writeContent(target, plan.partition.start, plan.partition.length, plan.content, {
      signal: options.signal,
      onProgress: options.onProgress,
    })
  content.assertUnchanged()
  return {
    disk: sourceInfo(path, target.opened),
    partition: plan.partition,
    slack: plan.slack,
    inPlace: true,
    source: sourceInfo(parseImageArgument(source).path, content),
    verified: false,
    dryRun: options.dryRun === true,
    notes: [...target.opened.notes, ...content.notes, ...plan.notes],
  }
}
