import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import test from 'node:test'
import { makeSlots, TaskPool } from '../../../src/engine/pool.js'
import type { Task } from '../../../src/engine/task.js'
import { isImageError } from '../../../src/errors.js'

const length = 4194304

/** Some seconds of a worker's time. */
const task: Task = {
  mode: 'pack',
  unit: 0,
  length,
  pieces: [],
  present: [{ at: 0, length }],
  packing: { length, codec: 'xz-block-4', level: 6 },
}

const isAborted = (error: unknown): boolean => isImageError(error) && error.code === 'E_ABORTED'

test('a signal ends what a worker thread is in the middle of, and nothing is asked of it afterwards', async () => {
  const stop = new AbortController()
  await using pool = new TaskPool(1, stop.signal)
  const [slot] = makeSlots(1, 2 * length, false)
  assert.ok(slot)
  randomFillSync(slot.bytes)
  const running = pool.run(task, slot)
  setImmediate(() => stop.abort())
  await assert.rejects(running, isAborted)
  await assert.rejects(pool.run(task, slot), isAborted)
})
