import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { view } from '../../../src/cli/view/repair.js'
import { viewText } from '../../support/view.js'
import type { Work } from '../../../src/block/work.js'
import type { FormatDriver, RepairAction } from '../../../src/formats/driver.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { repair } from '../../../src/operations/check/repair.js'
import { diskLike, sha256 } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { counted, soundImage } from '../../support/qcow2-sound.js'
import { toy, writeToy } from '../../support/toy-format.js'

const digest = (path: string): string => sha256(fs.readFileSync(path))

/** A QCOW2 image with a leak, and one that also has an entry that leads nowhere. */
const leaky = (): Uint8Array => counted(soundImage().pad(9 * 4096)).bytes()
const lost = (): Uint8Array =>
  soundImage()
    .map(2, 90 * 4096)
    .u64(4096 + 8, 1)
    .bytes()

test('a copy is repaired and the image is as it was; the copy is found clean', async (t) => {
  const folder = testFolder(t)
  const [image, output] = [join(folder, 'a.qcow2'), join(folder, 'fixed.qcow2')]
  fs.writeFileSync(image, leaky())
  const before = digest(image)
  const result = await repair(image, { output })
  assert.equal(digest(image), before)
  assert.deepEqual(
    result.actions.map(({ code }) => code),
    ['L_REFCOUNT'],
  )
  assert.deepEqual(
    [result.remaining.counts, result.target?.path, result.actionCount],
    [{ error: 0, leak: 0, warning: 0 }, output, 1],
  )
  assert.deepEqual(fs.readdirSync(folder).sort(), ['a.qcow2', 'fixed.qcow2'])
  const text = await viewText(view, result)
  assert.match(text, /^\S+a\.qcow2: QEMU copy-on-write image, version 2 and 3: mended, in the copy \S+fixed\.qcow2\n/)
  assert.match(text, /L_REFCOUNT +refcount blocks +lower the refcounts of 1 cluster /)
  assert.match(text, /A check finds nothing now\.$/)
  const again = await repair(output, { inPlace: true })
  assert.deepEqual([again.actionCount, again.inPlace, again.target?.size], [0, true, fs.statSync(output).size])
  assert.match(await viewText(view, again), /nothing to mend\n/)
})

test('a dry run says what would be done, and writes nothing', async (t) => {
  const folder = testFolder(t)
  const image = join(folder, 'a.qcow2')
  fs.writeFileSync(image, lost())
  const before = digest(image)
  const dry = await repair(image, { dryRun: true })
  assert.deepEqual([digest(image), fs.readdirSync(folder)], [before, ['a.qcow2']])
  assert.deepEqual([dry.dryRun, dry.target, dry.inPlace], [true, undefined, false])
  assert.match(
    await viewText(view, dry),
    /would be mended\n[^]*Left, and not to be mended without guessing: 1 error, 1 leak\n[^]*Nothing was written/,
  )
  const done = await repair(image, { inPlace: true })
  assert.notEqual(digest(image), before)
  assert.deepEqual(done.actions, dry.actions)
  assert.deepEqual(done.remaining, dry.remaining)
  assert.deepEqual(done.remaining.counts, { error: 1, leak: 1, warning: 0 })
})

test('every byte of a large sparse image is copied, and its holes stay holes', async (t) => {
  const folder = testFolder(t)
  const [image, output] = [join(folder, 'a.qcow2'), join(folder, 'fixed.qcow2')]
  fs.writeFileSync(image, soundImage().bytes())
  fs.truncateSync(image, 300 * 1048576 + 77)
  fs.writeSync(fs.openSync(image, 'r+'), diskLike(1048577, 4), 0, undefined, 200 * 1048576 + 13)
  const result = await repair(image, { output })
  assert.deepEqual([result.actionCount, digest(output)], [0, digest(image)])
  assert.ok(fs.statSync(output).blocks * 512 < 8 * 1048576)
})

