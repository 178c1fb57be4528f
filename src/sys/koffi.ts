import { createRequire } from 'node:module'
import fs from './host-fs.js'
import type { Syscalls } from './types.js'

export interface NativeFunction {
  /** What the prototype says: a number, a pointer, or nothing. */
  (...values: unknown[]): number
  /** Runs in a thread of Node's pool; the last of the values is called with the result, and `errno` is that call's. */
  async(...values: unknown[]): void
}
export interface Koffi {
  load(library: string | null, options?: { readonly deep: boolean }): { func(prototype: string): NativeFunction }
  struct(name: string, members: Readonly<Record<string, string>>): unknown
  errno(): number
  address(memory: Uint8Array): bigint
}

/** "The path stands for itself", and "the link, not what it points to". */
const currentFolder = -100
const noFollow = 0x100

const seekData = 3
const seekHole = 4
const cloneRangeRequest = 0x4020940d
/** ioctl requests of block devices (linux/fs.h). */
const blockRequests = { zeroOut: 0x127f, discard: 0x1277, rereadPartitions: 0x125f, flushBuffers: 0x1261 } as const
/** FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE. */
const punchHoleMode = 3
/** SYNC_FILE_RANGE_WRITE; and with WAIT_BEFORE and WAIT_AFTER. */
const writingModes = { start: 2, finish: 7 } as const
/** POSIX_FADV_DONTNEED. */
const notNeeded = 4
/** What sync_file_range reports of a medium that did not take the bytes, by number: EIO, ENOSPC, EDQUOT. */
const writeFailures: Readonly<Record<number, string>> = { 5: 'EIO', 28: 'ENOSPC', 122: 'EDQUOT' }
/** F_OFD_SETLK: a lock of the open file, not of the process. EACCES and EAGAIN: somebody else has one. */
const setLockRequest = 37
/** F_OFD_GETLK: who would be in the way. */
const getLockRequest = 36
const lockTypes = { read: 0, write: 1, none: 2 } as const
const lockedErrors = [11, 13]
/**
 * The bytes by which QEMU says how it uses a file (block/file-posix.c): from 100 on what it does, from 200 on what it
 * does not let others do; byte 0 of each is reading, 1 writing, 3 resizing.
 */
const useLocks = { all: { start: 100, length: 164 }, reads: 100, writes: 101, resizes: 103, refuses: 100 } as const
const loopStatusRequest = 0x4c05
/** AF_UNIX, SOCK_STREAM with SOCK_CLOEXEC: a program that inherited our end would never see the other one close. */
const localSocket = 1
const closedStream = 0o2000001
/** MSG_DONTWAIT and MSG_CMSG_CLOEXEC. */
const receiveFlags = 0x40000040
/** struct cmsghdr with one descriptor: its length, SOL_SOCKET, SCM_RIGHTS, and then the descriptor. */
const rights = { length: 20, level: 1, type: 1, descriptorAt: 16 }
const setIoFlusher = 57
const freezeRequest = 0xc0045877
const thawRequest = 0xc0045878
/** ENXIO: lseek found no more data. */
const noSuchAddress = 6

/**
 * koffi's native module; undefined where it is not installed, or has none for this processor and C library. The package
 * of the platform holds all that is used here; what koffi lays around it takes longer to load than the module itself.
 */
export function nativeKoffi(): Koffi | undefined {
  const load = createRequire(import.meta.url)
  const own = `@koromix/koffi-${process.platform}-${process.arch}`
  for (const name of [...glibcModule(own), own, 'koffi']) {
    try {
      return load(name) as Koffi
    } catch {
      // An optional dependency, and the first of the two may lie elsewhere.
    }
  }
  return undefined
}

/**
 * The module for glibc itself: the package reads Node's own file to find out which C library there is, and that takes
 * longer than the rest.
 */
function glibcModule(own: string): string[] {
  const { platform, arch } = process
  const machine = { x64: 'x86_64', arm64: 'aarch64' }[arch as string]
  if (platform !== 'linux' || machine === undefined || isMusl(machine)) return []
  return [`${own}/${platform}_${arch}/koffi.node`]
}

function isMusl(machine: string): boolean {
  return fs.existsSync(`/lib/ld-musl-${machine}.so.1`)
}

/** Node has functions of these in its own file, of the same names and in other versions. */
const alsoInNode = ['libz.so.1', 'libzstd.so.1']

/**
 * What loads libraries of codecs that vdisk does without where they are missing. Undefined with VDISK_NO_NATIVE_CODECS
 * set, and where their structures are not known: these are laid out as on 64-bit systems with the low byte first.
 */
