import { unsupported } from '../errors.js'
import { DarwinDisks } from './darwin.js'
import { systemFiles, type ShownDisk } from './file-lookup.js'
import { LinuxDisks } from './linux.js'
import type { DiskPlatform } from './types.js'
import { WindowsDisks } from './win32.js'

/**
 * The disks of the machine this runs on.
 * @param shownDisks what servers of vdisk show now. @throws ImageError unsupported E_PLATFORM
 */
export function diskPlatform(shownDisks: () => readonly ShownDisk[] = () => []): DiskPlatform {
  if (process.platform === 'linux') return new LinuxDisks({ files: systemFiles(shownDisks) })
  if (process.platform === 'darwin') return new DarwinDisks()
  if (process.platform === 'win32') return new WindowsDisks()
  throw unsupported('E_PLATFORM', `disks of this system (${process.platform}) are not known to vdisk`, {
    hint: 'Images work on every system.',
  })
}
