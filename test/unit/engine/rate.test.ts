import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { RateLimit } from '../../../src/engine/rate.js'

test('a limited rate: whatever waits is aborted at once, and a signal has one listener', async () => {
  const controller = new AbortController()
  const { signal } = controller
  const rate = new RateLimit(1)
  const waits = Array.from({ length: 50 }, async () => await rate.take(1000, signal))
  await new Promise(setImmediate)
  assert.ok(getEventListeners(signal, 'abort').length <= 1)
  controller.abort()
  for (const result of await Promise.allSettled(waits)) {
    assert.ok(result.status === 'rejected')
    assert.equal((result.reason as { code: string }).code, 'E_ABORTED')
  }
})

test('a limited rate: what comes later is let through later', async () => {
  const rate = new RateLimit(100_000)
  const order: number[] = []
  await Promise.all(
    [1, 2, 3, 4].map(async (index) => {
      await rate.take(10_000)
      order.push(index)
    }),
  )
  assert.deepEqual(order, [1, 2, 3, 4])
})
