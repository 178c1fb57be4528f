import assert from 'node:assert/strict'
import fs from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import test from 'node:test'
import { FileStore } from '../../../src/block/file-store.js'
import { testFolder } from '../../support/folder.js'

test('a socket is no image, and no fault of the medium', async (t) => {
  const path = join(testFolder(t), 'socket')
  const server = net.createServer().listen(path)
  await once(server, 'listening')
  t.after(() => server.close())
  assert.throws(() => FileStore.openRead(path), { kind: 'usage', code: 'E_NOT_A_FILE' })
})

test('a file that cannot be changed is said to be one', (t) => {
  const path = join(testFolder(t), 'a.raw')
  fs.writeFileSync(path, Buffer.alloc(512))
  const refuse = (code: string): void => {
    t.mock.restoreAll()
    t.mock.method(fs, 'openSync', () => {
      throw Object.assign(new Error(code), { code, syscall: 'open', path })
    })
  }
  refuse('EROFS')
  assert.throws(() => FileStore.openWrite(path), { kind: 'target', code: 'E_WRITE_PERMISSION', message: /read-only/ })
  refuse('EACCES')
  assert.throws(() => FileStore.openWrite(path), { code: 'E_PERMISSION', message: /no permission to change it/ })
  assert.throws(() => FileStore.openRead(path), { code: 'E_PERMISSION', message: /no permission to read it/ })
})