test('what cannot be asked, and what cannot be done', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.qcow2'), leaky())
  fs.writeFileSync(at('a.raw'), new Uint8Array(4096))
  fs.writeFileSync(at('bad.qcow2'), soundImage().u32(20, 63).bytes())
  await assert.rejects(repair(at('a.qcow2')), {
    kind: 'usage',
    code: 'E_REPAIR_TARGET',
    message: /--output FILE.*--in-place/,
  })
  await assert.rejects(repair(at('a.qcow2'), { output: at('b'), inPlace: true }), {
    kind: 'usage',
    code: 'E_REPAIR_TARGET',
  })
  await assert.rejects(repair(`${at('a.qcow2')}@1`, { dryRun: true }), { kind: 'usage', code: 'E_WHOLE_IMAGE' })
  await assert.rejects(repair(at('a.raw'), { output: at('b.raw') }), {
    kind: 'unsupported',
    code: 'E_NO_REPAIR',
    hint: /qcow2, .*vhd/,
  })
  await assert.rejects(repair(at('a.qcow2'), { output: at('a.qcow2'), force: true }), {
    kind: 'refused',
    code: 'E_SAME_FILE',
  })
  await assert.rejects(repair(at('a.qcow2'), { output: at('a.raw') }), { kind: 'target', code: 'E_EXISTS' })
  await assert.rejects(repair(at('a.qcow2'), { output: at('a.raw'), dryRun: true }), {
    kind: 'target',
    code: 'E_EXISTS',
  })
  await assert.rejects(repair(at('none.qcow2'), { inPlace: true }), { code: 'E_NOT_FOUND' })
  for (const how of [{ output: at('b.qcow2') }, { inPlace: true }, { dryRun: true }])
    await assert.rejects(repair(at('bad.qcow2'), how), { kind: 'corrupt', code: 'E_HEADER' })
  assert.deepEqual(fs.readdirSync(folder).sort(), ['a.qcow2', 'a.raw', 'bad.qcow2'])
  assert.equal((await repair(at('a.qcow2'), { output: at('a.raw'), force: true })).actionCount, 1)
  assert.equal(fs.readFileSync(at('a.raw')).toString('latin1', 0, 3), 'QFI')
})

test('a copy in another folder says that relative names are looked for there', async (t) => {
  const folder = testFolder(t)
  fs.mkdirSync(join(folder, 'there'))
  fs.writeFileSync(join(folder, 'a.qcow2'), soundImage({ backing: 'base.raw' }).bytes())
  assert.deepEqual(
    (await repair(join(folder, 'a.qcow2'), { output: join(folder, 'there/b.qcow2') })).notes.map(({ code }) => code),
    ['W_OTHER_FOLDER'],
  )
  assert.deepEqual((await repair(join(folder, 'a.qcow2'), { output: join(folder, 'b.qcow2') })).notes, [])
})

/** Toys that are repaired by `mend`. */
function mendedToys(mend: () => Work<void, RepairAction>): Registry {
  const driver: FormatDriver = { ...toy, repair: mend }
  return new Registry([...builtinDrivers, driver])
}

test('an abort between two steps leaves no copy, and says what an image in place is like', async (t) => {
  const folder = testFolder(t)
  const path = join(folder, 'a.toy')
  writeToy(path, { fill: [1, 2] })
  for (const how of [{ output: join(folder, 'b.toy') }, { inPlace: true }]) {
    const stop = new AbortController()
    const registry = mendedToys(function* () {
      yield { code: 'E_ONE', structure: 'a', message: 'the first thing' }
      stop.abort()
      yield { done: 1, total: 2 }
      assert.fail('it went on')
    })
    await assert.rejects(repair(path, { ...how, registry, signal: stop.signal }), {
      kind: 'aborted',
      hint: 'inPlace' in how ? /stays done/ : /Nothing was changed/,
    })
    assert.deepEqual(fs.readdirSync(folder), ['a.toy'])
  }
})

test('actions beyond the limit are counted, and progress is whole only at the end', async (t) => {
  const path = join(testFolder(t), 'a.toy')
  writeToy(path, { fill: [1, 2] })
  const seen: { phase: string; done: number; total: number }[] = []
  const registry = mendedToys(function* () {
    for (let index = 0; index < 1000; index++) {
      yield { code: 'E_ONE', structure: 'a', position: index, message: 'a thing' }
      yield { done: index + 1, total: 1000 }
    }
  })
  const result = await repair(path, { dryRun: true, registry, limit: 3, onProgress: (event) => seen.push(event) })
  assert.deepEqual([result.actions.length, result.actionCount], [3, 1000])
  assert.match(await viewText(view, result), /and 997 more\n/)
  assert.deepEqual(
    seen.filter(({ done, total }) => done === total),
    [seen.at(-1)],
  )
})
