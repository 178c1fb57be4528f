import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { view } from '../../../src/cli/view/check.js'
import { viewText } from '../../support/view.js'
import { corrupt, isImageError } from '../../../src/errors.js'
import type { Work } from '../../../src/block/work.js'
import type { DiskImage, Finding, FormatDriver } from '../../../src/formats/driver.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { check } from '../../../src/operations/check/check.js'
import { create } from '../../../src/operations/transfer/create.js'
import { testFolder } from '../../support/folder.js'
import { toy, writeToy } from '../../support/toy-format.js'

/** Toys whose images are checked by `check`. */
function checkedToys(find: (deep: boolean) => Work<void, Finding>, more: Partial<DiskImage> = {}): Registry {
  const driver: FormatDriver = {
    ...toy,
    open: (store, context) =>
      Object.assign(toy.open(store, context), {
        check: (options?: { deep?: boolean }) => find(options?.deep === true),
        ...more,
      }),
  }
  return new Registry([...builtinDrivers, driver])
}

function toyFile(t: TestContext): string {
  const path = join(testFolder(t), 'a.toy')
  writeToy(path, { fill: [1, 2] })
  return path
}

const finding = (code: string, severity: Finding['severity'], index: number): Finding => ({
  code,
  severity,
  structure: `entry ${index}`,
  position: index,
  message: `number ${index}`,
})
const codes = (findings: readonly Finding[]): string[] => findings.map(({ code }) => code)

test('findings are sorted by severity, counted all, and kept up to the limit', async (t) => {
  const path = toyFile(t)
  function* find(): Work<void, Finding> {
    yield finding('W_ODD', 'warning', 0)
    for (let index = 0; index < 100_000; index++) {
      yield finding('E_OVERLAP', 'error', index)
      if (index % 1000 === 0) yield { done: index, total: 100_000 }
    }
    yield finding('L_LOST', 'leak', 7)
  }
  const result = await check(path, { registry: checkedToys(find), limit: 3 })
  assert.equal(result.clean, false)
  const [layer] = result.layers
  assert.deepEqual(layer?.counts, { error: 100_000, leak: 1, warning: 1 })
  assert.deepEqual(codes(layer.findings), ['E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP', 'L_LOST', 'W_ODD'])
  assert.deepEqual(layer.groups, [
    { code: 'E_OVERLAP', severity: 'error', count: 100_000 },
    { code: 'L_LOST', severity: 'leak', count: 1 },
    { code: 'W_ODD', severity: 'warning', count: 1 },
  ])
  const text = await viewText(view, result)
  assert.match(text, /a\.toy: Toy image, plain: 100,000 errors, 1 leak, 1 warning\n/)
  assert.match(text, /\n {2}error +E_OVERLAP +0 +entry 0 +number 0\n/)
  assert.match(text, /and 99,997 more errors E_OVERLAP/)
  assert.equal(text.split('\n').length, 8)
})

test('codes made up without end do not fill the memory, and are counted', async (t) => {
  function* find(): Generator<Finding> {
    for (let index = 0; index < 5000; index++) yield finding(`E_${index}`, 'error', index)
  }
  const { counts, layers } = await check(toyFile(t), { registry: checkedToys(find) })
  assert.equal(counts.error, 5000)
  assert.equal(layers[0]?.groups.length, 256)
})

test('a format without a check is reported as not checked, and --deep still reads its data', async (t) => {
  const path = toyFile(t)
  const registry = new Registry([...builtinDrivers, toy])
  const result = await check(path, { registry })
  assert.deepEqual(
    [result.clean, result.layers[0]?.checked, result.counts],
    [false, false, { error: 0, leak: 0, warning: 0 }],
  )
  assert.match(await viewText(view, result), /not checked/)
  fs.truncateSync(path, 4096 + 100)
  const deep = await check(path, { registry, deep: true })
  assert.deepEqual(codes(deep.layers[0]?.findings ?? []), ['E_TRUNCATED', 'E_TRUNCATED'])
  assert.match(await viewText(view, deep), /2 errors; not checked/)
})

test('an error in the middle of a check is a finding, and what was found before it stays', async (t) => {
  function* find(): Generator<Finding> {
    yield finding('L_LOST', 'leak', 1)
    throw corrupt('E_READ', 'a.toy: byte 5 cannot be read')
  }
  const { layers } = await check(toyFile(t), { registry: checkedToys(find) })
  assert.deepEqual(codes(layers[0]?.findings ?? []), ['E_READ', 'L_LOST'])
  assert.match(layers[0]?.findings[0]?.message ?? '', /could not go on: /)
})

test('notes of the driver are warnings, unless a finding knows more', async (t) => {
  const path = toyFile(t)
  const notes = [
    { code: 'W_CHECKSUM', message: `${path}: the checksum is wrong` },
    { code: 'W_OLD', message: `${path}: it is old` },
  ]
  function* find(): Work<void, Finding> {
    yield finding('E_CHECKSUM', 'error', 1)
  }
  const { layers } = await check(path, { registry: checkedToys(find, { notes }) })
  assert.deepEqual(
    layers[0]?.findings.map(({ code, severity, message }) => [code, severity, message]),
    [
      ['E_CHECKSUM', 'error', 'number 1'],
      ['W_OLD', 'warning', 'it is old'],
    ],
  )
})

