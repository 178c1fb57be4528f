import type { ContentTaker } from '../../block/content-taker.js'
import { FileStore } from '../../block/file-store.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import { UnitList } from '../../block/unit-source.js'
import { perform } from '../../block/work.js'
import { unitHeadLength } from '../../codec/container-writer.js'
import type { Container } from '../../codec/container.js'
import type { CopyResult, Progress } from '../../engine/index.js'
import { packUnits, type PackOptions } from '../../engine/pack.js'
import { ProbedFile } from '../../formats/probe.js'
import { Registry } from '../../formats/registry.js'
import { unwrap } from '../../formats/unwrap.js'
import { StreamLocation } from '../../location/stream.js'

export interface PackingOptions extends Pick<PackOptions, 'salvage' | 'rate'> {
  /** Is given all that is read. */
  readonly content?: ContentTaker
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** Compresses a disk, or the bytes of a file, into an empty file. @throws ImageError; aborted E_ABORTED. */
export async function packFile(
  source: BlockSource,
  container: Container,
  store: FileStore,
  options: PackingOptions,
): Promise<CopyResult> {
  let position = 0
  return await packInto(
    source,
    container,
    (bytes) => {
      store.write(position, bytes)
      position += bytes.length
    },
    options,
  )
}

/** The same into a stream. @param give takes the bytes in order; they are used again afterwards. */
export async function packInto(
  source: BlockSource,
  container: Container,
  give: (bytes: Uint8Array) => Promise<void> | void,
  { content, salvage, rate, threads, signal, onProgress }: PackingOptions,
): Promise<CopyResult> {
  const units = new UnitList()
  const heads: Uint8Array[] = []
  await give(container.head)
  let position = container.head.length
  const moved = await packUnits({
    source,
    codec: container.codec,
    unitLength: container.unitLength,
    content,
    salvage,
    rate,
    threads,
    signal,
    onProgress,
    take: (stored, length) => {
      units.add(position, stored.length, length)
      heads.push(Uint8Array.from(stored.subarray(0, unitHeadLength)))
      position += stored.length
      return give(stored)
    },
  })
  const tail = container.tail(units, heads)
  await give(tail)
  return { bytesRead: moved.bytesRead, bytesWritten: position + tail.length }
}

/** A compressed file names no other. */
const noNeighbours = {
  // What an archive or a disk looks like is its own affair.
  depth: 1,
  context: () => ({
    name: undefined,
    openNamed: () => {
      throw new TypeError('a compressed file names no other')
    },
    openBeside: () => undefined,
  }),
}

/** What is in a compressed file, to be closed by the caller. @throws ImageError corrupt; aborted E_ABORTED. */
export async function unpacked(path: string, signal?: AbortSignal): Promise<ByteStore> {
  const store = FileStore.openRead(path)
  const file = new ProbedFile(store, new Registry())
  return (await perform(unwrap(file, new StreamLocation(store), noNeighbours), { signal })).file.store
}
