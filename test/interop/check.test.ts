import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import test from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { check } from '../../src/operations/check/check.js'
import { diskLike, sha256 } from '../support/content.js'
import { driver, openContext } from '../support/drivers.js'
import { fixture, fixtureRecord } from '../support/fixtures.js'
import { have, run, scratch } from '../support/tools.js'
import { batEntry, mib } from '../support/vhdx-bytes.js'

/** Codes of what a deep check finds, layer by layer. */
async function found(path: string, from?: string): Promise<string[][]> {
  const { layers } = await check(path, { deep: true, from })
  return layers.map(({ findings }) => findings.map(({ code }) => code))
}

test('nothing is wrong with VHD and VHDX images that qemu-img makes', async (t) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  fs.writeFileSync(at('disk.raw'), diskLike(20 * mib + 512, 3))
  for (const [format, options] of [
    ['vpc', 'subformat=dynamic'],
    ['vpc', 'subformat=fixed'],
    ['vpc', 'subformat=dynamic,force_size=on'],
    ['vhdx', 'subformat=dynamic'],
    ['vhdx', 'subformat=dynamic,block_size=1M'],
    ['vhdx', 'subformat=dynamic,block_state_zero=off'],
  ] as const) {
    const from = format === 'vpc' ? 'vhd' : format
    run('qemu-img', 'create', '-q', '-f', format, '-o', options, at('empty'), '100M')
    assert.deepEqual(await found(at('empty'), from), [[]], `empty ${format} ${options}`)
    run('qemu-img', 'convert', '-f', 'raw', '-O', format, '-o', options, at('disk.raw'), at('full'))
    assert.deepEqual(await found(at('full'), from), [[]], `${format} ${options}`)
  }
})

test('the space that qemu-img sets aside for a fixed VHDX and never uses is a leak', async (t) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  run('qemu-img', 'create', '-q', '-f', 'vhdx', '-o', 'subformat=fixed', at('fixed.vhdx'), '8M')
  assert.deepEqual(await found(at('fixed.vhdx')), [['L_UNREFERENCED']])
})

test('damage of a VHDX that qemu-img check does not see', async (t) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  fs.writeFileSync(at('disk.raw'), diskLike(20 * mib, 3))
  run('qemu-img', 'convert', '-f', 'raw', '-O', 'vhdx', '-o', 'block_size=1M', at('disk.raw'), at('whole.vhdx'))
  const whole = fs.readFileSync(at('whole.vhdx'))
  const bat = Number(
    [0, 1]
      .map((index) => whole.subarray(196608 + 16 + index * 32))
      .find((entry) => entry.readUInt32LE(0) === 0x2dc27766)
      ?.readBigUInt64LE(16),
  )
  const entries = Array.from({ length: 20 }, (_, block) => whole.readBigUInt64LE(bat + block * 8))
  const stored = entries.flatMap((entry, block) => (entry % 8n === 6n ? [block] : []))
  const [first, second] = stored
  assert.ok(first !== undefined && second !== undefined)
  for (const [what, codes, change] of [
    [
      'two blocks in one place',
      ['E_OVERLAP', 'L_UNREFERENCED'],
      (image: Buffer) => image.writeBigUInt64LE(entries[first] ?? 0n, bat + second * 8),
    ],
    [
      'a block that nothing names',
      ['L_UNREFERENCED'],
      (image: Buffer) => image.writeBigUInt64LE(batEntry(2), bat + second * 8),
    ],
    ['a header that is damaged', ['E_HEADER_INVALID'], (image: Buffer) => image.fill(0, 65536, 65540)],
    [
      'a region table whose copy is damaged',
      ['E_REGION_TABLE_INVALID'],
      (image: Buffer) => image.fill(0, 262144, 262148),
    ],
    [
      'a reserved state',
      ['E_BAT_STATE', 'L_UNREFERENCED'],
      (image: Buffer) => image.writeBigUInt64LE(batEntry(4), bat + second * 8),
    ],
    [
      'a block in the headers',
      ['E_BAT_RANGE', 'L_UNREFERENCED'],
      (image: Buffer) => image.writeBigUInt64LE(batEntry(6), bat + second * 8),
    ],
  ] as const) {
    const image = Buffer.from(whole)
    change(image)
    fs.writeFileSync(at('damaged.vhdx'), image)
    assert.deepEqual(await found(at('damaged.vhdx')), [[...codes]], what)
    const peer = spawnSync('qemu-img', ['check', '-f', 'vhdx', at('damaged.vhdx')], { encoding: 'utf8' })
    assert.equal(peer.status, 0, `${what}: qemu-img has learnt something: ${peer.stdout}${peer.stderr}`)
  }
})

