import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import hostFs from '../../../src/sys/host-fs.js'
import { testFolder } from '../../support/folder.js'

test('folders are made with those that they lie in', (t) => {
  const inside = join(testFolder(t), 'one', 'two\nlines', 'three')
  hostFs.mkdirSync(`${inside}//`, { recursive: true, mode: 0o700 })
  assert.equal(fs.statSync(inside).mode % 0o1000, 0o700)
  hostFs.mkdirSync(inside, { recursive: true })
  fs.writeFileSync(join(inside, 'file'), '')
  for (const path of ['file', 'file/below'])
    assert.throws(() => {
      hostFs.mkdirSync(join(inside, path), { recursive: true })
    }, /EEXIST|ENOTDIR/)
})

test('where the system makes no folders the search for one ends', { skip: !fs.existsSync('/proc/self') }, () => {
  assert.throws(
    () => {
      hostFs.mkdirSync('/proc/none/inside', { recursive: true })
    },
    { code: 'ENOENT' },
  )
})
