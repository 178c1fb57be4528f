import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { syscalls } from '../../src/sys/syscalls.js'
import { vdisk } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { variedDisk } from '../support/killed.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { emptyFile } from '../support/volumes.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576
const size = 32
const copying = /"phase":"(?:copy|write)","done":[1-9]\d{6}/

/** Ends a command by SIGTERM while it copies. Returns what it said. @param again as in {@link interrupted}. */
async function terminated(
  t: TestContext,
  cwd: string,
  args: readonly string[],
  again: () => void,
  env: Record<string, string> = {},
): Promise<string> {
  let sent = 0
  const { code, stderr } = await interrupted(cwd, args, {
    when: copying,
    act: (child) => {
      sent = Date.now()
      child.kill('SIGTERM')
    },
    again,
    rate: 12,
    env,
  })
  assert.equal(code, 130, `${args.join(' ')}: ${stderr}`)
  t.diagnostic(`${args.slice(0, 2).join(' ')}: ended ${Date.now() - sent} ms after SIGTERM`)
  return stderr
}

/** Takes away files whose names begin so. */
function without(folder: string, start: string): () => void {
  return () => {
    for (const name of names(folder)) if (name.startsWith(start)) fs.rmSync(join(folder, name))
  }
}

const names = (folder: string): string[] => (fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [])

test('convert that is terminated leaves nothing, or with --resume what it goes on with', async (t) => {
  const cwd = testFolder(t)
  variedDisk(join(cwd, 'source.raw'), 1, size)
  const args = ['convert', 'source.raw', 'disk.vhdx']
  const again = without(cwd, 'disk.vhdx')
  await terminated(t, cwd, args, again)
  assert.deepEqual(names(cwd), ['source.raw'])
  assert.match(
    await terminated(t, cwd, [...args, '--resume'], again),
    /are kept in .*run the same command again to go on/,
  )
  assert.equal(names(cwd).length, 3)
  const next = await vdisk([...args, '--resume', '--json'], { cwd })
  assert.equal(next.code, 0, next.stderr)
  assert.ok((JSON.parse(next.stdout.toString()) as { resumed: number }).resumed > 0)
  assert.deepEqual(names(cwd), ['disk.vhdx', 'source.raw'])
})

test('image that is terminated leaves nothing, or with --resume what it goes on with', { skip }, async (t) => {
  const cwd = farFolder(t)
  const path = join(testFolder(t), 'disk.raw')
  variedDisk(path, 1, size)
  const args = ['image', loopDevice(t, path), 'disk.qcow2']
  const again = without(cwd, 'disk.qcow2')
  await terminated(t, cwd, args, again)
  assert.deepEqual(names(cwd), [])
  await terminated(t, cwd, [...args, '--resume'], again)
  assert.ok(names(cwd).length > 0 && names(cwd).every((name) => name.startsWith('.disk.qcow2.')), names(cwd).join(' '))
  const next = await vdisk([...args, '--resume'], { cwd })
  assert.equal(next.code, 0, next.stderr)
  assert.deepEqual(names(cwd), ['disk.qcow2', 'disk.qcow2.blocks', 'disk.qcow2.vdisk.json'])
  // The digests of what the first run read are kept, too.
  const child = await vdisk(['image', args[1]!, 'child.qcow2', '--since', 'disk.qcow2', '--json'], { cwd })
  assert.equal((JSON.parse(child.stdout.toString()) as { parent?: { compared: string } }).parent?.compared, 'digests')
})

test(
  'restore and clone that are terminated say what the target holds, and go on with --resume',
  { skip },
  async (t) => {
    const cwd = testFolder(t)
    const env = { XDG_STATE_HOME: join(cwd, 'state') }
    variedDisk(join(cwd, 'disk.raw'), 1, size)
    const source = loopDevice(t, join(cwd, 'disk.raw'))
    const target = emptyFile(join(cwd, 'target.raw'), size * mebibyte)
    const device = loopDevice(t, target)
    for (const words of [
      ['restore', 'disk.raw', device],
      ['clone', source, device],
    ]) {
      const args = [...words, '--yes', '--confirm', `${size}M`, '--allow-no-table']
      const again = (): void => undefined
      assert.match(await terminated(t, cwd, args, again, env), /holds|incomplete|neither/i)
      assert.deepEqual(names(join(cwd, 'state/vdisk/resume')), [])
      assert.match(await terminated(t, cwd, [...args, '--resume'], again, env), /run the same command again to go on/)
      assert.equal(names(join(cwd, 'state/vdisk/resume')).length, 1)
      const next = await vdisk([...args, '--resume'], { cwd, env })
      assert.equal(next.code, 0, next.stderr)
      assert.deepEqual(names(join(cwd, 'state/vdisk/resume')), [])
      assert.ok(fs.readFileSync(target).equals(fs.readFileSync(join(cwd, 'disk.raw'))))
    }
  },
)

test('backup run that is terminated leaves the set as it was, for the next run', { skip }, async (t) => {
  const cwd = farFolder(t)
  const path = join(testFolder(t), 'disk.raw')
  variedDisk(path, 1, size)
  assert.equal((await vdisk(['backup', 'init', 'set', loopDevice(t, path)], { cwd })).code, 0)
  for (const points of [0, 1]) {
    const before = names(join(cwd, 'set'))
    fs.cpSync(join(cwd, 'set'), join(cwd, 'kept'), { recursive: true })
    await terminated(t, cwd, ['backup', 'run', 'set'], () => {
      fs.rmSync(join(cwd, 'set'), { recursive: true })
      fs.cpSync(join(cwd, 'kept'), join(cwd, 'set'), { recursive: true })
    })
    fs.rmSync(join(cwd, 'kept'), { recursive: true })
    assert.deepEqual(names(join(cwd, 'set')), before)
    const next = await vdisk(['backup', 'run', 'set'], { cwd })
    assert.equal(next.code, 0, next.stderr)
    const { stdout } = await vdisk(['backup', 'list', 'set', '--json'], { cwd })
    assert.equal((JSON.parse(stdout.toString()) as { points: unknown[] }).points.length, points + 1)
  }
})

const noLocks = skipReason(syscalls() === undefined ? 'there are no locks here' : undefined)
test('while one run goes on with a conversion, another is refused', { skip: noLocks }, async (t) => {
  const cwd = testFolder(t)
  variedDisk(join(cwd, 'source.raw'), 1, size)
  const args = ['convert', 'source.raw', 'disk.vhdx', '--resume']
  // On a busy machine the first one may be over before it is stopped: then it is made again, slower.
  for (let rate = 12; ; rate /= 4) {
    let second: Promise<string> | undefined
    const first = await vdisk([...args, '--rate', `${rate * 1024}K`, '--progress', 'json'], {
      cwd,
      onError: (text, child) => {
        if (second !== undefined || !copying.test(text)) return
        // It stands still, and has the journal, until the second one has ended.
        child.kill('SIGSTOP')
        second = vdisk([...args, '--json'], { cwd }).then(({ code, stdout }) => {
          child.kill('SIGCONT')
          return `${code} ${(JSON.parse(stdout.toString()) as { code: string }).code}`
        })
      },
    })
    assert.equal(first.code, 0, first.stderr)
    const refusal = await second
    if (refusal === '3 E_RESUME_BUSY') break
    assert.ok(rate > 0.5 && (refusal === undefined || refusal === '7 E_EXISTS'), refusal)
    without(cwd, 'disk.vhdx')()
  }
  assert.deepEqual(names(cwd), ['disk.vhdx', 'source.raw'])
})
