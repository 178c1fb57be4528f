import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dirname } from 'node:path'
import { askQemu } from '../../fixtures/peers.js'
import { fixture, fixtures } from '../support/fixtures.js'
import { have, runIn, scratch } from '../support/tools.js'

/** Guards the expectations: another reader must still find in a fixture what its manifest says. */
describe('fixtures as others read them', () => {
  for (const record of fixtures.filter(({ peers }) => peers.includes('qemu-img'))) {
    test(`qemu-img: ${record.path}`, (t) => {
      if (!have(t, 'qemu-img')) return
      const path = fixture(record.path)
      askQemu(record, path.slice(0, -record.path.length), dirname(scratch(t)('-')))
    })
  }

  test('qemu-img: the log of a dirty VHDX, replayed', (t) => {
    if (!have(t, 'qemu-img')) return
    const at = scratch(t)
    for (const name of ['vhdx/dirty-log.vhdx', 'vhdx/dirty-log-wrapped.vhdx']) {
      const record = fixtures.find(({ path }) => path === name)
      assert.ok(record)
      runIn(dirname(at('-')), 'cp', fixture(name), 'copy.vhdx')
      // qemu-img 7.2 replays without enlarging the file to the entry's LastFileOffset, and then misses the last block.
      if (name === 'vhdx/dirty-log.vhdx') runIn(dirname(at('-')), 'truncate', '-s', '+1M', 'copy.vhdx')
      runIn(dirname(at('-')), 'qemu-img', 'check', '-q', '-r', 'all', 'copy.vhdx')
      askQemu({ ...record, path: 'copy.vhdx' }, dirname(at('-')), dirname(at('-')))
    }
  })
})
