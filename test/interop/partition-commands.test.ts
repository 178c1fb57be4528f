import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { convert } from '../../src/operations/transfer/convert.js'
import { convertPartitionTable } from '../../src/operations/partition/convert.js'
import { extractPartition } from '../../src/operations/partition/extract.js'
import { fixTable } from '../../src/operations/partition/fix.js'
import { injectPartition } from '../../src/operations/partition/inject.js'
import { inspect } from '../../src/operations/inspect/inspect.js'
import { isImageError } from '../../src/errors.js'
import { diskLike, sha256 } from '../support/content.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run, scratch } from '../support/tools.js'

const mebibyte = 1048576
const plain = { threads: 0, flush: false } as const

/** An empty disk with the table that a script for sfdisk asks for, and content that is known in its partitions. */
function made(file: string, size: number, script: string): string {
  fs.writeFileSync(file, '')
  fs.truncateSync(file, size)
  const result = spawnSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', file], {
    input: script,
    encoding: 'utf8',
  })
  assert.equal(result.status, 0, result.stderr)
  return file
}

interface Listed {
  partitions: { node: string; start: number; size: number; type: string; name?: string; uuid?: string }[]
  sectorsize: number
}
const listed = (path: string): Listed =>
  (JSON.parse(run('sfdisk', '--json', path)) as { partitiontable: Listed }).partitiontable
const places = (path: string): [string, number, number][] => {
  const { partitions, sectorsize } = listed(path)
  return partitions.map(({ node, start, size }) => [
    /\d+$/.exec(node)?.[0] ?? '',
    start * sectorsize,
    size * sectorsize,
  ])
}

/** Puts known bytes at the start of a partition. */
function fill(file: string, start: number, seed: number): void {
  const handle = fs.openSync(file, 'r+')
  fs.writeSync(handle, diskLike(65536, seed), 0, 65536, start)
  fs.closeSync(handle)
}

const gptScript =
  'label: gpt\nstart=2048, size=8192, type=U, name="EFI system"\nstart=10240, size=20480, type=L, ' +
  'name="root"\nstart=32768, size=8192, type=S\n'
const mbrScript =
  'label: dos\nlabel-id: 0x1234abcd\nstart=2048, size=8192, type=c, bootable\nstart=10240, size=61440, ' +
  'type=f\nstart=12288, size=8192, type=83\nstart=22528, size=8192, type=82\nstart=32768, size=16384, type=8e\n'

test('a GPT whose primary was wiped is mended in place, and sgdisk finds nothing wrong', async (t) => {
  if (!have(t, 'sfdisk') || !have(t, 'sgdisk')) return
  const at = scratch(t)
  const file = made(at('a.raw'), 40 * mebibyte, gptScript)
  const before = listed(file)
  const handle = fs.openSync(file, 'r+')
  fs.writeSync(handle, new Uint8Array(17408), 0, 17408, 0)
  fs.closeSync(handle)
  const found = await inspect(file)
  assert.deepEqual(
    [found.issues.map(({ code }) => code), found.partitions.map(({ label }) => label)],
    [
      ['W_GPT_PRIMARY_BAD', 'W_PMBR_MISSING'],
      ['EFI system', 'root', undefined],
    ],
  )
  await fixTable(file, { ...plain, inPlace: true })
  assert.match(run('sgdisk', '--verify', file), /No problems found/)
  assert.deepEqual(listed(file), before)
  // A disk that was enlarged, and one that was cut behind its last partition, in formats with a head and a foot.
  for (const [size, to] of [
    [60, 'b.vhd'],
    [21, 'c.vhdx'],
  ] as const) {
    fs.copyFileSync(file, at('d.raw'))
    fs.truncateSync(at('d.raw'), size * mebibyte)
    await fixTable(at('d.raw'), { ...plain, output: at(to) })
    await convert(at(to), at('e.raw'), { ...plain, force: true })
    assert.match(run('sgdisk', '--verify', at('e.raw')), /No problems found/)
    assert.deepEqual(
      listed(at('e.raw')).partitions.map(({ start, size: sectors, uuid }) => [start, sectors, uuid]),
      before.partitions.map(({ start, size: sectors, uuid }) => [start, sectors, uuid]),
    )
  }
  await fixTable(file, { ...plain, inPlace: true, newIds: true })
  assert.match(run('sgdisk', '--verify', file), /No problems found/)
  const after = listed(file)
  assert.ok(after.partitions.every(({ uuid }, index) => uuid !== undefined && uuid !== before.partitions[index]!.uuid))
})

