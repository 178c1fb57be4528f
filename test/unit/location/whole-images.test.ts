import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { commitChain } from '../../../src/operations/chain/commit.js'
import { rebaseChain } from '../../../src/operations/chain/rebase.js'
import { relinkChain } from '../../../src/operations/chain/relink.js'
import { showChain } from '../../../src/operations/chain/show.js'
import { compact } from '../../../src/operations/change/compact.js'
import { resize } from '../../../src/operations/change/resize.js'
import { createSnapshot, deleteSnapshot, listSnapshots } from '../../../src/operations/change/snapshot.js'
import { check } from '../../../src/operations/check/check.js'
import { repair } from '../../../src/operations/check/repair.js'
import { create } from '../../../src/operations/transfer/create.js'
import { testFolder } from '../../support/folder.js'

// Nothing listens at port 1 of this computer.
const address = 'nbd://localhost:1/disk'

test(
  'what changes an image, or names one, takes files of this computer, and says so of any other ' + 'address',
  async (t) => {
    const child = join(testFolder(t), 'child.qcow2')
    await create(child, { size: 65536 })
    const runs: readonly (() => Promise<unknown>)[] = [
      () => repair(address, { dryRun: true }),
      () => resize(address, { capacity: 65536 }),
      () => compact(address, { inPlace: true }),
      () => createSnapshot(address, 'name'),
      () => createSnapshot(address, 'name', { dryRun: true }),
      () => deleteSnapshot(address, 'name'),
      () => commitChain(address),
      () => rebaseChain(address, child),
      () => rebaseChain(child, address),
      async () => Promise.resolve(relinkChain(address, child)),
      async () => Promise.resolve(relinkChain(child, address)),
      () => create(join(testFolder(t), 'new.qcow2'), { parent: address }),
    ]
    for (const [index, run] of runs.entries())
      await assert.rejects(run, (error) => {
        assert.ok(isImageError(error), `${index}: ${String(error)}`)
        assert.deepEqual([error.kind, error.code], ['usage', 'E_NOT_A_FILE'], `${index}: ${error.message}`)
        assert.match(error.message, /^nbd:\/\/localhost:1\/disk is an export of an NBD server, not an image file/)
        assert.match(error.hint ?? '', /vdisk convert nbd:\/\/localhost:1\/disk /)
        return true
      })
  },
)

test('what only reads an image looks where its address leads', async () => {
  for (const run of [
    () => check(address),
    async () => Promise.resolve(showChain(address)),
    () => listSnapshots(address),
  ])
    await assert.rejects(
      run,
      (error) => isImageError(error) && error.code !== 'E_NOT_FOUND' && /connect/.test(error.message),
    )
})
