import assert from 'node:assert/strict'
import test from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { vhdx } from '../../../src/formats/vhdx/index.js'
import { shape } from '../../support/drivers.js'

test('a VHDX of no bytes is refused: no other program opens one', () => {
  const context = { createFile: () => assert.fail('no file was expected') }
  assert.throws(() => vhdx.create!(new MemoryStore(), shape(0), {}, context), { code: 'E_SIZE', kind: 'usage' })
  vhdx.create!(new MemoryStore(), shape(512), {}, context)[Symbol.dispose]()
})
