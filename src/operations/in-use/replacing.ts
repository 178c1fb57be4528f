import fs from '../../sys/host-fs.js'
import { printable, refused } from '../../errors.js'
import { syscalls } from '../../sys/syscalls.js'

/**
 * Takes the lock of a file that is going to be replaced, as a program that changes it does, and keeps it until it is
 * closed: a machine that is started meanwhile does not get the old file. One that may not be written is only looked at.
 * @throws ImageError refused E_LOCKED.
 */
export function lockReplaced(path: string): Disposable {
  const opened = openToLock(path)
  if (opened === undefined) return { [Symbol.dispose]: () => undefined }
  const { descriptor, writable } = opened
  const free = writable ? syscalls()?.lock(descriptor) !== false : syscalls()?.isLocked(descriptor) !== true
  if (free) return { [Symbol.dispose]: () => fs.closeSync(descriptor) }
  fs.closeSync(descriptor)
  throw refused('E_LOCKED', `${printable(path)} cannot be replaced, another program has it open`, {
    hint: 'Stop the virtual machine, server or mount that uses it first. No flag overrides this.',
  })
}

function openToLock(path: string): { readonly descriptor: number; readonly writable: boolean } | undefined {
  for (const writable of [true, false]) {
    try {
      const flags = writable ? fs.constants.O_RDWR : fs.constants.O_RDONLY
      return { descriptor: fs.openSync(path, flags + fs.constants.O_NONBLOCK), writable }
    } catch {
      // Not to be written, or gone: the next way, and at last the rename that follows will say what is wrong.
    }
  }
  return undefined
}
