import fs from '../../sys/host-fs.js'
import type { ShownDisk, ShownImage } from '../../device/file-lookup.js'
import { diskPlatform } from '../../device/index.js'
import type { DiskPlatform } from '../../device/types.js'
import { printable } from '../../errors.js'
import type { MountSession } from '../mount/session.js'
import { runningSessions } from '../mount/state.js'

/** The machine that this runs on: its disks, and what vdisk itself shows of images. @throws ImageError E_PLATFORM */
export function thisMachine(): DiskPlatform {
  let shown: readonly ShownDisk[] | undefined
  return diskPlatform(() => (shown ??= runningSessions().map(shownDisk)))
}

/** The inode of the first file of a folder that is shown; the folder itself is 1. */
const firstFile = 2

function shownDisk(session: MountSession): ShownDisk {
  const { id, image, connection, files } = session
  return {
    connection,
    title: `vdisk mount ${id} of ${printable(image)}`,
    files: files.map(({ start, length }, index) => ({ inode: BigInt(index + firstFile), start, length })),
    images: shownImages(session),
  }
}

function shownImages({ image, overlay, reads, mode, format, capacity }: MountSession): ShownImage[] {
  const written = mode === 'write' ? image : mode === 'overlay' ? overlay : undefined
  const read = reads ?? [image, ...(overlay === undefined ? [] : [overlay])]
  return [...new Set([...read, ...(written === undefined ? [] : [written])])].map((path) => ({
    path,
    read: read.includes(path),
    written: path === written,
    exact: format === 'raw' && read.length === 1 && sizeOf(path) >= capacity,
  }))
}

function sizeOf(path: string): number {
  return fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
