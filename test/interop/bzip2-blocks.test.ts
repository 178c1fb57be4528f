import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { finish } from '../../src/block/work.js'
import { scanBzip2 } from '../../src/codec/stream/bzip2-scan.js'
import { compare, convert, hash, info, restore } from '../../src/index.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have } from '../support/tools.js'

const mebibyte = 1024 * 1024
const disk = Buffer.concat([diskLike(3 * mebibyte + 512, 1), Buffer.alloc(60 * mebibyte), diskLike(2 * mebibyte, 2)])

const kinds = {
  'level1.raw.bz2': () => by('bzip2', ['-1c'], disk),
  'level9.raw.bz2': () => by('bzip2', ['-9c'], disk),
  // As pbzip2 writes it: streams one behind the other, of different levels, and zeros behind.
  'streams.raw.bz2': () =>
    Buffer.concat([
      by('bzip2', ['-9c'], disk.subarray(0, mebibyte)),
      by('bzip2', ['-c'], Buffer.alloc(0)),
      by('bzip2', ['-2c'], disk.subarray(mebibyte)),
      Buffer.alloc(1000),
    ]),
}

for (const [name, make] of Object.entries(kinds)) {
  test(`${name}: read by its blocks, with no scratch file`, async (t) => {
    if (!have(t, 'bzip2')) return
    const folder = testFolder(t)
    const at = (file: string): string => join(folder, file)
    fs.writeFileSync(at(name), make())
    fs.writeFileSync(at('plain.raw'), disk)
    const scratchFolder = at('not-there')
    const { source } = await convert(at(name), at('out.qcow2'), { scratchFolder, verify: true })
    assert.equal(source.access, 'units')
    assert.equal((await compare(at('out.qcow2'), at('plain.raw'))).sameContent, true)
    assert.equal((await compare(at(name), at('plain.raw'))).same, true)
    const range = { offset: 2 * mebibyte + 77, length: 123_456 }
    const [part, plain] = await Promise.all([
      hash(at(name), { ranges: [range] }),
      hash(at('plain.raw'), { ranges: [range] }),
    ])
    assert.deepEqual(part.digests, plain.digests)
  })
}

test('a qcow2 in a bzip2 file is read in place', async (t) => {
  if (!have(t, 'bzip2')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.writeFileSync(at('plain.raw'), disk)
  await convert(at('plain.raw'), at('disk.qcow2'))
  fs.writeFileSync(at('disk.qcow2.bz2'), by('bzip2', ['-c'], fs.readFileSync(at('disk.qcow2'))))
  const { source } = await convert(at('disk.qcow2.bz2'), at('out.raw'), { scratchFolder: at('not-there') })
  assert.deepEqual([source.format, source.access], ['qcow2', 'units'])
  assert.equal(Buffer.compare(fs.readFileSync(at('out.raw')), disk), 0)
  assert.match(accessText(at('disk.qcow2.bz2')), /at any place, by its blocks/)
})

test('damage in any block is found when the file is opened, and no target is left', async (t) => {
  if (!have(t, 'bzip2')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  const good = kinds['level1.raw.bz2']()
  const blocks = finish(
    scanBzip2((position, target) => target.set(good.subarray(position, position + target.length)), good.length),
  )
  assert.ok(blocks !== undefined && blocks.starts.length > 20)
  const inBlock = Math.floor(((blocks.starts[12] ?? 0) + (blocks.ends[12] ?? 0)) / 16)
  const changed = (position: number): Buffer => {
    const bytes = Buffer.from(good)
    bytes[position]! ^= 0x10
    return bytes
  }
  const cases = {
    'block.raw.bz2': [changed(inBlock), 'E_COMPRESSED'],
    'combined.raw.bz2': [changed(good.length - 3), 'E_COMPRESSED'],
    // One whole block is missing: each that is left decodes.
    'missing.raw.bz2': [withoutBlock(good, blocks.starts[12] ?? 0, blocks.ends[12] ?? 0), 'E_COMPRESSED'],
    'cut.raw.bz2': [good.subarray(0, good.length - 5000), 'E_TRUNCATED'],
    'behind.raw.bz2': [Buffer.concat([good, Buffer.from('rubbish')]), 'E_TRAILING_DATA'],
  } as const
  for (const [name, [bytes, code]] of Object.entries(cases)) {
    fs.writeFileSync(at(name), bytes)
    // bzip2 itself warns of what follows, and goes on.
    if (code !== 'E_TRAILING_DATA') assert.throws(() => by('bzip2', ['-t'], bytes), name)
    await assert.rejects(convert(at(name), at('out.raw')), { code }, name)
    await assert.rejects(hash(at(name)), { code }, name)
  }
  assert.deepEqual(fs.readdirSync(folder).sort(), Object.keys(cases).sort())
})

test('restore writes a bzip2 file without a scratch file', { skip: loopsMissing() }, async (t) => {
  if (!have(t, 'bzip2')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  const content = disk.subarray(0, 6 * mebibyte)
  fs.writeFileSync(at('disk.raw.bz2'), by('bzip2', ['-3c'], content))
  fs.writeFileSync(at('device'), Buffer.alloc(8 * mebibyte, 'before'))
  const device = loopDevice(t, at('device'))
  const { source, verified } = await restore(at('disk.raw.bz2'), device, {
    yes: true,
    confirm: String(8 * mebibyte),
    allowNoTable: true,
  })
  assert.deepEqual([source.access, verified], ['units', true])
  assert.equal(Buffer.compare(fs.readFileSync(at('device')).subarray(0, content.length), content), 0)
})

/** The same without some bits. */
function withoutBlock(bytes: Buffer, start: number, end: number): Buffer {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const left = bits.slice(0, start) + bits.slice(end)
  return Buffer.from(
    (left.padEnd(Math.ceil(left.length / 8) * 8, '0').match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)),
  )
}

/** How `info` says that the content is reached. */
function accessText(path: string): string {
  const inside = info(path).sections.find(({ title }) => title === 'Inside')
  return String(inside?.facts.find(({ name }) => name === 'access')?.value)
}
