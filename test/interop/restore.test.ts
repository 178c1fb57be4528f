import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  clone,
  convert,
  imageDisk,
  inspect,
  restore,
  type RestoreOptions,
  type RestoreResult,
} from '../../src/index.js'
import { bios, boots, emulator, haveUefi } from '../support/boots.js'
import { bootableDisk, haveBootLoaders } from '../support/bootable-disk.js'
import { diskLike } from '../support/content.js'
import { fixture } from '../support/fixtures.js'
import { sameFacts } from '../support/same-facts.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const skip = loopsMissing()
const mebibyte = 1048576

function wasThere(size: number): Buffer {
  return Buffer.alloc(size, 'what was here before ')
}

/** A disk that held something else: what is not written shows. */
function usedDisk(t: TestContext, path: string, size: number, sectorSize: 512 | 4096 = 512): string {
  fs.writeFileSync(path, wasThere(size))
  return loopDevice(t, path, sectorSize)
}

function yes(path: string): Pick<RestoreOptions, 'yes' | 'confirm'> {
  return { yes: true, confirm: String(fs.statSync(path).size) }
}

function sha256(path: string, start: number, length: number): string {
  const bytes = Buffer.alloc(length)
  const descriptor = fs.openSync(path, 'r')
  fs.readSync(descriptor, bytes, 0, length, start)
  fs.closeSync(descriptor)
  return createHash('sha256').update(bytes).digest('hex')
}

function part(path: string, start: number, length: number, to: string): string {
  const bytes = Buffer.alloc(length)
  const descriptor = fs.openSync(path, 'r')
  fs.readSync(descriptor, bytes, 0, length, start)
  fs.closeSync(descriptor)
  fs.writeFileSync(to, bytes)
  return to
}

async function partitions(path: string): Promise<{ number: number; start: number; length: number }[]> {
  return (await inspect(path, { from: 'raw' })).partitions.map(({ number, start, length }) => ({
    number,
    start,
    length,
  }))
}

/** Codes of warnings, without what says where the test itself runs. */
function codes({ notes }: Pick<RestoreResult, 'notes'>): string[] {
  return notes.map(({ code }) => code).filter((code) => code !== 'W_PLACE_UNKNOWN')
}

test('a disk with BIOS and UEFI boot, as VHDX, restored to a larger disk boots from it', { skip }, async (t) => {
  if (!have(t, emulator) || !have(t, 'sgdisk')) return
  const uefi = haveUefi(t)
  if (uefi === undefined) return
  const folder = testFolder(t)
  const file = join(folder, 'disk')
  // The whole way: a disk, its image, another disk.
  await convert(fixture('partitioned-disk.vhdx'), join(folder, 'source.raw'))
  const image = join(folder, 'disk.vhdx')
  await imageDisk(loopDevice(t, join(folder, 'source.raw')), image, { allowSameDisk: true })
  const device = usedDisk(t, file, 100 * mebibyte)
  const result = await restore(image, device, yes(file))
  assert.deepEqual([result.origin?.verdict, result.origin?.differences.length], ['other', 1])
  assert.deepEqual([result.verified, codes(result), result.bytes.left], [true, [], 60 * mebibyte])
  assert.match(run('sgdisk', '-v', device), /No problems found/)
  assert.deepEqual(await partitions(device), await partitions(join(folder, 'source.raw')))
  for (const { start, length } of await partitions(device))
    assert.equal(sha256(device, start, length), sha256(join(folder, 'source.raw'), start, length))
  // The old backup of the GPT is gone, the new one is the last sector, and the rest of the disk was left alone.
  assert.ok(
    fs
      .readFileSync(file)
      .subarray(40 * mebibyte - 33 * 512, 40 * mebibyte)
      .every((byte) => byte === 0),
  )
  assert.equal(fs.readFileSync(file).indexOf('EFI PART', 1024), 100 * mebibyte - 512)
  assert.ok(
    fs
      .readFileSync(file)
      .subarray(40 * mebibyte, 99 * mebibyte)
      .equals(wasThere(100 * mebibyte).subarray(40 * mebibyte, 99 * mebibyte)),
  )
  const at = (name: string): string => join(folder, name)
  await boots(bios, device, 'raw', at)
  await boots(uefi, device, 'raw', at)
})

