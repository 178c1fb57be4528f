import { loadKoffi } from './koffi.js'
import { once } from './once.js'
import type { Syscalls } from './types.js'

export type { Syscalls } from './types.js'

// VDISK_NO_SYSCALLS lets tests and doubtful users run the way without.
const load = once((): Syscalls | undefined =>
  process.env['VDISK_NO_SYSCALLS'] === undefined && process.platform === 'linux' ? loadKoffi() : undefined,
)

/** The system calls, loaded at first use; undefined where they cannot be had (no prebuilt module, another system). */
export function syscalls(): Syscalls | undefined {
  return load()
}
