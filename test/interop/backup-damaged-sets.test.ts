import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { ImageError } from '../../src/errors.js'
import { checkSet } from '../../src/operations/backup/check.js'
import { initSet } from '../../src/operations/backup/init.js'
import { listSet } from '../../src/operations/backup/list.js'
import { pruneSet } from '../../src/operations/backup/prune.js'
import { runSet } from '../../src/operations/backup/run.js'
import { imageDisk } from '../../src/operations/imaging/image.js'
import { vdisk } from '../support/cli.js'
import { assertPoints, setOf } from '../support/backup-set.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { run as tool } from '../support/tools.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false

/** Every file of a set but the lock, with its bytes. */
function bytesOf(folder: string): Map<string, Buffer> {
  const names = fs.readdirSync(folder).filter((name) => name !== '.lock')
  return new Map(names.map((name) => [name, fs.readFileSync(join(folder, name))]))
}

/** That something is refused by a code, and that nothing of the set has changed. @returns what it says. */
async function refuses(folder: string, code: string, work: () => Promise<unknown>): Promise<string> {
  const before = bytesOf(folder)
  let said = ''
  await assert.rejects(work, (error) => {
    said = error instanceof ImageError ? `${error.message} ${error.hint ?? ''}` : String(error)
    return error instanceof ImageError && error.code === code
  })
  assert.deepEqual(bytesOf(folder), before, 'nothing has changed')
  return said
}

for (const [what, spoil] of [
  ['is gone', (path: string) => fs.rmSync(path)],
  ['is cut short', (path: string) => fs.truncateSync(path, 100)],
] as const)
  test(`an image in the middle of a chain that ${what}: nothing is taken away for its sake`, { skip }, async (t) => {
    const { folder, run, states } = await setOf(t, 'qcow2', 3)
    const times = [...states.keys()]
    const middle = join(folder, `${times[1] ?? ''}.qcow2`)
    const bytes = fs.readFileSync(middle)
    const stat = fs.statSync(middle)
    spoil(middle)
    const { points } = listSet(folder)
    assert.match(points.at(-1)?.problem ?? '', new RegExp(times[1] ?? ''))
    // The oldest point seems to be needed by nobody, and is the only one that can be read.
    for (const dryRun of [true, false])
      await refuses(folder, 'E_SET_DAMAGED', () => pruneSet(folder, { keepLast: 1, dryRun }))
    assert.match(await refuses(folder, 'E_SET_DAMAGED', () => run()), /cannot be read.*--full/)
    assertPoints(folder, states, times.slice(0, 1), 'refused')
    assert.ok((await checkSet(folder, { sample: 100 })).problems.length > 0)
    // What the hint says.
    await run({ full: true, now: new Date(Date.UTC(2026, 1, 1)) })
    assertPoints(folder, states, ['2026-02-01T000000Z'], 'full')
    await refuses(folder, 'E_SET_DAMAGED', () => pruneSet(folder, { keepLast: 1 }))
    // And when it is put back, all is as it was.
    fs.writeFileSync(middle, bytes)
    fs.utimesSync(middle, stat.atime, stat.mtime)
    await pruneSet(folder, { keepLast: 2 })
    assertPoints(folder, states, [times[2]!, '2026-02-01T000000Z'], 'pruned')
  })