test('the same size: the same bytes, whatever the device held', { skip }, async (t) => {
  const folder = testFolder(t)
  const file = join(folder, 'disk')
  await convert(fixture('partitioned-disk.vhdx'), join(folder, 'source.raw'))
  const source = fs.readFileSync(join(folder, 'source.raw'))
  const device = usedDisk(t, file, source.length)
  const result = await restore(fixture('partitioned-disk.vhdx'), device, yes(file))
  assert.ok(fs.readFileSync(file).equals(source))
  assert.deepEqual([result.mends, result.bytes.written, result.bytes.left], [[], source.length, 0])
})

test(
  'a larger disk with --grow and --new-ids, and a smaller one with --fit: tables, FAT and ext4 are sound',
  { skip },
  async (t) => {
    if (
      !haveBootLoaders(t) ||
      !['sgdisk', 'mkfs.vfat', 'mke2fs', 'mmd', 'e2fsck', 'resize2fs', 'dumpe2fs'].every((program) => have(t, program))
    )
      return
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    const raw = bootableDisk(at)
    await convert(raw, at('disk.vhdx'))
    const before = await partitions(raw)
    const volumes = before.slice(0, 2)

    const large = usedDisk(t, at('large'), 160 * mebibyte)
    const grown = await restore(at('disk.vhdx'), large, { ...yes(at('large')), grow: true, newIds: true })
    assert.match(run('sgdisk', '-v', large), /No problems found/)
    assert.deepEqual(grown.grown, {
      partition: 3,
      start: 35 * mebibyte,
      before: 48 * mebibyte,
      after: 124 * mebibyte,
      filesystem: 'ext4',
      content: 'done',
    })
    for (const { start, length } of volumes) assert.equal(sha256(large, start, length), sha256(raw, start, length))
    const root = part(large, 35 * mebibyte, 124 * mebibyte, at('root'))
    run('e2fsck', '-f', '-n', root)
    assert.match(run('dumpe2fs', '-h', root), new RegExp(`Block count: +${124 * 1024}\n`))
    assert.match(run('debugfs', '-R', 'cat /usr/lib/os-release', root), /VERSION_ID="12"/)
    run('fsck.vfat', '-n', part(large, 2 * mebibyte, 33 * mebibyte, at('esp')))
    assert.equal(grown.ids.length, 4)
    for (const { partition, before: old, after } of grown.ids) {
      const text = partition === undefined ? run('sgdisk', '-p', large) : run('sgdisk', '-i', String(partition), large)
      assert.ok(text.toLowerCase().includes(after) && !text.toLowerCase().includes(old), text)
    }

    // Partitions end at 83 MiB; the backup of the GPT still has its place.
    const small = usedDisk(t, at('small'), 84 * mebibyte)
    await assert.rejects(restore(at('disk.vhdx'), small, yes(at('small'))), {
      code: 'E_TARGET_TOO_SMALL',
      kind: 'refused',
    })
    const fitted = await restore(at('disk.vhdx'), small, { ...yes(at('small')), fit: true })
    assert.match(run('sgdisk', '-v', small), /No problems found/)
    sameFacts([fitted.cut, codes(fitted)], [{ length: 12 * mebibyte }, ['W_CUT']])
    assert.deepEqual(await partitions(small), before)
    for (const { start, length } of before) assert.equal(sha256(small, start, length), sha256(raw, start, length))
    const tiny = usedDisk(t, at('tiny'), 83 * mebibyte)
    await assert.rejects(restore(at('disk.vhdx'), tiny, { ...yes(at('tiny')), fit: true }), {
      code: 'E_DOES_NOT_FIT',
      kind: 'refused',
    })
  },
)

