import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { vdisk } from '../support/cli.js'
import { withFakeVolume, type FakeVolume } from '../support/fake-volumes.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { loopsMissing } from '../support/loop.js'
import { assertSchema } from '../support/schemas.js'
import { haveAll } from '../support/volumes.js'
import { run } from '../support/tools.js'

/**
 * Snapshots of LVM and ZFS, with programs of their names over loop devices: the commands, what is read between them,
 * and that nothing is left. The real ones need kernel modules that are not here.
 */

const skip = loopsMissing() ?? farFolderMissing() ?? false

interface Document {
  readonly code?: string
  readonly message?: string
  readonly consistency: { readonly state: string; readonly why: string }
  readonly notes: readonly { readonly code: string; readonly message: string }[]
  readonly snapshot?: { readonly origin: string; readonly left: readonly { readonly command?: string }[] }
  readonly plan: { readonly steps: readonly string[] }
}

interface Ran extends Document {
  readonly exit: number | string
  readonly stderr: string
}

async function image(
  { path, device }: FakeVolume,
  far: string,
  words: readonly string[],
  onProgress?: (child: ChildProcess) => void,
): Promise<Ran> {
  let seen = false
  const result = await vdisk(
    ['image', device, 'disk.raw', '--json', '--progress', 'json', '--threads', '0', ...words],
    {
      cwd: far,
      env: { PATH: path },
      onError: (text, child) => {
        if (seen || !text.includes('"phase":"copy"')) return
        seen = true
        onProgress?.(child)
      },
    },
  )
  const text = result.stdout.toString()
  const document = (text === '' ? {} : JSON.parse(text)) as Document
  if (result.code === 0) assertSchema('image', document)
  return { ...document, exit: result.code, stderr: result.stderr }
}

const verbs = (volume: FakeVolume): string[] => volume.log().map((line) => line.split(' ')[0] ?? '')

for (const kind of ['lvm', 'zfs'] as const)
  test(`a snapshot of ${kind} is read while the volume is written to, and removed`, { skip }, async (t) => {
    if (!haveAll(t, 'mke2fs', 'e2fsck', 'debugfs', 'fsfreeze')) return
    const far = farFolder(t)
    await withFakeVolume(t, kind, async (volume) => {
      fs.writeFileSync(join(volume.point, 'before'), 'written before\n'.repeat(1000))
      const result = await image(volume, far, ['--snapshot', kind, '--used-only', '--verify'], () => {
        fs.writeFileSync(join(volume.point, 'after'), 'written after\n')
        run('sync', volume.point)
      })
      assert.equal(result.exit, 0, result.stderr)
      assert.equal(result.consistency.state, 'filesystem-consistent', result.consistency.why)
      assert.match(result.consistency.why, new RegExp(`frozen meanwhile: ${volume.point}$`))
      assert.deepEqual(result.notes, [])
      run('e2fsck', '-fn', join(far, 'disk.raw'))
      assert.equal(run('debugfs', '-R', 'cat /before', join(far, 'disk.raw')), 'written before\n'.repeat(1000))
      assert.ok(!run('debugfs', '-R', 'ls -p /', join(far, 'disk.raw')).includes('/after/'))
      assert.deepEqual(volume.snapshots(), [])
      const [first = '', second = '', ...others] = volume.log()
      if (kind === 'lvm') {
        const [, flags] = /^lvcreate (.*) --name vdisk-\d+-\w+ vdisktest\d+lvm\/root$/.exec(first) ?? []
        assert.equal(flags, '--yes --snapshot --permission r --size 37748736b --addtag vdisk_snapshot')
        const name = /--name (\S+)/.exec(first)?.[1] ?? ''
        assert.match(second, new RegExp(`^lvremove --yes vdisktest\\d+lvm/${name}$`))
        assert.deepEqual(others, [])
      } else {
        assert.match(first, /^zfs snapshot vdisktest\d+zfs\/vol@vdisk-\d+-\w+$/)
        assert.match(second, /^zfs clone -o readonly=on -o volmode=dev vdisktest\d+zfs\/vol@(\S+) vdisktest\d+zfs\/\1$/)
        assert.deepEqual(
          others.map((line) => line.replace(/vdisk-\S+/, 'NAME').replace(/\d+zfs/, '')),
          ['zfs destroy vdisktest/NAME', 'zfs destroy vdisktest/vol@NAME'],
        )
      }
    })
  })

