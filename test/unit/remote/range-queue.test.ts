import assert from 'node:assert/strict'
import test from 'node:test'
import { RangeQueue, type WantedRange } from '../../../src/remote/http/range-queue.js'

const mebibyte = 1024 * 1024

/** What was sent, as offset and MiB; `finish` ends the oldest request. */
function queueOf(connections: number): {
  readonly queue: RangeQueue
  readonly sent: (readonly [number, number])[]
  readonly add: (offset: number, urgent?: boolean) => void
  readonly finish: () => Promise<void>
} {
  const sent: (readonly [number, number])[] = []
  const open: (() => void)[] = []
  const queue = new RangeQueue(connections, (ranges: readonly WantedRange[]) => {
    const bytes = ranges.reduce((sum, { target }) => sum + target.length, 0)
    sent.push([(ranges[0]?.offset ?? -1) / mebibyte, bytes / mebibyte])
    return new Promise((resolve) => {
      open.push(resolve)
    })
  })
  const add = (offset: number, urgent = false): void =>
    queue.add({
      offset: offset * mebibyte,
      target: new Uint8Array(mebibyte),
      isUrgent: urgent,
      settle: () => undefined,
    })
  const finish = async (): Promise<void> => {
    open.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { queue, sent, add, finish }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('neighbours that are asked for together become long requests', async () => {
  const { sent, add, finish } = queueOf(4)
  for (let offset = 0; offset < 40; offset++) add(offset)
  await turn()
  assert.deepEqual(sent, [[0, 4], [4, 4], [8, 4], [12, 4]]) // prettier-ignore
  await finish()
  assert.deepEqual(sent.slice(4), [[16, 4]])
})

test('little is shared among the connections, and gaps are not read', async () => {
  const few = queueOf(8)
  for (const offset of [0, 1, 2, 10]) few.add(offset)
  await turn()
  assert.deepEqual(few.sent, [[0, 1], [1, 1], [2, 1], [10, 1]]) // prettier-ignore
  const gaps = queueOf(1)
  for (const offset of [0, 1, 5, 6, 7]) gaps.add(offset)
  await turn()
  await gaps.finish()
  assert.deepEqual(gaps.sent, [[0, 2], [5, 3]]) // prettier-ignore
})

test('what is waited for goes first', async () => {
  const { sent, add, finish } = queueOf(1)
  for (let offset = 0; offset < 12; offset++) add(offset)
  await turn()
  add(100, true)
  await turn()
  await finish()
  await finish()
  assert.deepEqual(sent, [[0, 4], [100, 1], [4, 4]]) // prettier-ignore
})