test('sectors of 4096 bytes: to a larger, a smaller and a disk of other sectors', { skip }, async (t) => {
  if (!['sgdisk', 'mke2fs', 'e2fsck'].every((program) => have(t, program))) return
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('source'), '')
  fs.truncateSync(at('source'), 64 * mebibyte)
  const source = loopDevice(t, at('source'), 4096)
  run('sgdisk', '-n', '1:256:+8M', '-n', '2:0:+40M', source)
  const [, root] = await partitions(source)
  assert.ok(root !== undefined)
  fs.writeFileSync(at('root'), '')
  fs.truncateSync(at('root'), root.length)
  fs.mkdirSync(at('tree'))
  fs.writeFileSync(join(at('tree'), 'file'), 'x'.repeat(5 * mebibyte))
  run('mke2fs', '-q', '-t', 'ext4', '-b', '4096', '-d', at('tree'), at('root'))
  run('dd', `if=${at('root')}`, `of=${source}`, 'bs=1M', `seek=${root.start / mebibyte}`, 'oflag=direct', 'status=none')
  await convert(source, at('disk.vhdx'), { from: 'raw', sectorSize: 4096 })
  const before = await partitions(source)

  const large = usedDisk(t, at('large'), 96 * mebibyte, 4096)
  const result = await restore(at('disk.vhdx'), large, { ...yes(at('large')), grow: true })
  assert.match(run('sgdisk', '-v', large), /No problems found/)
  assert.deepEqual(
    [result.grown?.content, result.grown?.after, result.target.sectorSize],
    ['done', 96 * mebibyte - root.start - mebibyte, 4096],
  )
  run('e2fsck', '-f', '-n', part(large, root.start, result.grown?.after ?? 0, at('grown')))

  const small = usedDisk(t, at('small'), 52 * mebibyte, 4096)
  await restore(at('disk.vhdx'), small, { ...yes(at('small')), fit: true })
  assert.match(run('sgdisk', '-v', small), /No problems found/)
  for (const { start, length } of before) assert.equal(sha256(small, start, length), sha256(source, start, length))

  const other = usedDisk(t, at('other'), 64 * mebibyte)
  await assert.rejects(restore(at('disk.vhdx'), other, yes(at('other'))), { code: 'E_SECTOR_MISFIT', kind: 'refused' })
  await restore(at('disk.vhdx'), other, { ...yes(at('other')), allowSectorSize: true })
  assert.ok(fs.readFileSync(at('other')).equals(fs.readFileSync(at('source'))))

  const copy = usedDisk(t, at('copy'), 80 * mebibyte, 4096)
  const copied = await clone(source, copy, { ...yes(at('copy')), usedOnly: {} })
  assert.match(run('sgdisk', '-v', copy), /No problems found/)
  assert.ok((copied.volumes?.find(({ partition }) => partition === 2)?.read ?? Infinity) < 20 * mebibyte)
  run('e2fsck', '-f', '-n', part(copy, root.start, root.length, at('copied')))
})

test(
  'an MBR disk whose last partition is logical grows, extended partition and swap space with it',
  { skip },
  async (t) => {
    if (!['sfdisk', 'mkswap', 'swaplabel'].every((program) => have(t, program))) return
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    fs.writeFileSync(at('source'), '')
    fs.truncateSync(at('source'), 48 * mebibyte)
    fs.writeFileSync(at('script'), 'label: dos\n2048,16384,83\n18432,77824,5\n20480,20480,83\n43008,20480,82\n')
    run('sh', '-c', `sfdisk -q ${at('source')} < ${at('script')}`)
    fs.writeFileSync(at('swap'), '')
    fs.truncateSync(at('swap'), 20480 * 512)
    run('mkswap', '-q', '-U', '01234567-89ab-cdef-0123-456789abcdef', '-L', 'sleepy', at('swap'))
    run('dd', `if=${at('swap')}`, `of=${at('source')}`, 'bs=512', 'seek=43008', 'conv=notrunc', 'status=none')
    const device = usedDisk(t, at('large'), 128 * mebibyte)
    const result = await restore(at('source'), device, { ...yes(at('large')), grow: true })
    assert.deepEqual(result.grown, {
      partition: 6,
      start: 43008 * 512,
      before: 20480 * 512,
      after: 128 * mebibyte - 43008 * 512,
      filesystem: 'swap',
      content: 'done',
    })
    assert.match(run('sfdisk', '--verify', device), /No errors detected/)
    assert.equal(run('sfdisk', '--dump', device).match(/size=.*type=(5|f|82)/g)?.length, 2)
    // The head is what mkswap writes for a partition of that size.
    const grown = part(device, 43008 * 512, 128 * mebibyte - 43008 * 512, at('grown'))
    assert.match(run('swaplabel', grown), /sleepy[^]*01234567-89ab-cdef-0123-456789abcdef/)
    fs.copyFileSync(grown, at('fresh'))
    run('mkswap', '-q', '-U', '01234567-89ab-cdef-0123-456789abcdef', '-L', 'sleepy', at('fresh'))
    assert.equal(sha256(grown, 0, 4096), sha256(at('fresh'), 0, 4096))
  },
)

