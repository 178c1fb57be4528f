import fs from '../../sys/host-fs.js'
import { deviceNumberText } from '../../binary/device-number.js'
import type { Note } from '../../block/types.js'
import { hasWriter } from '../../device/file-lookup.js'
import { SystemWriters } from '../../device/writers.js'
import { printable } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'
import { syscalls } from '../../sys/syscalls.js'

// Every command that reads loads this: who holds bytes in all other ways is asked by commands that write (guard.ts).

/**
 * Looks whether another program writes to files and disks that are read: it says so by QEMU's locks, or the system has
 * mounted them, or swaps to them. What the system uses is listed once, when it is first asked for.
 */
export function watchWriters(): (file: ImageFile, descriptor: number) => readonly Note[] {
  const system = new SystemWriters()
  return ({ path, device, inode }, descriptor) => {
    if (hasWriter(descriptor)) return [torn(path, 'another program has it open for writing')]
    const stat = fs.fstatSync(descriptor, { bigint: true })
    const why = stat.isBlockDevice() ? system.ofDevice(deviceNumberText(stat.rdev)) : system.ofFile(device, inode)
    return why === undefined ? [] : [torn(path, why)]
  }
}

function torn(path: string, why: string): Note {
  return {
    code: 'W_IN_USE',
    message:
      `${printable(path)} may change while it is read: ${why}. What is read may be partly old and partly new ` +
      '(--allow-in-use silences this)',
  }
}

/**
 * Keeps others from changing files for as long as they are shown to somebody, as QEMU does for what it reads. A file
 * that is being written already stays as it is: the user was warned.
 */
export function holdForReading(files: readonly ImageFile[]): Disposable {
  const system = syscalls()
  const held: number[] = []
  if (system !== undefined) {
    for (const { path, device, inode } of files) {
      let descriptor: number
      try {
        descriptor = fs.openSync(path, fs.constants.O_RDONLY + fs.constants.O_NONBLOCK)
      } catch {
        // Renamed or removed since it was opened: nobody finds it to change it.
        continue
      }
      held.push(descriptor)
      const { dev, ino } = fs.fstatSync(descriptor, { bigint: true })
      if (dev === device && ino === inode) system.lockForReading(descriptor)
    }
  }
  return {
    [Symbol.dispose]: () => {
      for (const descriptor of held.splice(0)) fs.closeSync(descriptor)
    },
  }
}
