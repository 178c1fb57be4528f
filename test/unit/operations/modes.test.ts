import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { convert, create } from '../../../src/index.js'
import { commonMode } from '../../../src/operations/transfer/target.js'
import { testFolder } from '../../support/folder.js'

const modeOf = (path: string): string => (fs.statSync(path).mode % 0o10000).toString(8)
/** What a new file of that mode gets in this process. */
function lessUmask(folder: string, mode: number): string {
  const path = join(folder, 'probe')
  fs.writeFileSync(path, '', { mode })
  const found = modeOf(path)
  fs.rmSync(path)
  return found
}

test('an image may be read by nobody who may not read its source', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  for (const mode of [0o600, 0o640, 0o644, 0o666, 0o400, 0o604]) {
    fs.writeFileSync(at('a.raw'), Buffer.alloc(65536, 1))
    fs.chmodSync(at('a.raw'), mode)
    let partial = ''
    await convert(at('a.raw'), at('b.qcow2'), {
      force: true,
      onProgress: () => {
        const name = fs.readdirSync(folder).find((found) => found.includes('.partial-'))
        if (name !== undefined) partial = modeOf(at(name))
      },
    })
    assert.equal(modeOf(at('b.qcow2')), lessUmask(folder, 0o600 | (mode & 0o066)), mode.toString(8))
    assert.equal(partial, modeOf(at('b.qcow2')), 'no wider while it is being written')
    fs.rmSync(at('a.raw'))
    fs.rmSync(at('b.qcow2'))
  }
})

test('of a chain, the narrowest counts; a file that is replaced gives its own mode', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  await create(at('base.qcow2'), { size: 65536 })
  await create(at('child.qcow2'), { parent: at('base.qcow2') })
  fs.chmodSync(at('base.qcow2'), 0o600)
  fs.chmodSync(at('child.qcow2'), 0o644)
  await convert(at('child.qcow2'), at('flat.raw'))
  assert.equal(modeOf(at('flat.raw')), '600')
  fs.chmodSync(at('flat.raw'), 0o620)
  await convert(at('child.qcow2'), at('flat.raw'), { force: true })
  assert.equal(modeOf(at('flat.raw')), '620')
})

test('the bits that all sources have in common', () => {
  assert.equal(commonMode([]), 0o666)
  assert.equal(commonMode([0o755]), 0o644)
  assert.equal(commonMode([0o640, 0o604]), 0o600)
})
