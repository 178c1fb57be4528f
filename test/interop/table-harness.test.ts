import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isZero } from '../../src/binary/zero.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { BlockSource } from '../../src/block/types.js'
import { isImageError } from '../../src/errors.js'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import { openStore } from '../../src/formats/open.js'
import { clone } from '../../src/operations/device/clone.js'
import { keepParts } from '../../src/operations/imaging/parts.js'
import { injectPartition } from '../../src/operations/partition/inject.js'
import { usedOnly } from '../../src/operations/transfer/used-only.js'
import { readPartitionTable } from '../../src/partition/index.js'
import { Random } from '../fuzz/random.js'
import { vdisk } from '../support/cli.js'
import { readAll } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import {
  diskSectors,
  randomLayout,
  type LaidPartition,
  type Layout,
  type PreparedFilesystem,
} from '../support/random-tables.js'
import { have, run } from '../support/tools.js'

/** Random layouts that go through every operation in one process, and how many of them through commands and devices. */
const layouts = 300
const throughCommands = 4
const seed = 20261129
const sector = 512
const mebibyte = 1048576

interface Kind {
  readonly name: string
  readonly size: number
  readonly make: (path: string, files: string) => void
  readonly check: readonly string[]
}

const kinds: readonly Kind[] = [
  {
    name: 'ext4',
    size: 1.25 * mebibyte,
    make: (path, files) => void run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', '-d', files, path),
    check: ['e2fsck', '-fn'],
  },
  {
    name: 'ext2',
    size: 0.75 * mebibyte,
    make: (path, files) => void run('mke2fs', '-q', '-F', '-t', 'ext2', '-b', '1024', '-d', files, path),
    check: ['e2fsck', '-fn'],
  },
  {
    name: 'vfat',
    size: mebibyte,
    make: (path, files) => {
      run('mkfs.vfat', path)
      run('mcopy', '-s', '-i', path, join(files, 'a'), join(files, 'b'), '::')
    },
    check: ['fsck.vfat', '-n'],
  },
  {
    name: 'ntfs',
    size: 1.25 * mebibyte,
    make: (path) => void run('mkfs.ntfs', '-F', '-Q', '-q', path),
    check: ['ntfsfix', '-n'],
  },
  {
    name: 'exfat',
    size: mebibyte,
    make: (path) => void run('mkfs.exfat', '-b', '4K', '-c', '4K', path),
    check: ['fsck.exfat', '-n'],
  },
]

const programs = [
  ...['sfdisk', 'mke2fs', 'e2fsck', 'mkfs.vfat', 'fsck.vfat', 'mcopy'],
  ...['mkfs.ntfs', 'ntfsfix', 'mkfs.exfat', 'fsck.exfat'],
]

function disk(bytes: Uint8Array): BlockSource {
  return openStore(new MemoryStore(bytes), undefined, { from: 'raw' })
}

/** Every filesystem, with noise in all that it does not use. */
function prepare(folder: string): PreparedFilesystem[] {
  const files = join(folder, 'files')
  fs.mkdirSync(files)
  fs.writeFileSync(join(files, 'a'), Buffer.alloc(150_000, 'a'))
  fs.writeFileSync(join(files, 'b'), Buffer.alloc(70_000, 'b'))
  return kinds.map(({ name, size, make, check }) => {
    const path = join(folder, name)
    fs.writeFileSync(path, new Uint8Array(size))
    make(path, files)
    const bytes = fs.readFileSync(path)
    const [found] = identifyFilesystems(disk(bytes))
    const free = new Uint8Array(size / sector).fill(1)
    for (const { offset, length } of found!.usedRuns!())
      free.fill(0, Math.floor(offset / sector), Math.ceil((offset + length) / sector))
    for (const [index, isFree] of free.entries())
      if (isFree === 1) bytes.fill(0xdd, index * sector, (index + 1) * sector)
    assert.ok(free.includes(1) && free.includes(0), name)
    fs.writeFileSync(path, bytes)
    run(check[0]!, ...check.slice(1), path)
    return { name, bytes, free }
  })
}

