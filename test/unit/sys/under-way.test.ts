import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnderWay } from '../../../src/sys/under-way.js'

interface Held {
  readonly work: Promise<void>
  readonly end: () => void
  readonly fail: (error: Error) => void
}

function held(): Held {
  let end = (): void => undefined
  let fail: Held['fail'] = () => undefined
  const work = new Promise<void>((resolve, reject) => {
    ;[end, fail] = [resolve, reject]
  })
  return { work, end, fail }
}

test('work under way: there is room when one has ended', async () => {
  const sending = new UnderWay()
  const works = [held(), held()]
  for (const { work } of works) sending.begin(work)
  let isFree = false
  const room = sending.until(() => sending.count < 2).then(() => (isFree = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isFree, false)
  works[1]?.end()
  await room
  assert.equal(sending.count, 1)
  works[0]?.end()
  await sending.settled()
  assert.equal(sending.count, 0)
})

test('work under way: the first failure ends what waits, and nothing is thrown but by what asks', async () => {
  const sending = new UnderWay()
  const [first, second, third] = [held(), held(), held()]
  for (const { work } of [first, second, third]) sending.begin(work)
  const room = sending.until(() => false)
  first.fail(new Error('first'))
  await assert.rejects(room, /first/)
  second.fail(new Error('second'))
  assert.throws(() => sending.stopIfFailed(), /first/)
  third.end()
  await sending.ended()
  await assert.rejects(sending.settled(), /first/)
  await assert.rejects(
    sending.until(() => true),
    /first/,
  )
})

test('work under way: what waits ends when nothing more is to be begun', async () => {
  const sending = new UnderWay()
  const work = held()
  sending.begin(work.work)
  const room = sending.until(() => false)
  sending.fail(new Error('the lease is lost'))
  await assert.rejects(room, /the lease is lost/)
  work.end()
  await sending.ended()
})
