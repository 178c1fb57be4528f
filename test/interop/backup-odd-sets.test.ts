import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { ImageError } from '../../src/errors.js'
import { checkSet } from '../../src/operations/backup/check.js'
import { initSet } from '../../src/operations/backup/init.js'
import { listSet } from '../../src/operations/backup/list.js'
import { pruneSet } from '../../src/operations/backup/prune.js'
import { runSet } from '../../src/operations/backup/run.js'
import { hash } from '../../src/operations/inspect/hash.js'
import { assertPoints, setOf } from '../support/backup-set.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { run as tool } from '../support/tools.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

const codeOf = (code: string) => (error: unknown) => error instanceof ImageError && error.code === code

function small(t: TestContext, size: string): string {
  const folder = fs.mkdtempSync('/dev/shm/vdisk-test-')
  tool('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'vdisk-test', folder)
  t.after(() => {
    spawnSync('umount', ['--lazy', folder])
    fs.rmdirSync(folder)
  })
  return folder
}

/** What is edited of a record. */
interface RecordFields {
  readonly parent: { name: string }
  readonly image: { capacity: number }
  readonly digests: { readonly disk: { length: number; digest: string } }
  readonly source: { size: number; serial: string }
}

test('a set on a filesystem without a byte of room: prune takes away what is not needed', { skip }, async (t) => {
  const { folder, run, states } = await setOf(t, 'qcow2', 2)
  await run({ full: true, now: new Date(Date.UTC(2026, 5, 1)) })
  const set = join(small(t, '64m'), 'set')
  tool('cp', '-a', folder, set)
  fs.rmSync(join(set, '.lock'), { force: true })
  fs.writeFileSync(join(set, '.lock'), '')
  spawnSync('dd', ['if=/dev/zero', `of=${join(set, 'filler')}`, 'bs=4k'], { stdio: 'ignore' })
  assert.throws(() => fs.writeFileSync(join(set, 'one more'), 'x'), { code: 'ENOSPC' })
  fs.rmSync(join(set, 'one more'), { force: true })
  const { images } = await pruneSet(set, { keepLast: 1 })
  assert.deepEqual(
    images.map(({ fate }) => fate),
    ['removed', 'removed', 'kept'],
  )
  assertPoints(set, states, [...states.keys()].slice(-1), 'pruned')
})

test('a set that is read-only: its points are read and checked, and what writes is refused', { skip }, async (t) => {
  const { folder, states } = await setOf(t, 'qcow2', 2)
  const bound = farFolder(t)
  tool('mount', '--bind', folder, bound)
  try {
    tool('mount', '-o', 'remount,bind,ro', bound)
    const before = fs.readdirSync(folder)
    assertPoints(bound, states, [...states.keys()], 'read-only')
    await hash(`${bound}@latest`)
    assert.deepEqual((await checkSet(bound, { sample: 100 })).problems, [])
    // Where the next sample begins could not be kept: it would be the same one each time.
    await assert.rejects(
      checkSet(bound, { sample: 10 }),
      (error) => codeOf('E_WRITE_PERMISSION')(error) && /--all/.test((error as ImageError).hint ?? ''),
    )
    for (const work of [() => runSet(bound, { threads: 0 }), () => pruneSet(bound, { keepLast: 1 })])
      await assert.rejects(work(), (error) => error instanceof ImageError && error.kind === 'target')
    assert.deepEqual(fs.readdirSync(folder), before)
  } finally {
    spawnSync('umount', ['--lazy', bound])
  }
})

test(
  'records that were edited so that they parse: reported, and nothing is taken away or made',
  { skip },
  async (t) => {
    const { folder, run, states } = await setOf(t, 'qcow2', 3)
    const times = [...states.keys()]
    const path = join(folder, `${times[2] ?? ''}.qcow2.vdisk.json`)
    const text = fs.readFileSync(path, 'utf8')
    const edited = (change: (record: RecordFields) => void): void => {
      const record = JSON.parse(text) as RecordFields
      change(record)
      fs.writeFileSync(path, JSON.stringify(record))
    }
    const runs = (code: string) => async (): Promise<void> => {
      await assert.rejects(run(), codeOf(code))
      assert.equal(listSet(folder).points.length + listSet(folder).damaged.length, 3)
    }
    const prunes = async (): Promise<void> => {
      await assert.rejects(pruneSet(folder, { keepLast: 1 }), codeOf('E_SET_DAMAGED'))
    }
    const cases: [string, (record: RecordFields) => void, string, ...(() => Promise<void>)[]][] = [
      ['another parent', (r) => (r.parent.name = `${times[0]}.qcow2`), 'E_CHAIN', runs('E_SET_DAMAGED'), prunes],
      ['itself as parent', (r) => (r.parent.name = `${times[2]}.qcow2`), 'E_CHAIN', runs('E_SET_DAMAGED'), prunes],
      ['another size', (r) => (r.image.capacity = 512), 'E_CHAIN', runs('E_SET_DAMAGED'), prunes],
      ['a negative size', (r) => (r.image.capacity = -1), 'E_RECORD', runs('E_SET_DAMAGED'), prunes],
      ['a size of half a byte', (r) => (r.digests.disk.length = 0.5), 'E_RECORD', runs('E_SET_DAMAGED'), prunes],
      ['an immense size', (r) => (r.source.size = 1e300), 'E_RECORD', runs('E_SET_DAMAGED'), prunes],
      [
        'another disk',
        (r) => (r.source.serial = 'other'),
        '',
        async () => assert.equal((await run({ dryRun: true })).kind, 'incremental'),
      ],
      ['another digest', (r) => (r.digests.disk.digest = '0'.repeat(64)), 'E_DIGEST'],
    ]
    for (const [what, change, code, ...then] of cases) {
      edited(change)
      const { problems } = await checkSet(folder, { sample: 100 })
      assert.deepEqual([...new Set(problems.map((problem) => problem.code))], code === '' ? [] : [code], what)
      for (const each of then) await each()
      assertPoints(folder, states, times.slice(0, 2), what)
    }
    fs.writeFileSync(path, text)
    assert.deepEqual((await checkSet(folder, { sample: 100 })).problems, [])
    await run()
  },
)

test('an image that another file has taken the place of is read by its path with a warning', { skip }, async (t) => {
  const { folder, states } = await setOf(t, 'qcow2', 3)
  const [first, second, third] = [...states.keys()].map((time) => join(folder, `${time}.qcow2`)) as [
    string,
    string,
    string,
  ]
  const quiet = await hash(third)
  assert.deepEqual(quiet.notes, [])
  fs.copyFileSync(first, second)
  const link = join(testFolder(t), 'link.qcow2')
  fs.symlinkSync(third, link)
  for (const path of [second, third, link]) {
    const { notes } = await hash(path)
    assert.deepEqual(
      notes.map(({ code }) => code),
      ['W_SET_DAMAGED'],
      path,
    )
  }
  const { code, stderr } = await vdisk(['convert', third, 'out.raw'], { cwd: testFolder(t) })
  assert.equal(code, 0, stderr)
  assert.match(
    stderr,
    /Warning: .* is not what its backup set has a record of: it needs .*another file is in its place/,
  )
})

test(
  'files whose names are no moments are not points, and the next point has a name that sorts',
  { skip },
  async (t) => {
    const { folder, run, states } = await setOf(t, 'qcow2', 1)
    const image = join(folder, `${[...states.keys()][0] ?? ''}.qcow2`)
    for (const time of ['2026-13-45T256161Z', '2026-02-30T000000Z', '9999-12-31T235959Z', '0000-00-00T000000Z'])
      for (const end of ['', '.vdisk.json']) fs.copyFileSync(`${image}${end}`, join(folder, `${time}.qcow2${end}`))
    await run()
    await run({ now: new Date(Date.UTC(2026, 0, 2)) })
    assertPoints(folder, states, [...states.keys()], 'odd names')
    assert.equal(listSet(folder).points.length, 3)
    // They may be somebody's: a prune leaves them.
    await pruneSet(folder, { keepLast: 1 })
    assert.ok(fs.existsSync(join(folder, '9999-12-31T235959Z.qcow2')))
  },
)

test('time zones and the end of summer time change nothing: points are named in UTC', { skip }, async (t) => {
  const { folder, run, states } = await setOf(t, 'qcow2', 0)
  const zone = process.env['TZ']
  try {
    for (const [place, minute] of [
      ['Europe/Berlin', 30],
      ['Europe/Berlin', 90],
      ['America/New_York', 91],
      ['Pacific/Kiritimati', 92],
    ] as const) {
      process.env['TZ'] = place
      const { notes } = await run({ now: new Date(Date.UTC(2026, 9, 25, 0, minute)) })
      assert.ok(!notes.some(({ code }) => code === 'W_CLOCK'), place)
    }
    const wanted = ['003000', '013000', '013100', '013200'].map((time) => `2026-10-25T${time}Z`)
    assert.deepEqual([...states.keys()], wanted)
    assertPoints(folder, states, wanted, 'zones')
    assert.deepEqual(
      listSet(folder).points.map(({ time }) => time),
      wanted,
    )
  } finally {
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  }
})

test('a prune while a restore reads a point: nothing that it reads changes', { skip }, async (t) => {
  const { folder, states } = await setOf(t, 'qcow2', 3)
  const times = [...states.keys()]
  const target = join(testFolder(t), 'target')
  fs.writeFileSync(target, '')
  fs.truncateSync(target, 6 * mebibyte)
  const loop = loopDevice(t, target)
  let fates: Promise<string[]> | undefined
  const words = ['backup', 'restore', `${folder}@${times[1] ?? ''}`, loop, '--yes', '--confirm', String(6 * mebibyte)]
  const { code, stderr } = await vdisk(
    [...words, '--rate', '2M', '--progress', 'json', '--verify', '--allow-no-table'],
    {
      cwd: folder,
      onError: (text, child) => {
        if (fates !== undefined || !text.includes('"phase":"write"')) return
        // It stands still in the middle of its work.
        child.kill('SIGSTOP')
        fates = pruneSet(folder, { keepLast: 1 })
          .then(({ images }) => images.map(({ fate }) => fate))
          .finally(() => child.kill('SIGCONT'))
      },
    },
  )
  assert.equal(code, 0, stderr)
  assert.deepEqual(await fates, ['needed', 'needed', 'kept'])
  assert.ok(fs.readFileSync(target).equals(states.get(times[1] ?? '')!))
  assertPoints(folder, states, times, 'all there')
})

test(
  'the disk in an adapter with other sectors, a smaller one, and a set copied without its times',
  { skip },
  async (t) => {
    const [folder, set] = [testFolder(t), join(farFolder(t), 'set')]
    const path = join(folder, 'disk')
    const states = new Map<string, Buffer>()
    fs.writeFileSync(path, diskLike(6 * mebibyte, 1))
    const first = loopDevice(t, path)
    await initSet(set, first, { usedOnly: false })
    const point = async (day: number, disk: string, options = {}, where = set): Promise<string[]> => {
      const now = new Date(Date.UTC(2026, 0, day))
      const { notes } = await runSet(where, { threads: 0, now, disk, ...options })
      states.set(`${now.toISOString().slice(0, 10)}T000000Z`, fs.readFileSync(path))
      return notes.map(({ code }) => code)
    }
    await point(1, first)
    const other = loopDevice(t, path, 4096)
    await assert.rejects(point(2, other), codeOf('E_OTHER_DISK'))
    await point(3, other, { allowOtherDisk: true })
    // Smaller: a child of its size, which the larger image below it cannot take the place of.
    fs.truncateSync(path, 4 * mebibyte)
    const cut = loopDevice(t, path)
    await point(4, cut, { allowOtherDisk: true })
    assertPoints(set, states, [...states.keys()], 'smaller')
    const { images } = await pruneSet(set, { keepLast: 1 })
    assert.deepEqual(
      images.map(({ fate }) => fate),
      ['merged', 'needed', 'kept'],
    )
    assertPoints(set, states, ['2026-01-03T000000Z', '2026-01-04T000000Z'], 'pruned')
    const copy = join(farFolder(t), 'copy')
    fs.cpSync(set, copy, { recursive: true })
    assert.ok((await point(5, cut, {}, copy)).includes('W_NO_BLOCKS'))
    assertPoints(copy, states, ['2026-01-03T000000Z', '2026-01-04T000000Z', '2026-01-05T000000Z'], 'copied')
  },
)