test('one partition of a disk into one partition; nothing beside it changes', { skip }, async (t) => {
  if (!['sgdisk', 'partx'].every((program) => have(t, program))) return
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  await convert(fixture('partitioned-disk.vhdx'), at('source.raw'))
  const [, root] = await partitions(at('source.raw'))
  assert.ok(root !== undefined)
  const device = usedDisk(t, at('disk'), 96 * mebibyte)
  run('sgdisk', '-o', '-n', '1:2048:+20M', '-n', '2:0:+30M', '-n', '3:0:+20M', device)
  run('partx', '--add', device)
  try {
    const before = fs.readFileSync(at('disk'))
    const [, second] = await partitions(device)
    assert.ok(second !== undefined)
    // A node of our own: not every system makes them.
    const own = at('partition')
    const name = device.slice('/dev/'.length)
    run('mknod', own, 'b', ...fs.readFileSync(`/sys/block/${name}/${name}p2/dev`, 'utf8').trim().split(':'))
    await assert.rejects(restore(fixture('partitioned-disk.vhdx'), own, { yes: true, confirm: '30M' }), {
      code: 'E_DISK_TO_PARTITION',
    })
    await assert.rejects(restore(fixture('partitioned-disk.vhdx'), own, { partition: 2, yes: true, confirm: '96M' }), {
      code: 'E_WRONG_CONFIRMATION',
    })
    const result = await restore(fixture('partitioned-disk.vhdx'), own, { partition: 2, yes: true, confirm: '30M' })
    assert.deepEqual([result.target.kind, result.source.part, result.verified], ['partition', 'partition 2', true])
    const after = fs.readFileSync(at('disk'))
    assert.equal(sha256(at('disk'), second.start, root.length), sha256(at('source.raw'), root.start, root.length))
    assert.ok(after.subarray(0, second.start).equals(before.subarray(0, second.start)))
    assert.ok(after.subarray(second.start + second.length).equals(before.subarray(second.start + second.length)))
    // To a whole disk only with its own word.
    const whole = usedDisk(t, at('whole'), 40 * mebibyte)
    await assert.rejects(restore(`${fixture('partitioned-disk.vhdx')}@2`, whole, yes(at('whole'))), {
      code: 'E_PARTITION_TO_DISK',
    })
    await restore(`${fixture('partitioned-disk.vhdx')}@2`, whole, { ...yes(at('whole')), allowNoTable: true })
    assert.equal(sha256(whole, 0, root.length), sha256(at('source.raw'), root.start, root.length))
  } finally {
    run('partx', '--delete', device)
  }
})

