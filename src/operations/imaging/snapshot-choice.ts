import type { Note } from '../../block/types.js'
import { lvmPlan } from '../../device/snapshot/lvm.js'
import { NoSnapshot, type RunCommand, type SnapshotKind, type SnapshotPlan } from '../../device/snapshot/plan.js'
import { vssPlan } from '../../device/snapshot/vss.js'
import { zfsPlan } from '../../device/snapshot/zfs.js'
import { printable, unsupported, type ImageError } from '../../errors.js'
import { command } from '../../sys/commands.js'
import { ownPid } from '../../sys/self.js'
import { randomUuid } from '../../sys/random-uuid.js'
import { shielded } from '../../sys/shielded.js'
import type { NamedDevice } from '../device/argument.js'
import type { Heat } from './guards.js'

/** `auto`: whatever the source can have, and none where it is not in use; the others must be possible. */
export type SnapshotChoice = 'auto' | SnapshotKind

export const snapshotChoices = ['auto', 'lvm', 'zfs', 'vss'] as const satisfies readonly SnapshotChoice[]

/** Ctrl-C is for this program, which removes by the same means what it made. */
export const runShielded: RunCommand = (program, parameters) => {
  const [first = program, ...others] = shielded([program, ...parameters])
  return command(first, others)
}

/**
 * The snapshot that is to be read in place of a source, where one is wanted; and what the user should know where there
 * is none.
 * @throws ImageError unsupported E_NO_SOURCE_SNAPSHOT where one was asked for by name.
 */
export async function planSnapshot(
  choice: SnapshotChoice,
  device: NamedDevice,
  heat: Heat,
): Promise<{ readonly plan?: SnapshotPlan; readonly notes: readonly Note[] }> {
  if (choice === 'auto' && !heat.hot) return { notes: [] }
  const kinds = choice === 'auto' ? kindsOf(device) : [choice]
  const reasons: string[] = []
  for (const kind of kinds) {
    const plan = await planOf(kind, device)
    if (!(plan instanceof NoSnapshot)) return { plan, notes: leftoverNotes(plan) }
    reasons.push(plan.why)
  }
  const why = reasons.length === 0 ? 'it is no volume of LVM or ZFS' : reasons.join('; ')
  if (choice === 'auto')
    return { notes: [{ code: 'W_NO_SNAPSHOT', message: `no snapshot of ${printable(device.name)} is read: ${why}` }] }
  throw noSnapshot(device, why)
}

/** Why a snapshot cannot be made. */
export function noSnapshot(device: NamedDevice, why: string): ImageError {
  return unsupported(
    'E_NO_SOURCE_SNAPSHOT',
    `no snapshot of ${printable(device.name)} can be made: ${printable(why)}`,
    {
      hint: 'Leave out --snapshot to read the source itself, or give --freeze to freeze its filesystems meanwhile.',
    },
  )
}

/** What the device looks like: no program is started for a disk. */
function kindsOf({ disk }: NamedDevice): SnapshotKind[] {
  if (disk.kind === 'mapped') return ['lvm']
  return /^zd\d+$/.test(disk.name) ? ['zfs'] : []
}

async function planOf(kind: SnapshotKind, { disk, device }: NamedDevice): Promise<SnapshotPlan | NoSnapshot> {
  const name = `vdisk-${ownPid()}-${randomUuid().slice(0, 8)}`
  if (kind === 'lvm') return await lvmPlan(disk, name, runShielded)
  return kind === 'zfs' ? await zfsPlan(disk, name, runShielded) : vssPlan(device?.uses ?? [])
}

function leftoverNotes({ leftovers, origin }: SnapshotPlan): Note[] {
  return leftovers.map((name) => ({
    code: 'W_SNAPSHOT_LEFT',
    message:
      `${name} is a snapshot of ${origin} that another run of vdisk made: if none is running, remove it with ` +
      `"lvremove ${name}"`,
  }))
}
