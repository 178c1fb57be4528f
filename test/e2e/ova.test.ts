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
