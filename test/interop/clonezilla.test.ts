import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { map } from '../../src/operations/inspect/map.js'
import { hash } from '../../src/operations/inspect/hash.js'
import { info } from '../../src/operations/inspect/info.js'
import { check } from '../../src/operations/check/check.js'
import { copyFiles } from '../../src/operations/files/copy.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { biosBootCode, biosMarker, biosMarkerSector } from '../../fixtures/boot-code.js'
import { skipReason } from '../support/complete.js'
import { boots, bios, emulator, haveUefi } from '../support/boots.js'
import { partitionLoops, saveDisk, type SavedPart } from '../support/clonezilla-folder.js'
import { diskLike } from '../support/content.js'
import { seen } from '../support/file-trees.js'
import { fixture } from '../support/fixtures.js'
import { loopsMissing } from '../support/loop.js'
import { mountPlace, mountingMissing } from '../support/mounted.js'
import { have, run, runIn, scratch } from '../support/tools.js'
import { haveAll } from '../support/volumes.js'

const mebibyte = 1048576
/** Where the code in a boot sector of NTFS begins. */
const ntfsCode = 0x54
const gz = ['gz', 'gzip', '-c'] as const
const zst = ['zst', 'zstd', '-c'] as const

function ready(t: TestContext, ...programs: string[]): boolean {
  if (loopsMissing() !== undefined) t.skip(loopsMissing())
  else return haveAll(t, 'sfdisk', 'partclone.ext4', 'partclone.ntfs', 'ntfsclone', 'mkfs.ntfs', ...programs)
  return false
}

/** A raw disk with a table. @param make makes the filesystems, and gives what was put into them. */
function newDisk<T>(
  t: TestContext,
  path: string,
  size: number,
  table: string,
  make: (device: (number: number) => string) => T,
): { readonly device: (number: number) => string; readonly made: T } {
  fs.writeFileSync(path, '')
  fs.truncateSync(path, size * mebibyte)
  run('bash', '-c', `printf '${table}' | sfdisk -q '${path}'`)
  const device = partitionLoops(t, path)
  return { device, made: make(device) }
}

function filled(device: string, folder: string): ReturnType<typeof seen> {
  fs.mkdirSync(folder, { recursive: true })
  run('mount', device, folder)
  try {
    for (let index = 0; index < 5; index++)
      fs.writeFileSync(`${folder}/file${index}`, diskLike(100_000 * (index + 1), index))
    run('sync', '-f', folder)
    return seen(folder)
  } finally {
    run('umount', folder)
  }
}

function assertSameFiles(found: ReturnType<typeof seen>, expected: ReturnType<typeof seen>): void {
  for (const [path, { kind, sha256 }] of expected)
    if (kind === 'file') assert.equal(found.get(path)?.sha256, sha256, path)
}

/**
 * Compares what a folder shows with the disk that was saved: what it stores, byte by byte; the rest is zero.
 * @param except sectors that are made anew.
 */
async function assertDisk(
  source: string,
  saved: string,
  at: (name: string) => string,
  except: readonly number[] = [],
): Promise<void> {
  fs.rmSync(at('ours.img'), { force: true })
  await convert(source, at('ours.img'), { to: 'raw' })
  const [ours, original] = [fs.readFileSync(at('ours.img')), fs.readFileSync(saved)]
  assert.equal(ours.length, original.length)
  for (const offset of except) ours.copy(original, offset, offset, offset + 512)
  using extents = map(source)
  let stored = 0
  for (const { kind, offset, length } of extents.extents()) {
    const bytes = ours.subarray(offset, offset + length)
    if (kind === 'absent') {
      assert.ok(!bytes.some((byte) => byte !== 0), `what is not stored at ${offset} is not zero`)
      continue
    }
    stored += length
    assert.ok(bytes.equals(original.subarray(offset, offset + length)), `${length} bytes at ${offset} differ`)
  }
  assert.ok(stored > 0 && stored < ours.length)
}

