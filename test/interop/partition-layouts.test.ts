import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import type { BlockSource } from '../../src/block/types.js'
import { openFile } from '../../src/formats/open.js'
import { planGrowth, readPartitionTable, type PartitionTable } from '../../src/partition/index.js'
import { Random } from '../fuzz/random.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run, scratch } from '../support/tools.js'

/** Two hundred layouts, made and read by sfdisk and sgdisk: numbers, places, types and ids must agree. */
const layouts = 200

interface Listed {
  label: string
  id: string
  sectorsize: number
  partitions?: {
    node: string
    start: number
    size: number
    type: string
    uuid?: string
    name?: string
    bootable?: boolean
  }[]
}

function tableOf(file: string): PartitionTable {
  using image = openFile(file, { from: 'raw' })
  return readPartitionTable(image)
}

/** sfdisk's script for a random layout. */
function script(random: Random, label: 'dos' | 'gpt', sectors: number): string {
  const lines = [`label: ${label}`, ...(label === 'dos' ? [`label-id: 0x${random.word().toString(16)}`] : [])]
  const types =
    label === 'dos'
      ? ['83', '82', '7', 'c', 'ef', '8e', 'fd']
      : ['L', 'U', 'S', 'H', 'R', 'E3C9E316-0B5C-4DB8-817D-F92DF00215AE', 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7']
  const extended = label === 'dos' && random.chance(0.5)
  const count = 1 + random.below(label === 'gpt' ? 8 : extended ? 3 : 4)
  let start = 2048
  const room = Math.floor((sectors - 8192) / (count + (extended ? 6 : 0)))
  for (let index = 0; index < count; index++) {
    const size = 2048 + random.below(Math.max(1, room - 4096))
    const type = random.pick(types)
    const name = label === 'gpt' ? `, name="part ${index} ${'äß–x'.slice(0, random.below(5))}"` : ''
    const bootable = random.chance(0.2) ? ', bootable' : ''
    lines.push(`start=${start}, size=${size}, type=${type}${name}${bootable}`)
    start += size + random.below(2048) * (random.chance(0.3) ? 1 : 0)
  }
  if (extended) {
    lines.push(`start=${start}, size=${sectors - start - 64}, type=f`)
    let logical = start + 2048
    for (let index = 0; index < 1 + random.below(5); index++) {
      const size = 2048 + random.below(4096)
      if (logical + size > sectors - 4096) break
      lines.push(`start=${logical}, size=${size}, type=${random.pick(types)}`)
      logical += size + 2048
    }
  }
  return `${lines.join('\n')}\n`
}

test(`${layouts} generated layouts agree with sfdisk and sgdisk`, (t) => {
  if (!have(t, 'sfdisk') || !have(t, 'sgdisk')) return
  const file = scratchFile(t)
  const random = new Random(20261122, 0)
  let hybrids = 0
  let checked = 0
  for (let index = 0; index < layouts; index++) {
    fs.rmSync(file, { force: true })
    fs.closeSync(fs.openSync(file, 'w'))
    const sectors = 65536 + random.below(400_000)
    fs.truncateSync(file, sectors * 512)
    const label = random.chance(0.5) ? 'dos' : 'gpt'
    const made = spawnSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', file], {
      input: script(random, label, sectors),
      encoding: 'utf8',
    })
    assert.equal(made.status, 0, made.stderr)
    const listed = (JSON.parse(run('sfdisk', '--json', file)) as { partitiontable: Listed }).partitiontable
    const table = tableOf(file)
    assert.equal(table.scheme, label === 'dos' ? 'mbr' : 'gpt')
    assert.equal(table.diskId, listed.id.toLowerCase().replace(/^0x/, ''))
    const expected = (listed.partitions ?? []).map((each) => ({
      number: Number(/(\d+)$/.exec(each.node)?.[1]),
      start: each.start * 512,
      length: each.size * 512,
      type: label === 'gpt' ? each.type.toLowerCase() : `0x${each.type.padStart(2, '0')}`,
      label: each.name,
      active: each.bootable === true,
    }))
    assert.deepEqual(
      table.partitions.map(({ number, start, length, type, label: name, flags }) => ({
        number,
        start,
        length,
        type: type.id,
        label: name,
        active: flags.includes('active'),
      })),
      expected,
      `layout ${index}`,
    )
    if (label === 'gpt') {
      assert.deepEqual(
        table.partitions.map(({ uuid }) => uuid),
        (listed.partitions ?? []).map(({ uuid }) => uuid?.toLowerCase()),
      )
      assert.deepEqual(
        table.issues.filter(({ code }) => code !== 'W_MISALIGNED'),
        [],
      )
      // sgdisk waits a second at each.
      if (hybrids < 8 && random.chance(0.4)) {
        run('sgdisk', '--hybrid=1', file)
        hybrids++
        const hybrid = tableOf(file)
        assert.deepEqual(
          [hybrid.scheme, hybrid.hybrid.map(({ start, length }) => [start, length])],
          ['gpt', [[table.partitions[0]!.start, table.partitions[0]!.length]]],
        )
        assert.ok(hybrid.issues.some(({ code }) => code === 'W_HYBRID_MBR'))
      }
    }
    checked++
  }
  assert.ok(checked === layouts && hybrids === 8)
})

