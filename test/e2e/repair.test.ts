import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { counted, soundImage } from '../support/qcow2-sound.js'
import { assertSchema } from '../support/schemas.js'

test('repair: what would be done, a copy, in place; the exit code says what is left', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(
    join(cwd, 'a.qcow2'),
    counted(soundImage().pad(9 * 4096))
      .u64(72, 1)
      .bytes(),
  )
  fs.writeFileSync(
    join(cwd, 'lost.qcow2'),
    soundImage()
      .map(2, 90 * 4096)
      .bytes(),
  )
  fs.writeFileSync(join(cwd, 'bad.qcow2'), soundImage().u32(20, 63).bytes())
  const nowhere = await vdisk(['repair', 'a.qcow2'], { cwd })
  assert.equal(nowhere.code, 2)
  assert.match(nowhere.stderr, /--output FILE[^]*--in-place[^]*no way back/)
  assert.equal((await vdisk(['repair', 'a.qcow2', '--in-place', '--output', 'b.qcow2'], { cwd })).code, 2)
  assert.equal((await vdisk(['check', 'a.qcow2'], { cwd })).code, 1)
  const dry = await vdisk(['repair', 'a.qcow2', '--dry-run'], { cwd })
  assert.deepEqual([dry.code, dry.stderr], [0, ''])
  assert.match(dry.stdout.toString(), /would be mended[^]*L_REFCOUNT[^]*W_DIRTY[^]*Nothing was written/)
  const copied = await vdisk(['repair', 'a.qcow2', '--output', 'b.qcow2', '--json', '--progress', 'json'], { cwd })
  assert.equal(copied.code, 0, copied.stderr)
  const document = JSON.parse(copied.stdout.toString()) as { actions: { code: string }[] }
  assertSchema('repair', document)
  assert.deepEqual(
    document.actions.map(({ code }) => code),
    ['L_REFCOUNT', 'W_DIRTY'],
  )
  const lines = copied.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { done: number; total: number })
  for (const line of lines) assertSchema('progress', line)
  assert.deepEqual(
    lines.filter(({ done, total }) => done === total),
    [lines.at(-1)],
  )
  assert.equal((await vdisk(['check', 'b.qcow2', '--deep'], { cwd })).code, 0)
  const left = await vdisk(['repair', 'lost.qcow2', '--in-place', '--json'], { cwd })
  assert.equal(left.code, 1, left.stderr)
  assertSchema('repair', JSON.parse(left.stdout.toString()))
  assert.equal((await vdisk(['repair', 'bad.qcow2', '--output', 'c.qcow2'], { cwd })).code, 4)
  assert.deepEqual(fs.readdirSync(cwd).sort(), ['a.qcow2', 'b.qcow2', 'bad.qcow2', 'lost.qcow2'])
})
