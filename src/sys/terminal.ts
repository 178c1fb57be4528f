import { isatty } from 'node:tty'
import fs from './host-fs.js'

/** The devices of memory (/dev/null, /dev/full) have this number on Linux, and no terminal has. */
const memoryDevices = 1

/** Whether a descriptor is of a device that can be a terminal; what Node asks a terminal with takes long to load. */
export function mayBeTerminal(descriptor: number): boolean {
  try {
    const stat = fs.fstatSync(descriptor)
    return stat.isCharacterDevice() && (process.platform !== 'linux' || Math.floor(stat.rdev / 256) !== memoryDevices)
  } catch {
    // Closed by the caller.
    return false
  }
}

/** Whether a standard stream is a terminal that is gone: its window was closed, or the connection to it was cut. */
export function isHungUp(): boolean {
  return [0, 1, 2].some((descriptor) => mayBeTerminal(descriptor) && !isatty(descriptor))
}
