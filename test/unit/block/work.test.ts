import assert from 'node:assert/strict'
import test from 'node:test'
import { perform, type Work } from '../../../src/block/work.js'
import { corrupt, isImageError } from '../../../src/errors.js'

/** Work that closes what it opened as the openers do, and takes damage for an answer. */
function* work(log: string[]): Work<string> {
  try {
    yield* inner(log)
  } catch (error) {
    log.push('outer closed')
    throw error
  }
  return 'done'
}

function* inner(log: string[]): Work<void> {
  try {
    log.push('opened')
    yield { done: 0, total: 2 }
    yield { done: 1, total: 2 }
  } catch (error) {
    log.push('inner closed')
    if (!isImageError(error)) throw error
    log.push('went on')
    yield { done: 2, total: 2 }
  }
}

test('work that is stopped closes what it opened, whether it does so in a catch or a finally', async () => {
  const interruption = new AbortController()
  const log: string[] = []
  await assert.rejects(perform(work(log), { signal: interruption.signal, onProgress: () => interruption.abort() }), {
    code: 'E_ABORTED',
  })
  assert.deepEqual(log, ['opened', 'inner closed', 'outer closed'])
})

test('what a listener throws stops the work, and is the cause', async () => {
  const log: string[] = []
  const cause = corrupt('E_READ', 'an error of an image')
  await assert.rejects(
    perform(work(log), {
      onProgress: () => {
        throw cause
      },
    }),
    (error) => error === cause,
  )
  assert.deepEqual(log, ['opened', 'inner closed', 'outer closed'])
})

test('an answer that work gives when it is stopped is closed', async () => {
  const interruption = new AbortController()
  let closed = 0
  function* stubborn(): Work<Disposable> {
    try {
      yield { done: 0, total: 1 }
    } catch {
      // Goes on.
    }
    return {
      [Symbol.dispose]: () => {
        closed++
      },
    }
  }
  await assert.rejects(perform(stubborn(), { signal: interruption.signal, onProgress: () => interruption.abort() }), {
    code: 'E_ABORTED',
  })
  assert.equal(closed, 1)
})
