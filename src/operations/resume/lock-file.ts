import { writeError } from '../../block/file-store.js'
import type { HostPath } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { folderPart } from '../../sys/host-path.js'
import { syscalls } from '../../sys/syscalls.js'

/** A lock that is held. */
export type LockFile = Disposable

/**
 * Holds a lock by an empty file, which is removed when the lock is given back; one that a killed process left is free.
 * Its folder is made. @returns `busy` where another one has it; systems without locks never say so.
 * @throws ImageError target E_WRITE, E_NO_SPACE, E_PERMISSION.
 */
export function takeLockFile(path: HostPath): LockFile | 'busy' {
  for (;;) {
    const descriptor = opened(path)
    if (syscalls()?.lock(descriptor) === false) {
      fs.closeSync(descriptor)
      return 'busy'
    }
    // Who had it may have removed the file before this process had the lock.
    if (isNamed(path, descriptor))
      return {
        [Symbol.dispose]: () => {
          fs.removeFileSync(path)
          fs.closeSync(descriptor)
        },
      }
    fs.closeSync(descriptor)
  }
}

function opened(path: HostPath): number {
  try {
    fs.mkdirSync(folderPart(path), { recursive: true, mode: 0o700 })
    const { O_RDWR, O_CREAT } = fs.constants
    return fs.openSync(path, O_RDWR + O_CREAT, 0o600)
  } catch (cause) {
    throw writeError(path, 'cannot be written', cause)
  }
}

function isNamed(path: HostPath, descriptor: number): boolean {
  const named = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  const { ino, dev } = fs.fstatSync(descriptor, { bigint: true })
  return named?.ino === ino && named.dev === dev
}
