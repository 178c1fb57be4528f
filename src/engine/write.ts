import fs from 'node:fs'
import { directAlignment, type ByteStore } from '../block/types.js'
import { writeError } from '../block/file-store.js'
import { syscalls } from '../sys/syscalls.js'

/** Bytes of a buffer that go to one place of a store. */
export interface Write {
  readonly store: ByteStore
  readonly position: number
  readonly at: number
  readonly length: number
}

/** Adds a write to a list, joined to the last one where both the buffer and the file go on without a gap. */
export function addWrite(writes: Write[], write: Write): void {
  const last = writes.at(-1)
  if (
    last !== undefined &&
    last.store === write.store &&
    last.position + last.length === write.position &&
    last.at + last.length === write.at
  ) {
    writes[writes.length - 1] = {
      store: last.store,
      position: last.position,
      at: last.at,
      length: last.length + write.length,
    }
  } else writes.push(write)
}

/**
 * Writes parts of a buffer to their places, through the thread pool where the store has a descriptor. @throws
 * ImageError target
 */
export async function writeAll(writes: readonly Write[], bytes: Uint8Array): Promise<void> {
  // All are awaited even when one fails: nothing may still read the buffer afterwards.
  const results = await Promise.allSettled(writes.map((write) => writeOne(write, bytes)))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

function writeOne({ store, position, at, length }: Write, bytes: Uint8Array): Promise<void> {
  const { fd: descriptor, descriptorAlignment = 1 } = store
  if (descriptor === undefined && store.send !== undefined) return store.send(position, bytes.subarray(at, at + length))
  if (
    descriptor === undefined ||
    [position, length, bytes.byteOffset + at].some((value) => value % descriptorAlignment !== 0)
  ) {
    store.write(position, bytes.subarray(at, at + length))
    return Promise.resolve()
  }
  const { directDescriptor } = store
  // Buffers of the pool begin at a page, so that the place within the buffer is also the alignment of the address.
  const aligned =
    directDescriptor !== undefined &&
    (bytes.byteOffset + at) % directAlignment === 0 &&
    position % directAlignment === 0
  const direct = aligned ? length - (length % directAlignment) : 0
  const write = (): Promise<void> =>
    new Promise((resolve, reject) => {
      let done = 0
      const step = (): void => {
        const past = done < direct
        const end = past ? direct : length
        fs.write(
          past ? (directDescriptor ?? descriptor) : descriptor,
          bytes,
          at + done,
          end - done,
          position + done,
          (cause, count) => {
            if (cause !== null)
              reject(writeError(store.name, `cannot be written at byte ${position + done}`, cause, position + done))
            else if ((done += count) < length) step()
            else {
              store.grown?.(position + length)
              resolve()
            }
          },
        )
      }
      step()
    })
  // Through the page cache a file takes one write at a time: others would wait in the kernel, spinning on processors
  // that have work to do.
  return directDescriptor === undefined && descriptorAlignment === 1 ? inTurn(store, write) : write()
}

/** The last write of each file that takes one at a time. */
const lastWrites = new WeakMap<ByteStore, Promise<void>>()

function inTurn(store: ByteStore, write: () => Promise<void>): Promise<void> {
  const turn = (lastWrites.get(store) ?? Promise.resolve()).then(write)
  // A failure is reported to the caller of that write; later writes still run.
  lastWrites.set(
    store,
    turn.catch(() => undefined),
  )
  return turn
}

/**
 * Makes a file longer. Past a limit for files ahead of its end it grows by its writes alone, which say so in the end.
 */
function enlarge(store: ByteStore, descriptor: number, size: number): void {
  try {
    fs.ftruncateSync(descriptor, size)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EFBIG')
      throw writeError(store.name, `cannot be set to ${size} bytes`, cause)
  }
}

/** How far ahead of its end a growing file is enlarged. */
const aheadLength = 64 * 1024 * 1024

/**
 * Enlarges files that grow write by write ahead of the writes, which past the page cache must otherwise wait for each
 * other. The space
 * is reserved too, for fewer extents, as long as the file is mostly data: formats with large blocks leave holes that
 * stay holes.
 */
export class Growth {
  readonly #files = new Map<ByteStore, { end: number; placed: number; reserves: boolean }>()

  /** To be called before `length` bytes are written at `position`. */
  before(store: ByteStore, position: number, length: number): void {
    if (store.fd === undefined || !store.growable) return
    let file = this.#files.get(store)
    if (file === undefined) this.#files.set(store, (file = { end: store.size, placed: 0, reserves: true }))
    const end = position + length
    if (end > file.end) {
      const next = end + aheadLength
      const dense = file.placed >= (end * 3) / 4
      if (dense && file.reserves) file.reserves = syscalls()?.reserve(store.fd, file.end, next - file.end) === true
      // A full disk, or a filesystem that cannot reserve, shows itself at the writes.
      if (!dense || !file.reserves) enlarge(store, store.fd, next)
      file.end = next
    }
    file.placed += length
  }

  /** Sets each file back to the size it is to have. */
  finish(): void {
    for (const store of this.#files.keys()) store.truncate(store.size)
  }
}
