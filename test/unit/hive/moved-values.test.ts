/** Values of hives that become longer or shorter, in the order in which it is written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stages } from '../../../src/hive/patch.js'
import type { HivePatch } from '../../../src/hive/index.js'
import { dword, hiveBytes, type KeySpec, type ValueSpec } from '../../support/hive-bytes.js'
import { openBytes } from '../../support/hive-facts.js'

const letters = ['\\DosDevices\\C:', '\\DosDevices\\D:', '\\??\\Volume{1}', '\\??\\Volume{2}']
const devices = (length: number): KeySpec => ({
  keys: {
    MountedDevices: { values: letters.map((name, index): ValueSpec => [name, 3, Buffer.alloc(length, index + 1)]) },
  },
})

/** What every value is to hold then. */
function moved(bytes: Buffer, length: number): HivePatch[] | undefined {
  const hive = openBytes(bytes)
  const space = hive.space()
  const values = [...(hive.root.subkey('MountedDevices')?.values() ?? [])]
  const patches = values.map((value) => value.replaced(new Uint8Array(length).fill(0x77), space))
  if (patches.includes(undefined)) return undefined
  const all = [...patches.flatMap((each) => each ?? []), ...space.patches()]
  return all.sort((one, other) => (one.stage ?? 0) - (other.stage ?? 0))
}

test('after each write a hive is sound, and every value the old one or the new one', () => {
  for (const [from, to] of [
    [12, 24],
    [24, 12],
    [12, 100],
    [12, 12],
  ] as const) {
    const bytes = hiveBytes(devices(from))
    const patches = moved(bytes, to)
    assert.ok(patches !== undefined)
    for (const { position, old, bytes: now, stage = 0 } of patches) {
      assert.deepEqual(Buffer.from(old), bytes.subarray(position, position + old.length))
      bytes.set(now, position)
      // What is shortened in its place has the new content for a moment, and the old length.
      if (to < from && stage < stages.value) continue
      const hive = openBytes(bytes)
      hive.checkBins()
      for (const [index, value] of [...(hive.root.subkey('MountedDevices')?.values() ?? [])].entries()) {
        const data = Buffer.from(value.data())
        const isNew = data.equals(Buffer.alloc(to, 0x77))
        assert.ok(isNew || data.equals(Buffer.alloc(from, index + 1)) || to < from, `${value.name} ${from} ${to}`)
      }
    }
    const values = [...(openBytes(bytes).root.subkey('MountedDevices')?.values() ?? [])]
    assert.deepEqual(
      values.map((value) => Buffer.from(value.data()).toString('hex')),
      letters.map(() => '77'.repeat(to)),
    )
  }
})

test('a value that has no room is not moved, nor one inside its own structure', () => {
  const bytes = hiveBytes(devices(12))
  assert.equal(moved(bytes, 3000), undefined)
  const numbers = hiveBytes({ keys: { MountedDevices: { values: [['number', 4, dword(7)]] } } })
  assert.equal(moved(numbers, 24), undefined)
})