test(
  'another image in the place of one: it is reported, and nothing is taken away or made on top of it',
  { skip },
  async (t) => {
    const { folder, run, states } = await setOf(t, 'qcow2', 4)
    const times = [...states.keys()]
    const paths = times.map((time) => join(folder, `${time}.qcow2`))
    const [first, second, third] = paths.map((path) => fs.readFileSync(path)) as [Buffer, Buffer, Buffer, Buffer]
    const stat = fs.statSync(paths[2]!)
    for (const [what, bytes] of [
      ['a whole image', first],
      ['a child of another', second],
    ] as const) {
      fs.writeFileSync(paths[2]!, bytes)
      const { points } = listSet(folder)
      assert.deepEqual(
        points.map(({ problem }) => problem !== undefined),
        [false, false, true, true],
        what,
      )
      assert.match(points[2]?.problem ?? '', /another file is in its place: by its record it needs .*, and it needs/)
      await refuses(folder, 'E_SET_DAMAGED', () => pruneSet(folder, { keepLast: 1 }))
      await refuses(folder, 'E_SET_DAMAGED', () => run())
      const { problems } = await checkSet(folder, { sample: 10 })
      assert.deepEqual(
        new Set(problems.map(({ code, point }) => `${code} ${point}`)),
        new Set([times[2], times[3]].map((time) => `E_CHAIN ${time}`)),
      )
      const restored = await vdisk(['backup', 'restore', `${folder}@latest`, '/dev/null', '--json'], { cwd: folder })
      assert.deepEqual([restored.code, restored.stdout.toString().includes('E_SET_DAMAGED')], [3, true])
      for (const point of [times[2], 'latest']) {
        for (const words of [['hash'], ['convert', 'out.raw'], ['info'], ['inspect'], ['restore', '/dev/null']]) {
          const [command = '', ...more] = words
          const read = await vdisk([command, `${folder}@${point}`, ...more, '--json'], { cwd: folder })
          assert.deepEqual([read.code, read.stdout.toString().includes('E_SET_DAMAGED')], [3, true], command)
        }
      }
      assert.ok(!fs.existsSync(join(folder, 'out.raw')))
      const earlier = await vdisk(['hash', `${folder}@${times[1]}`], { cwd: folder })
      assert.equal(earlier.code, 0, earlier.stderr)
      // What the hint says.
      assert.equal((await vdisk(['hash', paths[3]!], { cwd: folder })).code, 0)
    }
    // One that needs the same parent and lacks what has changed: the digests show it, of a sample too.
    fs.writeFileSync(paths[2]!, third)
    tool('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', `${times[1]}.qcow2`, paths[2]!)
    const { problems } = await checkSet(folder, { sample: 1 })
    assert.ok(
      problems.some(
        ({ point, code, message }) => point === times[2] && code === 'E_DIGEST' && message.includes('does not hold'),
      ),
    )
    fs.writeFileSync(paths[2]!, third)
    fs.utimesSync(paths[2]!, stat.atime, stat.mtime)
    assert.deepEqual((await checkSet(folder, { sample: 100 })).problems, [])
  },
)

test('a set whose name looks like an address', { skip }, async (t) => {
  const { folder, states } = await setOf(t, 'qcow2', 1)
  const odd = `${folder}@latest`
  fs.renameSync(folder, odd)
  assert.deepEqual(
    [odd, `${odd}@latest`].map((set) => listSet(set).points.map(({ time }) => time)),
    [[...states.keys()], [...states.keys()]],
  )
})

test('a record that cannot be understood hides no other point, and takes none away', { skip }, async (t) => {
  const { folder, run, states } = await setOf(t, 'qcow2', 3)
  const times = [...states.keys()]
  const record = join(folder, `${times[1] ?? ''}.qcow2.vdisk.json`)
  const text = fs.readFileSync(record)
  fs.writeFileSync(record, text.subarray(0, 100))
  const { points, damaged } = listSet(folder)
  assert.deepEqual(
    [points.map(({ time }) => time), damaged.map(({ time }) => time)],
    [[times[0], times[2]], [times[1]]],
  )
  assertPoints(folder, states, [times[0]!, times[2]!], 'listed')
  const { problems } = await checkSet(folder, { sample: 100 })
  assert.deepEqual(
    problems.map(({ point, code }) => [point, code]),
    [[times[1], 'E_RECORD']],
  )
  await refuses(folder, 'E_SET_DAMAGED', () => pruneSet(folder, { keepLast: 1 }))
  // It is not the last one: the set goes on.
  await run()
  fs.writeFileSync(record, text)
  const last = join(folder, `${listSet(folder).points.at(-1)?.time ?? ''}.qcow2.vdisk.json`)
  fs.writeFileSync(last, '')
  assert.match(await refuses(folder, 'E_SET_DAMAGED', () => run()), /--full/)
})

test('a point that somebody reads is not merged, and stays on the list', { skip }, async (t) => {
  const { folder, states } = await setOf(t, 'qcow2', 3)
  const times = [...states.keys()]
  const socket = join(testFolder(t), 'socket')
  let fates: string[] | undefined
  // The server has locked what it reads as long as it runs.
  const served = await vdisk(['serve', `${folder}@${times[1] ?? ''}`, '--socket', socket], {
    cwd: folder,
    onOutput: (text, child) => {
      if (fates !== undefined || !/Ready/.test(text.toString())) return
      fates = []
      void pruneSet(folder, { keepLast: 1 }).then(({ images }) => {
        fates = images.map(({ fate, why }) => `${fate}: ${why}`)
        child.kill('SIGTERM')
      })
    },
  })
  assert.deepEqual(fates, ['needed: it is in use', 'needed: it is in use', 'kept: last'], served.stderr)
  assertPoints(folder, states, times, 'in use')
  const { images } = await pruneSet(folder, { keepLast: 1 })
  assert.deepEqual(
    images.map(({ fate }) => fate),
    ['merged', 'merged', 'kept'],
  )
  assertPoints(folder, states, times.slice(2), 'pruned')
})

