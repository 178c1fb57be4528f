import assert from 'node:assert/strict'
import test from 'node:test'
import { refused } from '../../../../src/errors.js'
import { openWhenFree } from '../../../../src/operations/device/preparing.js'

const busy = (): Error => refused('E_DEVICE_BUSY', '/dev/of-a-test is in use')

test('a target that stays in use for a moment after it was unmounted is opened when it is free', () => {
  let tries = 0
  const opened = openWhenFree(() => {
    if (++tries < 4) throw busy()
    return 'the target'
  })
  assert.deepEqual({ opened, tries }, { opened: 'the target', tries: 4 })
})

test('a target that stays in use is refused, and any other failure at once', () => {
  assert.throws(
    () =>
      openWhenFree(() => {
        throw busy()
      }),
    { code: 'E_DEVICE_BUSY' },
  )
  let tries = 0
  const denied = refused('E_READ_ONLY_DISK', '/dev/of-a-test is read-only')
  assert.throws(() => {
    openWhenFree(() => {
      tries++
      throw denied
    })
  }, denied)
  assert.equal(tries, 1)
})
