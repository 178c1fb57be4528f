import assert from 'node:assert/strict'
import fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import test from 'node:test'
import { check } from '../../src/operations/check/check.js'
import { listSet } from '../../src/operations/backup/list.js'
import { pruneSet } from '../../src/operations/backup/prune.js'
import { runSet } from '../../src/operations/backup/run.js'
import { assertPoints, setOf } from '../support/backup-set.js'
import { cutFiles } from '../support/cut-files.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { loopsMissing } from '../support/loop.js'
import { randomOf } from '../support/power-cut.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
/** One cut in so many is looked at, and about half of these are gone on with; 1: every one. */
const each = Number(process.env['VDISK_CUTS'] ?? 6)

/** Calls something after every change of the names in a folder. */
function watchNames(folder: string, after: (from: string, to?: string) => void): () => void {
  // Node's own removal of folders remembers the functions that it finds at its first use.
  fs.rmSync(fs.mkdtempSync(join(folder, 'none-')), { recursive: true })
  const { renameSync, unlinkSync } = fs
  const isIn = (path: fs.PathLike): boolean => {
    const name = String(path)
    return dirname(name) === folder || name.startsWith('/proc/self/fd')
  }
  fs.renameSync = (from, to) => {
    renameSync(from, to)
    if (isIn(from)) after(String(from), String(to))
  }
  fs.unlinkSync = (path) => {
    unlinkSync(path)
    if (isIn(path)) after(String(path))
  }
  return () => void Object.assign(fs, { renameSync, unlinkSync })
}

for (const format of ['qcow2', 'vhdx']) {
  test(`a power cut at any moment of a prune leaves every kept point of a ${format} set`, { skip }, async (t) => {
    const { folder, states } = await setOf(t, format, 4)
    const kept = [...states.keys()].slice(-2)
    const all = [...states.keys()]
    const random = randomOf(Number(process.env['VDISK_SEED'] ?? 17))
    const cuts: string[] = []
    let looked = 0
    const aside = farFolder(t)
    const files = cutFiles(
      t,
      folder,
      random,
      () => each === 1 || random(each) === 0,
      (cut, count) => {
        assertPoints(cut, states, kept, `cut ${count}`)
        if (looked++ % (each === 1 ? 1 : 2) !== 0) return
        const copy = join(aside, String(count))
        fs.cpSync(cut, copy, { recursive: true })
        cuts.push(copy)
      },
    )
    const stop = watchNames(folder, (from, to) => {
      if (to !== undefined) files.renamed(from, to)
      files.look()
    })
    const result = await pruneSet(folder, { keepLast: 2 }).finally(stop)
    files.stop()
    assert.deepEqual(
      result.images.map(({ fate }) => fate),
      ['merged', 'merged', 'kept', 'kept'],
    )
    assert.ok(files.count() > 25, `${files.count()} changes`)
    assert.deepEqual(
      listSet(folder).points.map(({ time }) => time),
      kept,
    )
    // What was cut goes on where it stopped, and ends as the prune does that was not.
    t.diagnostic(`${files.count()} cuts, ${looked} looked at, ${cuts.length} gone on with`)
    assert.ok(cuts.length > 0)
    for (const cut of cuts) {
      await pruneSet(cut, { keepLast: 2 })
      assertPoints(cut, states, kept, `finished after ${basename(cut)}`)
      assert.deepEqual(
        listSet(cut).points.map(({ time }) => time),
        kept,
      )
      assert.deepEqual(
        fs.readdirSync(cut).filter((name) => all.some((time) => name.startsWith(time) && !kept.includes(time))),
        [],
      )
      const { points } = listSet(cut)
      assert.equal((await check(join(cut, points.at(-1)!.image))).counts.error, 0)
    }
  })
}

test('a power cut at any moment of a run leaves every point, and the next run works', { skip }, async (t) => {
  const { folder, states, run } = await setOf(t, 'qcow2', 2)
  const before = [...states.keys()]
  const bytes = new Map(
    fs
      .readdirSync(folder)
      .filter((name) => before.some((time) => name.startsWith(time)))
      .map((name) => [name, fs.readFileSync(join(folder, name))]),
  )
  const { writeSync, fsyncSync } = fs
  let count = 0
  const copies: string[] = []
  const aside = farFolder(t)
  const look = (): void => {
    count++
    for (const [name, content] of bytes) assert.ok(fs.readFileSync(join(folder, name)).equals(content), name)
    if (each > 1 && count % (each + 1) !== 1) return
    const copy = join(aside, String(count))
    fs.cpSync(folder, copy, { recursive: true })
    copies.push(copy)
  }
  fs.writeSync = ((...parameters: Parameters<typeof writeSync>) => {
    const done = writeSync(...parameters)
    look()
    return done
  }) as typeof writeSync
  fs.fsyncSync = (descriptor) => {
    fsyncSync(descriptor)
    look()
  }
  const stop = watchNames(folder, look)
  await run().finally(() => {
    stop()
    Object.assign(fs, { writeSync, fsyncSync })
  })
  assert.ok(count > 10, `${count} changes`)
  t.diagnostic(`${count} cuts, ${copies.length} gone on with`)
  for (const copy of copies) {
    assertPoints(copy, states, before, copy)
    const { points } = await runAgain(copy)
    assert.ok(points.length > before.length)
    assertPoints(copy, states, before, `${copy}, gone on with`)
    assert.deepEqual(
      fs.readdirSync(copy).filter((name) => name.includes('.partial-')),
      [],
    )
  }

  async function runAgain(copy: string) {
    await runSet(copy, { threads: 0, now: new Date(Date.UTC(2026, 5, 1)) })
    return listSet(copy)
  }
})
