import { usage } from '../errors.js'
import { settingsName } from '../location/backup-set.js'
import { HostLocation } from '../location/file.js'
import type { Location } from '../location/location.js'
import { Registry } from './registry.js'

/**
 * The file from which the disk is opened that a folder is, with the format that has such folders; any other location as
 * it is. @throws ImageError usage E_NO_POINT where the folder is a backup set.
 */
export function diskIn(
  self: Location,
  { registry = new Registry(), from }: { readonly registry?: Registry; readonly from?: string },
): Location {
  if (self.kind !== 'folder') return self
  const files = self.list?.() ?? []
  const names = new Set(files.flatMap(({ name }) => (name === undefined ? [] : [name])))
  if (names.has(settingsName))
    throw usage('E_NO_POINT', `${self.label} is a backup set: which of its points is meant?`, {
      hint: `Write ${self.label}@latest, or @ and a date. vdisk backup list shows its points.`,
    })
  for (const { driver } of registry) {
    if (from !== undefined && from !== driver.id) continue
    const wanted = driver.folderFile?.(names)
    const file = wanted === undefined ? undefined : files.find(({ name }) => name === wanted)
    // A link could lead to a file whose neighbours are others than those in the folder.
    if (file?.path !== undefined && file.kind === 'file' && file.behind === undefined)
      return new HostLocation(file.path, self.member, driver.id)
  }
  return self
}
