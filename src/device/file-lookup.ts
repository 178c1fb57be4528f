import { deviceNumberText } from '../binary/device-number.js'
import type { HostPath } from '../errors.js'
import fs from '../sys/host-fs.js'
import { syscalls } from '../sys/syscalls.js'
import { namesInFolder, textOfFile } from '../sys/readable.js'
import { isRangeLocked, parseLocks, type FileLock } from './lock-list.js'

/** Which file a path names. */
export interface FileIdentity {
  /** Major and minor of the filesystem, as stat gives them: `8:1`. */
  readonly device: string
  readonly inode: bigint
  /** Major and minor of the device that the file stands for, when it is a block device's node. */
  readonly node?: string
}

/** A disk that a server of vdisk shows as files through FUSE. */
export interface ShownDisk {
  /** The FUSE connection, which is the minor number of its filesystem. */
  readonly connection: number
  /** What people call it: `vdisk mount 12ab34cd of disk.qcow2`. */
  readonly title: string
  /** The files that show it, by inode, and which bytes of the disk each one shows. */
  readonly files: readonly { readonly inode: bigint; readonly start: number; readonly length: number }[]
  /** The files that are read, and those that take what is written. */
  readonly images: readonly ShownImage[]
}

export interface ShownImage {
  readonly path: string
  readonly read: boolean
  readonly written: boolean
  /** Whether the disk's bytes are the file's, from its start; else they lie somewhere in it. */
  readonly exact: boolean
}

/** What the system says of files when it is asked; a recorded one answers from a list. */
export interface FileLookup {
  /** Links followed. Undefined: there is no such file, or it may not be looked at. */
  identify(path: HostPath): FileIdentity | undefined
  /** The file behind a loop device, by the device's own word: its path may lead elsewhere by now. */
  loopFile(name: string): FileIdentity | undefined
  /** The regular files and devices that a process has open, by descriptor paths. */
  openFiles(process: string): readonly HostPath[]
  /** The processes that answer for a FUSE filesystem. */
  fuseServers(minor: number): readonly string[]
  /** Whether a lock is held on the bytes by which QEMU and vdisk say that they use a file. */
  isLocked(path: HostPath): boolean
  /** Whether the system refuses to give a device to one program alone (O_EXCL). */
  isBusy(path: HostPath): boolean
  /** What servers of vdisk show now. */
  shownDisks(): readonly ShownDisk[]
}

/** The real system's answers. @param shownDisks what is known of vdisk's own servers. */
export function systemFiles(shownDisks: () => readonly ShownDisk[] = () => []): FileLookup {
  return { identify, loopFile, openFiles, fuseServers, isLocked, isBusy, shownDisks }
}

function identify(path: HostPath): FileIdentity | undefined {
  try {
    const stat = fs.statSync(path, { bigint: true })
    return {
      device: deviceNumberText(stat.dev),
      inode: stat.ino,
      node: stat.isBlockDevice() ? deviceNumberText(stat.rdev) : undefined,
    }
  } catch {
    // Gone, or not for our eyes.
    return undefined
  }
}

function loopFile(name: string): FileIdentity | undefined {
  return withDescriptor(`/dev/${name}`, (descriptor) => {
    const status = syscalls()?.loopStatus(descriptor)
    if (status === undefined) return undefined
    const { device, inode, node } = status
    return { device: deviceNumberText(device), inode, node: node === 0n ? undefined : deviceNumberText(node) }
  })
}

function openFiles(process: string): HostPath[] {
  const folder = `/proc/${process}/fd`
  return namesInFolder(folder).flatMap((name) => {
    try {
      const stat = fs.statSync(`${folder}/${name}`)
      return stat.isFile() || stat.isBlockDevice() ? [`${folder}/${name}`] : []
    } catch {
      // Closed meanwhile.
      return []
    }
  })
}

/** Kernels since 6.11 say which connection a descriptor of /dev/fuse is; of older ones every server may be it. */
function fuseServers(minor: number): string[] {
  const found = namesInFolder('/proc').flatMap((process) => {
    if (!/^\d+$/.test(process)) return []
    return namesInFolder(`/proc/${process}/fd`).flatMap((name) => {
      try {
        if (fs.readlinkSync(`/proc/${process}/fd/${name}`) !== '/dev/fuse') return []
        const info = fs.readFileSync(`/proc/${process}/fdinfo/${name}`, 'latin1')
        return [{ process, connection: /^fuse_connection:\s*(\d+)/m.exec(info)?.[1] }]
      } catch {
        // Closed meanwhile, or another user's.
        return []
      }
    })
  })
  const known = found.filter(({ connection }) => connection === String(minor))
  const servers = known.length > 0 ? known : found.filter(({ connection }) => connection === undefined)
  return [...new Set(servers.map(({ process }) => process))]
}

function isLocked(path: HostPath): boolean {
  return withDescriptor(path, (descriptor) => isDescriptorLocked(descriptor)) === true
}

function isBusy(path: HostPath): boolean {
  try {
    fs.closeSync(fs.openSync(path, fs.constants.O_RDONLY + fs.constants.O_EXCL + fs.constants.O_NONBLOCK))
    return false
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EBUSY'
  }
}

/** The bytes by which QEMU and vdisk say how they use a file. */
const useBytes = { start: 100, end: 264, writes: 101, resizes: 103 } as const

function isDescriptorLocked(descriptor: number): boolean {
  const system = syscalls()
  if (system !== undefined) return system.isLocked(descriptor)
  return isRangeLocked(systemLocks(), fs.fstatSync(descriptor, { bigint: true }).ino, useBytes.start, useBytes.end)
}

/** Whether another program says by a lock that it writes to an open file, or resizes it. */
export function hasWriter(descriptor: number): boolean {
  const system = syscalls()
  if (system !== undefined) return system.hasWriter(descriptor)
  const { ino } = fs.fstatSync(descriptor, { bigint: true })
  return [useBytes.writes, useBytes.resizes].some((byte) => isRangeLocked(systemLocks(), ino, byte, byte + 1))
}

/** Slower than asking for one file (the kernel waits for all processors), and there without a native module. */
function systemLocks(): FileLock[] {
  return parseLocks(textOfFile('/proc/locks') ?? '')
}

function withDescriptor<Answer>(path: HostPath, ask: (descriptor: number) => Answer | undefined): Answer | undefined {
  let descriptor: number
  try {
    descriptor = fs.openSync(path, fs.constants.O_RDONLY + fs.constants.O_NONBLOCK)
  } catch {
    // Gone, not for our eyes, or without a medium: nothing can be asked.
    return undefined
  }
  try {
    return ask(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}
