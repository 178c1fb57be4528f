import { unsupported } from '../errors.js'
import { DarwinDisks } from './darwin.js'
import { LinuxDisks } from './linux.js'
import type { DiskPlatform } from './types.js'
import { WindowsDisks } from './win32.js'

/** The disks of the machine this runs on. @throws ImageError unsupported E_PLATFORM */
export function diskPlatform(): DiskPlatform {
  if (process.platform === 'linux') return new LinuxDisks()
  if (process.platform === 'darwin') return new DarwinDisks()
  if (process.platform === 'win32') return new WindowsDisks()
  throw unsupported('E_PLATFORM', `disks of this system (${process.platform}) are not known to vdisk`, {
    hint: 'Images work on every system.',
  })
}
