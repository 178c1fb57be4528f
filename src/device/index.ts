import { unsupported } from '../errors.js'
import { LinuxDisks } from './linux.js'
import type { DiskPlatform } from './types.js'

/** The disks of the machine this runs on. @throws ImageError unsupported E_PLATFORM */
export function diskPlatform(): DiskPlatform {
  if (process.platform === 'linux') return new LinuxDisks()
  throw unsupported('E_PLATFORM', `disks of this system (${process.platform}) are not known to vdisk`, { hint: 'Images work on every system.' })
}
