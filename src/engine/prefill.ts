import type { BlockSource } from '../block/types.js'
import type { ContentPlace } from './content-order.js'
import type { Chunk, ChunkContent } from './plan.js'
import type { Slot, TaskPool } from './pool.js'
import { salvaged, type Salvaging } from './salvaged.js'
import type { TaskContent } from './task.js'

/**
 * Reads what only this thread can read into the buffer, which lies in shared memory, and passes its place to the task
 * already.
 */
export async function prefill(
  content: ChunkContent,
  source: BlockSource,
  offset: number,
  bytes: Uint8Array,
): Promise<TaskContent> {
  const fetches: Promise<void>[] = []
  try {
    for (const piece of content.local) {
      const target = bytes.subarray(piece.at, piece.at + piece.length)
      if (piece.fetch === undefined) source.read(offset + piece.at, target)
      else fetches.push(piece.fetch(target))
    }
  } finally {
    // Awaited even when one fails: nothing may still write into the buffer afterwards.
    await Promise.allSettled(fetches)
  }
  await Promise.all(fetches)
  return { pieces: content.pieces, present: content.local.map(({ at, length }) => ({ at, length })) }
}

/** Reads a whole chunk and gives it to what takes the content, before it is compressed in its place. */
export async function fillAndGive(
  { offset, length, content }: Pick<Chunk, 'offset' | 'length' | 'content'>,
  source: BlockSource,
  slot: Slot,
  pool: TaskPool,
  giving: ContentPlace,
  salvaging: Salvaging = {},
): Promise<TaskContent> {
  const bytes = slot.bytes.subarray(0, length)
  try {
    const filled = await prefill(content, source, offset, slot.bytes)
    await pool.run({ mode: 'fill', unit: 0, length, ...filled }, slot)
  } catch (error) {
    bytes.fill(0, await salvaged(error, offset, bytes, salvaging))
  }
  await giving.give(offset, bytes)
  return { pieces: [], present: [{ at: 0, length }] }
}
