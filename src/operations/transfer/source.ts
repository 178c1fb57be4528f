import { types } from 'node:util'
import { isZero } from '../../binary/zero.js'
import type { FileStore } from '../../block/file-store.js'
import { PaddedSource } from '../../block/padded.js'
import { RangeSource } from '../../block/range-source.js'
import { SliceSource } from '../../block/slice.js'
import { SourceStore } from '../../block/source-store.js'
import type { BlockSource } from '../../block/types.js'
import type { Progress } from '../../engine/progress.js'
import { aborted, corrupt, usage } from '../../errors.js'
import { openStore, type OpenedImage, type OpenOptions } from '../../formats/open.js'
import { firstContent } from '../change/content-search.js'
import { OwnStore, type ReadableStore } from '../library/own-store.js'
import { nextTurn } from '../../sys/next-turn.js'
import { openDiskLater, openStoreLater, parseImageArgument, prepared } from '../open/opening.js'

/** Bytes of a stream that are taken before others have their turn: one that is never waited for leaves them none. */
const bytesPerTurn = 8 * 1024 * 1024

/** Where an image comes from: a path, a store of the program's own, or bytes that arrive once (standard input). */
export type SourceInput = string | ReadableStore | { readonly input: AsyncIterable<Uint8Array>; readonly name?: string }

/** What a disk is read from. An operation that puts one together of images gives its own. */
export interface Source {
  /** As results name it. */
  readonly name: string
  /** Whether it arrives once, and may take long: what can be refused before it is read, is. */
  readonly arrives?: boolean
  /** Whether its disk is all of what one file holds, and nothing is put together or cut out of it. */
  readonly isWhole?: boolean
  /** Opens it with its chain; the caller owns the result. @throws ImageError */
  open(options: SourceOptions): Promise<OpenedImage> | OpenedImage
  /** Closes what was given to be closed at the end, where it came to no opening. */
  leave?(): void
}

export interface SourceOptions extends OpenOptions {
  /** Where bytes that arrive once are kept until the end; room for all of them is needed. */
  readonly scratchFolder: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What an argument, or standard input, is read as. Nothing is opened yet. */
export function sourceOf(given: SourceInput): Source {
  if (typeof given === 'string')
    return {
      name: given,
      isWhole: parseImageArgument(given).partition === undefined,
      open: async (options) => await prepared(await openDiskLater(given, options, options), options),
    }
  if (!('input' in given)) {
    let isOpened = false
    return {
      name: given.name ?? 'the store',
      open: async (options) => {
        isOpened = true
        return await prepared(await openStoreLater(new OwnStore(given), options), options)
      },
      leave: () => {
        if (!isOpened) given.close?.()
      },
    }
  }
  const { input, name = '-' } = given
  const label = name === '-' ? 'the input' : name
  return { name, arrives: true, open: async (options) => await openInput(input, label, options) }
}

/** @param name what messages call it. */
async function openInput(input: AsyncIterable<Uint8Array>, name: string, options: SourceOptions): Promise<OpenedImage> {
  const { createScratchStore } = await import('../../block/scratch-store.js')
  const store = createScratchStore(options.scratchFolder)
  try {
    await spool(input, name, store, options)
  } catch (error) {
    store[Symbol.dispose]()
    throw error
  }
  return openStore(new SourceStore(name, new RangeSource(store), store), undefined, options)
}

/**
 * Formats are found at both ends of a file and read in any order, so all of it must be there first. Blocks of zeros
 * become holes.
 */
async function spool(
  input: AsyncIterable<Uint8Array>,
  name: string,
  store: FileStore,
  { signal, onProgress }: SourceOptions,
): Promise<void> {
  let done = 0
  let turn = bytesPerTurn
  for await (const bytes of untilAborted(input, signal)) {
    // Types are not checked in JavaScript, and a stream that decodes text has lost what was no text.
    if (!isBytes(bytes))
      throw corrupt('E_READ', `${name}: at byte ${done} it gives ${typeof bytes}, and Uint8Array is expected`, {
        details: { position: done },
      })
    if (!isZero(bytes)) store.write(done, bytes)
    done += bytes.length
    // The total is not known before the end: 0 says so.
    onProgress?.({ phase: 'read', done, total: 0 })
    if (done < turn) continue
    turn = done + bytesPerTurn
    await nextTurn()
  }
  store.truncate(done)
}

function isBytes(value: unknown): value is Uint8Array {
  return types.isUint8Array(value)
}

/**
 * The pieces of a stream; a signal ends the wait for the next one, which may never come. @throws ImageError aborted
 * E_ABORTED.
 */
async function* untilAborted(
  input: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const iterator = input[Symbol.asyncIterator]()
  let stop: () => void = () => undefined
  const stopped = new Promise<'stopped'>((resolve) => {
    stop = () => resolve('stopped')
  })
  signal?.addEventListener('abort', stop, { once: true })
  let hasEnded = false
  try {
    for (;;) {
      const next = signal?.aborted === true ? 'stopped' : await Promise.race([iterator.next(), stopped])
      if (next === 'stopped') throw aborted('interrupted while reading the source', { hint: 'Nothing was written.' })
      hasEnded = next.done === true
      if (next.done === true) return
      yield next.value
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    if (!hasEnded) leave(iterator)
  }
}

/** Lets a stream go that is not read to its end, as `for await` does. Not waited for: its next piece may never come. */
function leave(iterator: AsyncIterator<Uint8Array>): void {
  iterator.return?.().catch(() => undefined)
}

/**
 * The disk with another capacity: larger is filled up with zeros, smaller only cuts off what reads as zero.
 * @throws ImageError usage E_SIZE_TOO_SMALL naming the first offset with content; aborted E_ABORTED.
 */
export async function resized(source: BlockSource, capacity: number, signal?: AbortSignal): Promise<BlockSource> {
  if (capacity === source.capacity) return source
  if (capacity > source.capacity) return new PaddedSource(source, capacity)
  const first = await firstContent(source, capacity, { signal })
  if (first !== undefined) {
    throw usage('E_SIZE_TOO_SMALL', `the disk cannot be cut to ${capacity} bytes: it has content at offset ${first}`, {
      hint: 'Shrink the partitions and filesystems first, inside the guest.',
      details: { capacity, offset: first },
    })
  }
  return new SliceSource(source, 0, capacity)
}