test('Clonezilla: a disk with a GPT is put together: table, partitions, swap; files by cp and by mount', async (t) => {
  if (!ready(t, 'sgdisk', 'mkfs.vfat', 'mkswap', 'blkid', 'zstd')) return
  const at = scratch(t)
  const table = 'label: gpt\\nsize=8M,type=U\\nsize=16M,type=L\\nsize=2M,type=S\\nsize=6M\\n'
  const { device, made } = newDisk(t, at('disk.img'), 40, table, (part) => {
    run('mkfs.vfat', '-F', '12', part(1))
    run('mke2fs', '-q', '-F', '-t', 'ext4', part(2))
    run('mkswap', '-L', 'swap-area', part(3))
    run('mkfs.ntfs', '-F', '-q', '-f', '-s', '512', part(4))
    return filled(part(2), at('mounted'))
  })
  await saveDisk(at('saved'), at('disk.img'), device, 'nvme0n1', [
    { number: 1, as: 'vfat', compress: gz, piece: 100 },
    { number: 2, as: 'ext4', compress: zst, piece: 30_000 },
    { number: 3, as: 'swap' },
    { number: 4, as: 'ntfs' },
  ])
  await assertDisk(at('saved'), at('disk.img'), at)
  assert.match(run('sgdisk', '-v', at('ours.img')), /No problems found/)
  assert.equal(run('sfdisk', '-d', at('ours.img')).replaceAll('ours', 'disk'), run('sfdisk', '-d', at('disk.img')))
  const uuid = (image: string): string => run('blkid', '-p', '-O', String(25 * mebibyte), '-o', 'export', image)
  assert.deepEqual(uuid(at('ours.img')).match(/(?:UUID|LABEL)=.*/g), uuid(at('disk.img')).match(/(?:UUID|LABEL)=.*/g))
  await copyFiles(`${at('saved')}@2`, '/', at('copied'), { recursive: true })
  assertSameFiles(seen(at('copied')), made)
  // What is decoded from its start says how far it is.
  const steps: number[] = []
  await hash(`${at('saved')}@1`, { onProgress: ({ phase, done }) => phase === 'unpack' && steps.push(done) })
  assert.ok(steps.length > 0)
  assert.equal((await check(at('saved'), { deep: true })).counts.error, 0)
  const { format, sections } = info(at('saved'))
  assert.equal(format, 'clonezilla')
  const facts = new Map(sections.flatMap((section) => section.facts).map(({ name, value }) => [name, value]))
  assert.equal(facts.get('savedAt'), '2026-01-02 03:04:05 UTC')
  assert.equal(facts.get('savedBy'), 'clonezilla-live-3.1.0-22-amd64')
  assert.match(String(facts.get('nvme0n1p2')), /^ext4, partclone, zst, \d+ files$/)
  if (mountingMissing() !== undefined) return
  const place = mountPlace(t)
  fs.mkdirSync(place.at('point'))
  await place.mount(`${at('saved')}@2`, place.at('point'))
  assertSameFiles(seen(place.at('point')), made)
  await place.unmount(place.at('point'))
})

