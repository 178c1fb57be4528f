import type { BlockSource, Note } from '../../block/types.js'
import { printable, usage } from '../../errors.js'
import { readPartitionTable } from '../../partition/index.js'
import type { NamedDevice } from '../device/argument.js'
import { fitDisk, type FitRequest } from '../platform/fit.js'
import { usedOnly, type UsedOnlyOptions, type VolumeUsage } from '../transfer/used-only.js'
import { keepParts } from './parts.js'

/** What of a disk or partition goes into its image. */
export interface KeptContent {
  readonly disk: BlockSource
  readonly notes: readonly Note[]
  readonly volumes?: readonly VolumeUsage[]
  /** What a platform changed of its partition table. */
  readonly mends?: readonly string[]
}

interface KeepOptions {
  readonly usedOnly?: Omit<UsedOnlyOptions, 'signal' | 'parts'>
  readonly parts?: readonly number[]
  readonly signal?: AbortSignal
}

/**
 * What of the source is to be read.
 * @throws ImageError usage E_NOT_A_DISK: there are no parts of a partition; those of usedOnly and keepParts.
 */
export async function keptContent(
  device: NamedDevice,
  source: BlockSource,
  { parts, usedOnly: wanted, signal }: KeepOptions,
): Promise<KeptContent> {
  const used =
    wanted === undefined ? undefined : await usedOnly(source, { ...wanted, parts, type: device.entry?.type.id, signal })
  if (parts === undefined) return { disk: used?.source ?? source, notes: used?.notes ?? [], volumes: used?.volumes }
  if (device.kind === 'partition')
    throw usage('E_NOT_A_DISK', `${printable(device.name)} is a partition: --parts chooses among those of a disk`)
  const kept = keepParts(used?.source ?? source, readPartitionTable(source), parts, device.name)
  return { disk: kept.source, notes: [...(used?.notes ?? []), ...kept.notes], volumes: used?.volumes }
}

/** The same as a platform takes it: of its size, with the second GPT at its end. */
export function fittedContent(kept: KeptContent, request: FitRequest): KeptContent {
  const { disk, notes, mends } = fitDisk(kept.disk, request)
  return { ...kept, disk, mends, notes: [...kept.notes, ...notes] }
}
