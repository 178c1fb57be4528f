import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { commitChain } from '../../src/operations/chain/commit.js'
import { check } from '../../src/operations/check/check.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { rebaseChain } from '../../src/operations/chain/rebase.js'
import { openFile } from '../../src/formats/open.js'
import type { OptionValues } from '../../src/formats/driver.js'
import { cutFiles } from '../support/cut-files.js'
import { diskLike, readAll } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { randomOf } from '../support/power-cut.js'

interface Kind {
  readonly title: string
  readonly child: string
  readonly parent: string
  readonly options?: OptionValues
  readonly parentOptions?: OptionValues
  readonly grows?: boolean
  readonly allowed?: readonly string[]
}

const kinds: readonly Kind[] = [
  {
    title: 'VHD',
    child: 'vhd',
    parent: 'vhd',
    options: { 'block-size': 65536 },
    parentOptions: { 'block-size': 65536 },
    grows: true,
    allowed: ['E_FOOTERS_DIFFER'],
  },
  {
    title: 'VHD over a fixed VHD',
    child: 'vhd',
    parent: 'vhd',
    options: { 'block-size': 65536 },
    parentOptions: { subformat: 'fixed' },
    grows: true,
    allowed: ['E_FOOTERS_DIFFER'],
  },
  {
    title: 'VHDX',
    child: 'vhdx',
    parent: 'vhdx',
    options: { 'block-size': 1048576 },
    parentOptions: { 'block-size': 1048576 },
    grows: true,
  },
  {
    title: 'QCOW2',
    child: 'qcow2',
    parent: 'qcow2',
    options: { 'cluster-size': 4096 },
    parentOptions: { 'cluster-size': 16384, 'extended-l2': true },
    grows: true,
  },
  {
    title: 'VDI',
    child: 'vdi',
    parent: 'vdi',
    options: { 'block-size': 65536 },
    parentOptions: { 'block-size': 131072 },
    grows: true,
  },
  {
    title: 'VDI over a fixed VDI',
    child: 'vdi',
    parent: 'vdi',
    options: { 'block-size': 65536 },
    parentOptions: { subformat: 'fixed', 'block-size': 65536 },
    grows: true,
  },
  {
    title: 'QCOW2, compressed',
    child: 'qcow2',
    parent: 'qcow2',
    options: { 'cluster-size': 65536, compress: 'zstd' },
    parentOptions: { 'cluster-size': 4096, compress: 'zlib' },
    grows: true,
  },
  {
    title: 'QCOW2 v2 over raw',
    child: 'qcow2',
    parent: 'raw',
    options: { 'cluster-size': 4096, compat: 'v2' },
    grows: true,
  },
  {
    title: 'QCOW2 over VHDX',
    child: 'qcow2',
    parent: 'vhdx',
    options: { 'cluster-size': 65536 },
    parentOptions: { 'block-size': 1048576 },
    grows: true,
  },
  {
    title: 'QCOW2 over VHD',
    child: 'qcow2',
    parent: 'vhd',
    options: { 'cluster-size': 4096, 'extended-l2': false },
    parentOptions: { 'block-size': 65536 },
    grows: true,
    allowed: ['E_FOOTERS_DIFFER'],
  },
  {
    title: 'QCOW2 over a fixed VHD',
    child: 'qcow2',
    parent: 'vhd',
    options: { 'cluster-size': 4096 },
    parentOptions: { subformat: 'fixed' },
    grows: true,
    allowed: ['E_FOOTERS_DIFFER'],
  },
]
const mebibyte = 1048576

/** A disk of which some is like another. */
function changed(base: Uint8Array, length: number, seed: number): Buffer {
  const random = randomOf(seed)
  const disk = Buffer.alloc(length)
  disk.set(base.subarray(0, length))
  for (let step = 0; step < 9; step++) {
    const at = random(length - 70_000)
    const size = 1 + random(step < 3 ? 70_000 : 4000)
    if (step % 3 === 2) disk.fill(0, at, Math.min(length, at + size * 16))
    else disk.set(diskLike(size, seed + step), at)
  }
  return disk
}

async function make(
  folder: string,
  name: string,
  format: string,
  disk: Uint8Array,
  options: OptionValues | undefined,
  parent?: string,
): Promise<void> {
  fs.writeFileSync(join(folder, 'source'), disk)
  await convert(join(folder, 'source'), join(folder, name), {
    from: 'raw',
    to: format,
    options,
    ...(parent === undefined ? {} : { parent: join(folder, parent), parentFrom: formatOf(parent) }),
  })
  fs.rmSync(join(folder, 'source'))
}

const formatOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1)

function content(path: string, from?: string): Buffer {
  using opened = openFile(path, from === undefined ? {} : { from })
  return Buffer.from(readAll(opened))
}

async function clean(path: string, allowed: readonly string[] = []): Promise<void> {
  for (const layer of (await check(path)).layers) {
    for (const { code, message } of layer.findings)
      if (!allowed.includes(code)) assert.fail(`${layer.path}: ${code} ${message}`)
  }
}

