import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { UnitList, UnitSource } from '../../../src/block/unit-source.js'
import { codecFor } from '../../../src/codec/registry.js'
import { ContentReader } from '../../../src/engine/plan.js'
import { diskLike } from '../../support/content.js'

const mebibyte = 1024 * 1024
const unit = 12 * mebibyte
const codec = codecFor('xz-block-4')
const contents = [1, 2, 3, 4].map((seed) => Buffer.concat([diskLike(mebibyte, seed), Buffer.alloc(unit - mebibyte)]))

/** Units of an .xz file, which are so large that a reader keeps only two of them. */
function openUnits(change: (stored: Buffer, start: number) => void = () => undefined): UnitSource {
  const blocks = contents.map((content) => codec.encode?.(content) ?? assert.fail())
  const units = new UnitList()
  let position = 0
  for (const block of blocks) {
    units.add(position, block.length, unit)
    position += block.length
  }
  const stored = Buffer.concat(blocks)
  change(stored, blocks[0]?.length ?? 0)
  return new UnitSource(new MemoryStore(stored, 'units'), codec, units)
}

test('a glance gives what reading gives, also where the rest of the unit is damaged', () => {
  using source = openUnits((stored, end) => (stored[end - 2]! ^= 1))
  const head = new Uint8Array(65536)
  source.glance(unit, head)
  assert.equal(Buffer.compare(head, contents[1]!.subarray(0, head.length)), 0)
  source.glance(unit + 100, head)
  assert.equal(Buffer.compare(head, contents[1]!.subarray(100, 100 + head.length)), 0)
  // Its check is wrong: reading it fails, as before.
  assert.throws(() => source.read(0, head), { code: 'E_COMPRESSED' })
})

test('a unit that was decoded is lent, and its memory is not used again', () => {
  using source = openUnits()
  const reader = new ContentReader(source, source.capacity)
  assert.equal(reader.at(0, unit).local[0]?.fetch, undefined)
  source.read(unit - 5, new Uint8Array(5))
  const [piece] = reader.at(mebibyte / 2, mebibyte).local
  for (const index of [1, 2, 3, 1, 2]) source.read(index * unit, new Uint8Array(5))
  const target = new Uint8Array(mebibyte)
  void piece?.fetch?.(target)
  assert.equal(Buffer.compare(target, contents[0]!.subarray(mebibyte / 2, (3 * mebibyte) / 2)), 0)
})
