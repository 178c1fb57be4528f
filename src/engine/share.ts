import fs from 'node:fs'
import type { BlockSource, ByteStore } from '../block/types.js'
import { syscalls } from '../sys/syscalls.js'

/** Filesystems whose files can share blocks (statfs type): XFS and btrfs. Others would make every try a wasted call. */
const sharingFilesystems = new Set([0x58465342, 0x9123683e])

/**
 * Sharing blocks between source and target instead of copying them (reflink): the conversion becomes a change of
 * metadata.
 */
export class Sharing {
  /** Positions and lengths that can be shared are multiples of it. */
  readonly unit = 65536
  #usable: boolean

  constructor(source: BlockSource) {
    const first = source.capacity === 0 ? undefined : firstStore(source)
    this.#usable = first !== undefined && syscalls() !== undefined && canShare(first)
  }

  /** Whether it is worth trying. False for good after the first refusal. */
  get usable(): boolean {
    return this.#usable
  }

  /** False when the blocks could not be shared; then nothing was changed. */
  share(from: ByteStore, fromPosition: number, length: number, to: ByteStore, toPosition: number): boolean {
    if (!this.#usable || from.fd === undefined || to.fd === undefined) return false
    if (toPosition % 4096 !== 0 || syscalls()?.cloneRange(from.fd, fromPosition, length, to.fd, toPosition) !== true)
      this.#usable = false
    return this.#usable
  }
}

/** The store of the first data of a disk, looked for in its first mebibytes only: a guess is enough. */
function firstStore(source: BlockSource): ByteStore | undefined {
  let offset = 0
  for (let tries = 0; tries < 64 && offset < source.capacity; tries++) {
    const extent = source.extentAt(offset, source.capacity - offset)
    if (extent.kind === 'data') return extent.store
    offset += extent.length
  }
  return undefined
}

function canShare(store: ByteStore): boolean {
  if (store.fd === undefined) return false
  try {
    // The descriptor's own filesystem, whatever name the file has by now.
    return sharingFilesystems.has(fs.statfsSync(`/proc/self/fd/${store.fd}`).type)
  } catch {
    // No /proc: an ordinary copy does the same work.
    return false
  }
}
