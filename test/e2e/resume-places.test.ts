import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { killedUntilDone, randomOf, variedDisk } from '../support/killed.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile } from '../support/volumes.js'

const skip = loopsMissing()
const mebibyte = 1048576
/** VDISK_KILLS=100: so many kills at random moments of image, and of restore and clone; otherwise one for each case. */
const kills = Number(process.env['VDISK_KILLS'] ?? 0)
const eachTime = kills > 0 ? 4 : 1
const seed = Number(process.env['VDISK_SEED'] ?? Date.now() % 2 ** 32)
const uuid = '8b8e9f3c-6f0a-4c39-9d63-3f1f5a0c2b11'
const env = { SOURCE_DATE_EPOCH: '1700000000' }

test('image that is killed and gone on with: the bytes and the digests of one that was not', { skip }, async (t) => {
  const cwd = testFolder(t)
  t.diagnostic(`VDISK_SEED=${seed}`)
  const random = randomOf(seed)
  variedDisk(join(cwd, 'disk.raw'))
  const disk = loopDevice(t, join(cwd, 'disk.raw'))
  const [one, many] = ['one', 'many'].map((name) => join(cwd, name)) as [string, string]
  let killed = 0
  for (let round = 0; round === 0 || killed < kills; round++)
    for (const [target, flags] of [
      ['disk.vhdx', []],
      ['disk.qcow2', ['--compress', 'zlib']],
    ] as const) {
      // The loop's file lies on the disk that the image goes to.
      const args = ['image', disk, target, '--uuid', uuid, '--allow-same-disk', ...flags]
      fs.mkdirSync(one)
      const whole = await vdisk(args, { cwd: one, env })
      assert.equal(whole.code, 0, whole.stderr)
      killed += await killedUntilDone(many, [...args, '--verify'], { kills: eachTime, random, env }, () => {
        fs.rmSync(many, { recursive: true, force: true })
        fs.mkdirSync(many)
      })
      assert.deepEqual(fs.readdirSync(many).sort(), fs.readdirSync(one).sort())
      assert.ok(fs.readFileSync(join(many, target)).equals(fs.readFileSync(join(one, target))), target)
      assert.deepEqual(digestsBeside(join(many, target)), digestsBeside(join(one, target)))
      // An image that is there and whole has nothing to be gone on with.
      const again = await vdisk([...args, '--resume'], { cwd: many, env })
      assert.equal(again.code, 2, again.stderr)
      fs.rmSync(one, { recursive: true })
    }
  t.diagnostic(`image: killed ${killed} times`)
})

function digestsBeside(image: string): unknown {
  return (JSON.parse(fs.readFileSync(`${image}.vdisk.json`, 'utf8')) as { digests: unknown }).digests
}

test('restore and clone that are killed and gone on with: the disk of one that was not', { skip }, async (t) => {
  const cwd = testFolder(t)
  t.diagnostic(`VDISK_SEED=${seed}`)
  const random = randomOf(seed)
  const state = { XDG_STATE_HOME: join(cwd, 'state') }
  variedDisk(join(cwd, 'disk.raw'))
  const source = loopDevice(t, join(cwd, 'disk.raw'))
  assert.equal((await vdisk(['convert', 'disk.raw', 'disk.vhdx'], { cwd })).code, 0)
  const target = emptyFile(join(cwd, 'target.raw'), 144 * mebibyte)
  const device = loopDevice(t, target)
  const noise = Buffer.alloc(mebibyte, 0xa5)
  const journals = join(cwd, 'state/vdisk/resume')
  const left = (): boolean => fs.existsSync(journals) && fs.readdirSync(journals).length > 0
  let killed = 0
  for (let round = 0; round === 0 || killed < kills; round++)
    for (const args of [
      ['restore', 'disk.vhdx', device],
      ['clone', source, device],
    ]) {
      const all = [...args, '--yes', '--confirm', '144M', '--allow-no-table']
      killed += await killedUntilDone(cwd, all, { kills: eachTime, random, env: state, left }, () => {
        // What was on the target shows where nothing was written.
        for (let at = 0; at < 144; at++) fs.writeFileSync(target, noise, { flag: at === 0 ? 'w' : 'a' })
        spawnSync('losetup', ['--set-capacity', device])
      })
      assert.ok(fs.readFileSync(target).equals(fs.readFileSync(join(cwd, 'disk.raw'))), args.join(' '))
      assert.ok(!left())
    }
  t.diagnostic(`restore and clone: killed ${killed} times`)
})

test('a device that was written to since, and a journal on the target, are refused', { skip }, async (t) => {
  const cwd = testFolder(t)
  variedDisk(join(cwd, 'disk.raw'))
  const target = emptyFile(join(cwd, 'target.raw'), 144 * mebibyte)
  const device = loopDevice(t, target)
  const other = loopDevice(t, emptyFile(join(cwd, 'other.raw'), 144 * mebibyte))
  const journal = join(cwd, 'mine.journal')
  const args = (to: string) => ['restore', 'disk.raw', to, '--yes', '--confirm', '144M', '--allow-no-table', '--resume']
  const refused = async (to: string, ...more: string[]): Promise<string> => {
    const { code, stdout, stderr } = await vdisk([...args(to), '--json', ...more], { cwd })
    assert.equal(code, 3, stderr)
    return (JSON.parse(stdout.toString()) as { code: string }).code
  }
  const stopped = await interrupted(cwd, [...args(device), '--journal', journal], {
    when: /"done":[1-9]\d{7}/,
    act: (child) => child.kill('SIGTERM'),
    again: () => undefined,
    rate: 40,
  })
  assert.equal(stopped.code, 130, stopped.stderr)
  assert.match(stopped.stderr, /are kept in .*mine\.journal.*run the same command again to go on/)
  assert.equal(await refused(other, '--journal', journal), 'E_RESUME_TARGET')
  assert.equal(await refused(device, '--journal', join(cwd, 'disk.raw')), 'E_RESUME_TARGET')
  run('dd', 'if=/dev/urandom', `of=${device}`, 'bs=4096', 'count=1', 'oflag=direct')
  assert.equal(await refused(device, '--journal', journal), 'E_RESUME_TARGET')
  run('mkfs.ext4', '-q', '-F', other)
  const mount = join(cwd, 'mounted')
  fs.mkdirSync(mount)
  run('mount', other, mount)
  try {
    assert.equal(await refused(other, '--unmount', '--journal', join(mount, 'j')), 'E_RESUME_TARGET')
  } finally {
    spawnSync('umount', [mount])
  }
})

