import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { restore } from '../../src/index.js'
import { fixture, fixtures } from '../support/fixtures.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { vmaBytes } from '../support/vma-bytes.js'
import { xvaBytes } from '../support/xva-bytes.js'

const backups = ['clonezilla', 'partclone', 'ntfsclone', 'ewf', 'macrium', 'ffu', 'pbs', 'wib']

/** The first sound fixture of every kind of backup, opened as a user would, with the hash of its disk. */
function sources(folder: string): { readonly name: string; readonly path: string; readonly sha256: string }[] {
  const content = Buffer.from(diskLike(512 * 1024, 77))
  const sha256 = createHash('sha256').update(content).digest('hex')
  fs.writeFileSync(join(folder, 'vm.vma'), vmaBytes({ disks: { 'drive-scsi0': content } }))
  fs.writeFileSync(join(folder, 'vm.xva'), xvaBytes({ disks: { 'Ref:4': content } }))
  return [
    ...backups.map((name) => {
      const record = fixtures.find(({ format, error }) => format === name && error === undefined)
      assert.ok(record !== undefined && typeof record.guestSha256 === 'string', name)
      return { name, path: fixture(record.path), sha256: record.guestSha256 }
    }),
    { name: 'vma', path: join(folder, 'vm.vma'), sha256 },
    { name: 'xva', path: join(folder, 'vm.xva'), sha256 },
  ]
}

test('every kind of backup is restored to a disk: its bytes, whatever the disk held', async (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  const folder = testFolder(t)
  for (const { name, path, sha256 } of sources(folder))
    await t.test(name, async (t) => {
      const file = join(folder, `${name}.disk`)
      const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
      fs.writeFileSync(file, Buffer.alloc(32 * 1048576, 'what was here before '))
      const device = loopDevice(t, file)
      const size = 32 * 1048576
      const result = await restore(path, device, { yes: true, confirm: String(size), allowNoTable: true })
      assert.equal(result.verified, true)
      const { capacity } = result.source
      assert.equal(hash(fs.readFileSync(file).subarray(0, capacity)), sha256)
    })
})
