import { printable, refused, usage } from '../../errors.js'
import { findPoint, imagesOf, parsePoint } from '../../location/backup-set.js'
import { restore, type RestoreOptions, type RestoreResult } from '../device/restore.js'
import { parseImageArgument } from '../open/opening.js'
import { shellWord } from '../../sys/shell-word.js'
import { linksOf } from './links.js'

/**
 * Restores a point of a set, `SET@2026-11-20`, or a partition of it, `SET@2026-11-20@2`, to a disk or partition.
 * @throws ImageError usage E_NO_POINT where no point is named; refused E_SET_DAMAGED where an image that it needs
 * cannot be read, or is another one; those of {@link restore}.
 */
export async function restorePoint(point: string, device: string, options: RestoreOptions): Promise<RestoreResult> {
  const address = parsePoint(parseImageArgument(point).path)
  if (address === undefined)
    throw usage('E_NO_POINT', `${printable(point)} does not say which point of a set is to be restored`, {
      hint: 'Write SET@latest, or SET@2026-11-20: vdisk backup list shows the points.',
    })
  const { path } = findPoint(address)
  const problem = linksOf(imagesOf(address.folder)).find((link) => link.path === path)?.problem
  if (problem !== undefined)
    throw refused('E_SET_DAMAGED', `${printable(point)} is not what it was: ${problem}`, {
      hint:
        'Put back what is missing, or restore another point. To restore what is there nevertheless: ' +
        `vdisk restore ${shellWord(path)} DEVICE`,
    })
  return await restore(point, device, options)
}