/** What a disk is worth after an operation: everybody reads the same table, and every filesystem is in order. */
class Judge {
  readonly #folder: string
  /** Contents that were found in order: most partitions are the same again and again. */
  readonly #clean = new Set<string>()
  checked = 0
  readBySfdisk = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  table(bytes: Uint8Array): { readonly vdisk: unknown; readonly sfdisk: string | undefined } {
    const { scheme, diskId, partitions, issues, occupied, hybrid } = readPartitionTable(disk(bytes))
    const path = join(this.#folder, 'disk')
    fs.writeFileSync(path, bytes)
    const { status, stdout } = spawnSync('sfdisk', ['--dump', path], { encoding: 'utf8' })
    return {
      vdisk: { scheme, diskId, partitions, issues, occupied, hybrid },
      sfdisk: status === 0 ? stdout : undefined,
    }
  }

  sameTable(before: ReturnType<Judge['table']>, bytes: Uint8Array, what: string): void {
    const after = this.table(bytes)
    assert.deepEqual(after, before, `${what}: the table`)
    if (after.sfdisk !== undefined) this.readBySfdisk++
  }

  inOrder(bytes: Uint8Array, { start, number }: LaidPartition, filesystem: PreparedFilesystem, what: string): void {
    const content = bytes.subarray(start * sector, start * sector + filesystem.bytes.length)
    const digest = createHash('sha256').update(content).digest('hex')
    this.checked++
    if (this.#clean.has(digest)) return
    const path = join(this.#folder, 'volume')
    fs.writeFileSync(path, content)
    const [program = '', ...flags] = kinds.find(({ name }) => name === filesystem.name)!.check
    const { status, stdout, stderr } = spawnSync(program, [...flags, path], { encoding: 'utf8' })
    assert.equal(status, 0, `${what}: partition ${number}, ${filesystem.name}: ${stdout}${stderr}`)
    this.#clean.add(digest)
  }
}

/** Bytes that a table does not have, and a filesystem does not need. */
function isSpare({ table }: Layout, { start, filesystem }: LaidPartition, index: number): boolean {
  return filesystem.free[index] === 1 && !table.has(start + index)
}

function range(bytes: Uint8Array, start: number, count = 1): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start * sector, count * sector)
}

/** A layout in which everybody agrees on what there is. */
function soundLayout(random: Random, filesystems: readonly PreparedFilesystem[]): Layout {
  for (;;) {
    try {
      return randomLayout(random, filesystems)
    } catch (error) {
      // Not every draw has room for its table.
      if (!(error instanceof RangeError)) throw error
    }
  }
}

async function usedOnlyKeeps(
  layout: Layout,
  judge: Judge,
  before: ReturnType<Judge['table']>,
  what: string,
): Promise<void> {
  const { source, volumes } = await usedOnly(disk(layout.bytes))
  const copy = readAll(source)
  judge.sameTable(before, copy, `${what}, --used-only`)
  assert.ok(
    volumes.every(({ whole }) => whole === undefined || /nothing is known/.test(whole)),
    JSON.stringify(volumes),
  )
  for (const part of layout.partitions) {
    judge.inOrder(copy, part, part.filesystem, `${what}, --used-only`)
    // Its free space is gone, but for what the table has there.
    const spare = part.filesystem.free.findIndex((_, index) => isSpare(layout, part, index))
    if (spare >= 0) assert.ok(isZero(range(copy, part.start + spare)), `${what}: sector ${spare}`)
  }
}

function partsKeep(
  layout: Layout,
  random: Random,
  judge: Judge,
  before: ReturnType<Judge['table']>,
  what: string,
): void {
  const source = disk(layout.bytes)
  const wanted = layout.partitions.filter(() => random.chance(0.5))
  if (wanted.length === 0) return
  const copy = readAll(
    keepParts(
      source,
      readPartitionTable(source),
      wanted.map(({ number }) => number),
      'disk',
    ).source,
  )
  judge.sameTable(before, copy, `${what}, --parts`)
  for (const part of layout.partitions) {
    if (wanted.includes(part)) {
      assert.ok(range(copy, part.start, part.count).equals(range(layout.bytes, part.start, part.count)), what)
      continue
    }
    for (let at = part.start; at < part.start + part.count; at++)
      if (!layout.table.has(at)) assert.ok(isZero(range(copy, at)), `${what}: sector ${at}`)
  }
}

interface Injected {
  done: number
  refused: number
}

async function injectKeeps(
  layout: Layout,
  {
    random,
    filesystems,
    judge,
    at,
    counts,
  }: {
    readonly random: Random
    readonly filesystems: readonly PreparedFilesystem[]
    readonly judge: Judge
    readonly at: (name: string) => string
    readonly counts: Injected
  },
  before: ReturnType<Judge['table']>,
  what: string,
): Promise<void> {
  const part = random.pick(layout.partitions)
  const filesystem = random.pick(filesystems.filter(({ free }) => free.length <= part.count))
  fs.writeFileSync(at('content'), filesystem.bytes)
  fs.writeFileSync(at('source'), layout.bytes)
  const [argument, inPlace] = [`${at('source')}@${part.number}`, random.chance(0.5)]
  const where = inPlace ? { inPlace } : { output: at('output.raw'), force: true }
  // What the new content uses, and has otherwise than the table.
  const clashes = [...layout.table].some((place) => {
    const index = place - part.start
    if (index < 0 || index >= filesystem.free.length || filesystem.free[index] === 1) return false
    return !range(filesystem.bytes, index).equals(range(layout.bytes, place))
  })
  try {
    await injectPartition(argument, at('content'), {
      ...where,
      from: 'raw',
      content: { from: 'raw' },
      flush: false,
      threads: 0,
    })
  } catch (error) {
    if (!isImageError(error) || error.code !== 'E_TABLE_IN_PARTITION') throw error
    assert.ok(clashes, `${what}: ${error.message}`)
    assert.ok(fs.readFileSync(at('source')).equals(layout.bytes), what)
    counts.refused++
    return
  }
  assert.ok(!clashes, `${what}, inject ${part.number}: the table was overwritten`)
  counts.done++
  const copy = fs.readFileSync(at(inPlace ? 'source' : 'output.raw'))
  judge.sameTable(before, copy, `${what}, inject ${part.number}`)
  judge.inOrder(copy, part, filesystem, `${what}, inject`)
  for (const other of layout.partitions) {
    if (other === part) continue
    assert.ok(range(copy, other.start, other.count).equals(range(layout.bytes, other.start, other.count)), what)
  }
}

/** In memory where there is such a place: hundreds of disks are written. */
function scratchFolder(t: TestContext): string {
  if (!fs.existsSync('/dev/shm')) return testFolder(t)
  const folder = fs.mkdtempSync('/dev/shm/vdisk-test-')
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

test(`${layouts} random tables: what they occupy stays, whatever is done to partitions`, async (t) => {
  if (!programs.every((program) => have(t, program))) return
  const folder = scratchFolder(t)
  const filesystems = prepare(folder)
  const judge = new Judge(folder)
  const counts: Injected = { done: 0, refused: 0 }
  const seen = { inside: 0, schemes: new Map<string, number>() }
  for (let index = 0; index < layouts; index++) {
    const random = new Random(seed, index)
    const layout = soundLayout(random, filesystems)
    const what = `layout ${index} (${layout.scheme}, ${layout.variant})`
    const table = readPartitionTable(disk(layout.bytes))
    assert.equal(table.scheme, layout.scheme, what)
    assert.deepEqual(
      table.partitions
        .filter(({ role, type }) => role !== 'extended' && type.id !== 'Apple_partition_map')
        .map(({ number, start, length }) => [number, start / sector, length / sector]),
      layout.partitions
        .map(({ number, start, count }) => [number, start, count])
        .sort(([one = 0], [other = 0]) => one - other),
      what,
    )
    // Whatever the table has inside a partition is reported.
    const inside = layout.partitions.filter(({ start, count }) =>
      [...layout.table].some((place) => place >= start && place < start + count),
    )
    assert.deepEqual(
      [
        ...new Set(
          table.issues.flatMap(({ code, partition = 0 }) => (code === 'W_TABLE_IN_PARTITION' ? [partition] : [])),
        ),
      ].sort(),
      inside.map(({ number }) => number).sort(),
      what,
    )
    seen.inside += inside.length > 0 ? 1 : 0
    seen.schemes.set(layout.scheme, (seen.schemes.get(layout.scheme) ?? 0) + 1)
    const before = judge.table(layout.bytes)
    await usedOnlyKeeps(layout, judge, before, what)
    partsKeep(layout, random, judge, before, what)
    await injectKeeps(layout, { random, filesystems, judge, at: (name) => join(folder, name), counts }, before, what)
  }
  t.diagnostic(
    `${[...seen.schemes].map(([scheme, count]) => `${count} ${scheme}`).join(', ')}; ${seen.inside} ` +
      `with a part of the ` +
      `table inside a partition; ${judge.readBySfdisk} comparisons by sfdisk; ${judge.checked} filesystems; ` +
      `inject: ${counts.done} done, ${counts.refused} refused`,
  )
  assert.ok(seen.schemes.size === 4 && seen.inside > layouts / 4 && counts.done > layouts / 4 && counts.refused > 0)
  assert.ok(judge.readBySfdisk > layouts)
})

test(`${throughCommands} of them through commands, and through devices`, { skip: loopsMissing() }, async (t) => {
  if (!programs.every((program) => have(t, program))) return
  const folder = scratchFolder(t)
  const filesystems = prepare(folder)
  const judge = new Judge(folder)
  const at = (name: string): string => join(folder, name)
  for (let index = 0, done = 0; done < throughCommands; index++) {
    const layout = soundLayout(new Random(seed, index), filesystems)
    // Two of each that Linux knows best, with a part of the table in a partition.
    const inside = layout.partitions.some(({ start, count }) =>
      [...layout.table].some((place) => place >= start && place < start + count),
    )
    if (!inside || layout.scheme !== (done % 2 === 0 ? 'mbr' : 'gpt')) continue
    done++
    const what = `layout ${index} (${layout.scheme}, ${layout.variant})`
    const before = judge.table(layout.bytes)
    fs.writeFileSync(at('source.raw'), layout.bytes)
    const converted = await vdisk(['convert', 'source.raw', 'copy.raw', '--used-only', '--force'], { cwd: folder })
    assert.equal(converted.code, 0, `${what}: ${converted.stderr}`)
    fs.writeFileSync(at('target.raw'), new Uint8Array(diskSectors * sector))
    const [source, target] = [loopDevice(t, at('source.raw')), loopDevice(t, at('target.raw'))]
    await clone(source, target, { yes: true, confirm: String(diskSectors * sector), usedOnly: {} })
    const imaged = await vdisk(
      [
        'image',
        source,
        'image.raw',
        '--parts',
        layout.partitions.map(({ number }) => number).join(','),
        '--used-only',
        '--force',
      ],
      { cwd: folder },
    )
    assert.equal(imaged.code, 0, `${what}: ${imaged.stderr}`)
    for (const name of ['copy.raw', 'target.raw', 'image.raw']) {
      const copy = fs.readFileSync(at(name))
      judge.sameTable(before, copy, `${what}, ${name}`)
      for (const part of layout.partitions) judge.inOrder(copy, part, part.filesystem, `${what}, ${name}`)
    }
    for (const device of [source, target]) run('losetup', '--detach', device)
  }
})
