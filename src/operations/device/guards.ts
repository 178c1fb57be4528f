import { objections, sharedDisks, type Objection } from '../../device/safety.js'
import { effectOf, type Trail } from '../../device/bytes.js'
import type { Disk, DiskPartition, Holder, Place } from '../../device/types.js'
import { refused, type ImageError } from '../../errors.js'
import type { Note } from '../../block/types.js'
import type { TableScheme } from '../../partition/index.js'
import { shrinkFirst, type Fitting } from './fit.js'

/** The user's word against one guard each. None of them speaks for another guard. */
export interface TargetOverrides {
  /** The running system needs the disk; the disk's serial must be typed too. */
  readonly allowSystemDisk?: boolean
  /** What is mounted is unmounted first; never by force, never later. */
  readonly unmount?: boolean
  /** What is above the disk (LVM, LUKS, RAID, loops) is not what it seems; the system must still give the disk away. */
  readonly allowHeld?: boolean
  readonly allowSwap?: boolean
  /** The system's mark that a device is read-only is taken away. */
  readonly clearReadOnly?: boolean
  readonly allowSourceOnTarget?: boolean
  /** A smaller target gets what has a place on it. */
  readonly fit?: boolean
  readonly allowSectorSize?: boolean
  /** Content without a partition table goes onto a whole disk. */
  readonly allowNoTable?: boolean
  /** A part of the partition table lies inside the partition that is written. */
  readonly allowTableLoss?: boolean
  /** What is a RAID member now is none on a target of another size. */
  readonly allowMisplacedMetadata?: boolean
}

/** What is to be written, as far as guards go. Bytes. */
export interface ContentFacts {
  readonly name: string
  readonly capacity: number
  readonly scheme: TableScheme
  /** What the table counts in. */
  readonly tableSectorSize: 512 | 4096
  /** Whether it is a partition of a disk, and not the disk. */
  readonly isPartition: boolean
  /** What it would no longer be at the size of the target: `Linux RAID 1.0`. Undefined: nothing that is known. */
  readonly atEnd?: string
  /** Asked only when it is larger than the target. */
  readonly fitting?: Fitting
}

/** What is known of a target before it is opened. */
export interface TargetFacts {
  readonly disk: Disk
  /** Set when only this one is written. */
  readonly partition?: DiskPartition
  /** The disks below the target, and below everything that is read. */
  readonly place: Place
  readonly sourcePlace: Place
  /** Device numbers of what is read, or of the filesystems it lies in. */
  readonly sourceDevices: readonly string[]
  /** The whole disk that is read, by its name, when it is one. */
  readonly sourceDisk?: string
  /** Whether the file behind the target (a loop device) is itself read. */
  readonly targetIsSource?: boolean
  /** Where the bytes of the target lie, and those of everything that is read; absent where the system does not say. */
  readonly trail?: Trail
  readonly sourceTrail?: Trail
  /** Who has bytes of the target, under whatever name. */
  readonly holders?: readonly Holder[]
  /** Whether the system refuses to give the target to one program alone. */
  readonly busy?: boolean
  readonly content: ContentFacts
  /** What of the disk's partition table lies inside the partition that is written, for people. */
  readonly tableInside?: readonly string[]
}

export type GuardName =
  | 'medium'
  | 'kind'
  | 'read-only'
  | 'system'
  | 'source'
  | 'mounted'
  | 'held'
  | 'swap'
  | 'locked'
  | 'shape'
  | 'size'
  | 'sector-size'
  | 'table'
  | 'metadata'
  | 'busy'

/** A guard that let the target pass. */
export interface GuardPass {
  readonly guard: GuardName
  /** Whether it would have refused, and the user's word let it pass. */
  readonly overridden: boolean
  /** What it found. */
  readonly message: string
}

/** Why a guard refuses. Without `override` nothing does. */
interface Refusal {
  readonly guard: GuardName
  readonly code: string
  readonly reasons: readonly string[]
  readonly hint: string
  readonly override?: keyof TargetOverrides
}

/** The flag of each override. */
export const overrideFlags: Readonly<Record<keyof TargetOverrides, string>> = {
  allowSystemDisk: '--allow-system-disk',
  unmount: '--unmount',
  allowHeld: '--allow-held',
  allowSwap: '--allow-swap',
  clearReadOnly: '--clear-read-only',
  allowSourceOnTarget: '--allow-source-on-target',
  fit: '--fit',
  allowSectorSize: '--allow-sector-size',
  allowNoTable: '--allow-no-table',
  allowTableLoss: '--allow-table-loss',
  allowMisplacedMetadata: '--allow-misplaced-metadata',
}

