import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { androidSparseImage } from '../../fixtures/spec-writer/read-only.js'
import { vdisk } from '../support/cli.js'
import { fixture } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { assertSchema } from '../support/schemas.js'
import { run } from '../support/tools.js'
import { emptyFile } from '../support/volumes.js'

const skip = loopsMissing()
const mebibyte = 1048576

interface Document {
  readonly kind: string
  readonly code: string
  readonly exitCode: number
  readonly message: string
  readonly dryRun: boolean
  readonly verified: boolean
  readonly steps: { name: string }[]
  readonly mends: { code: string }[]
}

test('restore: plan, confirmation, result', { skip }, async (t) => {
  const cwd = testFolder(t)
  const file = emptyFile(join(cwd, 'target.raw'), 64 * mebibyte)
  const device = loopDevice(t, file)
  const image = fixture('partitioned-disk.vhdx')
  const json = async (...args: string[]): Promise<Document> =>
    JSON.parse((await vdisk(['restore', image, device, '--json', ...args], { cwd })).stdout.toString()) as Document
  const untouched = (): void =>
    assert.ok(
      fs.readFileSync(file).every((byte) => byte === 0),
      'something was written',
    )

  const plan = await json('--dry-run')
  assertSchema('restore', plan)
  assert.deepEqual(
    plan.steps.map(({ name }) => name),
    ['open', 'clear', 'write', 'verify', 'finish', 'reread'],
  )
  assert.deepEqual([plan.dryRun, plan.verified], [true, false])
  for (const [args, code] of [
    [[], 'E_NOT_CONFIRMED'],
    [['--yes'], 'E_NOT_CONFIRMED'],
    [['--confirm', '64M'], 'E_NOT_CONFIRMED'],
    [['--yes', '--confirm', '63M'], 'E_WRONG_CONFIRMATION'],
    [['--yes', '--confirm', device], 'E_WRONG_CONFIRMATION'],
  ] as const) {
    const refused = await json(...args)
    assertSchema('error', refused)
    assert.deepEqual([refused.code, refused.kind, refused.exitCode], [code, 'refused', 3], args.join(' '))
  }
  untouched()
  const done = await json('--yes', '--confirm', '64M')
  assertSchema('restore', done)
  assert.deepEqual([done.dryRun, done.verified], [false, true])
  assert.deepEqual(done.mends.map(({ code }) => code).sort(), ['W_GPT_BACKUP_MOVED', 'W_PMBR_SIZE'])
  if (spawnSync('sgdisk', ['--version']).error === undefined)
    assert.match(run('sgdisk', '-v', device), /No problems found/)
})

test('restore: what is no disk is refused, and a disk as the source is sent to clone', { skip }, async (t) => {
  const cwd = testFolder(t)
  const file = emptyFile(join(cwd, 'target.raw'), 64 * mebibyte)
  const device = loopDevice(t, file)
  const image = fixture('partitioned-disk.vhdx')
  const toFile = await vdisk(['restore', image, join(cwd, 'new.raw'), '--yes', '--confirm', '64M'], { cwd })
  assert.equal(toFile.code, 2)
  assert.match(toFile.stderr, /no disk or partition of this machine[^]*vdisk disks/)
  const fromDisk = await vdisk(['restore', device, device, '--yes', '--confirm', '64M'], { cwd })
  assert.equal(fromDisk.code, 2)
  assert.match(fromDisk.stderr, /vdisk clone/)
})

test('clone: its output never speaks of the other two commands', { skip }, async (t) => {
  const cwd = testFolder(t)
  const source = emptyFile(join(cwd, 'source.raw'), 64 * mebibyte)
  const one = loopDevice(t, source)
  const other = loopDevice(t, emptyFile(join(cwd, 'target.raw'), 80 * mebibyte))
  const small = loopDevice(t, emptyFile(join(cwd, 'small.raw'), 8 * mebibyte))
  const large = loopDevice(t, emptyFile(join(cwd, 'large.raw'), 64 * mebibyte), 4096)
  assert.equal(
    (await vdisk(['restore', fixture('partitioned-disk.vhdx'), one, '--yes', '--confirm', '64M'], { cwd })).code,
    0,
  )
  const runs: [number, string[]][] = [
    [0, [one, other, '--dry-run', '--grow', '--new-ids']],
    [0, [one, other, '--yes', '--confirm', '80M', '--progress', 'json']],
    [0, [one, other, '--used-only', '--new-ids', '--yes', '--confirm', '80M', '--json']],
    [3, [one, other]],
    [3, [one, one]],
    [3, [one, small]],
    [3, [one, small, '--fit']],
    [3, [one, large]],
    [2, [one, join(cwd, 'x')]],
  ]
  for (const [code, args] of runs) {
    const result = await vdisk(['clone', ...args], { cwd })
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`)
    assert.doesNotMatch(result.stdout.toString() + result.stderr, /image|imaging|restor/i, args.join(' '))
    if (args.includes('--json')) assertSchema('clone', JSON.parse(result.stdout.toString()))
  }
  // But where another command is what is meant.
  const file = await vdisk(['clone', source, other], { cwd })
  assert.equal(file.code, 2)
  assert.match(file.stderr, /vdisk convert .*source\.raw TARGET\n.*vdisk restore .*source\.raw DEVICE/)
  assert.equal((await vdisk(['compare', one, other], { cwd })).code, 1, 'the new ids make the two differ')
})

test('restore: an image whose stored checksum is wrong is refused before anything is written', { skip }, async (t) => {
  const cwd = testFolder(t)
  const file = emptyFile(join(cwd, 'target.raw'), mebibyte)
  const device = loopDevice(t, file)
  const image = androidSparseImage(Buffer.alloc(mebibyte, 'content'))
  image.writeUInt32LE(7, 24)
  fs.writeFileSync(join(cwd, 'a.simg'), image)
  const { code, stderr } = await vdisk(['restore', 'a.simg', device, '--yes', '--confirm', '1MiB'], { cwd })
  assert.equal(code, 4, stderr)
  assert.match(stderr, /checksum of the first 1048576 bytes/)
  assert.ok(fs.readFileSync(file).every((byte) => byte === 0))
})