test('a full filesystem that is given room: the conversion goes on, and gives the same bytes', { skip }, async (t) => {
  const cwd = testFolder(t)
  variedDisk(join(cwd, 'source.raw'))
  const args = ['convert', join(cwd, 'source.raw'), 'disk.qcow2', '--uuid', uuid]
  assert.equal((await vdisk(args, { cwd, env })).code, 0)
  const small = join(cwd, 'small')
  fs.mkdirSync(small)
  run('mount', '-t', 'tmpfs', '-o', 'size=64M', 'tmpfs', small)
  try {
    const full = await vdisk([...args, '--resume'], { cwd: small, env })
    assert.equal(full.code, 7, full.stderr)
    assert.match(full.stderr, /no space left[^]*run the same command again to go on/)
    run('mount', '-o', 'remount,size=512M', small)
    const done = await vdisk([...args, '--resume', '--json'], { cwd: small, env })
    assert.equal(done.code, 0, done.stderr)
    assert.ok((JSON.parse(done.stdout.toString()) as { resumed: number }).resumed > 0)
    assert.ok(fs.readFileSync(join(small, 'disk.qcow2')).equals(fs.readFileSync(join(cwd, 'disk.qcow2'))))
    assert.deepEqual(fs.readdirSync(small), ['disk.qcow2'])
  } finally {
    spawnSync('umount', [small])
  }
})

test('--rate keeps to its limit, also where nothing can be gone on with', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(24 * mebibyte, 'data'))
  for (const args of [
    ['convert', 'a.raw', 'b.qcow2'],
    ['convert', 'a.raw', '-', '--to', 'raw'],
  ]) {
    const began = Date.now()
    const { code, stderr } = await vdisk([...args, '--rate', '12M'], { cwd })
    assert.equal(code, 0, stderr)
    // A quarter of a second's bytes may go at once: 24 MiB at 12 MiB a second take 1.75 s and more.
    assert.ok(Date.now() - began >= 1700, `${args.join(' ')}: ${Date.now() - began} ms`)
  }
  const wrong = await vdisk(['convert', 'a.raw', 'c.qcow2', '--rate', '10'], { cwd })
  assert.equal(wrong.code, 2)
})

test('--if-exists same goes by the record, not by the name', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(4 * mebibyte, 'data'))
  const args = ['convert', 'a.raw', 'b.qcow2', '--if-exists', 'same', '--json']
  const once = async (...more: string[]) => {
    const { code, stdout } = await vdisk([...args, ...more], { cwd })
    return { code, ...(JSON.parse(stdout.toString()) as { already?: boolean; code?: string; message?: string }) }
  }
  assert.equal((await once()).code, 0)
  assert.equal((await once()).already, true)
  assert.equal((await once('--resume')).already, true)
  assert.equal((await once('--compress', 'zlib')).code, 'E_EXISTS')
  fs.appendFileSync(join(cwd, 'a.raw'), Buffer.alloc(4096))
  assert.match((await once()).message ?? '', /its disk had 4194304 bytes, and has 4198400 now/)
  fs.rmSync(join(cwd, 'b.qcow2.made.json'))
  assert.match((await once()).message ?? '', /no record of what it was made of/)
})

test('a clone is not gone on with while its source is in use; its hint says what helps', { skip }, async (t) => {
  const cwd = testFolder(t)
  const made = emptyFile(join(cwd, 'source.raw'), 40 * mebibyte)
  run('mkfs.ext4', '-q', '-F', made)
  fs.writeFileSync(made, Buffer.alloc(24 * mebibyte, 'data'), { flag: 'r+' })
  run('mkfs.ext4', '-q', '-F', made)
  const source = loopDevice(t, made)
  const target = loopDevice(t, emptyFile(join(cwd, 'target.raw'), 40 * mebibyte))
  const args = ['clone', source, target, '--yes', '--confirm', '40M', '--allow-no-table']
  const resume = ['--resume', '--journal', join(cwd, 'journal')]
  let sent = false
  const stopped = await vdisk([...args, ...resume, '--rate', '8M', '--progress', 'json'], {
    cwd,
    onError: (text, child) => {
      if (!sent && /"done":[1-9]\d{6}/.test(text)) sent = child.kill('SIGTERM')
    },
  })
  assert.equal(stopped.code, 130, stopped.stderr)
  const mount = join(cwd, 'mounted')
  fs.mkdirSync(mount)
  run('mount', source, mount)
  try {
    const refused = await vdisk([...args, ...resume, '--live', '--json'], { cwd })
    const document = JSON.parse(refused.stdout.toString()) as { code: string; hint: string }
    assert.deepEqual([refused.code, document.code], [3, 'E_RESUME_SOURCE'], refused.stderr)
    assert.match(document.hint, /or run the command without --resume/)
    const anew = await vdisk([...args, '--live'], { cwd })
    assert.equal(anew.code, 0, anew.stderr)
  } finally {
    spawnSync('umount', [mount])
  }
})
