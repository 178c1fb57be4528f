import { corrupt, printable, reference, type ImageError } from '../../errors.js'
import { hasPartitions, type BackedDisk } from './assembly.js'

/**
 * What is not in a backup although it should be: volumes that are listed, and virtual disks of which nothing is known.
 * They would read as zero.
 * @param listed by their GUIDs, with where they were mounted; undefined: the list is damaged.
 */
export function lacksOf(
  label: string,
  listed: ReadonlyMap<string, string> | undefined,
  disks: readonly BackedDisk[],
): ImageError[] {
  const lacks: ImageError[] = []
  const isPlaced = disks.some(hasPartitions)
  const there = isPlaced ? 'disk1' : printable(disks[0]?.file ?? '')
  const hint = `Copy the whole folder of the backup. @disk=${there} reads what is there.`
  if (listed === undefined)
    lacks.push(corrupt('E_BACKUP', `${label} is damaged: whether a volume is missing is not known`, { hint }))
  const named = new Set(disks.map(({ volume }) => volume))
  // Names say which one is missing only where virtual disks are named after the volumes that are listed.
  const isNamed = [...(listed?.keys() ?? [])].some((volume) => named.has(volume))
  for (const [volume, point] of isNamed && listed !== undefined ? listed : []) {
    if (named.has(volume)) continue
    const place = point === '' ? '' : ` (${printable(point)})`
    lacks.push(reference('E_PART_MISSING', `${label}: the volume ${volume}${place} has no virtual disk`, { hint }))
  }
  for (const disk of isPlaced ? disks : []) {
    if (hasPartitions(disk)) continue
    const { file } = disk
    lacks.push(
      corrupt('E_BACKUP', `${label}: ${printable(file)} has no sound partition table: its place is not known`, {
        hint,
      }),
    )
  }
  return lacks
}
