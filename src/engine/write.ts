import fs from 'node:fs'
import { directAlignment, type ByteStore } from '../block/types.js'
import { writeError } from '../block/file-store.js'
import type { ImageError } from '../errors.js'
import { milliseconds } from '../sys/clock.js'
import { allOf } from './all-of.js'

/**
 * Bytes of one write into the page cache. Linux (ext4 since 6.16, XFS and btrfs before) takes memory in pieces as large
 * as the write: pieces of a mebibyte are rarely at hand, and getting one from a kernel whose free memory is in smaller
 * pieces, or from a virtual machine's host, takes five times as long as the copy.
 */
const longestCall = 262144

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
  await allOf(writes.map((write) => writeOne(write, bytes)))
}

/**
 * The same, by this thread itself where the store is a file in the page cache. Undefined when all is done; a promise
 * where something is to be waited for, or failed (ImageError target).
 */
export function writeNow(writes: readonly Write[], bytes: Uint8Array): Promise<unknown> | undefined {
  const later: Promise<void>[] = []
  for (const write of writes) {
    const { store, position, length } = write
    const { fd: descriptor, directDescriptor, descriptorAlignment = 1 } = store
    if (descriptor === undefined || directDescriptor !== undefined || descriptorAlignment !== 1) {
      later.push(writeOne(write, bytes))
      continue
    }
    const start = milliseconds()
    const failure = writeSync(write, descriptor, bytes)
    if (failure !== undefined) {
      later.push(Promise.reject(failure))
      break
    }
    const behind = wrote(store, position, length, start)
    if (behind !== undefined) later.push(behind)
  }
  return later.length === 0 ? undefined : allOf(later)
}

function writeSync(
  { store, position, at, length }: Write,
  descriptor: number,
  bytes: Uint8Array,
): ImageError | undefined {
  for (let done = 0; done < length;) {
    try {
      done += fs.writeSync(descriptor, bytes, at + done, Math.min(length - done, longestCall), position + done)
    } catch (cause) {
      return writeError(store.name, `cannot be written at byte ${position + done}`, cause, position + done)
    }
  }
  return undefined
}

function wrote(store: ByteStore, position: number, length: number, start: number): Promise<void> | undefined {
  if (store.written !== undefined) return store.written(position, length, milliseconds() - start)
  store.grown?.(position + length)
  return undefined
}

async function writeOne({ store, position, at, length }: Write, bytes: Uint8Array): Promise<void> {
  const { fd: descriptor, descriptorAlignment = 1 } = store
  if (descriptor === undefined && store.send !== undefined) {
    await store.send(position, bytes.subarray(at, at + length))
    return
  }
  if (
    descriptor === undefined ||
    [position, length, bytes.byteOffset + at].some((value) => value % descriptorAlignment !== 0)
  ) {
    store.write(position, bytes.subarray(at, at + length))
    return
  }
  const { directDescriptor } = store
  // Buffers of the pool begin at a page, so that the place within the buffer is also the alignment of the address.
  const aligned =
    directDescriptor !== undefined &&
    (bytes.byteOffset + at) % directAlignment === 0 &&
    position % directAlignment === 0
  const direct = aligned ? length - (length % directAlignment) : 0
  const isCached = directDescriptor === undefined && descriptorAlignment === 1
  let start = 0
  const write = (): Promise<void> =>
    new Promise((resolve, reject) => {
      start = milliseconds()
      let done = 0
      const step = (): void => {
        const past = done < direct
        const left = (past ? direct : length) - done
        fs.write(
          past ? (directDescriptor ?? descriptor) : descriptor,
          bytes,
          at + done,
          isCached ? Math.min(left, longestCall) : left,
          position + done,
          (cause, count) => {
            if (cause !== null)
              reject(writeError(store.name, `cannot be written at byte ${position + done}`, cause, position + done))
            else if ((done += count) < length) step()
            else resolve()
          },
        )
      }
      step()
    })
  // Through the page cache a file takes one write at a time: others would wait in the kernel, spinning on processors
  // that have work to do.
  await (isCached ? inTurn(store, write) : write())
  await wrote(store, position, length, start)
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
