import { unsupported } from '../errors.js'
import { DarwinDisks } from './darwin.js'
import { systemFiles, type ShownDisk } from './file-lookup.js'
import { LinuxDisks } from './linux.js'
import type { DiskPlatform } from './types.js'
import { WindowsDisks } from './win32.js'

/** By the name that Node gives the system. */
const platforms: Readonly<Record<string, (shownDisks: () => readonly ShownDisk[]) => DiskPlatform>> = {
  linux: (shownDisks) => new LinuxDisks({ files: systemFiles(shownDisks) }),
  darwin: () => new DarwinDisks(),
  win32: () => new WindowsDisks(),
}

/**
 * The disks of the machine this runs on.
 * @param shownDisks what servers of vdisk show now. @throws ImageError unsupported E_PLATFORM
 */
export function diskPlatform(shownDisks: () => readonly ShownDisk[] = () => []): DiskPlatform {
  const platform = platforms[process.platform]
  if (platform !== undefined) return platform(shownDisks)
  throw unsupported('E_PLATFORM', `disks of this system (${process.platform}) are not known to vdisk`, {
    hint: 'Images work on every system.',
  })
}
