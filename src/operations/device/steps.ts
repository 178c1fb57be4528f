import type { Note } from '../../block/types.js'
import type { DiskPlatform, Holder } from '../../device/types.js'
import type { DeviceStepName } from '../transfer/sink-device.js'
import type { Step } from '../transfer/step.js'
import type { DeviceTarget } from './argument.js'
import type { DeviceContent } from './content.js'
import { ejectDisk, growFilesystem, rereadTable, type Reread } from './finishing.js'
import type { GrownPartition } from './growth.js'
import type { GuardPass } from './guards.js'
import { clearReadOnly, unmountTarget } from './opening.js'

export type TargetStepName = 'set-writable' | 'unmount' | DeviceStepName | 'reread' | 'grow' | 'eject'

/** What is put aside before a target is opened: what its guards would have refused, and the user's word let pass. */
export function preparingSteps(
  target: DeviceTarget,
  passed: readonly GuardPass[],
  holders: readonly Holder[] = [],
): Step<TargetStepName>[] {
  const points = holders.flatMap(({ mount }) => mount?.point ?? [])
  const overridden = (name: GuardPass['guard']): GuardPass | undefined =>
    passed.find(({ guard, overridden }) => guard === name && overridden)
  const mounted = overridden('mounted')
  return [
    ...(overridden('read-only') === undefined
      ? []
      : [
          {
            name: 'set-writable' as const,
            message: `remove the system's read-only mark of ${nodeOf(target)}`,
            run: () => clearReadOnly(target),
          },
        ]),
    ...(mounted === undefined
      ? []
      : [
          {
            name: 'unmount' as const,
            message: `unmount: ${mounted.message}`,
            run: () => unmountTarget(target, points),
          },
        ]),
  ]
}

/** What became of a target after it was written. */
export interface Followed {
  reread: Reread
  ejected: boolean
  grown: GrownPartition | undefined
  readonly notes: Note[]
}

/** What follows when a target is written and closed. Each step notes in `followed` what came of it. */
export function followingSteps(
  target: DeviceTarget,
  platform: DiskPlatform,
  { table, grown }: DeviceContent,
  { eject }: { readonly eject: boolean },
  followed: Followed,
): Step<TargetStepName>[] {
  const { disk, partition } = target
  const steps: Step<TargetStepName>[] = []
  if (partition === undefined)
    steps.push({
      name: 'reread',
      message: 'let the system read the partition table',
      run: async () => {
        followed.reread = await rereadTable(disk, platform, table.partitions.length, followed.notes)
      },
    })
  if (grown?.content === 'later')
    steps.push({
      name: 'grow',
      message: `enlarge the ${grown.filesystem ?? 'filesystem'} of ${nameOf(grown)} with resize2fs`,
      run: async () => {
        const done = await growFilesystem(target, grown, platform, followed.notes)
        followed.grown = { ...grown, content: done ? 'done' : 'kept' }
      },
    })
  if (eject)
    steps.push({
      name: 'eject',
      message: `eject ${nodeOf(target)}`,
      run: async () => {
        followed.ejected = await ejectDisk(disk, followed.notes)
      },
    })
  return steps
}

/** What is changed of the source where the ends of the target are written. */
export function contentChanges({ mends, ids, grown }: DeviceContent): string[] {
  return [
    ...mends.map(({ message }) => message),
    ...(ids.length === 0 || mends.some(({ code }) => code === 'NEW_IDS') ? [] : ['give new ids']),
    ...(grown === undefined
      ? []
      : [
          `enlarge ${nameOf(grown)} from ${grown.before} to ${grown.after} bytes` +
            (grown.content === 'done' ? `, and the head of its ${grown.filesystem ?? 'content'}` : ''),
        ]),
  ]
}

/** The system's own path of a target. */
function nodeOf({ disk, partition }: DeviceTarget): string {
  return partition?.path ?? disk.path
}

function nameOf({ partition }: GrownPartition): string {
  return partition === undefined ? 'the content' : `partition ${partition}`
}
