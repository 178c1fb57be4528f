import { changingInPlace } from '../change/left-state.js'
import { patchedSource } from '../../block/concatenated.js'
import type { BlockSource, Note } from '../../block/types.js'
import { usage } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { openToChange } from '../in-use/changing.js'
import { Registry } from '../../formats/registry.js'
import {
  planMend,
  type IdChange,
  type Mend,
  type MendPlan,
  type PartitionTable,
  type TableScheme,
  type TableIssue,
} from '../../partition/index.js'
import { targetFormat, tryLayout } from '../transfer/layout.js'
import { convertFrom, type ConvertOptions, type ConvertResult } from '../transfer/convert.js'
import { imageIdentity } from '../transfer/identity.js'
import { openReadableLater, readOptions, sourceInfo, wholeDisk, type SourceInfo } from '../open/opening.js'

export interface FixTableOptions extends Omit<ConvertOptions, 'parent' | 'parentFrom' | 'size' | 'usedOnly'> {
  /** The new image; with `inPlace` the image itself is changed instead. One of the two, unless it is a dry run. */
  readonly output?: string
  readonly inPlace?: boolean
  /** Gives new ids to the disk and its partitions. */
  readonly newIds?: boolean
}

export interface FixTableResult {
  readonly image: SourceInfo
  readonly scheme: TableScheme
  /** What was (or would be) put right; empty: nothing was to be done, and nothing was written. */
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
  /** Where the old ids may be in use, when they were changed. */
  readonly mayRefer: readonly string[]
  /** What is still wrong afterwards. */
  readonly left: readonly TableIssue[]
  readonly inPlace: boolean
  readonly target?: ConvertResult['target']
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/**
 * Puts a disk's partition table right where that needs no guess: in a copy, or in place.
 * @throws ImageError usage E_NO_TABLE, E_TARGET, E_NOT_A_DISK; corrupt E_GPT_CORRUPT when no copy of the table is
 * whole; refused E_PARTITIONS_DO_NOT_FIT; those of `convert` and of changing images.
 */
export async function fixTable(argument: string, options: FixTableOptions): Promise<FixTableResult> {
  const path = wholeDisk(argument, 'partition fix')
  const { output, inPlace = false, newIds = false, dryRun = false, ...rest } = options
  if (output !== undefined && inPlace) throw usage('E_TARGET', '--output and --in-place exclude each other')
  if (output === undefined && !inPlace && !dryRun)
    throw usage('E_TARGET', 'where is the mended disk to be?', {
      hint: 'Say --output FILE for a new image, --in-place to change this one, or --dry-run to see what would be done.',
    })
  const identity = imageIdentity(options.uuid, options.time)
  const mending = newIds ? { newId: (name: string) => identity.derive(name) } : {}
  const made = inPlace
    ? await changingInPlace(
        () => 'The table is the old one, the new one, or written in part: run it again to finish it.',
        () => changeInPlace(path, mending, { ...rest, dryRun }),
      )
    : await intoCopy(path, mending, output, { ...rest, dryRun })
  const { plan } = made
  return {
    image: made.image,
    scheme: plan.table.scheme,
    mends: plan.mends,
    ids: plan.ids,
    mayRefer: plan.ids.length === 0 ? [] : mayRefer(plan.table),
    left: plan.left,
    inPlace,
    dryRun,
    notes: made.notes,
    target: made.target,
  }
}

interface Made {
  readonly image: SourceInfo
  readonly plan: MendPlan
  readonly notes: readonly Note[]
  readonly target?: ConvertResult['target']
}

type Mending = NonNullable<Parameters<typeof planMend>[1]>

async function changeInPlace(
  path: string,
  mending: Mending,
  options: Omit<FixTableOptions, 'output' | 'inPlace' | 'newIds'>,
): Promise<Made> {
  const { writeGroups } = await import('../change/write-in-place.js')
  const draft = options.dryRun === true
  using target = openToChange(path, { ...readOptions(options), draft })
  const plan = planMend(target.disk, mending)
  target.opened.findDamage()
  if (!draft) writeGroups(target, plan.writes)
  return { image: sourceInfo(path, target.opened), plan, notes: target.opened.notes }
}

async function intoCopy(
  path: string,
  mending: Mending,
  output: string | undefined,
  options: Omit<FixTableOptions, 'output' | 'inPlace' | 'newIds'>,
): Promise<Made> {
  using opened = await openReadableLater(path, options)
  const disk = output === undefined ? opened : asLargeAs(opened, output, options)
  const plan = planMend(disk, mending)
  const made = { image: sourceInfo(path, opened), plan, notes: opened.notes }
  if (output === undefined || plan.writes.length === 0) return made
  const { sectorSize, capacity } = disk
  const compose = (): OpenedImage => opened.composed(patchedSource(disk, plan.writes.flat(), { sectorSize, capacity }))
  const { target, notes } = await convertFrom({ open: compose, name: path }, output, options)
  return { ...made, target, notes }
}

/** The disk with the capacity that the target's format will give it: the second GPT is at the very end. */
function asLargeAs(opened: OpenedImage, output: string, options: ConvertOptions): BlockSource {
  const format = targetFormat(options.registry ?? new Registry(), output, options.to, options.options ?? {})
  const { sectorSizes } = format.driver.features
  const sectorSize = options.sectorSize ?? (sectorSizes.includes(opened.sectorSize) ? opened.sectorSize : 512)
  const { capacity } = tryLayout(format, {
    capacity: opened.capacity,
    sectorSize,
    identity: imageIdentity(options.uuid, options.time),
  })
  return capacity === opened.capacity ? opened : patchedSource(opened, [], { capacity, sectorSize: opened.sectorSize })
}

/** Where ids of disks and partitions are written down. */
export function mayRefer({ scheme, partitions }: PartitionTable): string[] {
  const efi = partitions.some(({ type }) => type.name.startsWith('EFI'))
  return [
    'Linux: PARTUUID= in /etc/fstab, /etc/crypttab, and root= on the kernel command line (boot loader entries)',
    ...(scheme === 'gpt'
      ? ["UEFI: boot entries in the firmware's memory name the EFI system partition by its id"]
      : []),
    ...(efi
      ? ['systemd-boot and others in the EFI system partition: LoaderDevicePartUUID, entries with PARTUUID=']
      : []),
    'Windows: the boot configuration (BCD) names ' +
      (`${scheme === 'gpt' ? 'disk and partition by their ids' : 'the disk by its signature'}; so do drive ` +
        'letters (MountedDevices in the registry)'),
    'hypervisors and backup programs that know the disk by its id',
    '`vdisk doctor --mend` puts the new ids into those of them that lie on the disk',
  ]
}
