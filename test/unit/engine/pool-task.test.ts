import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { codecFor, poolCodec } from '../../../src/codec/registry.js'
import type { ChunkPiece } from '../../../src/engine/chunk.js'
import { UnitBuffers } from '../../../src/engine/fill.js'
import { PoolTasks } from '../../../src/engine/pool-task.js'
import { runTaskSync, type Task } from '../../../src/engine/task.js'
import { skipReason } from '../../support/complete.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'

const missing = skipReason(
  poolCodec('deflate').decode === undefined || poolCodec('zstd').decode === undefined
    ? 'needs koffi, libdeflate.so.0 and libzstd.so.1'
    : undefined,
)
const unit = 65536
const count = 16

/** A chunk whose units lie in a file: one zero, one plain, the rest compressed, not all in order. */
function chunk(
  t: TestContext,
  codec: string,
  gap = 100,
): { readonly task: Task; readonly file: string; readonly fd: number } {
  const file = join(testFolder(t), 'units')
  const pieces: ChunkPiece[] = []
  const parts: Uint8Array[] = []
  let position = 0
  const stored = Array.from({ length: count }, (_, index) => {
    const plain = diskLike(unit, index)
    return index === 4 ? plain : Buffer.from(codecFor(codec).encode!(plain))
  })
  const places = new Map<number, number>()
  for (const index of [3, 2, 0, 1, ...Array.from({ length: count - 4 }, (_, rest) => rest + 4)]) {
    places.set(index, position)
    parts.push(stored[index]!, Buffer.alloc(index === 7 ? 200000 : gap, 0x5a))
    position += stored[index]!.length + (index === 7 ? 200000 : gap)
  }
  fs.writeFileSync(file, Buffer.concat(parts))
  const fd = fs.openSync(file, 'r+')
  t.after(() => fs.closeSync(fd))
  for (let index = 0; index < count; index++) {
    if (index === 6) continue
    const common = { at: index * unit, length: unit, descriptor: fd, position: places.get(index)!, name: 'units' }
    if (index === 4) pieces.push({ kind: 'data', ...common })
    else
      pieces.push({
        kind: 'packed',
        ...common,
        storedLength: stored[index]!.length + gap / 2,
        codec,
        unitOffset: index * unit,
        unitLength: unit,
        within: 0,
      })
  }
  return { task: { mode: 'scan', unit, length: count * unit, pieces, present: [] }, file, fd }
}

for (const codec of ['deflate', 'zstd']) {
  test(`a chunk of ${codec} is the same by the pool and by a thread`, { skip: missing }, async (t) => {
    const { task } = chunk(t, codec)
    for (const packing of [undefined, { codec, length: unit }]) {
      const tasks = new PoolTasks()
      const wanted = { ...task, packing }
      assert.equal(tasks.takes(wanted), true)
      const [inPool, here] = [new Uint8Array(count * unit).fill(1), new Uint8Array(count * unit).fill(2)]
      const result = await tasks.run(wanted, inPool, 0)
      const expected = runTaskSync(wanted, here, 0, new UnitBuffers())
      assert.deepEqual(
        result.runs.map(({ kind, at, length }) => ({ kind, at, length })),
        expected.runs.map(({ kind, at, length }) => ({ kind, at, length })),
      )
      if (packing === undefined) {
        assert.equal(Buffer.compare(inPool, here), 0)
        continue
      }
      for (const run of result.runs) {
        if (run.kind !== 'packed') continue
        const plain = new Uint8Array(unit)
        codecFor(codec).decode(inPool.subarray(run.storedAt, run.storedAt + run.storedLength), plain)
        assert.equal(Buffer.compare(plain, diskLike(unit, run.at / unit)), 0)
      }
    }
  })

  test(`units of ${codec} that lie together are read at once, whatever their order`, { skip: missing }, async (t) => {
    const { task } = chunk(t, codec)
    const { mock } = t.mock.method(fs, 'read')
    await new PoolTasks().run(task, new Uint8Array(count * unit), 0)
    // The plain unit, and what lies before it, behind it, and behind the gap.
    assert.equal(mock.callCount(), 4)
  })

  test(`a chunk of ${codec} with a damaged or a missing unit fails as in a thread`, { skip: missing }, async (t) => {
    const { task, file, fd } = chunk(t, codec)
    const failure = async (): Promise<unknown> => {
      const error = await new PoolTasks().run(task, new Uint8Array(count * unit), 0).catch((cause: unknown) => cause)
      const { code, message } = error as { code: string; message: string }
      assert.throws(() => runTaskSync(task, new Uint8Array(count * unit), 0, new UnitBuffers()), { code, message })
      return code
    }
    const { position } = task.pieces.find(({ at }) => at === 9 * unit)!
    const whole = fs.readFileSync(file)
    fs.writeSync(fd, Buffer.alloc(60, 0xff), 0, 60, position)
    assert.equal(await failure(), 'E_COMPRESSED')
    fs.writeSync(fd, whole, 0, whole.length, 0)
    fs.ftruncateSync(fd, position + 40)
    assert.equal(await failure(), 'E_TRUNCATED')
  })
}

test('frames that stand one right behind the other decode to the same', { skip: missing }, async (t) => {
  const { task } = chunk(t, 'zstd', 0)
  const [inPool, here] = [new Uint8Array(count * unit).fill(1), new Uint8Array(count * unit).fill(2)]
  await new PoolTasks().run(task, inPool, 0)
  runTaskSync(task, here, 0, new UnitBuffers())
  assert.equal(Buffer.compare(inPool, here), 0)
})

test(
  'frames that together hold what their units do, and each another length, are refused',
  { skip: missing },
  async (t) => {
    const { task, fd } = chunk(t, 'zstd', 0)
    const [first, second] = task.pieces.filter(({ at }) => at === 9 * unit || at === 10 * unit)
    assert.ok(first?.kind === 'packed' && second?.kind === 'packed')
    const plain = diskLike(2 * unit, 9)
    const frames = [plain.subarray(0, unit - 4096), plain.subarray(unit - 4096)].map((part) =>
      codecFor('zstd').encode!(part),
    )
    const stored = Buffer.concat(frames)
    const position = fs.fstatSync(fd).size
    fs.writeSync(fd, stored, 0, stored.length, position)
    const [length = 0, rest = 0] = frames.map((frame) => frame.length)
    const pieces = task.pieces.map((piece): ChunkPiece => {
      if (piece === first) return { ...first, position, storedLength: length }
      return piece === second ? { ...second, position: position + length, storedLength: rest } : piece
    })
    await assert.rejects(new PoolTasks().run({ ...task, pieces }, new Uint8Array(count * unit), 0), {
      code: 'E_COMPRESSED',
    })
  },
)

test('units that are wanted in part, digests and unknown codecs are for threads', { skip: missing }, (t) => {
  const { task } = chunk(t, 'deflate')
  const tasks = new PoolTasks()
  const [first, ...rest] = task.pieces
  assert.ok(first?.kind === 'packed')
  const part: ChunkPiece = { ...first, length: unit / 2 }
  assert.equal(tasks.takes({ ...task, pieces: [part, ...rest] }), false)
  assert.equal(tasks.takes({ ...task, pieces: [{ ...first, codec: 'lzfse' }, ...rest] }), false)
  assert.equal(tasks.takes({ ...task, digests: [{ at: 0, length: unit }] }), false)
  assert.equal(tasks.takes({ ...task, mode: 'hash' }), false)
  assert.equal(tasks.takes({ ...task, packing: { codec: 'deflate', length: unit, level: 9 } }), false)
})