test(
  'extract and inject on disks of 512 and 4096-byte sectors give back the same bytes',
  { skip: loopsMissing() },
  async (t) => {
    if (!have(t, 'sfdisk')) return
    const at = scratch(t)
    for (const sectorSize of [512, 4096] as const) {
      const file = at(`disk-${sectorSize}.raw`)
      fs.writeFileSync(file, diskLike(22 * mebibyte, sectorSize))
      const device = loopDevice(t, file, sectorSize)
      const scale = 4096 / sectorSize
      const script = gptScript.replace(
        /(start|size)=(\d+)/g,
        (_, key: string, value: string) => `${key}=${(Number(value) / 8) * scale}`,
      )
      assert.equal(
        spawnSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe', 'always', device], {
          input: script,
          encoding: 'utf8',
        }).status,
        0,
      )
      run('blockdev', '--flushbufs', device)
      const whole = sha256(fs.readFileSync(file))
      const vhdx = at(`disk-${sectorSize}.vhdx`)
      await convert(file, vhdx, { ...plain, sectorSize })
      const { start, length } = (await inspect(vhdx)).partitions[1]!
      await extractPartition(`${vhdx}@2`, at(`p-${sectorSize}.qcow2`), plain)
      await convert(at(`p-${sectorSize}.qcow2`), at('p.raw'), { ...plain, force: true })
      assert.equal(sha256(fs.readFileSync(at('p.raw'))), sha256(fs.readFileSync(file).subarray(start, start + length)))
      await injectPartition(`${vhdx}@2`, at(`p-${sectorSize}.qcow2`), {
        ...plain,
        output: at('back.vhdx'),
        force: true,
      })
      await convert(at('back.vhdx'), at('back.raw'), { ...plain, force: true })
      assert.equal(sha256(fs.readFileSync(at('back.raw'))), whole)
      await injectPartition(`${vhdx}@2`, at(`p-${sectorSize}.qcow2`), { ...plain, inPlace: true })
      await convert(vhdx, at('back.raw'), { ...plain, force: true })
      assert.equal(sha256(fs.readFileSync(at('back.raw'))), whole)
    }
  },
)

test(
  'a table converted for 4096-byte sectors is read right by the kernel, and back again by sfdisk',
  { skip: loopsMissing() },
  async (t) => {
    if (!have(t, 'sfdisk') || !have(t, 'partx') || !have(t, 'sgdisk')) return
    const at = scratch(t)
    for (const [table, script] of [
      ['gpt', gptScript],
      ['mbr', mbrScript],
    ] as const) {
      const file = made(at(`${table}.raw`), 40 * mebibyte, script)
      const before = places(file)
      for (const [index, [, start]] of before.entries())
        if (!(table === 'mbr' && index === 1)) fill(file, start, index + 1)
      const converted = at(`${table}-4096.raw`)
      await convertPartitionTable(file, converted, { ...plain, sectorSize: 4096 })
      const device = loopDevice(t, converted, 4096)
      const rows = run('partx', '--show', '--bytes', '--noheadings', '--output', 'NR,START,SIZE', device)
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/\s+/).map(Number))
      // Like the kernel, partx shows a container as a stub of a few sectors, and counts starts in 512 bytes.
      const data = (rows_: (readonly (string | number)[])[]): (readonly (string | number)[])[] =>
        table === 'mbr' ? rows_.filter(([number]) => Number(number) !== 2) : rows_
      assert.deepEqual(
        data(rows.map(([number = 0, start = 0, size = 0]) => [number, start * 512, size])),
        data(before.map(([number, start, size]) => [Number(number), start, size])),
      )
      assert.deepEqual(places(device), before)
      if (table === 'gpt') assert.match(run('sgdisk', '--verify', device), /No problems found/)
      try {
        // A container is no device of its own in every kernel.
        for (const [number = ''] of data(before)) run('partx', '--add', '--nr', String(number), device)
        for (const [index, [number, start, size]] of before.entries()) {
          if (table === 'mbr' && index === 1) continue
          // The kernel's own numbers, in 512 bytes whatever the sectors. (The nodes in /dev are another program's
          // work.)
          const name = path.basename(device)
          const [from, sectors] = ['start', 'size'].map((value) =>
            Number(fs.readFileSync(`/sys/block/${name}/${name}p${number}/${value}`, 'utf8')),
          )
          assert.deepEqual([from, sectors], [start / 512, size / 512], `${table} ${number}`)
          const handle = fs.openSync(device, 'r')
          const bytes = Buffer.alloc(65536)
          fs.readSync(handle, bytes, 0, 65536, (from ?? 0) * 512)
          fs.closeSync(handle)
          assert.ok(bytes.equals(diskLike(65536, index + 1)), `${table} ${number}`)
        }
      } finally {
        // All of them: what is left would haunt the next user of the loop device.
        for (const [number = ''] of data(before)) spawnSync('partx', ['--delete', '--nr', String(number), device])
      }
      const back = at(`${table}-512.raw`)
      await convertPartitionTable(device, back, { ...plain, sectorSize: 512, from: 'raw' }).catch((error: unknown) => {
        // A device or file with an MBR does not record its sector size: what it counts in is what the disk is presented
        // with.
        assert.ok(table === 'mbr' && isImageError(error) && error.code === 'E_SAME_TABLE', String(error))
      })
      if (table === 'gpt') assert.deepEqual(places(back), before)
    }
  },
)

