import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have, run } from '../support/tools.js'

const room = 20

/** Lines that a person sees: standard output and error together. */
function lines({ stdout, stderr }: { readonly stdout: Buffer; readonly stderr: string }): string[] {
  return `${stdout.toString()}${stderr}`.split('\n').slice(0, -1)
}

const { commands } = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
  readonly commands: Readonly<Record<string, { readonly args: object }>>
}

test('vdisk alone, -h of each command, and each command without its arguments fit on a screen', async (t) => {
  const cwd = testFolder(t)
  const first = await vdisk([], { cwd })
  assert.equal(first.code, 0)
  assert.ok(lines(first).length <= room)
  for (const id of Object.keys(commands))
    for (const word of id.split(':')) assert.match(first.stdout.toString(), new RegExp(`\\b${word}\\b`))
  assert.deepEqual((await vdisk(['-h'], { cwd })).stdout, first.stdout)
  for (const id of Object.keys(commands)) {
    const words = id.split(':')
    const help = await vdisk([...words, '-h'], { cwd })
    assert.equal(help.code, 0)
    assert.ok(lines(help).length <= room, help.stdout.toString())
    assert.match(help.stdout.toString(), new RegExp(`^vdisk ${words.join(' ')}: .*\n\n {2}vdisk ${words.join(' ')}`))
    assert.match(help.stdout.toString(), /--help explains all flags/)
  }
  for (const words of [['convert'], ['cp'], ['partition', 'inject'], ['restore', 'a.raw']]) {
    const usage = await vdisk(words, { cwd })
    assert.equal(usage.code, 2)
    assert.ok(lines(usage).length <= room)
    assert.match(usage.stderr, /^Usage: vdisk/m)
  }
})

test('what has very many parts is cut to a screen, says so, and is whole with --verbose', async (t) => {
  if (!have(t, 'sfdisk') || !have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  const parts = 60
  fs.writeFileSync(join(cwd, 'many.raw'), '')
  fs.truncateSync(join(cwd, 'many.raw'), (parts + 4) * 1048576)
  execFileSync('sfdisk', ['-q', join(cwd, 'many.raw')], { input: `label: gpt\n${'size=1M\n'.repeat(parts)}` })
  const layers = 25
  run('qemu-img', 'create', '-q', '-f', 'qcow2', join(cwd, 'l0.qcow2'), '8M')
  for (let depth = 1; depth < layers; depth++)
    run(
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qcow2',
      '-F',
      'qcow2',
      '-b',
      `l${depth - 1}.qcow2`,
      join(cwd, `l${depth}.qcow2`),
    )
  const top = `l${layers - 1}.qcow2`
  for (let index = 0; index < 40; index++) run('qemu-img', 'snapshot', '-c', `s${index}`, join(cwd, 'l0.qcow2'))
  const data = Buffer.alloc(8 << 20)
  for (let index = 0; index < 100; index++) data[index * 81920 + 1] = 1
  fs.writeFileSync(join(cwd, 'holes.raw'), data)
  await vdisk(['convert', 'holes.raw', 'holes.qcow2', '-o', 'cluster-size=4096'], { cwd })
  const cases: readonly (readonly [args: readonly string[], all: RegExp, count: number])[] = [
    [['inspect', 'many.raw'], /^ {2}\d+ +.*1 MiB/gm, parts],
    [['partition', 'list', 'many.raw'], /^ {2}\d+ +.*1 MiB/gm, parts],
    [['chain', 'show', top], /^\d+ {2}/gm, layers],
    [['info', top], /parent/gi, layers - 1],
    [['snapshot', 'list', 'l0.qcow2'], /s\d+ +2/g, 40],
    [['map', 'holes.qcow2'], /^ +\d+ +\d+ +(?:data|zero|absent|hole)/gm, 40],
  ]
  for (const [args, pattern, count] of cases) {
    const short = await vdisk(args, { cwd })
    assert.equal(short.code, 0, short.stderr)
    assert.ok(
      lines(short).length <= room,
      `${args.join(' ')}: ${lines(short).length} lines\n${short.stdout.toString()}`,
    )
    assert.match(short.stdout.toString(), /--verbose shows/)
    const whole = await vdisk([...args, '--verbose'], { cwd })
    const found = whole.stdout.toString().match(pattern)?.length ?? 0
    assert.ok(found >= count, `${args.join(' ')} --verbose: ${found} of ${count}`)
    assert.deepEqual(
      (await vdisk([...args, '--json'], { cwd })).stdout,
      (await vdisk([...args, '--json', '--verbose'], { cwd })).stdout,
    )
  }
})

test('--quiet prints nothing but warnings and errors, and the exit code is the answer', async (t) => {
  const cwd = testFolder(t)
  const image = join(root, 'fixtures/partitioned-disk.vhdx')
  fs.writeFileSync(join(cwd, 'other.raw'), Buffer.alloc(1048576, 3))
  fs.writeFileSync(join(cwd, 'zeros.raw'), Buffer.alloc(1048576))
  const silent: readonly (readonly [args: readonly string[], code: number])[] = [
    [['convert', image, 'a.qcow2'], 0],
    [['convert', '-q', image, 'b.qcow2'], 0],
    [['info', image], 0],
    [['inspect', image], 0],
    [['check', image], 0],
    [['map', image], 0],
    [['hash', image], 0],
    [['compare', image, 'a.qcow2'], 0],
    [['compare', 'zeros.raw', 'other.raw'], 1],
  ]
  for (const [args, code] of silent) {
    const result = await vdisk([...args, '--quiet'], { cwd })
    assert.deepEqual(lines(result), [], args.join(' '))
    assert.equal(result.code, code)
  }
  const failed = await vdisk(['info', 'missing.raw', '--quiet'], { cwd })
  assert.match(failed.stderr, /^Error: /)
  const warned = await vdisk(['convert', 'a.qcow2', 'c.qcow2', '--to', 'vhd', '--quiet'], { cwd })
  assert.match(warned.stderr, /^Warning: /)
  assert.equal(warned.stdout.length, 0)
  // What was asked for as data is given.
  const text = await vdisk(['cat', `${image}@2:/etc/fstab`, '--quiet'], { cwd })
  assert.match(text.stdout.toString(), /^LABEL=root/)
  assert.match(
    (await vdisk(['hash', image, '--quiet', '--json'], { cwd })).stdout.toString(),
    /"schema": "vdisk\.hash"/,
  )
})