test('Clonezilla: two disks in a folder, an MBR with logical partitions, every kind of pieces', async (t) => {
  if (!ready(t, 'zstd', 'xz', 'lz4', 'bzip2')) return
  const at = scratch(t)
  const kinds: readonly SavedPart[] = [
    { number: 1, as: 'ext4', compress: ['xz', 'xz', '-c', '-0'] },
    { number: 2, as: 'dd', compress: gz, piece: 50_000 },
    { number: 5, as: 'ext4', compress: ['lz4', 'lz4', '-c'] },
    { number: 6, as: 'ntfsclone', compress: gz, piece: 50_000 },
    { number: 7, as: 'ext2', compress: ['bz2', 'bzip2', '-c'], piece: 90_000 },
    { number: 8, as: 'dd' },
  ]
  const table =
    'label: dos\\nd1 : size=3M,type=83\\nd2 : size=2M,type=83\\nd3 : size=26M,type=5\\n' +
    'd5 : size=4M,type=83\\nd6 : size=4M,type=7\\nd7 : size=4M,type=83\\nd8 : size=1M,type=83\\n'
  const { device } = newDisk(t, at('disk.img'), 34, table, (part) => {
    run('mke2fs', '-q', '-F', '-t', 'ext4', part(1))
    fs.writeFileSync(part(2), diskLike(2 * mebibyte, 2))
    run('mke2fs', '-q', '-F', '-t', 'ext4', part(5))
    run('mkfs.ntfs', '-F', '-q', '-f', '-s', '512', part(6))
    run('mke2fs', '-q', '-F', '-t', 'ext2', part(7))
    fs.writeFileSync(part(8), diskLike(mebibyte, 8))
  })
  // Boot code, and what lies behind it.
  const descriptor = fs.openSync(at('disk.img'), 'r+')
  fs.writeSync(descriptor, diskLike(440, 7), 0, 440, 0)
  fs.writeSync(descriptor, diskLike(600_000, 9), 0, 600_000, 512)
  fs.closeSync(descriptor)
  await saveDisk(at('saved'), at('disk.img'), device, 'sda', kinds)
  const other = newDisk(t, at('other.img'), 8, 'label: gpt\\nsize=4M\\n', (part) => {
    run('mke2fs', '-q', '-F', '-t', 'ext4', part(1))
  })
  await saveDisk(at('saved'), at('other.img'), other.device, 'sdb', [{ number: 1, as: 'ext4' }])
  await assert.rejects(convert(at('saved'), at('never.img'), { to: 'raw' }), {
    code: 'E_WHICH_MEMBER',
    hint: /@disk=sda/,
  })
  await assert.rejects(convert(`${at('saved')}@disk=sdc`, at('never.img'), { to: 'raw' }), { code: 'E_NO_MEMBER' })
  // The tables of logical partitions, in front of each, hold the same and other cylinders.
  const tables = [6, 11, 16, 21].map((place) => place * mebibyte)
  await assertDisk(`${at('saved')}@disk=sda`, at('disk.img'), at, tables)
  const theirs = run('sfdisk', '-d', at('disk.img'))
  assert.equal(run('sfdisk', '-d', at('ours.img')).replaceAll('ours', 'disk'), theirs)
  run('sfdisk', '--verify', at('ours.img'))
  await assertDisk(`${at('saved')}@disk=sdb`, at('other.img'), at)
})

test('Clonezilla: a saved Linux disk becomes a QCOW2 that boots, by UEFI and by BIOS', async (t) => {
  if (!ready(t, 'partclone.vfat') || !have(t, emulator)) return
  const uefi = haveUefi(t)
  if (uefi === undefined) return
  const at = scratch(t)
  await convert(fixture('partitioned-disk.vhdx'), at('gpt.img'), { to: 'raw' })
  // The same with an MBR: of a disk with a GPT, Clonezilla saves nothing between the table and the first partition.
  const gpt = fs.readFileSync(at('gpt.img'))
  const starts = [...run('sfdisk', '-d', at('gpt.img')).matchAll(/start=\s*(\d+), size=\s*(\d+)/g)]
  const lines = starts.map(([, start, size]) => `start=${start}, size=${size}, type=83`)
  const mbr = Buffer.from(gpt)
  mbr.fill(0, 440, 34 * 512)
  mbr.fill(0, mbr.length - 33 * 512)
  fs.writeFileSync(at('mbr.img'), mbr)
  run('bash', '-c', `printf 'label: dos\\n${lines.join('\\n')}\\n' | sfdisk -q --wipe never '${at('mbr.img')}'`)
  const descriptor = fs.openSync(at('mbr.img'), 'r+')
  fs.writeSync(descriptor, gpt, 0, 440, 0)
  fs.closeSync(descriptor)
  for (const [name, firmware] of [
    ['gpt', uefi],
    ['mbr', bios],
  ] as const) {
    const device = partitionLoops(t, at(`${name}.img`))
    const [esp, root] = [
      { number: 1, as: 'vfat', compress: gz, piece: 100_000 },
      { number: 2, as: 'ext4', compress: zst },
    ] as const
    await saveDisk(at(name), at(`${name}.img`), device, 'sda', [esp, root])
    await convert(at(name), at(`${name}.qcow2`), {})
    await boots(firmware, at(`${name}.qcow2`), 'qcow2', at)
  }
})

