import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import { openStore } from '../../src/formats/open.js'
import { restore } from '../../src/operations/device/restore.js'
import { readPartitionTable } from '../../src/partition/index.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { bootRecord } from '../support/table-bytes.js'
import { have, run } from '../support/tools.js'

const sector = 512
const mebibyte = 1048576
/** Sectors: partition 5 of 4 MiB, in it the record of partition 6. */
const first = 128
const record = first + 6000
const second = 10000

function nestedDisk(): Buffer {
  const disk = Buffer.alloc(16 * mebibyte)
  disk.set(bootRecord([5, 64, 32000]), 0)
  disk.set(bootRecord([0x83, first - 64, 8192], [5, record - 64, 20000]), 64 * sector)
  disk.set(bootRecord([0x83, second - record, 8192]), record * sector)
  return disk
}

function numbers(path: string): number[] {
  const disk = openStore(new MemoryStore(fs.readFileSync(path)), undefined, { from: 'raw' })
  return readPartitionTable(disk).partitions.map(({ number }) => number)
}

test(
  'a partition of a device in which a boot record lies is written only when that is allowed',
  { skip: loopsMissing() },
  async (t) => {
    if (!['mke2fs', 'e2fsck', 'partx'].every((program) => have(t, program))) return
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    fs.writeFileSync(at('disk'), nestedDisk())
    fs.writeFileSync(at('free.raw'), new Uint8Array(3 * mebibyte + 65536))
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', at('free.raw'))
    fs.writeFileSync(at('full.raw'), Buffer.alloc(4 * mebibyte, 0xaa))
    const device = loopDevice(t, at('disk'), sector, '--partscan')
    const name = device.slice('/dev/'.length)
    // Where the kernel does not look for partitions by itself.
    if (!fs.existsSync(`/sys/block/${name}/${name}p5`)) run('partx', '--add', device)
    const [major = '', minor = ''] = fs.readFileSync(`/sys/block/${name}/${name}p5/dev`, 'utf8').trim().split(':')
    assert.ok(fs.existsSync(`/sys/block/${name}/${name}p6`), 'the system sees both partitions')
    // In a container nobody makes the nodes of partitions.
    if (!fs.existsSync(`${device}p5`)) {
      run('mknod', `${device}p5`, 'b', major, minor)
      t.after(() => fs.rmSync(`${device}p5`, { force: true }))
    }
    const options = { yes: true, confirm: String(8192 * sector) }
    for (const dryRun of [true, false]) {
      await assert.rejects(restore(at('free.raw'), `${device}p5`, { ...options, dryRun }), (error: unknown) => {
        assert.ok(isImageError(error))
        assert.deepEqual([error.kind, error.code], ['refused', 'E_TABLE_IN_PARTITION'])
        assert.match(error.hint ?? '', /--allow-table-loss/)
        return true
      })
    }
    assert.ok(fs.readFileSync(at('disk')).equals(nestedDisk()))
    const kept = await restore(at('free.raw'), `${device}p5`, { ...options, allowTableLoss: true })
    assert.ok(kept.notes.some(({ code }) => code === 'W_TABLE_KEPT'))
    assert.deepEqual(numbers(at('disk')), [1, 5, 6])
    fs.writeFileSync(at('volume'), fs.readFileSync(at('disk')).subarray(first * sector, (first + 8192) * sector))
    run('e2fsck', '-fn', at('volume'))
    const lost = await restore(at('full.raw'), `${device}p5`, { ...options, allowTableLoss: true })
    assert.ok(lost.notes.some(({ code }) => code === 'W_TABLE_LOST'))
    assert.deepEqual(numbers(at('disk')), [1, 5])
  },
)