test('fixtures: sound ones are clean, damaged ones are reported', async () => {
  for (const [path, ...expected] of [
    ['raw/split.001', []],
    ['vhd/chain/leaf.vhd', [], [], []],
    ['vhdx/dynamic.vhdx', []],
    ['vhdx/fixed.vhdx', []],
    ['vhdx/all-states.vhdx', []],
    ['vhdx/two-chunks.vhdx', []],
    ['vhdx/chain/leaf.vhdx', [], [], []],
    ['vhdx/sectors-4096-child.vhdx', [], []],
    ['vhdx/damaged-header.vhdx', ['E_HEADER_INVALID']],
    ['vhdx/damaged-region-table.vhdx', ['E_REGION_TABLE_COPY_USED']],
    ['vhdx/dirty-log-wrapped.vhdx', ['W_LOG_REPLAYED']],
    ['vhd/fixed-511.vhd', ['W_FOOTER_511']],
    ['vhd/fixed-bytes-after-footer.vhd', ['E_FOOTER_NOT_AT_END']],
  ] as const) {
    const layers = await found(fixture(path))
    // Copies of parents have a time of their own.
    assert.deepEqual(
      layers.map((codes) => codes.filter((code) => code !== 'W_PARENT_TIME')),
      expected,
      path,
    )
  }
})

/** Repairs a file and gives the codes of what was done. */
function repaired(path: string, format: 'vhd' | 'vhdx', to: string): string[] {
  const store = new MemoryStore(fs.readFileSync(path), path)
  const actions = [...driver(format).repair!(store, openContext)].flatMap((item) => ('code' in item ? [item.code] : []))
  fs.writeFileSync(to, store.contents())
  return actions
}

test('qemu-img reads what was repaired, and could not read it before', async (t) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  fs.writeFileSync(at('disk.raw'), diskLike(20 * mib, 3))
  for (const [format, name, break_, codes] of [
    ['vhd', 'vpc', (image: Buffer) => image.fill(0, 0, 512), ['E_FOOTER_COPY_DAMAGED']],
    ['vhdx', 'vhdx', (image: Buffer) => image.fill(0, 196608, 196612), ['E_REGION_TABLE_COPY_USED']],
  ] as const) {
    run(
      'qemu-img',
      'convert',
      '-f',
      'raw',
      '-O',
      name,
      ...(name === 'vpc' ? ['-o', 'force_size=on'] : []),
      at('disk.raw'),
      at('whole'),
    )
    const image = fs.readFileSync(at('whole'))
    break_(image)
    fs.writeFileSync(at('damaged'), image)
    assert.notEqual(spawnSync('qemu-img', ['info', '-f', name, at('damaged')]).status, 0)
    assert.deepEqual(repaired(at('damaged'), format, at('mended')), codes)
    assert.deepEqual(await found(at('mended'), format), [[]])
    run('qemu-img', 'compare', '-f', 'raw', '-F', name, at('disk.raw'), at('mended'))
    if (name === 'vpc') assert.equal(Buffer.compare(fs.readFileSync(at('whole')), fs.readFileSync(at('mended'))), 0)
  }
})

test('qemu-img reads a VHDX whose log was replayed into it', (t) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  for (const path of ['vhdx/dirty-log.vhdx', 'vhdx/dirty-log-wrapped.vhdx']) {
    assert.notEqual(
      spawnSync('qemu-img', ['convert', '-f', 'vhdx', '-O', 'raw', fixture(path), at('no.raw')]).status,
      0,
    )
    assert.deepEqual(repaired(fixture(path), 'vhdx', at('mended.vhdx')), ['W_LOG_REPLAYED'])
    run('qemu-img', 'check', '-f', 'vhdx', at('mended.vhdx'))
    run('qemu-img', 'convert', '-f', 'vhdx', '-O', 'raw', at('mended.vhdx'), at('disk.raw'))
    assert.equal(sha256(fs.readFileSync(at('disk.raw'))), fixtureRecord(path).guestSha256)
  }
})
