import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { signal, sshd, sshdMissing } from '../support/sshd.js'
import { run } from '../support/tools.js'

const mebibyte = 1048576
const noMount = process.getuid?.() === 0 ? undefined : skipReason('mounting is tested as root')

/** 24 MiB with content, and a hole. */
function makeDisk(path: string): void {
  fs.writeFileSync(path, diskLike(5 * mebibyte, 51))
  fs.truncateSync(path, 24 * mebibyte)
}

test(
  'ssh: images are made on another computer, whole and under a name that is free',
  { skip: sshdMissing() },
  async (t) => {
    const cwd = testFolder(t)
    const there = join(cwd, 'there')
    fs.mkdirSync(there)
    makeDisk(join(cwd, 'disk.raw'))
    fs.writeFileSync(join(there, '.disk.vhdx.partial-0123456789ab'), 'of a run that was killed')
    const { host, env } = await sshd(t, cwd)
    const address = (name: string): string => `ssh://${host}${there}/${name}`
    const at = (name: string): string => join(there, name)
    for (const [target, name, ...options] of [
      ['disk.raw', 'disk.raw'],
      ['disk.qcow2', 'disk.qcow2', '--verify'],
      ['disk.vhdx', 'disk.vhdx'],
      ["it's%20$(x)%3F.raw.gz", "it's $(x)?.raw.gz"],
    ] as const) {
      const made = await vdisk(['convert', 'disk.raw', address(target), ...options], { cwd, env })
      assert.equal(made.code, 0, made.stderr)
      const left = /beside it lies the unfinished file ".disk.vhdx.partial-0123456789ab"/
      assert.equal(left.test(made.stderr), name === 'disk.vhdx', made.stderr)
      const compared = await vdisk(['compare', 'disk.raw', at(name)], { cwd })
      assert.equal(compared.code, 0, `${name}: ${compared.stderr}`)
    }
    fs.unlinkSync(at('.disk.vhdx.partial-0123456789ab'))
    assert.equal(fs.readdirSync(there).length, 4)
    // Holes are not sent.
    assert.ok(fs.statSync(at('disk.raw')).blocks * 512 < 8 * mebibyte)

    // What is there is not replaced, and with --force as a whole.
    const before = fs.readFileSync(at('disk.qcow2'))
    const refused = await vdisk(['convert', 'disk.raw', address('disk.qcow2')], { cwd, env })
    assert.equal(refused.code, 7, refused.stderr)
    assert.match(refused.stderr, /exists already/)
    assert.ok(fs.readFileSync(at('disk.qcow2')).equals(before))
    fs.chmodSync(at('disk.qcow2'), 0o640)
    fs.symlinkSync('disk.qcow2', at('link.qcow2'))
    const replaced = await vdisk(['convert', 'disk.raw', address('link.qcow2'), '--force'], { cwd, env })
    assert.equal(replaced.code, 0, replaced.stderr)
    assert.ok(fs.lstatSync(at('link.qcow2')).isSymbolicLink())
    assert.equal(fs.statSync(at('disk.qcow2')).mode & 0o777, 0o640)

    for (const [target, code, message] of [
      [address('nowhere/disk.raw'), 7, /folder of the target [^]* does not exist/],
      [`ssh://${host}${there}`, 7, /is a directory/],
      [`ssh://${host}/dev/null`, 2, /is no regular file/],
      [`ssh://127.0.0.1:1${there}/x.raw`, 2, /cannot connect/],
    ] as const) {
      const failed = await vdisk(['convert', 'disk.raw', target, '--to', 'raw'], { cwd, env })
      assert.equal(failed.code, code, `${target}: ${failed.stderr}`)
      assert.match(failed.stderr, message)
    }
    const same = await vdisk(['convert', address('disk.raw'), `sftp://${host}${there}/disk.raw`, '--force'], {
      cwd,
      env,
    })
    assert.equal(same.code, 3, same.stderr)
    assert.deepEqual(
      fs.readdirSync(there).sort(),
      ['disk.qcow2', 'disk.raw', 'disk.vhdx', "it's $(x)?.raw.gz", 'link.qcow2'].sort(),
    )
  },
)

test('ssh: what is interrupted leaves nothing on the other computer', { skip: sshdMissing() }, async (t) => {
  const cwd = testFolder(t)
  const there = join(cwd, 'there')
  fs.mkdirSync(there)
  fs.writeFileSync(join(cwd, 'disk.raw'), diskLike(64 * mebibyte, 52))
  const server = await sshd(t, cwd)
  const isBegun = (): boolean => fs.readdirSync(there).some((name) => name.includes('.partial-'))
  for (const interfere of ['interrupt', 'lose'] as const) {
    let begun = false
    const { code, stderr } = await interrupted(cwd, ['convert', 'disk.raw', `ssh://${server.host}${there}/disk.raw`], {
      when: /"done":[1-9]/,
      act: (child) => {
        begun = isBegun()
        if (interfere === 'interrupt') child.kill('SIGINT')
        else for (const pid of server.sessions()) signal(pid, 'SIGKILL')
      },
      again: () => fs.rmSync(join(there, 'disk.raw')),
      rate: 8,
      env: server.env,
    })
    assert.ok(begun, stderr)
    assert.equal(code, interfere === 'interrupt' ? 130 : 7, stderr)
    assert.deepEqual(fs.readdirSync(there), [], interfere)
  }
})

test('ssh: a disk that is full there is reported as that', { skip: sshdMissing() ?? noMount }, async (t) => {
  const cwd = testFolder(t)
  const there = join(cwd, 'there')
  fs.mkdirSync(there)
  makeDisk(join(cwd, 'disk.raw'))
  const { host, env } = await sshd(t, cwd)
  run('mount', '-t', 'tmpfs', '-o', 'size=3m', 'none', there)
  try {
    const full = await vdisk(['convert', 'disk.raw', `ssh://${host}${there}/disk.raw`], { cwd, env })
    assert.equal(full.code, 7, full.stderr)
    assert.match(full.stderr, /no space is left there/)
    assert.deepEqual(fs.readdirSync(there), [])
  } finally {
    run('umount', '-l', there)
  }
})
