import { printable, usage } from '../../errors.js'
import { parsePoint } from '../../location/backup-set.js'
import { restore, type RestoreOptions, type RestoreResult } from '../device/restore.js'
import { parseImageArgument } from '../open/opening.js'

/**
 * Restores a point of a set, `SET@2026-11-20`, or a partition of it, `SET@2026-11-20@2`, to a disk or partition.
 * @throws ImageError usage E_NO_POINT where no point is named; those of {@link restore}.
 */
export async function restorePoint(point: string, device: string, options: RestoreOptions): Promise<RestoreResult> {
  if (parsePoint(parseImageArgument(point).path) === undefined)
    throw usage('E_NO_POINT', `${printable(point)} does not say which point of a set is to be restored`, {
      hint: 'Write SET@latest, or SET@2026-11-20: vdisk backup list shows the points.',
    })
  return await restore(point, device, options)
}
