import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

interface Refused {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly exitCode: number
}

async function refused(args: readonly string[], cwd: string): Promise<Refused> {
  const { code, stdout } = await vdisk([...args, '--json'], { cwd })
  assert.notEqual(code, 0, `${args.join(' ')} was done`)
  return JSON.parse(stdout.toString()) as Refused
}

test('no file that belongs to a source is replaced: its parent, its record, itself', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  fs.copyFileSync(join(root, 'samples/practice.qcow2'), join(cwd, 'a.qcow2'))
  fs.mkdirSync(join(cwd, 'below'))
  fs.copyFileSync(join(cwd, 'a.qcow2'), join(cwd, 'below/base.qcow2'))
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'below/base.qcow2', '-F', 'qcow2', 'child.qcow2')
  for (const ending of ['vdisk.json', 'map', 'blocks']) fs.writeFileSync(join(cwd, `a.qcow2.${ending}`), '{}')
  fs.linkSync(join(cwd, 'a.qcow2.vdisk.json'), join(cwd, 'other-name.raw'))
  const before = fs.readdirSync(cwd).sort()
  for (const args of [
    ['convert', 'a.qcow2', 'a.qcow2.vdisk.json', '--to', 'raw'],
    ['convert', 'a.qcow2', 'other-name.raw'],
    ['compact', 'a.qcow2', '--output', 'a.qcow2.blocks'],
    ['repair', 'a.qcow2', '--output', 'a.qcow2.map'],
    ['partition', 'fix', 'a.qcow2', '--new-ids', '--output', 'a.qcow2.map', '--to', 'raw'],
    // The child lies in another folder than its parent.
    ['repair', 'child.qcow2', '--output', 'below/base.qcow2'],
    ['cp', 'a.qcow2@2:/etc/hostname', 'a.qcow2'],
    ['cp', '--recursive', 'a.qcow2@2:/etc/hostname', 'a.qcow2'],
    ['cp', 'a.qcow2@2:/etc/hostname', 'a.qcow2.vdisk.json'],
  ]) {
    const { code, message } = await refused([...args, '--force'], cwd)
    assert.equal(code, 'E_SAME_FILE', `${args.join(' ')}: ${message}`)
  }
  assert.deepEqual(fs.readdirSync(cwd).sort(), before)
  assert.ok(fs.readFileSync(join(cwd, 'a.qcow2')).equals(fs.readFileSync(join(cwd, 'below/base.qcow2'))))
})

test('what a value cannot be is said with the name of the option, the flag or the part', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), diskLike(1048576, 1))
  const size = await refused(['convert', 'a.raw', 'b.qcow2', '-o', 'cluster-size=1e3'], cwd)
  assert.deepEqual([size.code, size.exitCode], ['E_SIZE', 2])
  assert.match(size.message, /option cluster-size is a size, not 1e3/)
  const flag = await refused(['convert', 'a.raw', 'b.qcow2', '--size', '1e3'], cwd)
  assert.match(flag.message, /^--size: 1e3/)
  for (const part of ['0', '-1', '1.5', 'two', '', 'label=']) {
    const none = await refused(['info', `a.raw@${part}`], cwd)
    assert.equal(none.code, 'E_NO_PARTITION', part)
    assert.match(none.hint ?? '', /counted from 1/)
  }
  fs.copyFileSync(join(cwd, 'a.raw'), join(cwd, 'a.raw@0'))
  assert.equal((await vdisk(['info', 'a.raw@0'], { cwd })).code, 0, 'a file of that name is that file')
})

test('why the system refuses a path is said in words', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), diskLike(1048576, 1))
  fs.symlinkSync('circle', join(cwd, 'circle'))
  for (const place of ['a.raw/below', 'n'.repeat(300), 'circle', 'circle/below', 'nowhere/below'])
    for (const args of [
      ['serve', 'a.raw', '--socket', place],
      ['serve', 'a.raw', '--overlay', place],
      ['convert', 'a.raw', place, '--to', 'raw'],
      ['convert', 'a.raw', 'b.raw', '--tmp', place],
      ['inspect', 'a.raw', '--html', place],
      ['create', place, '1M', '--to', 'qcow2'],
      ['backup', 'init', place],
      ['batch', place],
      ['mount', 'a.raw', place],
      ['info', place],
    ]) {
      const { code, stdout, stderr } = await vdisk([...args, '--json'], { cwd })
      if (code === 0) continue
      const said = stdout.toString() + stderr
      assert.doesNotMatch(
        said,
        /\bE(?:ACCES|PERM|ISDIR|NOTDIR|LOOP|NAMETOOLONG|NOENT)\b|\/proc\/self\/fd|E_INTERNAL/,
        said,
      )
    }
})
