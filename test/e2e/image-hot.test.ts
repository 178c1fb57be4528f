import assert from 'node:assert/strict'
import { spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { root, vdisk, type CliResult } from '../support/cli.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { faultyDisk, faultyDiskMissing, type FaultyDisk } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { run } from '../support/tools.js'

const skip = faultyDiskMissing() ?? farFolderMissing() ?? false

/** A disk that holds an ext4, mounted for writing. */
async function mountedDisk(
  t: TestContext,
): Promise<{ readonly disk: FaultyDisk; readonly point: string; readonly far: string }> {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const medium = join(folder, 'medium')
  fs.writeFileSync(medium, new Uint8Array(48 * 1048576))
  run('mke2fs', '-q', '-F', '-t', 'ext4', medium)
  const disk = await faultyDisk(t, medium)
  const point = join(folder, 'mounted')
  fs.mkdirSync(point)
  run('mount', disk.path, point)
  // Before the disk goes: hooks run in the order they were given, and unmounting needs the disk.
  let mounted = true
  unmounts.set(disk, () => {
    if (!mounted) return
    mounted = false
    spawnSync('fsfreeze', ['--unfreeze', point])
    run('umount', point)
  })
  return { disk, point, far }
}

const unmounts = new Map<FaultyDisk, () => void>()

/** Runs the test's body and unmounts in every case. */
function onMountedDisk(
  body: (
    parts: { readonly disk: FaultyDisk; readonly point: string; readonly far: string },
    t: TestContext,
  ) => Promise<void>,
): (t: TestContext) => Promise<void> {
  return async (t) => {
    const parts = await mountedDisk(t)
    try {
      await body(parts, t)
    } finally {
      parts.disk.setFaults({})
      unmounts.get(parts.disk)?.()
    }
  }
}

/** Whether the filesystem takes a write within some seconds; a frozen one does not. */
function takesWrites(point: string, seconds = 20): boolean {
  return (
    spawnSync('timeout', [
      '--signal=KILL',
      String(seconds),
      'sh',
      '-c',
      `date > ${point}/written && sync ${point}/written`,
    ]).status === 0
  )
}

function document(result: CliResult): {
  readonly consistency: { readonly state: string; readonly why: string }
  readonly notes: readonly { readonly code: string }[]
  readonly code: string
} {
  return JSON.parse(result.stdout.toString()) as ReturnType<typeof document>
}

test(
  'a source that is mounted for writing is reported, and its image is crash-consistent; with --freeze it is held still',
  { skip },
  onMountedDisk(async ({ disk, point, far }) => {
    const hot = await vdisk(['image', disk.path, 'hot.raw', '--json'], { cwd: far })
    assert.equal(hot.code, 0, hot.stderr + hot.stdout.toString())
    assert.equal(document(hot).consistency.state, 'crash-consistent')
    assert.match(document(hot).consistency.why, new RegExp(`mounted at ${point}`))
    assert.ok(document(hot).notes.some(({ code }) => code === 'W_HOT'))
    const record = JSON.parse(fs.readFileSync(join(far, 'hot.raw.vdisk.json'), 'utf8')) as { consistency: unknown }
    assert.deepEqual(record.consistency, document(hot).consistency)

    // What was written just before is on the medium of a frozen filesystem, without the journal's help.
    fs.writeFileSync(join(point, 'fresh'), 'just written\n'.repeat(1000))
    disk.setFaults({ delay: 0.05 })
    let blocked: boolean | undefined
    const frozen = await vdisk(['image', disk.path, 'frozen.raw', '--freeze', '--json', '--progress', 'json'], {
      cwd: far,
      onError: (text) => {
        if (blocked === undefined && text.includes('"phase":"copy"')) blocked = !takesWrites(point, 0.3)
      },
    })
    assert.deepEqual(
      [frozen.code, document(frozen).consistency],
      [0, { state: 'frozen', why: `held still: ${point}` }],
      frozen.stderr,
    )
    assert.equal(blocked, true, 'a write went through while the filesystem was to be held still')
    disk.setFaults({})
    assert.ok(takesWrites(point))
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
      disk.setFaults({ delay: 0.1 })
      let sent = false
      const result = await vdisk(['image', disk.path, 'disk.raw', '--freeze', '--progress', 'json', '--threads', '0'], {
        cwd: far,
        onError: (text: string, child: ChildProcess) => {
          if (sent || !text.includes('"phase":"copy"')) return
          sent = true
          child.kill(signal)
        },
      })
      assert.ok(sent, result.stderr)
      assert.equal(result.code, signal === 'SIGKILL' ? signal : 130, result.stderr)
      disk.setFaults({})
      assert.ok(takesWrites(point), `after ${signal}`)
      const left = fs.readdirSync(far)
      // A killed run leaves its partial files, which nothing takes for an image.
      assert.deepEqual(
        left.filter((name) => signal !== 'SIGKILL' || !/^\.disk\.raw(\.blocks)?\.partial-/.test(name)),
        [],
      )
      for (const name of left) fs.rmSync(join(far, name))
    }
  }),
)

test(
  'what would wait for itself is refused: the image, or the output, on the filesystem that is held still',
  { skip },
  onMountedDisk(async ({ disk, point, far }) => {
    const image = async (...args: string[]): Promise<[number | string, string]> => {
      const result = await vdisk(['image', disk.path, ...args, '--json'], { cwd: far })
      return [result.code, document(result).code]
    }
    const own = join(point, 'own.raw')
    assert.deepEqual(await image(own), [3, 'E_SAME_DISK'])
    assert.deepEqual(await image(own, '--freeze'), [3, 'E_SAME_DISK'])
    assert.deepEqual(await image(own, '--freeze', '--allow-same-disk'), [3, 'E_FREEZE_TARGET'])
    const output = fs.openSync(join(point, 'output'), 'w')
    const reported = spawnSync(
      process.execPath,
      [join(root, 'bin/run.js'), 'image', disk.path, join(far, 'x.raw'), '--freeze', '--json'],
      { stdio: ['ignore', output, output], timeout: 60_000 },
    )
    fs.closeSync(output)
    assert.equal(reported.status, 3)
    assert.match(fs.readFileSync(join(point, 'output'), 'utf8'), /E_FREEZE_OUTPUT/)
    assert.ok(takesWrites(point))
    assert.deepEqual(fs.readdirSync(far), [])
  }),
)
