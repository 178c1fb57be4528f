import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import test, { type TestContext } from 'node:test'
import { root, vdisk, type CliResult } from '../support/cli.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile } from '../support/volumes.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false

interface MountedDisk {
  readonly disk: string
  readonly point: string
  readonly far: string
}

/** Runs the body with a disk that holds an ext4, mounted for writing; in every case it is unmounted before it goes. */
function onMountedDisk(body: (parts: MountedDisk, t: TestContext) => Promise<void>): (t: TestContext) => Promise<void> {
  return async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const medium = emptyFile(join(folder, 'medium'), 48 * 1048576)
    run('mke2fs', '-q', '-F', '-t', 'ext4', medium)
    const disk = loopDevice(t, medium)
    const point = join(folder, 'mounted')
    fs.mkdirSync(point)
    run('mount', disk, point)
    try {
      await body({ disk, point, far }, t)
    } finally {
      spawnSync('fsfreeze', ['--unfreeze', point])
      run('umount', point)
    }
  }
}

/** Writes to the filesystem; while that is frozen it does not end, and cannot be ended. */
async function write(point: string): Promise<void> {
  const writer = spawn('sh', ['-c', `date > ${point}/written && sync ${point}/written`], { stdio: 'ignore' })
  const code = await new Promise((resolve) => writer.once('close', resolve))
  assert.equal(code, 0)
}

/** Makes a frozen image at a rate in MiB a second. @returns whether a write had to wait for its end. */
async function holdsWrites({ disk, point, far }: MountedDisk, rate: number): Promise<boolean> {
  let waited = false
  let written: Promise<void> | undefined
  const args = ['image', disk, 'frozen.raw', '--force', '--freeze', '--json', '--rate', `${rate}M`]
  const frozen = await vdisk([...args, '--progress', 'json'], {
    cwd: far,
    onError: (text, child) => {
      if (written !== undefined || !text.includes('"phase":"copy"')) return
      child.kill('SIGSTOP')
      written = write(point)
      void Promise.race([written.then(() => false), pause(500, true)]).then((isWaiting) => {
        waited = isWaiting
        child.kill('SIGCONT')
      })
    },
  })
  await written
  assert.deepEqual(
    [frozen.code, document(frozen).consistency],
    [0, { state: 'frozen', why: `frozen: ${point}` }],
    frozen.stderr,
  )
  return waited
}

function document(result: CliResult): {
  readonly consistency: { readonly state: string; readonly why: string }
  readonly notes: readonly { readonly code: string }[]
  readonly code: string
} {
  return JSON.parse(result.stdout.toString()) as ReturnType<typeof document>
}

test(
  'a source that is mounted for writing is reported, and its image is crash-consistent; with --freeze it is frozen',
  { skip },
  onMountedDisk(async ({ disk, point, far }) => {
    const hot = await vdisk(['image', disk, 'hot.raw', '--json'], { cwd: far })
    assert.equal(hot.code, 0, hot.stderr + hot.stdout.toString())
    assert.equal(document(hot).consistency.state, 'crash-consistent')
    assert.match(document(hot).consistency.why, new RegExp(`mounted at ${point}`))
    assert.ok(document(hot).notes.some(({ code }) => code === 'W_HOT'))
    const record = JSON.parse(fs.readFileSync(join(far, 'hot.raw.vdisk.json'), 'utf8')) as { consistency: unknown }
    assert.deepEqual(record.consistency, document(hot).consistency)

    // What was written just before is on the medium of a frozen filesystem, without the journal's help.
    fs.writeFileSync(join(point, 'fresh'), 'just written\n'.repeat(1000))
    // On a busy machine the copy may be over before it is stopped, and the write ends: then it is made again, slower.
    let rate = 64
    while (!(await holdsWrites({ disk, point, far }, rate))) {
      rate /= 4
      assert.ok(rate >= 4, 'a write went through while the filesystem was to be frozen')
    }
    await write(point)
    run('e2fsck', '-fn', join(far, 'frozen.raw'))
    assert.equal(run('debugfs', '-R', 'cat /fresh', join(far, 'frozen.raw')), 'just written\n'.repeat(1000))
  }),
)

test(
  'a frozen filesystem is thawed when the imaging is interrupted, or killed; nothing is left under the ' +
    'name of the target',
  { skip },
  onMountedDisk(async ({ disk, point, far }) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const clear = (): void => fs.readdirSync(far).forEach((name) => fs.rmSync(join(far, name)))
      const result = await interrupted(far, ['image', disk, 'disk.raw', '--freeze', '--threads', '0'], {
        when: /"phase":"copy"/,
        act: (child) => child.kill(signal),
        again: clear,
        rate: 8,
      })
      assert.equal(result.code, signal === 'SIGKILL' ? signal : 130, result.stderr)
      await write(point)
      const left = fs.readdirSync(far)
      // A killed run leaves its partial files, which nothing takes for an image.
      assert.deepEqual(
        left.filter((name) => signal !== 'SIGKILL' || !/^\.disk\.raw(\.blocks)?\.partial-/.test(name)),
        [],
      )
      clear()
    }
  }),
)

test(
  'what would wait for itself is refused: the image, or the output, on the filesystem that is frozen',
  { skip },
  onMountedDisk(async ({ disk, point, far }) => {
    const image = async (...args: string[]): Promise<[number | string, string]> => {
      const result = await vdisk(['image', disk, ...args, '--json'], { cwd: far })
      return [result.code, document(result).code]
    }
    const own = join(point, 'own.raw')
    assert.deepEqual(await image(own), [3, 'E_SAME_DISK'])
    assert.deepEqual(await image(own, '--freeze'), [3, 'E_SAME_DISK'])
    assert.deepEqual(await image(own, '--freeze', '--allow-same-disk'), [3, 'E_FREEZE_TARGET'])
    const output = fs.openSync(join(point, 'output'), 'w')
    const reported = spawnSync(
      process.execPath,
      [join(root, 'bin/run.js'), 'image', disk, join(far, 'x.raw'), '--freeze', '--json'],
      { stdio: ['ignore', output, output], timeout: 600_000 },
    )
    fs.closeSync(output)
    assert.equal(reported.status, 3)
    assert.match(fs.readFileSync(join(point, 'output'), 'utf8'), /E_FREEZE_OUTPUT/)
    await write(point)
    assert.deepEqual(fs.readdirSync(far), [])
  }),
)
