import { loadKoffi } from './koffi.js'
import type { Syscalls } from './types.js'

export type { Syscalls } from './types.js'

let loaded: Syscalls | undefined
let tried = false

/** The system calls, loaded at first use; undefined where they cannot be had (no prebuilt module, another system). */
export function syscalls(): Syscalls | undefined {
  if (!tried) {
    tried = true
    // VDISK_NO_SYSCALLS lets tests and doubtful users run the way without.
    loaded = process.env['VDISK_NO_SYSCALLS'] === undefined && process.platform === 'linux' ? loadKoffi() : undefined
  }
  return loaded
}
