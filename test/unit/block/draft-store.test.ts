import assert from 'node:assert/strict'
import test from 'node:test'
import { DraftStore } from '../../../src/block/draft-store.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { diskLike } from '../../support/content.js'
import { randomOf } from '../../support/power-cut.js'

test('a draft reads as if it were written, and the store below stays as it is', () => {
  const random = randomOf(4)
  const bytes = diskLike(50_001, 3)
  const base = new MemoryStore(bytes)
  const draft = new DraftStore(base)
  const expected = new MemoryStore(bytes)
  for (let round = 0; round < 400; round++) {
    const position = random(60_000)
    if (random(20) === 0) {
      draft.truncate(position)
      expected.truncate(position)
      continue
    }
    const piece = diskLike(1 + random(9000), round)
    draft.write(position, piece)
    expected.write(position, piece)
    assert.equal(draft.size, expected.size)
    const length = random(draft.size)
    const [one, other] = [new Uint8Array(length), new Uint8Array(length)]
    const start = random(draft.size - length + 1)
    draft.read(start, one)
    expected.read(start, other)
    assert.deepEqual(one, other)
  }
  assert.deepEqual(base.contents(), bytes)
})

test('a draft refuses what its memory does not hold, and reads past its end', () => {
  const draft = new DraftStore(new MemoryStore(new Uint8Array(100)), 8192)
  draft.write(0, new Uint8Array(8192))
  assert.throws(() => draft.write(8192, new Uint8Array(1)), { code: 'E_DRAFT_TOO_LARGE', kind: 'unsupported' })
  assert.throws(() => draft.read(8000, new Uint8Array(200)), { code: 'E_TRUNCATED' })
})
