import { writeZeros } from '../block/zeros.js'
import fs from '../sys/host-fs.js'
import { roundDown, roundUp } from '../binary/integers.js'
import { memoryPage, pageAlignedMemory } from '../binary/pages.js'
import { writeError } from '../block/file-store.js'
import type { ByteStore } from '../block/types.js'
import { assertWithin } from '../block/within.js'
import { corrupt, isImageError, printable, refused, systemReason, targetError, type Label } from '../errors.js'
import { syscalls } from '../sys/syscalls.js'

export interface DiskStoreOptions {
  /** Bytes of the disk or partition, and of its logical sector. */
  readonly size: number
  readonly sectorSize: number
  /** Opened for writing; always exclusive then. */
  readonly writable?: boolean
  /** Refuses a device that is mounted or held, and keeps others from mounting it meanwhile. */
  readonly exclusive?: boolean
}

/** Not on every system, whatever the types say. */
const constants = fs.constants as Partial<typeof fs.constants>
const bounceLength = 16 * memoryPage

/**
 * A block device, past the page cache: what is read is what the medium holds, what is written is on it, and imaging a
 * disk does not
 * flood the memory. Any position and length can be read and written through it; its descriptor takes whole sectors
 * only, from memory that is aligned to them.
 */
export class DiskStore implements ByteStore {
  readonly growable = false
  readonly alignment = 1
  readonly zeroed = false
  readonly name: Label
  readonly size: number
  readonly sectorSize: number
  /** Whether the page cache is passed by. Where the system has no way to, it is emptied before reading back. */
  readonly direct: boolean
  #fd: number | undefined
  #bounce: Uint8Array | undefined

  private constructor(path: string, fd: number, direct: boolean, options: DiskStoreOptions) {
    this.name = printable(path)
    this.#fd = fd
    this.direct = direct
    this.size = options.size
    this.sectorSize = options.sectorSize
  }

