/** FUSE_INIT flags that are used: what the kernel offers of them is accepted. */
const wantedFlags = {
  asyncRead: 1n << 0n,
  bigWrites: 1n << 5n,
  asyncDio: 1n << 15n,
  parallelDirops: 1n << 18n,
  maxPages: 1n << 22n,
  explicitInvalidation: 1n << 25n,
}

/** What is answered to the kernel's INIT flags, and whether requests may be longer than 128 KiB. */
export function negotiate(offered: bigint): { readonly flags: bigint; readonly largeRequests: boolean } {
  const wanted = Object.values(wantedFlags).reduce((all, flag) => all | flag, 0n)
  const flags = offered & wanted
  return { flags, largeRequests: (flags & wantedFlags.maxPages) !== 0n }
}

/** FUSE_SETATTR: what is to be set. */
export function setsSize(valid: bigint): boolean {
  return (valid & (1n << 3n)) !== 0n
}

/** Mode, owner and group belong to the mount, not to the image. */
export function setsOwnership(valid: bigint): boolean {
  return (valid & 7n) !== 0n
}

/** O_ACCMODE of open(2). */
export function opensForWriting(flags: number): boolean {
  return (flags & 3) !== 0
}

/**
 * What fallocate(2) is to do: zeros (punched or not; a disk knows no difference), space that is there already, or
 * something else.
 */
export function fallocateWish(mode: bigint): {
  readonly keepsSize: boolean
  readonly does: 'reserve' | 'zero' | 'other'
} {
  const keepsSize = (mode & 1n) !== 0n
  const rest = mode & ~1n
  const punch = 2n
  const zeroRange = 0x10n
  return { keepsSize, does: rest === 0n ? 'reserve' : rest === punch || rest === zeroRange ? 'zero' : 'other' }
}

/** st_mode: a folder or a file, and who may what. */
export function modeOf(kind: 'directory' | 'file', permissions: number): number {
  return (kind === 'directory' ? 0o040000 : 0o100000) | permissions
}
