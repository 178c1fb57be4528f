import { bytes, flags32, struct, u16, u32, u64 } from '../../binary/struct.js'

/**
 * The kernel's FUSE protocol, version 7 (linux/fuse.h; the sheet's part B). Words are in the host's order; the
 * structures here are those of
 * little endian processors (s390x, the one other that Node runs on, is refused before anything is mounted).
 */
export const protocolMajor = 7
/** The newest minor version whose structures are declared here; the kernel is answered with the lower of both. */
export const protocolMinor = 31

/** Bytes of the longest read and write: what 256 pages of 4 KiB hold, the most that a kernel takes. */
export const maxTransfer = 1048576
export const maxPages = 256
/** A request is read in one piece: the longest write and what stands before it. */
export const requestBufferLength = maxTransfer + 65536

export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
  lseek: 46,
  syncfs: 50,
} as const

/** Error numbers of Linux, as replies carry them (negative). */
export const errors = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  EACCES: 13,
  EINVAL: 22,
  ENOSPC: 28,
  EROFS: 30,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  EOPNOTSUPP: 95,
} as const

export const inHeader = struct('little', 40, {
  length: u32(0),
  opcode: u32(4),
  unique: u64(8),
  node: u64(16),
  user: u32(24),
  group: u32(28),
  process: u32(32),
})
export const outHeader = struct('little', 16, { length: u32(0), error: u32(4), unique: u64(8) })

export const initIn = struct('little', 16, { major: u32(0), minor: u32(4), maxReadahead: u32(8), flags: flags32(12) })
export const initOut = struct('little', 64, {
  major: u32(0),
  minor: u32(4),
  maxReadahead: u32(8),
  flags: flags32(12),
  maxBackground: u16(16),
  congestionThreshold: u16(18),
  maxWrite: u32(20),
  timeGranularity: u32(24),
  maxPages: u16(28),
})

/** fuse_attr; `blocks` are of 512 bytes whatever the filesystem's are. */
export const attributes = struct('little', 88, {
  node: u64(0),
  size: u64(8),
  blocks: u64(16),
  accessed: u64(24),
  modified: u64(32),
  changed: u64(40),
  mode: u32(60),
  links: u32(64),
  user: u32(68),
  group: u32(72),
  blockSize: u32(80),
})
export const attributesOut = struct('little', 104, { validSeconds: u64(0), attributes: bytes(16, 88) })
export const entryOut = struct('little', 128, {
  node: u64(0),
  generation: u64(8),
  entryValidSeconds: u64(16),
  attributesValidSeconds: u64(24),
  attributes: bytes(40, 88),
})

export const setattrIn = struct('little', 88, { valid: flags32(0), size: u64(16) })
export const openIn = struct('little', 8, { flags: u32(0) })
export const openOut = struct('little', 16, { handle: u64(0), flags: u32(8) })
/** READ and READDIR. */
export const readIn = struct('little', 40, { handle: u64(0), offset: u64(8), size: u32(16) })
/** The data follow. */
export const writeIn = struct('little', 40, { handle: u64(0), offset: u64(8), size: u32(16) })
export const writeOut = struct('little', 8, { size: u32(0) })
export const fallocateIn = struct('little', 32, { handle: u64(0), offset: u64(8), length: u64(16), mode: flags32(24) })
export const lseekIn = struct('little', 24, { handle: u64(0), offset: u64(8), whence: u32(16) })
export const lseekOut = struct('little', 8, { offset: u64(0) })
export const statfsOut = struct('little', 80, {
  blocks: u64(0),
  free: u64(8),
  available: u64(16),
  files: u64(24),
  freeFiles: u64(32),
  blockSize: u32(40),
  nameLength: u32(44),
  fragmentSize: u32(48),
})
/** The name follows, padded to a multiple of 8. */
export const direntHead = struct('little', 24, { node: u64(0), next: u64(8), nameLength: u32(16), type: u32(20) })

/** lseek(2). */
export const seekData = 3
export const seekHole = 4

/** struct dirent's d_type. */
export const entryTypes = { directory: 4, file: 8 } as const
