import { shrinkFirst } from './fit.js'
import { targetPath, type Refusal, type TargetFacts, type TargetOverrides } from './target-facts.js'

/** A disk goes to a disk, and a partition to a partition. */
export function shapeRefusals(facts: TargetFacts): Refusal[] {
  const { disk, partition, content } = facts
  if (partition !== undefined && !content.isPartition && content.scheme !== 'none') {
    return [
      {
        guard: 'shape',
        code: 'E_DISK_TO_PARTITION',
        reasons: [
          `${content.name} is a whole disk with a partition table, and ${partition.path} is a partition: ` +
            'systems do not look for a table in it',
        ],
        hint: 'Write one partition of it with --partition N, or take a whole disk. No flag overrides this.',
      },
    ]
  }
  const isWhole = partition === undefined && (disk.kind === 'disk' || disk.kind === 'loop' || disk.kind === 'network')
  if (!isWhole || (!content.isPartition && content.scheme !== 'none')) return []
  return [
    {
      guard: 'shape',
      code: 'E_PARTITION_TO_DISK',
      override: 'allowNoTable',
      reasons: [
        `${content.name} is ${content.isPartition ? 'a partition' : 'no disk with a partition table'}, and ` +
          `${disk.path} is a whole disk: it would have no partitions`,
      ],
      hint: 'Write it to a partition; with --allow-no-table it takes the whole disk.',
    },
  ]
}

/** What is written has a place on the target, and counts in its sectors. */
export function sizeRefusals(facts: TargetFacts, overrides: TargetOverrides): Refusal[] {
  const { disk, partition, content } = facts
  const size = partition?.size ?? disk.size
  const found: Refusal[] = []
  if (disk.size > 0 && content.capacity > size) {
    const { fitting = { fits: false, why: 'that was not looked at' } } = content
    const reason =
      `${content.name} has ${content.capacity} bytes, and ${targetPath(facts)} has ${size}: ` +
      `${content.capacity - size} too few`
    if (!fitting.fits)
      found.push({
        guard: 'size',
        code: overrides.fit === true ? 'E_DOES_NOT_FIT' : 'E_TARGET_TOO_SMALL',
        reasons: [`${reason}; ${fitting.why}`],
        hint: fitting.hint ?? shrinkFirst,
      })
    else
      found.push({
        guard: 'size',
        code: 'E_TARGET_TOO_SMALL',
        override: 'fit',
        reasons: [reason],
        hint: 'Its partitions end before the end of the target: --fit leaves out what lies behind them.',
      })
  }
  const hasTable = !content.isPartition && content.scheme !== 'none'
  if (partition === undefined && hasTable && content.tableSectorSize !== disk.logicalSectorSize) {
    found.push({
      guard: 'sector-size',
      code: 'E_SECTOR_MISFIT',
      override: 'allowSectorSize',
      reasons: [
        `the partition table of ${content.name} counts in sectors of ${content.tableSectorSize} bytes, and ` +
          `${disk.path} has sectors of ${disk.logicalSectorSize}: no system would find its partitions there`,
      ],
      hint:
        `"vdisk partition convert --sector-size ${disk.logicalSectorSize}" makes the same disk for such ` +
        'sectors; --allow-sector-size writes it as it is.',
    })
  }
  return found
}

/** A part of the partition table lies inside the partition that is written. */
export function tableRefusals(facts: TargetFacts): Refusal[] {
  const { tableInside = [] } = facts
  if (tableInside.length === 0) return []
  return [
    {
      guard: 'table',
      code: 'E_TABLE_IN_PARTITION',
      override: 'allowTableLoss',
      reasons: tableInside.map((title) => `${title} lies inside ${targetPath(facts)}`),
      hint:
        'Other partitions may be lost with it. With --allow-table-loss the partition is written, and what the new ' +
        'content does not use of those sectors is as before at the end.',
    },
  ]
}

/** Systems look for it from the end of the disk, and find what lies before it instead. */
export function metadataRefusals({ content, ...facts }: TargetFacts): Refusal[] {
  const size = facts.partition?.size ?? facts.disk.size
  if (content.atEnd === undefined || content.capacity === size) return []
  return [
    {
      guard: 'metadata',
      code: 'E_MISPLACED_METADATA',
      override: 'allowMisplacedMetadata',
      reasons: [
        `${content.name} holds ${content.atEnd}, whose metadata is found from its end, and ${targetPath(facts)} has ` +
          `${size} bytes instead of ${content.capacity}: it would be no member there, and systems would take what ` +
          'the member holds for a disk of its own',
      ],
      hint:
        'Take a target of the same size, or add the new disk to the array and let it be rebuilt. ' +
        '--allow-misplaced-metadata writes it as it is.',
    },
  ]
}