function watch(
  t: TestContext,
  folder: string,
  name: string,
  disk: Buffer,
  allowed: readonly string[],
): ReturnType<typeof cutFiles> {
  const chance = randomOf(11)
  let seen = 0
  return cutFiles(
    t,
    folder,
    chance,
    () => seen++ < 10 || chance(12) === 0,
    (cut, count) => {
      using opened = openFile(join(cut, name))
      assert.ok(Buffer.from(readAll(opened)).equals(disk), `cut ${count}: what the child shows`)
      for (const { driver, image } of opened.layers) {
        for (const found of image.check?.() ?? []) {
          if ('severity' in found && found.severity === 'error' && !allowed.includes(found.code))
            assert.fail(`cut ${count}, ${driver.id}: ${found.code} ${found.structure}: ${found.message}`)
        }
      }
    },
  )
}

for (const kind of kinds) {
  const { title, allowed = [] } = kind
  const [childName, parentName] = [`child.${kind.child}`, `parent.${kind.parent}`]

  test(
    `${title}: commit, with the power cut at every write: the child shows the same, and the parent does at ` +
      'the end',
    async (t) => {
      const folder = testFolder(t)
      const length = 3 * mebibyte
      const base = diskLike(length, 5)
      const disk = changed(base, kind.grows === true ? length + mebibyte + 4096 : length, 3)
      await make(folder, parentName, kind.parent, base, kind.parentOptions)
      await make(folder, childName, kind.child, disk, kind.options, parentName)
      const cuts = watch(t, folder, childName, disk, allowed)
      const dry = await commitChain(join(folder, childName), { dryRun: true })
      assert.equal(cuts.count(), 0)
      const result = await commitChain(join(folder, childName), { verify: true })
      cuts.stop()
      assert.ok(cuts.count() > 5, `${cuts.count()} writes`)
      assert.equal(result.verified, true)
      if (kind.grows !== true) assert.deepEqual(result.written, dry.written)
      assert.equal(result.parent.capacityAfter, disk.length)
      assert.ok(content(join(folder, parentName), kind.parent).equals(disk), 'the parent')
      assert.ok(content(join(folder, childName)).equals(disk), 'the child')
      await clean(join(folder, childName))
      // Once more there is nothing to do.
      assert.deepEqual((await commitChain(join(folder, childName))).written, { data: 0, zeros: 0 })
      const deleted = await commitChain(join(folder, childName), { deleteChild: true })
      assert.equal(deleted.childDeleted, true)
      assert.ok(!fs.existsSync(join(folder, childName)))
      assert.ok(content(join(folder, parentName), kind.parent).equals(disk), 'the parent alone')
    },
  )

  test(
    `${title}: rebase onto another parent and onto none, with the power cut at every write: the child shows ` +
      'the same',
    async (t) => {
      const folder = testFolder(t)
      const length = 3 * mebibyte
      const base = diskLike(length, 5)
      const disk = changed(base, kind.grows === true ? length + mebibyte + 4096 : length, 3)
      const other = changed(base, kind.grows === true ? length - mebibyte : length, 8)
      const otherName = `other.${kind.parent}`
      await make(folder, parentName, kind.parent, base, kind.parentOptions)
      await make(folder, otherName, kind.parent, other, kind.parentOptions)
      await make(folder, childName, kind.child, disk, kind.options, parentName)
      const [parentBytes, otherBytes] = [parentName, otherName].map((name) => fs.readFileSync(join(folder, name)))
      for (const target of [otherName, parentName, undefined]) {
        const cuts = watch(t, folder, childName, disk, allowed)
        const path = target === undefined ? undefined : join(folder, target)
        const before = fs.readFileSync(join(folder, childName))
        const options = { parentFormat: kind.parent }
        const dry = await rebaseChain(join(folder, childName), path, { ...options, dryRun: true })
        assert.ok(fs.readFileSync(join(folder, childName)).equals(before))
        const result = await rebaseChain(join(folder, childName), path, options)
        cuts.stop()
        assert.ok(cuts.count() > 3, `${cuts.count()} writes`)
        assert.ok(dry.taken.data >= result.taken.data && result.taken.data >= 0)
        assert.equal(result.parent?.path, path)
        assert.ok(content(join(folder, childName)).equals(disk), `over ${target}`)
        // What a VHDX without a parent does not need any more leaves a hole.
        await clean(
          join(folder, childName),
          target === undefined ? ['L_UNREFERENCED'] : kind.grows === true ? ['W_PARENT_CAPACITY'] : [],
        )
      }
      assert.ok(
        fs.readFileSync(join(folder, parentName)).equals(parentBytes!) &&
          fs.readFileSync(join(folder, otherName)).equals(otherBytes!),
        'parents are not changed',
      )
      fs.rmSync(join(folder, parentName))
      fs.rmSync(join(folder, otherName))
      assert.ok(content(join(folder, childName)).equals(disk), 'alone')
    },
  )
}
