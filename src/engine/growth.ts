import fs from 'node:fs'
import type { ByteStore } from '../block/types.js'
import { writeError } from '../block/file-store.js'
import { syscalls } from '../sys/syscalls.js'

/** How far ahead space is reserved, and a growing file is enlarged. */
const aheadLength = 64 * 1024 * 1024

interface Growing {
  /** How far the file was enlarged. */
  end: number
  grows: boolean
  placed: number
  reserves: boolean
  /** Of a file that had its size from the start: what is reserved, and how far that is written or known to be left. */
  reservedEnd: number
  writtenEnd: number
  readonly left: { readonly position: number; readonly length: number }[]
  leftLength: number
}

/**
 * Reserves space ahead of the writes, for fewer extents and quicker writes, and enlarges files that grow write by
 * write, which past the page cache must otherwise wait for each other. Only as long as the file is mostly data: formats
 * with large blocks leave holes that stay holes.
 */
export class Growth {
  readonly #files = new Map<ByteStore, Growing>()

  /**
   * To be called before `length` bytes are written at `position`; in ascending order where the file had its size from
   * the start. @param ahead bytes from there on that are likely to be written, too.
   */
  before(store: ByteStore, position: number, length: number, ahead: number): void {
    if (store.fd === undefined || !store.growable) return
    let file = this.#files.get(store)
    if (file === undefined) {
      file = {
        end: store.size,
        grows: false,
        placed: 0,
        reserves: true,
        reservedEnd: 0,
        writtenEnd: 0,
        left: [],
        leftLength: 0,
      }
      this.#files.set(store, file)
    }
    if (position + length > file.end) enlarge(store, store.fd, file, position + length)
    else if (file.reserves && !file.grows)
      reserveInside(store.fd, file, position, Math.min(length + ahead, file.end - position))
    this.#wrote(file, position, length)
  }

  #wrote(file: Growing, position: number, length: number): void {
    file.placed += length
    const skipped = Math.min(position, file.reservedEnd) - file.writtenEnd
    if (skipped > 0) {
      file.left.push({ position: file.writtenEnd, length: skipped })
      file.leftLength += skipped
      // Zeros after all, and a lot of them: reserving is not worth what releasing it takes.
      if (file.leftLength > file.placed / 4) file.reserves = false
    }
    file.writtenEnd = Math.max(file.writtenEnd, position + length)
  }

  /** Releases what was reserved and not written, and sets each file back to the size it is to have. */
  finish(): void {
    for (const [store, file] of this.#files) {
      if (file.writtenEnd < file.reservedEnd)
        file.left.push({ position: file.writtenEnd, length: file.reservedEnd - file.writtenEnd })
      if (store.fd !== undefined)
        for (const { position, length } of file.left) syscalls()?.punchHole(store.fd, position, length)
      store.truncate(store.size)
    }
  }
}

/** Reserves the start of what is about to be written in a file that has its size already. */
function reserveInside(descriptor: number, file: Growing, position: number, length: number): void {
  if (position + length <= file.reservedEnd) return
  // A piece alone is not worth a call: the filesystem reserves for the write itself.
  if (position < file.reservedEnd || length < aheadLength / 8) return
  const reserved = Math.min(length, aheadLength)
  file.reserves = syscalls()?.reserve(descriptor, position, reserved) === true
  if (!file.reserves) return
  if (file.writtenEnd < file.reservedEnd) {
    file.left.push({ position: file.writtenEnd, length: file.reservedEnd - file.writtenEnd })
    file.leftLength += file.reservedEnd - file.writtenEnd
  }
  file.writtenEnd = position
  file.reservedEnd = position + reserved
}

/**
 * Makes a file longer than what is about to be written. Past a limit for files ahead of its end it grows by its writes
 * alone, which say so in the end.
 */
function enlarge(store: ByteStore, descriptor: number, file: Growing, end: number): void {
  const next = end + aheadLength
  const dense = file.placed >= (end * 3) / 4
  if (dense && file.reserves) file.reserves = syscalls()?.reserve(descriptor, file.end, next - file.end) === true
  // A full disk, or a filesystem that cannot reserve, shows itself at the writes.
  if (!dense || !file.reserves) {
    try {
      fs.ftruncateSync(descriptor, next)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EFBIG')
        throw writeError(store.name, `cannot be set to ${next} bytes`, cause)
    }
  }
  file.end = next
  file.grows = true
}
