import { FileStore } from '../../block/file-store.js'
import { RangeSource } from '../../block/range-source.js'
import { createScratchStore } from '../../block/scratch-store.js'
import type { BlockSource } from '../../block/types.js'
import { UnitList } from '../../block/unit-source.js'
import { perform } from '../../block/work.js'
import { containers, type Container } from '../../codec/container.js'
import type { CopyResult, Progress } from '../../engine/index.js'
import { packUnits } from '../../engine/pack.js'
import { stopIfAborted, usage } from '../../errors.js'
import { ProbedFile } from '../../formats/probe.js'
import { Registry } from '../../formats/registry.js'
import { unwrap } from '../../formats/unwrap.js'
import { StreamLocation } from '../../location/stream.js'
import { extensionOf, folderPart } from '../../sys/host-path.js'
import type { Content } from './content.js'
import { proveEqual } from './proof.js'
import { leavingNothing } from './sink-file.js'
import { TargetFiles, type TargetPlace } from './target.js'

/** A target that is a compressed file around an image: `disk.raw.gz`, `disk.qcow2.zst`. */
export interface CompressedTarget {
  readonly container: Container
  /** The name of the image inside, which says its format. */
  readonly inner: string
}

/** What the name of a target says; undefined when it is no compressed file that can be made. */
export function compressedTarget(path: string | undefined): CompressedTarget | undefined {
  if (path === undefined) return undefined
  const extension = extensionOf(path)
  const container = containers[extension.slice(1).toLowerCase()]
  return container === undefined ? undefined : { container, inner: path.slice(0, -extension.length) }
}

export interface CompressedOptions {
  readonly place: TargetPlace
  readonly force: boolean
  readonly flush?: boolean
  readonly verify?: boolean
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

type Written = CopyResult & { readonly capacity: number; readonly size: number; readonly allocated: number }

/**
 * Writes an image and compresses it with all threads. A raw image is compressed as it is read; others are made in a
 * scratch file beside the target first, since their tables are written last.
 * @throws ImageError; mismatch E_MISMATCH; aborted E_ABORTED.
 */
export async function writeCompressed(
  content: Content,
  { container }: CompressedTarget,
  options: CompressedOptions,
): Promise<Written> {
  const { place, signal } = options
  return await leavingNothing(place, async () => {
    using inner = await innerImage(content, folderPart(place.path))
    const sources = [...content.opened.files, ...(content.parent?.opened.files ?? [])]
    using files = new TargetFiles(place, { force: options.force, sources, durable: options.flush !== false })
    const moved = await pack(inner.source, container, files.store, options)
    stopIfAborted(signal)
    options.onProgress?.({ phase: 'flush', done: 0, total: 1 })
    files.store.flush()
    if (options.verify === true) await verify(inner.source, files, content, options)
    content.assertUnchanged()
    const { size, allocated } = files
    files.commit()
    options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
    return { ...moved, capacity: inner.capacity, size, allocated }
  })
}

interface InnerImage extends Disposable {
  readonly source: BlockSource
  readonly capacity: number
}

async function innerImage(content: Content, folder: string): Promise<InnerImage> {
  const { format, disk, shape } = content
  if (format.driver.id === 'raw') return { source: disk, capacity: disk.capacity, [Symbol.dispose]: () => undefined }
  const scratch = createScratchStore(folder)
  try {
    using writer = format.driver.create(scratch, shape, format.options, {
      createFile: () => {
        throw usage('E_STREAM', 'an image of several files cannot be in a compressed file')
      },
    })
    await content.fill(writer)
    writer.finish()
    const { capacity } = writer
    return { source: new RangeSource(scratch), capacity, [Symbol.dispose]: () => scratch[Symbol.dispose]() }
  } catch (error) {
    scratch[Symbol.dispose]()
    throw error
  }
}

async function pack(
  source: BlockSource,
  container: Container,
  store: FileStore,
  { threads, signal, onProgress }: CompressedOptions,
): Promise<CopyResult> {
  const units = new UnitList()
  const heads: Uint8Array[] = []
  store.write(0, container.head)
  let position = container.head.length
  const moved = await packUnits({
    source,
    codec: container.codec,
    unitLength: container.unitLength,
    threads,
    signal,
    onProgress,
    take: (stored, length) => {
      store.write(position, stored)
      units.add(position, stored.length, length)
      heads.push(Uint8Array.from(stored.subarray(0, 16)))
      position += stored.length
    },
  })
  const tail = container.tail(units, heads)
  store.write(position, tail)
  return { bytesRead: moved.bytesRead, bytesWritten: position + tail.length }
}

/** Unpacks what was written and compares every byte. */
async function verify(
  expected: BlockSource,
  files: TargetFiles,
  content: Content,
  { threads, signal, onProgress }: CompressedOptions,
): Promise<void> {
  const store = FileStore.openRead(files.partialPath)
  const unwrapped = await perform(unwrap(new ProbedFile(store, new Registry()), new StreamLocation(store), {}), {
    signal,
  })
  const { store: found } = unwrapped.file
  try {
    await proveEqual(
      expected,
      new RangeSource(found),
      {
        name: 'the new file',
        mismatchHint: 'The new file was removed. Check the memory of the computer and the disk that it was written to.',
        unreadableHint: 'The new file was removed. Please report this.',
        unchanged: () => content.assertUnchanged(),
      },
      { threads, signal, onProgress },
    )
  } finally {
    found[Symbol.dispose]()
  }
}
