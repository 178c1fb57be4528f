/** One lock of the system's list (proc_locks(5)). The range is in bytes, its end exclusive. */
export interface FileLock {
  readonly inode: bigint
  readonly start: number
  readonly end: number
}

/** Locks on ranges of files; leases and locks on whole files by flock(2) are left out. */
export function parseLocks(text: string): FileLock[] {
  return text.split('\n').flatMap((line) => {
    const found = /^\d+: (?:OFDLCK|POSIX) +\S+ +\S+ +-?\d+ +[0-9a-f]+:[0-9a-f]+:(\d+) (\d+) (\d+|EOF)$/.exec(line)
    const [, inode, start, last] = found ?? []
    if (inode === undefined || start === undefined) return []
    return [{ inode: BigInt(inode), start: Number(start), end: last === 'EOF' ? Infinity : Number(last) + 1 }]
  })
}

/**
 * Whether a range of a file is locked. Filesystems of several devices have other numbers in the list than stat gives:
 * the inode alone decides, which may be another filesystem's.
 */
export function isRangeLocked(locks: readonly FileLock[], inode: bigint, start: number, end: number): boolean {
  return locks.some((lock) => lock.inode === inode && lock.start < end && start < lock.end)
}
