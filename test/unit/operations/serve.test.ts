import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { Registry } from '../../../src/formats/registry.js'
import { convert } from '../../../src/index.js'
import { serve } from '../../../src/operations/serve/serve.js'
import { testFolder } from '../../support/folder.js'

async function image(folder: string): Promise<string> {
  const path = join(folder, 'a.qcow2')
  fs.writeFileSync(join(folder, 'a.raw'), Buffer.alloc(1048576, 1))
  await convert(join(folder, 'a.raw'), path, { flush: false })
  return path
}

test('a server whose addresses cannot be shown ends with that error, and leaves no socket', async (t) => {
  const folder = testFolder(t)
  const endpoint = { kind: 'unix' as const, path: join(folder, 's') }
  const registry = new Registry()
  const shown = serve([await image(folder)], {
    registry,
    endpoint,
    persistent: true,
    onReady: () => Promise.reject(new Error('no more files can be opened')),
  })
  await assert.rejects(shown, /no more files can be opened/)
  assert.ok(!fs.existsSync(endpoint.path))
})

test('an overlay that was made and never served is taken away', async (t) => {
  const folder = testFolder(t)
  const path = join(folder, 's')
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(path, resolve))
  t.after(() => other.close())
  const options = { registry: new Registry(), endpoint: { kind: 'unix' as const, path } }
  await assert.rejects(serve([await image(folder)], { ...options, overlay: join(folder, 'changes.qcow2') }), {
    code: 'E_SOCKET_IN_USE',
  })
  assert.deepEqual(fs.readdirSync(folder).sort(), ['a.qcow2', 'a.raw', 's'])
})