test('a disk whose partitions the system shows: it forgets the old ones, and learns the new', { skip }, async (t) => {
  if (!['sgdisk', 'partx', 'mke2fs', 'resize2fs'].every((program) => have(t, program))) return
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('root'), '')
  fs.truncateSync(at('root'), 20 * mebibyte)
  run('mke2fs', '-q', '-t', 'ext4', at('root'))
  fs.writeFileSync(at('source'), '')
  fs.truncateSync(at('source'), 32 * mebibyte)
  run('sgdisk', '-o', '-n', '1:2048:+4M', '-n', '2:0:+20M', at('source'))
  run('dd', `if=${at('root')}`, `of=${at('source')}`, 'bs=1M', 'seek=5', 'conv=notrunc', 'status=none')
  fs.writeFileSync(at('disk'), '')
  fs.truncateSync(at('disk'), 64 * mebibyte)
  run('sgdisk', '-o', '-n', '1:2048:+30M', at('disk'))
  const device = loopDevice(t, at('disk'), 512, '--partscan')
  const name = device.slice('/dev/'.length)
  run('partx', '--update', device)
  const shown = (): Record<string, number> =>
    Object.fromEntries(
      fs
        .readdirSync(`/sys/block/${name}`)
        .filter((each) => each.startsWith(`${name}p`))
        .sort()
        .map((each) => [
          each.slice(name.length),
          Number(fs.readFileSync(`/sys/block/${name}/${each}/size`, 'utf8')) * 512,
        ]),
    )
  assert.deepEqual(shown(), { p1: 30 * mebibyte })
  let between: Record<string, number> | undefined
  const result = await restore(at('source'), device, {
    ...yes(at('disk')),
    grow: true,
    eject: true,
    onProgress: () => {
      between ??= shown()
    },
  })
  assert.deepEqual(between, {}, 'old partitions would lead into the middle of the new content')
  assert.equal(result.result?.reread, 'done')
  assert.deepEqual(shown(), { p1: 4 * mebibyte, p2: 58 * mebibyte })
  assert.equal(result.grown?.content, 'done')
  assert.match(
    run('dumpe2fs', '-h', part(device, 5 * mebibyte, 58 * mebibyte, at('grown'))),
    /Block count: +(59392|14848)\n/,
  )
  // A loop device has nothing to let out.
  assert.equal(result.result.ejected || codes(result).includes('W_NOT_EJECTED'), true)
})

test('sizes that are no whole number of anything', { skip }, async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  for (const [length, size, sectorSize] of [
    [700, 65536, 512],
    [65536, 65536, 4096],
    [mebibyte + 700, 3 * mebibyte, 4096],
    [2 * mebibyte + 1, 2 * mebibyte + 4096, 4096],
    [5 * mebibyte + 512, 5 * mebibyte + 512, 512],
  ] as const) {
    const content = Buffer.from(diskLike(length, length))
    fs.writeFileSync(at(`source-${length}`), content)
    const device = usedDisk(t, at(`disk-${length}`), size, sectorSize)
    const result = await restore(at(`source-${length}`), device, {
      ...yes(at(`disk-${length}`)),
      allowNoTable: true,
      from: 'raw',
    })
    const disk = fs.readFileSync(at(`disk-${length}`))
    assert.ok(disk.subarray(0, length).equals(content), String(length))
    assert.ok(
      disk.subarray(length, Math.ceil(length / sectorSize) * sectorSize).every((byte) => byte === 0),
      String(length),
    )
    assert.ok(result.verified)
  }
})

test('a source that changes while it is restored: exit 4, and nothing is found on the disk', { skip }, async (t) => {
  const folder = testFolder(t)
  const source = join(folder, 'a.raw')
  fs.writeFileSync(source, diskLike(8 * mebibyte, 4))
  fs.utimesSync(source, 1, 1)
  const device = usedDisk(t, join(folder, 'target'), 8 * mebibyte)
  let changed = false
  const onProgress = (): void => {
    if (!changed) fs.utimesSync(source, 2, 2)
    changed = true
  }
  await assert.rejects(
    restore(source, device, { yes: true, confirm: '8M', allowNoTable: true, from: 'raw', onProgress }),
    (error: { code?: string; hint?: string }) =>
      error.code === 'E_SOURCE_CHANGED' && /is incomplete, and cannot be mistaken/.test(error.hint ?? ''),
  )
  run('blockdev', '--flushbufs', device)
  const bytes = fs.readFileSync(join(folder, 'target'))
  for (const edge of [bytes.subarray(0, mebibyte), bytes.subarray(-mebibyte)])
    assert.ok(edge.every((byte) => byte === 0))
})