export function codecKoffi(): Koffi | undefined {
  const isKnown = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch)
  return isKnown && process.env['VDISK_NO_NATIVE_CODECS'] === undefined ? nativeKoffi() : undefined
}

/**
 * A library of codecs. It calls its own functions (RTLD_DEEPBIND): without that, some of its calls would lead to those
 * in Node's file, which know its structures in another version, and write past their ends. musl has no such way.
 * @throws Error where it is not installed, or cannot be kept apart.
 */
export function loadLibrary(koffi: Koffi, name: string): ReturnType<Koffi['load']> {
  if (alsoInNode.includes(name) && (isMusl('x86_64') || isMusl('aarch64')))
    throw new Error(`${name} cannot be kept apart from what Node has of it`)
  return koffi.load(name, { deep: true })
}

/** Undefined where the library is not installed, or not with these functions. */
export function ifInstalled<Bound>(bind: () => Bound): Bound | undefined {
  try {
    return bind()
  } catch {
    return undefined
  }
}

/** The calls of Linux's C library, through koffi. Undefined where koffi has no binary for this machine. */
// eslint-disable-next-line max-lines-per-function -- a table: each call of the library, and what is made of it
export function loadKoffi(): Syscalls | undefined {
  const koffi = nativeKoffi()
  const library = koffi?.load(null)
  if (koffi === undefined || library === undefined) return undefined
  const lseek = library.func('int64_t lseek(int fd, int64_t offset, int whence)')
  const fallocate = library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)')
  const syncFileRange = library.func('int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)')
  const fadvise = library.func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)')
  const futimens = library.func('int futimens(int fd, void *times)')
  const utimensat = library.func('int utimensat(int folder, const char *path, void *times, int flags)')
  const fcntl = library.func('int fcntl(int fd, int command, void *argument)')
  const close = library.func('int close(int fd)')
  const socketpair = library.func('int socketpair(int domain, int type, int protocol, void *pair)')
  koffi.struct('vdisk_iovec', { base: 'void *', length: 'int64_t' })
  koffi.struct('vdisk_msghdr', {
    name: 'void *',
    nameLength: 'uint32_t',
    vector: 'vdisk_iovec *',
    vectorLength: 'int64_t',
    control: 'void *',
    controlLength: 'int64_t',
    flags: 'int',
  })
  const recvmsg = library.func('int64_t recvmsg(int fd, _Inout_ vdisk_msghdr *message, int flags)')
  const prctl = library.func(
    'int prctl(int option, unsigned long value, unsigned long second, unsigned long third, unsigned long fourth)',
  )
  const ioctl = library.func('int ioctl(int fd, unsigned long request, void *argument)')

  const inPool = (call: NativeFunction, ...values: number[]): Promise<void> =>
    new Promise((resolve, reject) => {
      call.async(...values, (failure: Error | null, result: number) => {
        const code = result === 0 ? undefined : writeFailures[koffi.errno()]
        if (failure !== null) reject(failure)
        else if (code === undefined) resolve()
        else reject(Object.assign(new Error(`${code}: sync_file_range`), { code }))
      })
    })
  const takeLock = (descriptor: number, type: number, start: number, length: number): boolean | undefined => {
    if (fcntl(descriptor, setLockRequest, lockArgument(type, start, length)) === 0) return true
    return lockedErrors.includes(koffi.errno()) ? false : undefined
  }
  const meetsLock = (descriptor: number, start: number, length = 1): boolean => {
    const argument = lockArgument(lockTypes.write, start, length)
    return fcntl(descriptor, getLockRequest, argument) === 0 && argument.readInt16LE(0) !== lockTypes.none
  }

  return {
    nextData(descriptor, position) {
      const found = lseek(descriptor, position, seekData)
      if (found >= 0) return found
      return koffi.errno() === noSuchAddress ? Infinity : undefined
    },
    nextHole(descriptor, position) {
      const found = lseek(descriptor, position, seekHole)
      return found < 0 ? undefined : found
    },
    reserve: (descriptor, position, length) => fallocate(descriptor, 0, position, length) === 0,
    startWriting: (descriptor, position, length) =>
      inPool(syncFileRange, descriptor, position, length, writingModes.start),
    async finishWriting(descriptor, position, length) {
      await inPool(syncFileRange, descriptor, position, length, writingModes.finish)
      // Releasing 8 MiB takes most of a millisecond. Where it fails, nothing is lost.
      await new Promise<void>((resolve) => {
        fadvise.async(descriptor, position, length, notNeeded, () => resolve())
      })
    },
    setTimes: (descriptor, accessed, modified) => futimens(descriptor, timespecs(accessed, modified)) === 0,
    setLinkTimes: (path, accessed, modified) =>
      utimensat(currentFolder, path, timespecs(accessed, modified), noFollow) === 0,
    punchHole: (descriptor, position, length) => fallocate(descriptor, punchHoleMode, position, length) === 0,
    lock: (descriptor) => takeLock(descriptor, lockTypes.write, useLocks.all.start, useLocks.all.length),
    lockForReading: (descriptor) =>
      !meetsLock(descriptor, useLocks.writes) &&
      !meetsLock(descriptor, useLocks.resizes) &&
      [useLocks.reads, useLocks.writes + useLocks.refuses, useLocks.resizes + useLocks.refuses].every(
        (byte) => takeLock(descriptor, lockTypes.read, byte, 1) !== false,
      ),
    isLocked: (descriptor) => meetsLock(descriptor, useLocks.all.start, useLocks.all.length),
    hasWriter: (descriptor) => meetsLock(descriptor, useLocks.writes) || meetsLock(descriptor, useLocks.resizes),
    loopStatus(descriptor) {
      const status = Buffer.alloc(232)
      if (ioctl(descriptor, loopStatusRequest, status) !== 0) return undefined
      return {
        device: status.readBigUInt64LE(0),
        inode: status.readBigUInt64LE(8),
        node: status.readBigUInt64LE(16),
      }
    },
    cloneRange(from, fromPosition, length, to, toPosition) {
      const argument = Buffer.alloc(32)
      argument.writeBigInt64LE(BigInt(from), 0)
      argument.writeBigUInt64LE(BigInt(fromPosition), 8)
      argument.writeBigUInt64LE(BigInt(length), 16)
      argument.writeBigUInt64LE(BigInt(toPosition), 24)
      return ioctl(to, cloneRangeRequest, argument) === 0
    },
    zeroOut: (descriptor, position, length) =>
      ioctl(descriptor, blockRequests.zeroOut, rangeArgument(position, length)) === 0,
    discard: (descriptor, position, length) =>
      ioctl(descriptor, blockRequests.discard, rangeArgument(position, length)) === 0,
    rereadPartitions: (descriptor) => ioctl(descriptor, blockRequests.rereadPartitions, null) === 0,
    flushBuffers: (descriptor) => ioctl(descriptor, blockRequests.flushBuffers, null) === 0,
    closeDescriptor: (descriptor) => void close(descriptor),
    socketPair() {
      const pair = new Int32Array(2)
      const [first, second] = socketpair(localSocket, closedStream, 0, pair) === 0 ? pair : []
      return first === undefined || second === undefined ? undefined : [first, second]
    },
    receiveDescriptor(socket) {
      const control = Buffer.alloc(64)
      const message = {
        name: null,
        nameLength: 0,
        vector: [{ base: Buffer.alloc(1), length: 1 }],
        vectorLength: 1,
        control,
        controlLength: control.length,
        flags: 0,
      }
      if (recvmsg(socket, message, receiveFlags) !== 1) return undefined
      const isDescriptor =
        control.readBigUInt64LE(0) === BigInt(rights.length) &&
        control.readInt32LE(8) === rights.level &&
        control.readInt32LE(12) === rights.type
      return isDescriptor ? control.readInt32LE(rights.descriptorAt) : undefined
    },
    servesIo: () => prctl(setIoFlusher, 1, 0, 0, 0) === 0,
    freeze: (descriptor) => ioctl(descriptor, freezeRequest, null) === 0,
    thaw: (descriptor) => ioctl(descriptor, thawRequest, null) === 0,
  }
}

/** struct flock on 64-bit systems. */
function lockArgument(type: number, start: number, length: number): Buffer {
  const argument = Buffer.alloc(32)
  argument.writeInt16LE(type, 0)
  argument.writeBigInt64LE(BigInt(start), 8)
  argument.writeBigInt64LE(BigInt(length), 16)
  return argument
}

/** start and length, as the block device's requests take them. */
function rangeArgument(position: number, length: number): Buffer {
  const argument = Buffer.alloc(16)
  argument.writeBigUInt64LE(BigInt(position), 0)
  argument.writeBigUInt64LE(BigInt(length), 8)
  return argument
}

/** Two of the C library's struct timespec on 64-bit systems: seconds and nanoseconds. */
function timespecs(...times: readonly bigint[]): Buffer {
  const buffer = Buffer.alloc(times.length * 16)
  for (const [index, time] of times.entries()) {
    const rest = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
    buffer.writeBigInt64LE((time - rest) / 1_000_000_000n, index * 16)
    buffer.writeBigInt64LE(rest, index * 16 + 8)
  }
  return buffer
}