test('Clonezilla: a saved disk as Windows has it (MBR, active NTFS) becomes a QCOW2 that boots by BIOS', async (t) => {
  const loader = '/usr/lib/syslinux/mbr/mbr.bin'
  if (!ready(t, 'ntfscp', 'ntfsfix', 'ntfscat') || !have(t, emulator)) return
  if (!fs.existsSync(loader)) {
    t.skip(skipReason('syslinux-common is not installed'))
    return
  }
  const at = scratch(t)
  const start = 2048 * 512
  fs.writeFileSync(at('file.bin'), diskLike(300_000, 5))
  const { device } = newDisk(t, at('pc.img'), 64, 'label: dos\\nstart=2048, type=7, bootable\\n', (part) => {
    run('mkfs.ntfs', '-F', '-q', '-f', '-p', '2048', part(1))
    run('ntfscp', part(1), at('file.bin'), 'file.bin')
    const disk = fs.openSync(at('pc.img'), 'r+')
    const write = (bytes: Buffer, position: number): void => void fs.writeSync(disk, bytes, 0, bytes.length, position)
    // The code of the MBR starts that of the active partition's boot sector, which reads what it shows from the gap.
    write(fs.readFileSync(loader), 0)
    write(Buffer.from(`${biosMarker}\0`), biosMarkerSector * 512)
    const code = biosBootCode().subarray(0, 70)
    code.writeUInt16LE(0x7c00 + ntfsCode + 0x36, 12)
    write(code, start + ntfsCode)
    fs.closeSync(disk)
  })
  await saveDisk(at('saved'), at('pc.img'), device, 'sda', [{ number: 1, as: 'ntfs', compress: gz, piece: 100_000 }])
  await convert(at('saved'), at('pc.qcow2'), {})
  await boots(bios, at('pc.qcow2'), 'qcow2', at)
  await convert(`${at('pc.qcow2')}@1`, at('volume.raw'), { to: 'raw' })
  run('ntfscat', '-f', at('volume.raw'), 'file.bin')
  await copyFiles(`${at('saved')}@1`, '/file.bin', at('copied.bin'))
  assert.ok(fs.readFileSync(at('copied.bin')).equals(fs.readFileSync(at('file.bin'))))
})

test('Clonezilla: logical volumes and devices without a table are chosen by name', async (t) => {
  if (!ready(t, 'zstd')) return
  const at = scratch(t)
  const { device, made } = newDisk(t, at('disk.img'), 12, 'label: gpt\\nsize=10M\\n', (part) => {
    run('mke2fs', '-q', '-F', '-t', 'ext4', part(1))
    return filled(part(1), at('mounted'))
  })
  await saveDisk(at('saved'), at('disk.img'), device, 'sda', [{ number: 1, as: 'ext4', compress: zst }])
  // As save_logv does it: the partition holds a physical volume, the volume has an image of its own.
  runIn(at('saved'), 'mv', 'sda1.ext4-ptcl-img.zst', 'vg-root.ext4-ptcl-img.zst')
  fs.writeFileSync(`${at('saved')}/lvm_vg_dev.list`, 'vg /dev/sda1 qdlt6U-M4bo-xExy-XG9Q-U7pg-bOXN-n54i5Y\n')
  fs.writeFileSync(`${at('saved')}/lvm_logv.list`, '/dev/vg/root  Linux rev 1.0 ext4 filesystem data\n')
  await copyFiles(`${at('saved')}@disk=vg-root`, '/', at('copied'), { recursive: true })
  assertSameFiles(seen(at('copied')), made)
  const { notes } = info(at('saved'))
  assert.ok(notes.some(({ code, message }) => code === 'W_NOT_SAVED' && message.includes('LVM (vg)')))
})