test('logical partitions in the order in which fdisk made them, not in that of their places', (t) => {
  if (!have(t, 'fdisk') || !have(t, 'sfdisk')) return
  const file = scratchFile(t)
  fs.writeFileSync(file, '')
  fs.truncateSync(file, 64 * 1024 * 1024)
  // The third one, and the fourth before the first, go into gaps.
  const logical = [20480, 61440, 40960, 4096].map((start) => `n\nl\n${start}\n+4M\n`)
  const made = spawnSync('fdisk', [file], { input: `n\ne\n1\n2048\n\n${logical.join('')}w\n`, encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
  const places = (): string[] => tableOf(file).partitions.map(({ number, start }) => `${number}: ${start / 512}`)
  const listed = (): Listed['partitions'] =>
    (JSON.parse(run('sfdisk', '--json', file)) as { partitiontable: Listed }).partitiontable.partitions ?? []
  const theirs = (): string[] => (listed() ?? []).map(({ node, start }) => `${/\d+$/.exec(node)?.[0]}: ${start}`)
  const expected = ['1: 2048', '5: 20480', '6: 61440', '7: 40960', '8: 4096']
  assert.deepEqual([places(), theirs()], [expected, expected])
  assert.deepEqual(
    tableOf(file).issues.filter(({ code }) => code !== 'W_MISALIGNED'),
    [],
  )
  // The whole chain is written anew when the last one by its place grows.
  fs.truncateSync(file, 80 * 1024 * 1024)
  using image = openFile(file, { from: 'raw' })
  const growth = planGrowth(image, tableOf(file))
  assert.ok('writes' in growth)
  assert.equal(growth.number, 6)
  const descriptor = fs.openSync(file, 'r+')
  for (const { position, bytes } of growth.writes.flat()) fs.writeSync(descriptor, bytes, 0, bytes.length, position)
  fs.closeSync(descriptor)
  assert.deepEqual([places(), theirs()], [expected, expected])
  assert.equal((listed() ?? []).find(({ node }) => node.endsWith('6'))?.size, 80 * 2048 - 61440)
})

const loops = loopsMissing()

test('layouts on a disk with sectors of 4096 bytes agree with sfdisk and sgdisk', { skip: loops }, (t) => {
  if (!have(t, 'sfdisk') || !have(t, 'sgdisk')) return
  const file = scratchFile(t)
  fs.writeFileSync(file, '')
  fs.truncateSync(file, 512 * 1048576)
  const device = loopDevice(t, file, 4096)
  const random = new Random(20261122, 1)
  for (const label of ['gpt', 'dos', 'gpt'] as const) {
    const made = spawnSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe', 'always', device], {
      input: script(random, label, 131072),
      encoding: 'utf8',
    })
    assert.equal(made.status, 0, made.stderr)
    const listed = (JSON.parse(run('sfdisk', '--json', device)) as { partitiontable: Listed }).partitiontable
    using image = openFile(device, { from: 'raw' })
    const table = readPartitionTable(label === 'dos' ? asSectors4096(image) : image)
    assert.deepEqual(
      [table.sectorSize, table.partitions.map(({ start, length }) => [start, length])],
      [4096, (listed.partitions ?? []).map(({ start, size }) => [start * 4096, size * 4096])],
    )
    if (label === 'gpt') assert.match(run('sgdisk', '--verify', device), /No problems found/)
  }
})

/** An MBR does not record its sector size: the disk does. */
function asSectors4096(source: BlockSource): BlockSource {
  return {
    capacity: source.capacity,
    sectorSize: 4096,
    grain: source.grain,
    extentAt: (offset, limit) => source.extentAt(offset, limit),
    read: (offset, target) => source.read(offset, target),
    [Symbol.dispose]: () => undefined,
  }
}

/** In memory where there is such a place: sfdisk waits for the medium at each of hundreds of tables. */
function scratchFile(t: TestContext): string {
  if (!fs.existsSync('/dev/shm')) return scratch(t)('disk.raw')
  const folder = fs.mkdtempSync('/dev/shm/vdisk-test-')
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return path.join(folder, 'disk.raw')
}
