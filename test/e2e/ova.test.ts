import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { ovfText, tarBytes } from '../support/ova-bytes.js'
import { assertSchema } from '../support/schemas.js'

test('vdisk info shows an appliance of one disk, and of several, and how one of these is named', async (t) => {
  const cwd = testFolder(t)
  const disk = diskLike(2 ** 20)
  const member = (name: string) => ({ name, bytes: disk })
  const text = (list: readonly string[]) => ({
    name: 'vm.ovf',
    bytes: Buffer.from(ovfText(list.map((href, index) => ({ id: `disk${index}`, href })))),
  })
  fs.writeFileSync(join(cwd, 'one.ova'), tarBytes([text(['a.img']), member('a.img')]))
  fs.writeFileSync(join(cwd, 'two.ova'), tarBytes([text(['a.img', 'b.img']), member('a.img'), member('b.img')]))
  const shown = await vdisk(['info', 'two.ova', '--verbose'], { cwd })
  assert.equal(shown.code, 0, shown.stderr)
  const output = shown.stdout.toString()
  for (const words of ['Server <1>', 'debian10_64Guest', '3 GiB', 'BIOS', 'a.img', 'b.img', 'scsi lsilogic', 'lan'])
    assert.ok(output.includes(words), words)
  const hinted = /vdisk info (\S+)/.exec(output)?.[1] ?? ''
  assert.equal((await vdisk(['info', hinted], { cwd })).code, 0, hinted)
  const json = await vdisk(['info', 'one.ova', 'two.ova', 'two.ova@disk=b.img', '--json'], { cwd })
  assert.equal(json.code, 0, json.stderr)
  assertSchema('info', JSON.parse(json.stdout.toString()))
  const refused = await vdisk(['convert', 'two.ova', 'x.qcow2'], { cwd })
  assert.equal(refused.code, 2)
  const [, named = ''] = /Say which one: (\S+)/.exec(refused.stderr) ?? []
  assert.equal((await vdisk(['convert', named, 'x.qcow2'], { cwd })).code, 0, refused.stderr)
  const changed = await vdisk(['resize', 'one.ova', '2M'], { cwd })
  assert.equal(changed.code, 5, changed.stderr)
  assert.match(changed.stderr, /Convert it/)
})

test('measure --to ova says what convert writes, to the byte; levels and hardware versions count', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'disk.raw'), Buffer.concat([diskLike(3 * 2 ** 20, 7), Buffer.alloc(2 ** 20)]))
  for (const flags of [[], ['-o', 'level=1'], ['-o', 'hardware-version=19']]) {
    const measured = await vdisk(['measure', 'disk.raw', '--to', 'ova', '--json', ...flags], { cwd })
    assert.equal(measured.code, 0, measured.stderr)
    const result = JSON.parse(measured.stdout.toString()) as { required: number; 'fully-allocated': number }
    assertSchema('measure', result)
    const made = await vdisk(['convert', 'disk.raw', 'server.ova', '--force', ...flags], { cwd })
    assert.equal(made.code, 0, made.stderr)
    assert.equal(result.required, fs.statSync(join(cwd, 'server.ova')).size, flags.join(' '))
    assert.ok(result['fully-allocated'] > 4 * 2 ** 20)
  }
  const empty = await vdisk(['measure', '--size', '1G', '--to', 'ova'], { cwd })
  assert.equal(empty.code, 2)
  assert.match(empty.stderr, /Name the image/)
})

test('--hardware-version is recorded in a VMDK and shown; an OVA takes it as an option', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'disk.raw'), diskLike(2 ** 20, 7))
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await vdisk(args, { cwd })
    assert.equal(code, 0, stderr)
    return stdout.toString()
  }
  for (const command of [
    ['convert', 'disk.raw', 'a.vmdk'],
    ['create', 'b.vmdk', '1M'],
  ]) {
    await run(...command, '--hardware-version', '14')
    const name = command[0] === 'create' ? 'b.vmdk' : 'a.vmdk'
    assert.match(fs.readFileSync(join(cwd, name), 'latin1'), /ddb\.virtualHWVersion = "14"/)
    assert.match(await run('info', name, '--verbose'), /hardware version +14/i)
  }
  await run('convert', 'disk.raw', 'vm.ova', '-o', 'hardware-version=15')
  assert.match(await run('info', 'vm.ova', '--verbose'), /vmx-15/)
  for (const wrong of ['0', 'x', '100'])
    assert.equal((await vdisk(['create', 'c.vmdk', '1M', '--hardware-version', wrong], { cwd })).code, 2, wrong)
})