/** What each guard says of a target that it has nothing against. */
const clear: Readonly<Record<GuardName, string>> = {
  medium: 'the target has a medium',
  kind: 'the target is a disk, a partition or a volume',
  'read-only': 'the target can be written',
  system: 'the running system does not need the target',
  source: 'nothing that is read lies on the target',
  mounted: 'nothing of the target is mounted',
  held: 'nothing holds the target',
  swap: 'the target is no swap space in use',
  locked: 'no program has locked the target',
  shape: 'what is written is of the kind of the target',
  size: 'the target is large enough',
  'sector-size': 'the partition table counts in sectors of the target',
  table: 'no part of a partition table lies inside the target',
  metadata: 'nothing that is written is looked for at the end of a disk of its size',
  busy: 'the system gives the target to one program alone',
}

/**
 * Asks every guard about a target. Pure: what the system says of its devices is given.
 * @returns the guards that were passed, and what the user should know.
 * @throws ImageError refused, with the code of the first guard that says no; the message has the reasons of all of
 * them.
 */
export function guardTarget(
  facts: TargetFacts,
  overrides: TargetOverrides = {},
): { readonly passed: readonly GuardPass[]; readonly notes: readonly Note[] } {
  const found = refusals(facts, overrides)
  const standing = found.filter(({ override }) => override === undefined || overrides[override] !== true)
  if (standing.length > 0) throw refusal(standing)
  const passed = (Object.keys(clear) as GuardName[]).map((guard): GuardPass => {
    const against = found.filter((each) => each.guard === guard)
    return {
      guard,
      overridden: against.length > 0,
      message: against.length === 0 ? clear[guard] : against.flatMap(({ reasons }) => reasons).join('; '),
    }
  })
  const { unknown } = facts.sourcePlace
  const notes =
    unknown.length === 0
      ? []
      : [
          {
            code: 'W_PLACE_UNKNOWN',
            message: `whether what is read lies on the target is not known: ${unknown.join('; ')}`,
          },
        ]
  return { passed, notes }
}

function refusal(standing: readonly Refusal[]): ImageError {
  const [first, ...others] = standing
  if (first === undefined) throw new RangeError('a refusal has a reason')
  const more = others.map(({ code, override }) =>
    override === undefined ? code : `${code} (${overrideFlags[override]})`,
  )
  return refused(first.code, standing.flatMap(({ reasons }) => reasons).join('; '), {
    hint: [first.hint, ...(more.length === 0 ? [] : [`Also refused: ${more.join(', ')}.`])].join(' '),
    details: {
      guards: standing.map(({ guard }) => guard).join(','),
      override: first.override === undefined ? undefined : overrideFlags[first.override],
    },
  })
}

function refusals(facts: TargetFacts, overrides: TargetOverrides): Refusal[] {
  const source = sourceRefusals(facts)
  return [
    ...kindRefusals(facts),
    ...useRefusals(facts),
    ...source,
    ...shapeRefusals(facts),
    ...sizeRefusals(facts, overrides),
    ...tableRefusals(facts),
    ...metadataRefusals(facts),
    // What is read is open already, for this program alone.
    ...(source.length > 0 ? [] : busyRefusals(facts)),
  ]
}