test('a set that is moved, and reached by a link, goes on by its digests', { skip }, async (t) => {
  const { folder, run, states } = await setOf(t, 'vhdx', 2)
  const moved = join(farFolder(t), 'elsewhere')
  fs.cpSync(folder, moved, { recursive: true, preserveTimestamps: true })
  fs.rmSync(folder, { recursive: true })
  await run({}, moved)
  const link = join(farFolder(t), 'link')
  fs.symlinkSync(moved, link)
  const { image, kind } = await run({}, link)
  assert.deepEqual([kind, image.parent?.compared], ['incremental', 'digests'])
  assertPoints(link, states, [...states.keys()], 'moved')
})

test('a clock that goes backwards: the order of the points stays, and a warning says so', { skip }, async (t) => {
  const { folder, run, states } = await setOf(t, 'qcow2', 2)
  const { notes } = await run({ now: new Date(Date.UTC(2025, 5, 1)) })
  const ofClock = (all: typeof notes): string[] => all.map(({ code }) => code).filter((code) => code === 'W_CLOCK')
  assert.deepEqual(ofClock(notes), ['W_CLOCK'])
  // Two in one second are no reason for one.
  const again = await run({ now: new Date(Date.UTC(2026, 0, 2)) })
  assert.deepEqual(ofClock(again.notes), [])
  const times = [...states.keys()]
  assert.deepEqual(times, ['2026-01-01T000000Z', '2026-01-02T000000Z', '2026-01-02T000001Z', '2026-01-02T000002Z'])
  assertPoints(folder, states, times, 'in order')
})

test('a prune that finds no room loses nothing, and ends when there is some', { skip }, async (t) => {
  const { folder, states } = await setOf(t, 'qcow2', 3)
  const small = fs.mkdtempSync('/dev/shm/vdisk-test-')
  tool('mount', '-t', 'tmpfs', '-o', 'size=64m', 'vdisk-test', small)
  t.after(() => {
    spawnSync('umount', ['--lazy', small])
    fs.rmdirSync(small)
  })
  const set = join(small, 'set')
  tool('cp', '-a', folder, set)
  const used = spawnSync('du', ['-sk', small]).stdout.toString().split('\t')[0] ?? ''
  tool('mount', '-o', `remount,size=${Number(used) + 64}k`, small)
  const kept = [...states.keys()].slice(-1)
  await assert.rejects(
    pruneSet(set, { keepLast: 1 }),
    (error) => error instanceof ImageError && error.kind === 'target',
  )
  assertPoints(set, states, kept, 'no room')
  tool('mount', '-o', 'remount,size=64m', small)
  await pruneSet(set, { keepLast: 1 })
  assertPoints(set, states, kept, 'with room')
})

test('a set on its own source, by a link and by a bind mount, is refused', { skip }, async (t) => {
  const { loop, folder } = await setOf(t, 'qcow2', 1)
  const near = testFolder(t)
  const [link, bound] = [join(farFolder(t), 'link'), farFolder(t)]
  fs.symlinkSync(near, link)
  fs.cpSync(folder, join(near, 'moved'), { recursive: true, preserveTimestamps: true })
  tool('mount', '--bind', near, bound)
  try {
    for (const place of [near, link, bound]) {
      const moved = join(place, 'moved')
      const said = await refuses(moved, 'E_SAME_DISK', () => initSet(join(place, 'new'), loop))
      assert.match(said, /^the backup set .*new would lie on/)
      await refuses(moved, 'E_SAME_DISK', () => runSet(moved))
    }
  } finally {
    spawnSync('umount', ['--lazy', bound])
  }
})

test('a set that gets another name during a run: the run fails, and all points are there', { skip }, async (t) => {
  const { folder, states } = await setOf(t, 'qcow2', 2)
  const renamed = `${folder}-renamed`
  const ended = await vdisk(['backup', 'run', folder, '--full', '--rate', '2M', '--progress', 'json'], {
    cwd: folder,
    onError: (text) => {
      if (fs.existsSync(folder) && text.includes('"phase":"copy"')) fs.renameSync(folder, renamed)
    },
  })
  assert.equal(ended.code, 7, ended.stderr)
  assertPoints(renamed, states, [...states.keys()], 'renamed')
  assert.equal(listSet(renamed).points.length, 2)
  const next = await vdisk(['backup', 'run', renamed], { cwd: renamed })
  assert.equal(next.code, 0, next.stderr)
  assert.deepEqual(
    fs.readdirSync(renamed).filter((name) => name.includes('.partial-')),
    [],
  )
})

test('a set, as the image that another is a child of, wants a point', { skip }, async (t) => {
  const { folder, loop } = await setOf(t, 'qcow2', 1)
  const child = join(farFolder(t), 'child.qcow2')
  await refuses(folder, 'E_NO_POINT', () => imageDisk(loop, child, { since: folder }))
  await imageDisk(loop, child, { since: `${folder}@latest` })
})
