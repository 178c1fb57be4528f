import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { LinuxDisks } from '../../../src/device/linux.js'
import { testFolder } from '../../support/folder.js'

test('where it cannot be seen what is mounted no disk is said to be free', (t) => {
  const disks = new LinuxDisks({ mountinfo: join(testFolder(t), 'mountinfo') })
  assert.throws(() => disks.list(), { code: 'E_PLATFORM' })
})