/** Systems look for it from the end of the disk, and find what lies before it instead. */
function metadataRefusals({ content, ...facts }: TargetFacts): Refusal[] {
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

function tableRefusals(facts: TargetFacts): Refusal[] {
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

function targetPath({ disk, partition }: Pick<TargetFacts, 'disk' | 'partition'>): string {
  return partition?.path ?? disk.path
}

function kindRefusals(facts: TargetFacts): Refusal[] {
  const { kind } = facts.disk
  if (kind !== 'ram' && kind !== 'optical') return []
  return [
    {
      guard: 'kind',
      code: 'E_DEVICE_KIND',
      reasons: [`${targetPath(facts)} is ${kind === 'ram' ? 'memory, not a disk' : 'an optical disc'}`],
      hint: 'No flag overrides this.',
    },
  ]
}

interface Rule extends Omit<Refusal, 'reasons'> {
  readonly objection: Objection['guard']
}
const useRules: readonly Rule[] = [
  { guard: 'medium', objection: 'no-medium', code: 'E_NO_MEDIUM', hint: 'Put a medium in. No flag overrides this.' },
  {
    guard: 'read-only',
    objection: 'read-only',
    code: 'E_READ_ONLY_DISK',
    override: 'clearReadOnly',
    hint:
      'A write-protect switch is to be moved by hand; --clear-read-only takes away a mark that only the ' +
      'system has set.',
  },
  {
    guard: 'system',
    objection: 'system',
    code: 'E_SYSTEM_DISK',
    override: 'allowSystemDisk',
    hint:
      "Writing to it destroys the running system. With --allow-system-disk, and the disk's serial typed or " +
      'given with --confirm, it is written nevertheless.',
  },
  {
    guard: 'mounted',
    objection: 'mounted',
    code: 'E_MOUNTED',
    override: 'unmount',
    hint: 'Unmount it, or say --unmount.',
  },
  {
    guard: 'held',
    objection: 'held',
    code: 'E_HELD',
    override: 'allowHeld',
    hint:
      'Close what holds it first (vgchange -an, cryptsetup close, mdadm --stop, losetup -d): vdisk never ' +
      'does. --allow-held overrides this; what the system itself holds it does not give away even then.',
  },
  {
    guard: 'swap',
    objection: 'swap',
    code: 'E_SWAP',
    override: 'allowSwap',
    hint:
      'Stop using it first (swapoff): vdisk never does. --allow-swap overrides this; what the system ' +
      'itself holds it does not give away even then.',
  },
  {
    guard: 'locked',
    objection: 'locked',
    code: 'E_LOCKED',
    hint: 'Stop the virtual machine or server that uses it first. No flag overrides this.',
  },
]

function useRefusals({ disk, partition, holders }: TargetFacts): Refusal[] {
  const found = objections(disk, partition, holders)
  return useRules.flatMap(({ objection, ...rule }) => {
    const reasons = found.filter(({ guard }) => guard === objection).map(({ reason }) => reason)
    return reasons.length === 0 ? [] : [{ ...rule, reasons }]
  })
}

/**
 * What the system will say when the target is opened, for reasons of its own: the journal of another filesystem, a
 * container's mount. Where something is put aside first, only opening it shows.
 */
function busyRefusals({ busy, holders, ...facts }: TargetFacts): Refusal[] {
  const mounted = objections(facts.disk, facts.partition, holders).some(({ guard }) => guard === 'mounted')
  if (busy !== true || mounted) return []
  return [
    {
      guard: 'busy',
      code: 'E_DEVICE_BUSY',
      reasons: [`${targetPath(facts)} is in use: the system does not give it to one program alone`],
      hint: 'Unmount it, and close what uses it (LVM, LUKS, RAID, swap); "vdisk disks" shows what is known of it.',
    },
  ]
}

/** By where the bytes lie: links, loops, offsets and names do not matter. */
function bytesRefusals({ trail, sourceTrail, content, ...facts }: TargetFacts): Refusal[] | undefined {
  if (trail === undefined || sourceTrail === undefined) return undefined
  const effect = effectOf(trail, sourceTrail)
  if (effect === undefined) return []
  const path = targetPath(facts)
  if (effect === 'same')
    return [
      {
        guard: 'source',
        code: 'E_SOURCE_ON_TARGET',
        reasons: [`${content.name}, which is read, and ${path}, which is to be written, share bytes`],
        hint: 'Take another disk for one of them. No flag overrides this.',
      },
    ]
  return [
    {
      guard: 'source',
      code: 'E_SOURCE_ON_TARGET',
      override: 'allowSourceOnTarget',
      reasons: [
        effect === 'beneath'
          ? `${content.name}, which is read, lies on ${path}, which is to be written`
          : `${path} lies on ${content.name}, which is read`,
      ],
      hint:
        'Writing would destroy what is still to be read. Take another disk for one of them; ' +
        '--allow-source-on-target overrides this.',
    },
  ]
}

/** What is read lies on what is written. A partition may be written while another one of its disk is read. */
function sourceRefusals(facts: TargetFacts): Refusal[] {
  const { disk, partition, sourceDevices, sourcePlace, sourceDisk, content } = facts
  if (
    facts.targetIsSource === true ||
    (sourceDisk !== undefined && sourceDevices.includes(partition?.deviceNumber ?? disk.deviceNumber))
  ) {
    return [
      {
        guard: 'source',
        code: 'E_SAME_DEVICE',
        reasons: [`${content.name} is read from ${targetPath(facts)} itself`],
        hint: 'No flag overrides this.',
      },
    ]
  }
  const byBytes = bytesRefusals(facts)
  if (byBytes !== undefined) return byBytes
  const { verdict } = sharedDisks(below(sourcePlace), { disks: [disk.name], elsewhere: [], unknown: [] })
  const others = disk.partitions.filter(({ deviceNumber }) => deviceNumber !== partition?.deviceNumber)
  const isBeside =
    partition !== undefined &&
    sourceDevices.length > 0 &&
    sourceDevices.every((device) => others.some(({ deviceNumber }) => deviceNumber === device))
  const changesSource = sourceDisk !== undefined && below(facts.place).disks.includes(sourceDisk) && !isBeside
  if ((verdict !== 'same' || isBeside) && !changesSource) return []
  const reason =
    verdict === 'same'
      ? `${content.name}, which is read, lies on ${disk.path}, which is to be written`
      : `${targetPath(facts)} lies on ${sourceDisk ?? ''}, which is read`
  return [
    {
      guard: 'source',
      code: 'E_SOURCE_ON_TARGET',
      override: 'allowSourceOnTarget',
      reasons: [reason],
      hint:
        'Writing would destroy what is still to be read. Take another disk for one of them; ' +
        '--allow-source-on-target overrides this.',
    },
  ]
}

/** All devices that a place rests on. */
function below(place: Place): Place {
  return { ...place, disks: [...new Set([...place.disks, ...(place.through ?? [])])] }
}

function shapeRefusals(facts: TargetFacts): Refusal[] {
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

function sizeRefusals(facts: TargetFacts, overrides: TargetOverrides): Refusal[] {
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