test('GPT and MBR into each other, as sfdisk and sgdisk read them', async (t) => {
  if (!have(t, 'sfdisk') || !have(t, 'sgdisk')) return
  const at = scratch(t)
  const mbr = made(at('mbr.raw'), 40 * mebibyte, mbrScript)
  await convertPartitionTable(mbr, at('gpt.raw'), { ...plain, table: 'gpt' })
  assert.match(run('sgdisk', '--verify', at('gpt.raw')), /No problems found/)
  assert.deepEqual(
    places(at('gpt.raw')),
    places(mbr).filter(([number]) => number !== '2'),
  )
  const types = listed(at('gpt.raw')).partitions.map(({ type }) => type.toLowerCase())
  assert.deepEqual(types, [
    'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7',
    '0fc63daf-8483-4772-8e79-3d69d8477de4',
    '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f',
    'e6d6d379-f507-44c2-a23c-238f2a3df928',
  ])
  assert.match(run('sgdisk', '--info=1', at('gpt.raw')), /Attribute flags: 0000000000000004/)
  const gpt = made(at('b.raw'), 40 * mebibyte, gptScript)
  const result = await convertPartitionTable(gpt, at('b.vhdx'), { ...plain, table: 'mbr' })
  assert.deepEqual(
    result.notes.map(({ code }) => code),
    ['W_IDS_LOST'],
  )
  await convert(at('b.vhdx'), at('c.raw'), plain)
  assert.deepEqual(
    [places(at('c.raw')), listed(at('c.raw')).partitions.map(({ type }) => type)],
    [places(gpt), ['ef', '83', '82']],
  )
  // No stale GPT is left behind the new table.
  assert.doesNotMatch(run('wipefs', at('c.raw')), /gpt/)
  // What an MBR cannot hold is refused, and so are ends inside a sector, until they may be moved.
  run('sgdisk', '--attributes=1:set:60', gpt)
  await assert.rejects(convertPartitionTable(gpt, at('d.raw'), { ...plain, table: 'mbr' }), {
    code: 'E_ATTRIBUTES_LOST',
  })
  run('sgdisk', '--typecode=1:8301', '--attributes=1:clear:60', gpt)
  const odd = made(at('odd.raw'), 40 * mebibyte, 'label: gpt\nstart=2048, size=8191\nstart=16384, size=65503\n')
  await assert.rejects(convertPartitionTable(odd, at('d.raw'), { ...plain, sectorSize: 4096 }), {
    code: 'E_SECTOR_MISFIT',
  })
  const rounded = await convertPartitionTable(odd, at('d.raw'), { ...plain, sectorSize: 4096, roundEnds: true })
  assert.ok(rounded.target.capacity > 40 * mebibyte && rounded.notes.some(({ code }) => code === 'W_ENLARGED'))
  assert.deepEqual(
    (await inspect(at('d.raw'))).issues.filter(({ severity }) => severity === 'error'),
    [],
  )
})

test('a wrapped partition is a disk without faults to sgdisk and sfdisk', async (t) => {
  if (!have(t, 'sfdisk') || !have(t, 'sgdisk')) return
  const at = scratch(t)
  const file = made(at('a.raw'), 40 * mebibyte, gptScript)
  for (const [name, options] of [
    ['g.raw', { wrap: 'gpt' }],
    ['m.raw', { wrap: 'mbr' }],
  ] as const) {
    await extractPartition(`${file}@label=root`, at(name), { ...plain, ...options })
    assert.deepEqual(places(at(name)), [['1', mebibyte, 20480 * 512]])
    assert.equal(listed(at(name)).partitions[0]!.type, name === 'g.raw' ? '0FC63DAF-8483-4772-8E79-3D69D8477DE4' : '83')
  }
  assert.match(run('sgdisk', '--verify', at('g.raw')), /No problems found/)
  assert.equal(listed(at('g.raw')).partitions[0]!.name, 'root')
})
