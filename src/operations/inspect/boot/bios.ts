import type { BlockSource } from '../../../block/types.js'
import type { Partition, PartitionTable } from '../../../partition/index.js'
import { grubCoreSector, isGrubCore, type BootCode } from './code.js'

/** A partition that BIOS boot code goes on with. */
export interface ActivePartition {
  readonly partition: number
  /** The active flag of an MBR, or the attribute `legacy BIOS bootable` of a GPT. */
  readonly mark: 'active' | 'legacy'
  readonly bootCode: BootCode
}

/** Where GRUB's first sector says that GRUB goes on. */
export interface GrubCore {
  /** Byte of the disk. */
  readonly position: number
  readonly found: boolean
  /** The partition it lies in; undefined: between the table and the first partition. */
  readonly partition?: number
}

export interface BiosEvidence {
  readonly source: BlockSource
  readonly table: PartitionTable
  readonly bootCode: BootCode
  readonly active: readonly ActivePartition[]
  readonly biosBoot: readonly Partition[]
}

export interface Verdict {
  readonly starts: boolean
  /** Where it starts: false when a program that is not known here does it, which may as well do something else. */
  readonly known?: boolean
  readonly reasons: readonly string[]
}

/** Whether a BIOS can start the disk. */
export function biosVerdict(evidence: BiosEvidence): Verdict & { readonly grubCore?: GrubCore } {
  const { bootCode, table } = evidence
  if (bootCode.kind === 'none' || bootCode.kind === 'notBootable') {
    return {
      starts: false,
      reasons: [`BIOS: does not start it. The first sector holds ${bootCode.title}.`, ...unusedActive(evidence)],
    }
  }
  if (table.scheme === 'none' && bootCode.continues === 'itself' && bootCode.kind !== 'grub') {
    return {
      starts: true,
      known: bootCode.kind !== 'unknown',
      reasons: [`BIOS: the first sector holds ${bootCode.title}.`],
    }
  }
  if (bootCode.kind === 'grub') return grubVerdict(evidence)
  switch (bootCode.continues) {
    case 'active':
    case 'legacy':
      return chained(evidence, bootCode.continues)
    case 'itself':
      return { starts: true, reasons: [`BIOS: the first sector holds the boot code of ${bootCode.title}.`] }
    case 'nothing':
    case 'unknown':
      return {
        starts: true,
        known: false,
        reasons: ['BIOS: may start it. The first sector holds boot code that is not known here.'],
      }
  }
}

/** Boot code that leaves the rest to a partition. */
function chained({ bootCode, active }: BiosEvidence, mark: ActivePartition['mark']): Verdict {
  const flag = mark === 'active' ? 'active' : '“legacy BIOS bootable”'
  const head = `The first sector holds the boot code of ${bootCode.title}, which starts the partition marked ${flag}`
  const marked = active.filter((one) => one.mark === mark)
  const [first, second] = marked
  if (first === undefined) return { starts: false, reasons: [`BIOS: does not start it. ${head}; none is.`] }
  if (second !== undefined)
    return {
      starts: false,
      reasons: [
        `BIOS: does not start it. ${head}; ${marked.length} are ` +
          `(${marked.map(({ partition }) => partition).join(', ')}).`,
      ],
    }
  const { kind, title } = first.bootCode
  if (kind === 'none' || kind === 'notBootable')
    return {
      starts: false,
      reasons: [`BIOS: does not start it. ${head}: partition ${first.partition}, which holds ${title}.`],
    }
  return {
    starts: true,
    known: kind !== 'unknown',
    reasons: [
      `BIOS: ${kind === 'unknown' ? 'may start it. ' : ''}${head}: partition ${first.partition}, which holds ` +
        `${kind === 'unknown' ? title : `the boot sector of ${title}`}.`,
    ],
  }
}

function unusedActive({ active, bootCode }: BiosEvidence): string[] {
  return bootCode.kind !== 'none'
    ? []
    : active
        .filter(({ bootCode: { kind } }) => !['none', 'notBootable'].includes(kind))
        .map(
          ({ partition, bootCode: { title } }) =>
            `Partition ${partition} is marked to be started and holds ${title}, but nothing in the first ` +
            'sector starts it.',
        )
}

/** GRUB's first sector holds the number of the sector where it goes on; without that it stops there. */
function grubVerdict({ source, table, biosBoot }: BiosEvidence): Verdict & { readonly grubCore?: GrubCore } {
  const first = new Uint8Array(512)
  source.read(0, first)
  const sector = grubCoreSector(first)
  if (sector === 0n || sector * BigInt(table.sectorSize) + 512n > BigInt(source.capacity)) {
    return {
      starts: false,
      reasons: [
        `BIOS: does not start it. The first sector holds GRUB 2, which goes on at sector ${sector}, where ` +
          'there is nothing.',
      ],
    }
  }
  const position = Number(sector) * table.sectorSize
  const core = new Uint8Array(512)
  source.read(position, core)
  const holder = table.partitions.find(
    ({ start, length, role }) => role !== 'extended' && position >= start && position < start + length,
  )
  const grubCore: GrubCore = { position, found: isGrubCore(core), partition: holder?.number }
  const where =
    holder === undefined
      ? 'between the table and the first partition'
      : `in partition ${holder.number}${biosBoot.includes(holder) ? ' (BIOS boot)' : ''}`
  return grubCore.found
    ? { starts: true, grubCore, reasons: [`BIOS: the first sector holds GRUB 2, and the rest of GRUB lies ${where}.`] }
    : {
        starts: false,
        grubCore,
        reasons: [
          'BIOS: does not start it. The first sector holds GRUB 2, but the rest of GRUB is not at sector ' +
            `${sector} (${where}).`,
        ],
      }
}
