import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { planMend } from '../../src/partition/index.js'
import { openWith } from '../support/drivers.js'
import { apply, damages, gptDisk, table } from '../support/gpt-disk.js'

for (const sectorSize of [512, 4096] as const) {
  test(`wherever the power fails while a table is written, a whole copy is there (${sectorSize}-byte sectors)`, () => {
    let cuts = 0
    for (const [, damage] of damages) {
      for (const newIds of [false, true]) {
        const broken = gptDisk(sectorSize)
        damage(broken, sectorSize)
        const wanted = table(broken).partitions.map(({ start, length }) => [start, length])
        const { writes } = planMend(
          openWith('raw', broken),
          newIds ? { newId: () => '99999999-2222-4333-8444-555555555555' } : {},
        )
        // Groups are flushed; within one, any part of any subset may be on the medium.
        for (const [index, group] of writes.entries()) {
          const done = writes.slice(0, index).flat()
          const torn = group.flatMap((write) => [
            write,
            { ...write, bytes: write.bytes.subarray(0, Math.floor(write.bytes.length / 2)) },
            { ...write, bytes: write.bytes.subarray(0, 200) },
          ])
          for (const some of [[], ...torn.map((write) => [write]), group.toReversed().slice(0, 1)]) {
            const store = new MemoryStore(broken.contents(), 'disk')
            apply(store, [...done, ...some])
            assert.deepEqual(
              table(store).partitions.map(({ start, length }) => [start, length]),
              wanted,
            )
            cuts++
          }
        }
      }
    }
    assert.ok(cuts > 60, String(cuts))
  })
}