  /** @throws ImageError refused E_DEVICE_BUSY; target E_WRITE_PERMISSION; corrupt E_READ. */
  static open(path: string, options: DiskStoreOptions): DiskStore {
    const exclusive = options.exclusive === true || options.writable === true
    const flags =
      (options.writable === true ? fs.constants.O_RDWR : fs.constants.O_RDONLY) + (exclusive ? fs.constants.O_EXCL : 0)
    const direct = constants.O_DIRECT ?? 0
    const opened = (mode: number, isDirect: boolean): DiskStore =>
      lockedIf(options.writable === true, new DiskStore(path, fs.openSync(path, mode), isDirect, options))
    try {
      return opened(flags + direct, direct !== 0)
    } catch (cause) {
      if (isImageError(cause)) throw cause
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'EINVAL' && direct !== 0) return opened(flags, false)
      if (code === 'EBUSY')
        throw refused(
          'E_DEVICE_BUSY',
          `${path} is in use: it, or a part of it, is mounted or held by something of this system`,
          { cause, hint: 'Unmount it, and close what uses it (LVM, LUKS, RAID, swap); "vdisk disks" shows who does.' },
        )
      if (code === 'EACCES' || code === 'EPERM')
        throw targetError('E_WRITE_PERMISSION', `${path} cannot be opened: permission denied`, {
          cause,
          hint: 'Disks belong to root: run the command with sudo.',
        })
      throw corrupt('E_READ', `${path} cannot be opened: ${systemReason(cause)}`, {
        cause,
      })
    }
  }

  /** Whole sectors, past the page cache. */
  get descriptorAlignment(): number {
    return this.direct ? this.sectorSize : 1
  }

  get fd(): number {
    if (this.#fd === undefined) throw new Error(`${this.name} is closed`)
    return this.#fd
  }

  read(position: number, target: Uint8Array): void {
    assertWithin(this, position, target.length)
    for (let done = 0; done < target.length;) {
      const at = position + done
      const start = roundDown(at, this.sectorSize)
      const end = Math.min(roundUp(position + target.length, this.sectorSize), start + bounceLength)
      const bytes = this.#bounced(end - start)
      this.#readSectors(start, bytes)
      const part = bytes.subarray(at - start, Math.min(end, position + target.length) - start)
      target.set(part, done)
      done += part.length
    }
  }

  #readSectors(position: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      let count: number
      try {
        count = fs.readSync(this.fd, target, done, target.length - done, position + done)
      } catch (cause) {
        throw corrupt(
          'E_READ',
          `${this.name}: cannot read ${target.length - done} bytes at byte ${position + done}: ` + systemReason(cause),
          { cause, details: { position: position + done } },
        )
      }
      if (count === 0)
        throw corrupt(
          'E_TRUNCATED',
          `${this.name} ends at byte ${position + done}, before the ${this.size} bytes it is said to have`,
          { details: { position: position + done } },
        )
      done += count
    }
  }

  write(position: number, bytes: Uint8Array): void {
    if (position < 0 || position + bytes.length > this.size)
      throw targetError(
        'E_WRITE',
        `${this.name}: ${bytes.length} bytes were to be written at byte ${position}, but it has ${this.size}`,
        { details: { position } },
      )
    for (let done = 0; done < bytes.length;) {
      const at = position + done
      const start = roundDown(at, this.sectorSize)
      const end = Math.min(roundUp(position + bytes.length, this.sectorSize), start + bounceLength)
      const sectors = this.#bounced(end - start)
      const length = Math.min(end, position + bytes.length) - at
      // Sectors that are written in part keep the rest.
      if (at > start) this.#readSectors(start, sectors.subarray(0, this.sectorSize))
      if (at + length < end)
        this.#readSectors(end - this.sectorSize, sectors.subarray(sectors.length - this.sectorSize))
      sectors.set(bytes.subarray(done, done + length), at - start)
      this.#writeSectors(start, sectors)
      done += length
    }
  }

  #writeSectors(position: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      let count: number
      try {
        count = fs.writeSync(this.fd, bytes, done, bytes.length - done, position + done)
      } catch (cause) {
        throw writeError(this.name, `cannot be written at byte ${position + done}`, cause, position + done)
      }
      done += count
    }
  }

  /** Makes whole sectors read as zero: by the device where it can, else by writing zeros. @throws ImageError target. */
  zero(position: number, length: number): void {
    if (length === 0) return
    const aligned = position % this.sectorSize === 0 && length % this.sectorSize === 0
    const system = aligned ? syscalls() : undefined
    // A device that can forget a range and then read it as zero is spared the writing, and keeps its room.
    if (system?.punchHole(this.fd, position, length) === true || system?.zeroOut(this.fd, position, length) === true)
      return
    writeZeros(this, position, length, bounceLength)
  }

  /** A device has the size it has. @throws ImageError target E_WRITE for any other. */
  truncate(size: number): void {
    if (size !== this.size)
      throw targetError('E_WRITE', `${this.name} has ${this.size} bytes and cannot be given ${size}`)
  }

  flush(): void {
    try {
      fs.fsyncSync(this.fd)
    } catch (cause) {
      throw writeError(this.name, 'cannot be flushed to the medium', cause)
    }
    // Reading back must see the medium, not the memory.
    if (!this.direct) syscalls()?.flushBuffers(this.fd)
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return
    const fd = this.#fd
    this.#fd = undefined
    fs.closeSync(fd)
  }

  #bounced(length: number): Uint8Array {
    this.#bounce ??= new Uint8Array(pageAlignedMemory(bounceLength))
    return this.#bounce.subarray(0, length)
  }
}

/** A machine of QEMU has a disk without asking the system to have it alone: its lock says so. */
function lockedIf(writable: boolean, store: DiskStore): DiskStore {
  if (!writable || syscalls()?.lock(store.fd) !== false) return store
  store[Symbol.dispose]()
  throw refused('E_LOCKED', `${store.name} is in use by another program, which has locked it`, {
    hint: 'Stop the virtual machine or server that uses it first.',
  })
}
