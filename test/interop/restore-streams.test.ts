import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { restore, type RestoreResult } from '../../src/index.js'
import { by } from '../support/compress.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { makeDisk } from '../support/mountable-disk.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576
const tools = [
  'gzip',
  'xz',
  'zstd',
  'lz4',
  'bzip2',
  'sfdisk',
  'mkfs.xfs',
  'mkfs.btrfs',
  'mkfs.ntfs',
  'mcopy',
  'ntfs-3g',
]

test(
  'restore: compressed disks with five filesystems go to a larger device without a scratch file, and are verified',
  { skip: loopsMissing() },
  async (t) => {
    if (!tools.every((tool) => have(t, tool))) return
    const folder = testFolder(t)
    const at = (file: string): string => join(folder, file)
    makeDisk(at('disk.raw'), folder)
    const disk = fs.readFileSync(at('disk.raw'))
    const logical = withLogicalPartitions(at, disk)
    const streams = {
      'disk.raw.gz': by('gzip', ['-1c'], disk),
      'disk.raw.xz': by('xz', ['-0c', '-T1'], disk),
      'unknown-size.raw.zst': by('zstd', ['-qc'], disk),
      'disk.raw.lz4': by('lz4', ['-qc'], disk),
      'logical.raw.gz': by('gzip', ['-1c'], logical),
    }
    const size = disk.length + 24 * mebibyte
    fs.writeFileSync(at('plain'), Buffer.alloc(size))
    fs.writeFileSync(at('device'), Buffer.alloc(size))
    const [plain, device] = [loopDevice(t, at('plain')), loopDevice(t, at('device'))]
    const options = { yes: true, confirm: String(size), verify: true }
    // A scratch file has no place there: making one fails.
    const before = process.env['TMPDIR']
    process.env['TMPDIR'] = at('not-there')
    t.after(() => {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
    })
    for (const [name, bytes] of Object.entries(streams)) {
      fs.writeFileSync(at(name), bytes)
      fs.writeFileSync(at('same.raw'), name.startsWith('logical') ? logical : disk)
      // What is not written shows.
      for (const path of [plain, device])
        run('dd', 'if=/dev/zero', `of=${path}`, 'bs=1M', 'conv=fsync', 'status=none', `count=${size / mebibyte}`)
      const expected = await restore(at('same.raw'), plain, options)
      const outcome = await restore(at(name), device, options)
      assert.equal(outcome.source.access, 'stream', name)
      assert.equal(outcome.verified, true)
      // Guards, steps and notes are those of the disk as it is.
      const facts = ({ guards, steps, mends, bytes: written }: RestoreResult): string =>
        JSON.stringify([guards, steps, mends, written]).replaceAll(device, plain)
      assert.equal(facts(outcome), facts(expected))
      const [found, wanted] = [fs.readFileSync(at('device')), fs.readFileSync(at('plain'))]
      assert.equal(Buffer.compare(found.subarray(0, disk.length), wanted.subarray(0, disk.length)), 0, name)
      assert.equal(Buffer.compare(found.subarray(-mebibyte), wanted.subarray(-mebibyte)), 0, name)
      // A partition of it goes to a partition's place as well.
      if (name !== 'disk.raw.xz') continue
      const single = await restore(`${at(name)}@1`, device, { ...options, allowNoTable: true })
      assert.equal(single.source.access, 'stream')
    }
  },
)

/** The same volumes in an extended partition: each is found from a sector between the others. */
function withLogicalPartitions(at: (file: string) => string, disk: Buffer): Buffer {
  const bytes = Buffer.from(disk)
  bytes.fill(0, 0, mebibyte)
  bytes.fill(0, bytes.length - mebibyte)
  fs.writeFileSync(at('logical.raw'), bytes)
  const layout = [
    'label: dos',
    'start=2048, size=24576, type=83',
    'start=26624, type=5',
    'size=20480',
    'size=20480',
    'size=40960',
  ]
  run('sh', '-c', `printf '%s\\n' ${layout.map((line) => `'${line}'`).join(' ')} | sfdisk -q ${at('logical.raw')}`)
  return fs.readFileSync(at('logical.raw'))
}
