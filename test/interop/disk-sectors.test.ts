import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { restore } from '../../src/operations/device/restore.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576

/** Filesystems without a partition table, made for sectors of 512 bytes, and the sector sizes that they count in. */
const made = [
  { name: 'ext4 with small blocks', command: ['mkfs.ext4', '-q', '-b', '1024'] },
  { name: 'ext4', command: ['mkfs.ext4', '-q', '-b', '4096'] },
  { name: 'XFS', command: ['mkfs.xfs', '-q'] },
  { name: 'XFS for sectors of 4096', command: ['mkfs.xfs', '-q', '-s', 'size=4096'] },
  { name: 'btrfs', command: ['mkfs.btrfs', '-q'] },
] as const

for (const { name, command } of made) {
  test(
    `${name} on a disk with sectors of 4096 bytes: a warning where Linux does not mount it, else none`,
    { skip: loopsMissing() },
    async (t) => {
      const [program, ...options] = command
      if (!have(t, program)) return
      const folder = testFolder(t)
      const at = (file: string): string => join(folder, file)
      for (const file of ['image.raw', 'disk']) {
        fs.writeFileSync(at(file), '')
        fs.truncateSync(at(file), 320 * mebibyte)
      }
      run(program, ...options, at('image.raw'))
      const disk = loopDevice(t, at('disk'), 4096)
      const asked: string[] = []
      const restored = await restore(at('image.raw'), disk, {
        allowNoTable: true,
        ask: ({ notes, source, overridden }) => {
          assert.deepEqual([source.kind, source.size, overridden.length], ['disk', 320 * mebibyte, 1])
          asked.push(...notes.map(({ code }) => code))
          return Promise.resolve(disk)
        },
      })
      fs.mkdirSync(at('point'))
      const mounts = spawnSync('mount', ['-o', 'ro', disk, at('point')]).status === 0
      if (mounts) run('umount', at('point'))
      const codes = restored.notes.map(({ code }) => code).filter((code) => code === 'W_FS_SECTOR_SIZE')
      assert.deepEqual(codes, mounts ? [] : ['W_FS_SECTOR_SIZE'])
      // What is to be known is said before the answer, not after it.
      assert.deepEqual(asked, codes)
    },
  )
}
