import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { killedUntilDone, randomOf, variedDisk } from '../support/killed.js'

/** VDISK_KILLS=100: so many kills at random moments over all cases; otherwise one for each of some. */
const kills = Number(process.env['VDISK_KILLS'] ?? 0)
const seed = Number(process.env['VDISK_SEED'] ?? Date.now() % 2 ** 32)
const env = { SOURCE_DATE_EPOCH: '1700000000' }
const uuid = '8b8e9f3c-6f0a-4c39-9d63-3f1f5a0c2b11'

/** Targets and flags of every format that can be written, in all the ways in which it lays out a file. */
const cases: readonly (readonly [name: string, target: string, flags: readonly string[], sampled?: boolean])[] = [
  ['raw', 'disk.raw', [], true],
  ['raw, preallocated', 'disk.raw', ['--sparse', '0']],
  ['VHD, dynamic', 'disk.vhd', [], true],
  ['VHD, fixed', 'disk.vhd', ['--subformat', 'fixed']],
  ['VHDX, dynamic', 'disk.vhdx', [], true],
  ['VHDX, small blocks', 'disk.vhdx', ['--block-size', '1M']],
  ['VHDX, fixed', 'disk.vhdx', ['--subformat', 'fixed']],
  ['QCOW2', 'disk.qcow2', [], true],
  ['QCOW2, version 2, small clusters', 'disk.qcow2', ['--compat', '0.10', '--cluster-size', '4K']],
  ['QCOW2, zlib', 'disk.qcow2', ['--compress', 'zlib']],
  ['QCOW2, zstd', 'disk.qcow2', ['--compress', 'zstd'], true],
  ['QCOW2, preallocated tables', 'disk.qcow2', ['--preallocation', 'metadata']],
  ['QCOW2, preallocated', 'disk.qcow2', ['--preallocation', 'full']],
  ['QCOW2, data file', 'disk.qcow2', ['-o', 'data-file=disk.data'], true],
  ['VMDK, sparse', 'disk.vmdk', []],
  ['VMDK, flat', 'disk.vmdk', ['--subformat', 'monolithicFlat']],
  ['VMDK, parts', 'disk.vmdk', ['--subformat', 'twoGbMaxExtentSparse']],
  ['VMDK, stream', 'disk.vmdk', ['--subformat', 'streamOptimized'], true],
  ['VDI', 'disk.vdi', [], true],
  ['VDI, fixed', 'disk.vdi', ['--subformat', 'fixed']],
  ['QCOW2, child', 'disk.qcow2', ['--parent', 'base.qcow2']],
  ['VHDX, child', 'disk.vhdx', ['--parent', 'base.vhdx'], true],
]

/** Every file of a folder by its digest. */
function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    fs
      .readdirSync(folder)
      .sort()
      .map((name) => [
        name,
        createHash('sha256')
          .update(fs.readFileSync(join(folder, name)))
          .digest('hex'),
      ]),
  )
}

test('a conversion that is killed and gone on with gives the bytes of one that was not', async (t) => {
  const cwd = testFolder(t)
  t.diagnostic(`VDISK_SEED=${seed}`)
  const random = randomOf(seed)
  variedDisk(join(cwd, 'source.raw'))
  variedDisk(join(cwd, 'base.raw'), 2)
  for (const base of ['base.qcow2', 'base.vhdx'])
    assert.equal((await vdisk(['convert', 'base.raw', base, '--uuid', uuid], { cwd, env })).code, 0)
  const chosen = cases.filter(([, , , sampled]) => kills > 0 || sampled === true)
  let killed = 0
  for (let round = 0; round === 0 || killed < kills; round++)
    for (const [name, target, flags] of chosen) {
      const [one, many] = ['one', 'many'].map((folder) => join(cwd, folder)) as [string, string]
      for (const folder of [one, many]) fs.mkdirSync(folder)
      const placed = flags.map((flag) => flag.replace(/^base/, '../base'))
      const args = ['convert', '../source.raw', target, '--uuid', uuid, ...placed]
      const whole = await vdisk(args, { cwd: one, env })
      assert.equal(whole.code, 0, `${name}: ${whole.stderr}`)
      const count = await killedUntilDone(many, args, { kills: kills > 0 ? 3 : 1, random, env }, () => {
        fs.rmSync(many, { recursive: true })
        fs.mkdirSync(many)
      })
      assert.deepEqual(contents(many), contents(one), name)
      t.diagnostic(`${name}: killed ${count} times`)
      killed += count
      for (const folder of [one, many]) fs.rmSync(folder, { recursive: true })
    }
  assert.ok(killed >= chosen.length)
})
