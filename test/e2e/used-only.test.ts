import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { hfsPlus, mbrDisk, swapArea } from '../support/small-volumes.js'

test(
  'convert --used-only: what is left out is reported; a dirty filesystem is refused with the flag that allows ' + 'it',
  async (t) => {
    const cwd = testFolder(t)
    const clean = hfsPlus(100, [0, 1, 2, 3, 99], 'Volume')
    clean.fill(0xdd, 4 * 4096, 99 * 4096)
    fs.writeFileSync(
      join(cwd, 'disk.raw'),
      mbrDisk(2048, [
        { start: 64, bytes: clean },
        { start: 1000, bytes: swapArea(20, 0xdd) },
        { start: 1500, bytes: Buffer.alloc(4096, 5) },
      ]),
    )
    const people = await vdisk(['convert', 'disk.raw', 'a.qcow2', '--used-only', '--drop-swap'], { cwd })
    assert.equal(people.code, 0, people.stderr)
    assert.match(people.stdout.toString(), /not in use +456 KiB, read as zero/)
    assert.match(people.stderr, /Warning: partition 3 is copied whole: nothing is known of what it holds/)
    const program = await vdisk(['convert', 'disk.raw', 'b.qcow2', '--used-only', '--json'], { cwd })
    assert.equal(program.code, 0, program.stderr)
    const document = JSON.parse(program.stdout.toString()) as { volumes: unknown[] }
    assertSchema('convert', document)
    assert.deepEqual(document.volumes[1], { partition: 2, filesystem: 'swap', length: 20 * 4096, read: 20 * 4096 })

    clean.writeUInt32BE(0, 1024 + 4)
    fs.writeFileSync(join(cwd, 'dirty.raw'), clean)
    const refused = await vdisk(['convert', 'dirty.raw', 'c.qcow2', '--used-only'], { cwd })
    assert.equal(refused.code, 3)
    assert.match(refused.stderr, /dirty[^]*--if-dirty whole/)
    assert.ok(!fs.existsSync(join(cwd, 'c.qcow2')))
    const whole = await vdisk(['convert', 'dirty.raw', 'c.qcow2', '--used-only', '--if-dirty', 'whole'], { cwd })
    assert.equal(whole.code, 0, whole.stderr)
    assert.match(whole.stderr, /Warning: the disk is copied whole/)
    for (const flags of [['--drop-swap'], ['--if-dirty', 'trust']]) {
      const alone = await vdisk(['convert', 'dirty.raw', 'd.qcow2', ...flags], { cwd })
      assert.equal(alone.code, 2)
      assert.match(alone.stderr, /--used-only/)
    }
    const measured = await vdisk(['measure', 'disk.raw', '--to', 'qcow2', '--used-only', '--json'], { cwd })
    assert.equal(measured.code, 0, measured.stderr)
    assert.equal(
      (JSON.parse(measured.stdout.toString()) as { required: number }).required,
      fs.statSync(join(cwd, 'b.qcow2')).size,
    )
  },
)
