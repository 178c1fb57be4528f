import assert from 'node:assert/strict'
import test from 'node:test'
import { WriteBehind } from '../../../src/block/write-behind.js'

const mebibyte = 1024 * 1024

/** Milliseconds, which go by where a test says so: a busy machine changes nothing. */
let time = 0
const behindOf = (system: ConstructorParameters<typeof WriteBehind>[1], awaited: boolean): WriteBehind =>
  new WriteBehind(3, system, awaited, () => time)

/**
 * What the system is asked, in order: `>` begins to write a range, `=` waits for it; mebibytes. @param delay
 * milliseconds that each takes.
 */
function recorder(delay = 0): {
  readonly asked: string[]
  readonly system: ConstructorParameters<typeof WriteBehind>[1]
  fails?: Error
} {
  const asked: string[] = []
  const note = (mark: string, position: number, length: number): Promise<void> => {
    asked.push(`${mark}${position / mebibyte}+${length / mebibyte}`)
    time += delay
    return Promise.resolve()
  }
  const recorded: ReturnType<typeof recorder> = {
    asked,
    system: {
      startWriting: (_, position, length) => note('>', position, length),
      finishWriting: async (_, position, length) => {
        await note('=', position, length)
        if (recorded.fails !== undefined) throw recorded.fails
      },
    },
  }
  return recorded
}

/** Writes mebibyte by mebibyte, each of which takes so long. */
async function write(behind: WriteBehind, start: number, count: number, took = 0.1): Promise<void> {
  for (let at = start; at < start + count; at++) {
    time += took
    await behind.wrote(at * mebibyte, mebibyte, took)
  }
}

test('what is written is on its way at once, and a bounded part of it at a time', async () => {
  const { asked, system } = recorder()
  const behind = behindOf(system, true)
  await write(behind, 0, 7)
  assert.deepEqual(asked, [])
  await write(behind, 7, 1)
  assert.deepEqual(asked, ['>0+8'])
  await write(behind, 8, 64)
  assert.deepEqual(asked.slice(-3), ['>56+8', '>64+8', '=0+8'])
  await write(behind, 72, 8)
  assert.deepEqual(asked.slice(-2), ['>72+8', '=8+8'])
})

test('ranges apart are sent apart', async () => {
  const { asked, system } = recorder()
  const behind = behindOf(system, true)
  await write(behind, 0, 4)
  await write(behind, 10, 4)
  assert.deepEqual(asked, ['>0+4', '>10+4'])
})

test('where nobody waits for the medium, nothing is sent while new pages come quickly', async () => {
  const { asked, system } = recorder()
  await write(behindOf(system, false), 0, 300)
  assert.deepEqual(asked, [])
})

test('slow pages begin it, and a medium that is quicker keeps it', async () => {
  const { asked, system } = recorder()
  const behind = behindOf(system, false)
  await write(behind, 0, 16, 2)
  assert.equal(asked.length, 0)
  await write(behind, 16, 400, 1.5)
  assert.equal(asked[0], '>15+8')
  assert.equal(asked.at(-1), '=343+8')
})

test('slow pages do not matter where most of the time goes by elsewhere: while the source is decoded', async () => {
  const { asked, system } = recorder()
  const behind = behindOf(system, false)
  for (let at = 0; at < 40; at++) {
    time += 4
    await write(behind, at, 1, 1.1)
  }
  assert.deepEqual(asked, [])
})

test('a medium that is slower than slow pages ends it', async () => {
  const { asked, system } = recorder(30)
  const behind = behindOf(system, false)
  await write(behind, 0, 16, 1.1)
  await write(behind, 16, 150, 1.1)
  assert.ok(asked.length > 0)
  const count = asked.length
  await write(behind, 166, 200, 1.1)
  assert.equal(asked.length, count)
  // Until pages get slower than the medium is.
  await write(behind, 366, 32, 1000)
  assert.ok(asked.length > count)
})

test('a medium that does not take the bytes is an error at once: a flush would not report it again', async () => {
  const recorded = recorder()
  const behind = behindOf(recorded.system, true)
  recorded.fails = Object.assign(new Error('EIO'), { code: 'EIO' })
  await assert.rejects(write(behind, 0, 80), { code: 'EIO' })
})