test('progress only grows, over both rounds of a deep check, and a signal stops it', async (t) => {
  const path = toyFile(t)
  function* find(): Work<void> {
    for (let done = 0; done <= 10; done++) yield { done, total: 10 }
  }
  const seen: number[] = []
  const { clean } = await check(path, {
    registry: checkedToys(find),
    deep: true,
    onProgress: ({ phase, done, total }) => {
      assert.equal(phase, 'check')
      assert.equal(total, 2 * fs.statSync(path).size)
      seen.push(done)
    },
  })
  assert.equal(clean, true)
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  )
  assert.equal(seen.at(-1), 2 * fs.statSync(path).size)
  assert.equal(seen.filter((done) => done === seen.at(-1)).length, 1)

  function* endless(): Work<void> {
    for (;;) yield { done: 0, total: 1 }
  }
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), 100)
  await assert.rejects(
    check(path, { registry: checkedToys(endless), signal: stop.signal }),
    (error) => isImageError(error) && error.kind === 'aborted',
  )
  clearTimeout(timer)
})

test('a missing parent is reported, and the image itself is checked', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  await create(at('base.vhd'), { size: 8 * 1048576 })
  await create(at('child.vhd'), { parent: at('base.vhd') })
  const whole = await check(at('child.vhd'), { deep: true })
  assert.deepEqual(
    whole.layers.map(({ findings }) => findings),
    [[], []],
  )
  assert.deepEqual([whole.clean, whole.missing], [true, undefined])
  fs.renameSync(at('base.vhd'), at('moved.vhd'))
  fs.truncateSync(at('child.vhd'), fs.statSync(at('child.vhd')).size - 512)
  const alone = await check(at('child.vhd'))
  assert.deepEqual([alone.clean, alone.missing?.code, alone.layers.length], [false, 'E_PARENT_MISSING', 1])
  assert.deepEqual(codes(alone.layers[0]?.findings ?? []), ['E_FOOTER_COPY_USED'])
})

test('a parent that was changed after its child was made over it', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  await create(at('base.vhd'), { size: 8 * 1048576 })
  await create(at('child.vhd'), { parent: at('base.vhd') })
  const later = new Date(Date.now() + 3_600_000)
  fs.utimesSync(at('base.vhd'), later, later)
  const { layers } = await check(at('child.vhd'))
  assert.deepEqual(
    layers.map(({ findings }) => codes(findings)),
    [['W_PARENT_TIME'], []],
  )
})

test('the parts of a raw image', async (t) => {
  const folder = testFolder(t)
  const part = (number: number, size: number): void =>
    fs.writeFileSync(join(folder, `disk.00${number}`), Buffer.alloc(size, number))
  const found = async (): Promise<string[]> => codes((await check(join(folder, 'disk.001'))).layers[0]?.findings ?? [])
  for (const [sizes, expected] of [
    [[4096, 4096, 512], []],
    [[4096, 4096, 4096], []],
    [[4096], []],
    [[4096, 2048, 4096], ['E_PART_SIZE']],
    [[4096, 0, 4096], ['E_PART_EMPTY']],
    [[4096, 4096, 8192], ['E_PART_SIZE']],
    [
      [4000, 4000, 4000],
      ['W_PART_SECTOR', 'W_PART_SECTOR', 'W_ODD_LENGTH'],
    ],
    [[4096, 4096, 100], ['W_ODD_LENGTH']],
  ] as const) {
    for (const name of fs.readdirSync(folder)) fs.rmSync(join(folder, name))
    sizes.forEach((size, index) => part(index + 1, size))
    assert.deepEqual(await found(), [...expected], String(sizes))
  }
})

/** Bytes of which one cannot be read. */
class WornStore extends MemoryStore {
  override read(position: number, target: Uint8Array): void {
    if (position <= 4100 && position + target.length > 4100)
      throw corrupt('E_READ', `${this.name}: bytes at ${position} cannot be read`)
    super.read(position, target)
  }
}

test('data that the host cannot read is found by --deep', async (t) => {
  const path = toyFile(t)
  const driver: FormatDriver = {
    ...toy,
    open: (store, context) => {
      store[Symbol.dispose]()
      return Object.assign(toy.open(new WornStore(fs.readFileSync(path), 'worn'), context), { *check() {} })
    },
  }
  const registry = new Registry([...builtinDrivers, driver])
  assert.equal((await check(path, { registry })).clean, true)
  const { layers } = await check(path, { registry, deep: true })
  assert.deepEqual(
    layers[0]?.findings.map(({ code, position }) => [code, position]),
    [['E_READ', 4096]],
  )
})