test('a snapshot is removed whatever fails, and what is left is said', { skip }, async (t) => {
  if (!haveAll(t, 'mke2fs', 'fsfreeze')) return
  const far = farFolder(t)
  const options = ['--snapshot', 'lvm', '--force']
  await withFakeVolume(t, 'lvm', async (volume) => {
    const failed = async (what: string, exit: number, code: string): Promise<Ran> => {
      volume.set(what)
      const result = await image(volume, far, options)
      volume.unset(what)
      assert.deepEqual([result.exit, result.code, volume.snapshots()], [exit, code, []], `${what}: ${result.stderr}`)
      assert.deepEqual(fs.readdirSync(far), [], what)
      return result
    }
    const refused = await failed('fail-make', 5, 'E_NO_SOURCE_SNAPSHOT')
    assert.match(refused.message ?? '', /lvcreate ended with 5: Insufficient suitable allocatable extents/)
    await failed('no-room', 5, 'E_NO_SOURCE_SNAPSHOT')
    await failed('full', 4, 'E_SNAPSHOT_FULL')
    // It is lost in the middle: reads fail, which are no bad sectors.
    await failed('lost', 4, 'E_SNAPSHOT_FULL')

    volume.set('leftover')
    const beside = await image(volume, far, options)
    volume.unset('leftover')
    assert.equal(beside.exit, 0, beside.stderr)
    assert.match(
      beside.notes[0]?.message ?? '',
      /vdisktest\d+lvm\/vdisk-1-old .* "lvremove vdisktest\d+lvm\/vdisk-1-old"/,
    )

    volume.set('fail-remove')
    const left = await image(volume, far, options)
    assert.equal(left.exit, 9, left.stderr)
    assert.deepEqual(
      left.notes.map(({ code }) => code),
      ['W_SNAPSHOT_LEFT'],
    )
    const [word = '', ...others] = left.snapshot?.left[0]?.command?.split(' ') ?? []
    assert.equal(volume.snapshots().length, 1)
    volume.unset('fail-remove')
    run('env', `PATH=${volume.path}`, word, ...others)
    assert.deepEqual(volume.snapshots(), [], 'by the command that was printed')
  })
})

test('a snapshot is removed when the run is interrupted, or killed', { skip }, async (t) => {
  if (!haveAll(t, 'mke2fs', 'fsfreeze')) return
  const far = farFolder(t)
  await withFakeVolume(t, 'lvm', async (volume) => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const result = await image(volume, far, ['--snapshot', 'lvm', '--rate', '2M'], (child) => child.kill(signal))
      assert.equal(result.exit, signal === 'SIGTERM' ? 130 : signal, result.stderr)
      // After SIGKILL a process that was waiting for that removes it.
      while (volume.snapshots().length > 0) await setTimeout(50)
      assert.deepEqual(verbs(volume).slice(-2), ['lvcreate', 'lvremove'])
    }
  })
})

test('what cannot have a snapshot, and what needs none; a dry run makes none', { skip }, async (t) => {
  if (!haveAll(t, 'mke2fs', 'fsfreeze')) return
  const far = farFolder(t)
  await withFakeVolume(t, 'lvm', async (volume) => {
    const plan = await image(volume, far, ['--snapshot', 'lvm', '--used-only', '--dry-run'])
    assert.equal(plan.exit, 0, plan.stderr)
    assert.match(plan.plan.steps[0] ?? '', /^make the snapshot .* of the LVM volume .*: lvcreate --yes --snapshot /)
    assert.match(plan.plan.steps.at(-1) ?? '', /^remove the snapshot /)
    assert.deepEqual([volume.log(), fs.readdirSync(far)], [[], []])

    const other = await image(volume, far, ['--snapshot', 'zfs'])
    assert.deepEqual([other.exit, other.code], [5, 'E_NO_SOURCE_SNAPSHOT'])
    assert.match(other.message ?? '', /zfs is not installed/)
    // What its hint says.
    const frozen = await image(volume, far, ['--freeze', '--force'])
    assert.deepEqual([frozen.exit, frozen.consistency.state], [0, 'frozen'], frozen.stderr)
    // A loop is no volume, and is read itself.
    const auto = await image(volume, far, ['--snapshot', 'auto', '--force'])
    assert.deepEqual([auto.exit, auto.consistency.state], [0, 'crash-consistent'], auto.stderr)
    assert.deepEqual(
      auto.notes.map(({ code }) => code),
      ['W_NO_SNAPSHOT', 'W_HOT'],
    )
    const both = await image(volume, far, ['--snapshot', 'lvm', '--freeze'])
    assert.equal(both.exit, 2)
    assert.deepEqual(volume.log(), [])
  })
})

test(
  'a backup set reads a snapshot at each run, and its list says how consistent each point is',
  { skip },
  async (t) => {
    if (!haveAll(t, 'mke2fs', 'e2fsck', 'fsfreeze')) return
    const far = farFolder(t)
    await withFakeVolume(t, 'lvm', async (volume) => {
      const backup = async (...words: string[]): Promise<string> => {
        const { code, stdout, stderr } = await vdisk(['backup', ...words], { cwd: far, env: { PATH: volume.path } })
        assert.equal(code, 0, stderr)
        return stdout.toString()
      }
      await backup('init', 'set', volume.device, '--snapshot', 'lvm')
      fs.writeFileSync(join(volume.point, 'first'), 'first')
      await backup('run', 'set')
      fs.writeFileSync(join(volume.point, 'second'), 'second')
      await backup('run', 'set')
      await backup('run', 'set', '--snapshot', 'none', '--if-dirty', 'whole')
      const { points } = JSON.parse(await backup('list', 'set', '--json')) as {
        points: { address: string; consistency: { state: string }; kind: string }[]
      }
      assert.deepEqual(
        points.map(({ kind, consistency }) => [kind, consistency.state]),
        [
          ['full', 'filesystem-consistent'],
          ['incremental', 'filesystem-consistent'],
          ['incremental', 'crash-consistent'],
        ],
      )
      assert.match(await backup('list', 'set'), /incremental .*filesystem-consistent/)
      assert.match(await backup('show', 'set'), /snapshot +lvm/)
      assert.deepEqual(volume.snapshots(), [])
      const out = join(far, 'out')
      assert.equal((await vdisk(['convert', points[1]!.address, out, '--to', 'raw'], { cwd: far })).code, 0)
      run('e2fsck', '-fn', out)
      assert.equal(run('debugfs', '-R', 'cat /second', out), 'second')
    })
  },
)
