import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { create } from '../../src/operations/transfer/create.js'
import { info } from '../../src/operations/inspect/info.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

const mebibyte = 1024 * 1024
const noise = createHash('shake256', { outputLength: 5 * mebibyte + 512 })
  .update('noise')
  .digest()
const disk = Buffer.concat([diskLike(3 * mebibyte + 512, 1), Buffer.alloc(9 * mebibyte), noise])

const peers = [
  { name: 'gz', tool: 'gzip', unpack: ['-dc'], test: ['-t'] },
  { name: 'xz', tool: 'xz', unpack: ['-dc'], test: ['-t'] },
  { name: 'zst', tool: 'zstd', unpack: ['-dqc'], test: ['-tq'] },
] as const

for (const { name, tool, unpack, test: check } of peers) {
  test(
    `disk.raw.${name} and disk.qcow2.${name}: what ${tool} reads, with all threads or none, read ` +
      `again at any place`,
    async (t) => {
      if (!have(t, tool)) return
      const folder = testFolder(t)
      const at = (file: string): string => join(folder, file)
      fs.writeFileSync(at('disk.raw'), disk)
      for (const threads of [0, 2]) {
        const result = await convert(at('disk.raw'), at(`copy.raw.${name}`), { threads, verify: true, force: true })
        assert.ok(result.verified)
        assert.equal(result.target.size, fs.statSync(at(`copy.raw.${name}`)).size)
        execFileSync(tool, [...check, at(`copy.raw.${name}`)])
        const found = execFileSync(tool, [...unpack, at(`copy.raw.${name}`)], { maxBuffer: 1024 * mebibyte })
        assert.equal(Buffer.compare(found, disk), 0)
      }
      const inside = info(at(`copy.raw.${name}`)).sections.find(({ title }) => title === 'Inside')
      assert.equal(inside?.facts.find((fact) => fact.name === 'access')?.value, 'at any place, by its blocks')
      await convert(at(`copy.raw.${name}`), at('back.raw'), { verify: true })
      assert.equal(Buffer.compare(fs.readFileSync(at('back.raw')), disk), 0)
      await convert(at('disk.raw'), at(`copy.qcow2.${name}`), { verify: true })
      assert.equal(info(at(`copy.qcow2.${name}`)).format, 'qcow2')
      await convert(at(`copy.qcow2.${name}`), at('back.raw'), { force: true })
      assert.equal(Buffer.compare(fs.readFileSync(at('back.raw')).subarray(0, disk.length), disk), 0)
      assert.deepEqual(
        fs.readdirSync(folder).sort(),
        ['back.raw', `copy.qcow2.${name}`, `copy.raw.${name}`, 'disk.raw'].sort(),
        'no scratch file and no partial file is left',
      )
    },
  )
}

test('a compressed target that says no format, has a parent, or is there already, is refused', async (t) => {
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.writeFileSync(at('disk.raw'), disk.subarray(0, mebibyte))
  await assert.rejects(convert(at('disk.raw'), at('copy.gz')), { code: 'E_UNKNOWN_EXTENSION' })
  await convert(at('disk.raw'), at('copy.gz'), { to: 'raw' })
  await assert.rejects(convert(at('disk.raw'), at('copy.gz'), { to: 'raw' }), { code: 'E_EXISTS' })
  await assert.rejects(convert(at('copy.gz'), at('copy.gz'), { to: 'raw', force: true }), { code: 'E_SAME_FILE' })
  await assert.rejects(convert(at('disk.raw'), at('child.qcow2.zst'), { parent: at('disk.raw') }), { code: 'E_STREAM' })
})

test('a unit that is changed is found when it is read', async (t) => {
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.writeFileSync(at('disk.raw'), disk)
  for (const name of ['gz', 'xz', 'zst']) {
    await convert(at('disk.raw'), at(`copy.raw.${name}`))
    const bytes = fs.readFileSync(at(`copy.raw.${name}`))
    bytes[Math.floor(bytes.length / 2)]! ^= 1
    fs.writeFileSync(at(`copy.raw.${name}`), bytes)
    await assert.rejects(convert(at(`copy.raw.${name}`), at(`back.${name}.raw`)), { kind: 'corrupt' }, name)
    assert.ok(!fs.existsSync(at(`back.${name}.raw`)))
  }
})

test('create: an empty disk in a compressed file', async (t) => {
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  const size = 8 * mebibyte + 512
  for (const name of ['empty.raw.gz', 'empty.qcow2.zst', 'empty.vhdx.gz']) {
    const { target } = await create(at(name), { size: 8 * mebibyte })
    assert.equal(target.capacity, 8 * mebibyte)
    assert.equal(target.size, fs.statSync(at(name)).size)
    const { format, capacity } = info(at(name))
    assert.deepEqual([format, capacity], [name.split('.')[1], 8 * mebibyte])
  }
  await create(at('odd.raw.zst'), { size })
  await convert(at('odd.raw.zst'), at('odd.raw'))
  assert.equal(Buffer.compare(fs.readFileSync(at('odd.raw')), Buffer.alloc(size)), 0)
  // A terabyte takes no time to speak of.
  const dry = await create(at('large.raw.gz'), { size: 2 ** 40, dryRun: true })
  assert.deepEqual([dry.dryRun, dry.target.capacity], [true, 2 ** 40])
  await assert.rejects(create(at('empty.raw.gz'), { size }), { code: 'E_EXISTS' })
  await assert.rejects(create(at('child.qcow2.gz'), { parent: at('odd.raw') }), { kind: 'usage' })
  await assert.rejects(create(at('child.qcow2.gz'), { parent: at('odd.raw'), size }), { code: 'E_STREAM' })
  assert.deepEqual(fs.readdirSync(folder).sort(), [
    'empty.qcow2.zst',
    'empty.raw.gz',
    'empty.vhdx.gz',
    'odd.raw',
    'odd.raw.zst',
  ])
})
