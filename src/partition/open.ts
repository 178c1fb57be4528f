import { SliceSource } from '../block/slice.js'
import type { BlockSource } from '../block/types.js'
import { corrupt, printable, usage } from '../errors.js'
import type { Partition, PartitionTable } from './types.js'

/**
 * Which part of a disk is meant: a partition by its number, its label or its unique id; a logical volume of LVM2 by the
 * names of its group and its own, with a slash between them.
 */
export type PartitionSelector =
  { readonly number: number } | { readonly label: string } | { readonly uuid: string } | { readonly volume: string }

/** The part of an argument behind `@`: `2`, `label=EFI`, `uuid=…`, `lv=vg/root`. Undefined when it is none. */
export function parseSelector(text: string): PartitionSelector | undefined {
  const [, volume] = /^lv=([A-Za-z0-9+_.-]{1,127}\/[A-Za-z0-9+_.-]{1,127})$/.exec(text) ?? []
  if (volume !== undefined) return { volume }
  if (/^[1-9]\d{0,3}$/.test(text)) return { number: Number(text) }
  const [, kind, value] = /^(label|uuid)=(.+)$/s.exec(text) ?? []
  if (value === undefined) return undefined
  return kind === 'label' ? { label: value } : { uuid: value.toLowerCase() }
}

export function selectorText(selector: PartitionSelector): string {
  if ('number' in selector) return String(selector.number)
  if ('volume' in selector) return `lv=${selector.volume}`
  return 'label' in selector ? `label=${selector.label}` : `uuid=${selector.uuid}`
}

/**
 * The one partition that is meant.
 * @throws ImageError usage E_NO_PARTITION, E_PARTITION_AMBIGUOUS, E_EXTENDED_PARTITION; corrupt where the table is
 * lost.
 */
export function selectPartition(table: PartitionTable, selector: PartitionSelector, name: string): Partition {
  if ('volume' in selector)
    throw usage('E_NO_PARTITION', `${printable(selector.volume)} is a logical volume, and a partition is needed here`, {
      hint: 'ls, cat, cp, convert and compare take logical volumes.',
    })
  const found = table.partitions.filter((partition) => {
    if ('number' in selector) return partition.number === selector.number
    return 'label' in selector ? partition.label === selector.label : partition.uuid === selector.uuid
  })
  const [partition, second] = found
  const wanted = printable(selectorText(selector))
  if (partition === undefined) {
    const broken = table.partitions.length === 0 ? table.issues.find(({ severity }) => severity === 'error') : undefined
    if (broken !== undefined)
      throw corrupt(broken.code, `${name}: partition ${wanted} cannot be found: ${broken.message}`)
    const known = table.partitions.map(({ number, label }) =>
      label === undefined ? String(number) : `${number} (${printable(label)})`,
    )
    throw usage('E_NO_PARTITION', `${name} has no partition ${wanted}`, {
      hint: known.length === 0 ? 'It has no partition table, or an empty one.' : `It has ${known.join(', ')}.`,
    })
  }
  if (second !== undefined)
    throw usage(
      'E_PARTITION_AMBIGUOUS',
      `${name} has ${found.length} partitions ${wanted}: ${found.map(({ number }) => number).join(', ')}`,
      { hint: 'Say which by its number.' },
    )
  if (partition.role === 'extended')
    throw usage(
      'E_EXTENDED_PARTITION',
      `partition ${partition.number} of ${name} is an extended partition: it holds the logical ones, which ` +
        'are numbered from 5, and no data of its own',
    )
  return partition
}

/**
 * A partition as a disk of its own. Closing it leaves the whole open. @throws ImageError corrupt E_PART_PAST_END when
 * it does not lie on the disk.
 */
export function openPartition(source: BlockSource, partition: Partition, name: string): BlockSource {
  if (partition.start + partition.length > source.capacity) {
    throw corrupt(
      'E_PART_PAST_END',
      `partition ${partition.number} of ${name} ends at byte ${partition.start + partition.length}, and the ` +
        `disk has ${source.capacity}`,
      {
        hint: 'The disk is cut short. What is left of the partition can be had with convert and --size.',
        details: { partition: partition.number },
      },
    )
  }
  return new SliceSource(source, partition.start, partition.length)
}
