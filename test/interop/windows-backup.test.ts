import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { exitCodes, type ImageError } from '../../src/errors.js'
import { check } from '../../src/operations/check/check.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { vdisk, type CliResult } from '../support/cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { have, run } from '../support/tools.js'
import { windowsBackup, type BackedVolume } from '../support/windows-backup.js'

const mebibyte = 1048576
const capacity = 96 * mebibyte
const file = Buffer.from(diskLike(300_000, 9))

/** The volumes of a machine of Windows: EFI system, Windows, recovery, with files in them. */
function volumesOf(folder: string, kind: 'gpt' | 'mbr'): BackedVolume[] {
  const made = (name: string, size: number, ...command: readonly string[]): Buffer => {
    const path = join(folder, name)
    fs.writeFileSync(path, Buffer.alloc(size))
    const [program = '', ...rest] = command
    run(program, ...rest, path)
    const source = join(folder, 'file.bin')
    fs.writeFileSync(source, file)
    if (program === 'mkfs.vfat') run('mcopy', '-i', path, source, '::file.bin')
    else run('ntfscp', path, source, 'file.bin')
    const content = fs.readFileSync(path)
    fs.rmSync(path)
    return content
  }
  const guid = (digit: number): string => `${String(digit).repeat(8)}-0000-4000-8000-000000000001`
  const windows = made('c.raw', 40 * mebibyte, 'mkfs.ntfs', '-q', '-F')
  const recovery = made('r.raw', 16 * mebibyte, 'mkfs.ntfs', '-q', '-F')
  const first =
    kind === 'gpt'
      ? { type: 0xef, content: made('e.raw', 8 * mebibyte, 'mkfs.vfat') }
      : { type: 7, active: true, content: made('e.raw', 8 * mebibyte, 'mkfs.ntfs', '-q', '-F') }
  return [
    { guid: guid(3), point: '', start: mebibyte, ...first },
    { guid: guid(1), point: 'C:\\', start: 16 * mebibyte, content: windows, type: 7 },
    { guid: guid(2), point: '', start: 70 * mebibyte, content: recovery, type: 0x27 },
  ]
}

const needs = (t: TestContext): boolean =>
  ['qemu-img', 'mkfs.ntfs', 'ntfscp', 'mcopy', 'sfdisk'].every((program) => have(t, program))

for (const [kind, format] of [
  ['gpt', 'vhdx'],
  ['mbr', 'vhd'],
] as const)
  test(`a Windows Image Backup of ${format} files becomes a VHDX: its ${kind} table, volumes, files`, async (t) => {
    if (!needs(t)) return
    const folder = testFolder(t)
    const volumes = volumesOf(folder, kind)
    const backup = windowsBackup(folder, capacity, volumes, format)
    const target = join(folder, 'pc.vhdx')
    await convert(backup, target, {})
    const raw = join(folder, 'pc.raw')
    run('qemu-img', 'convert', '-O', 'raw', target, raw)
    const dump = JSON.parse(run('sfdisk', '--json', raw)) as {
      partitiontable: { label: string; partitions: { start: number; size: number; type: string; uuid?: string }[] }
    }
    const { label, partitions } = dump.partitiontable
    assert.equal(label, kind === 'gpt' ? 'gpt' : 'dos')
    assert.deepEqual(
      partitions.map(({ start, size }) => [start * 512, size * 512]),
      volumes.map(({ start, content }) => [start, content.length]),
    )
    if (kind === 'gpt') {
      assert.deepEqual(
        partitions.map(({ type }) => type.slice(0, 8)),
        ['C12A7328', 'EBD0A0A2', 'DE94BBA4'],
      )
      assert.deepEqual(
        partitions.map(({ uuid }) => uuid?.toLowerCase()),
        volumes.map(({ guid }) => guid),
      )
      assert.match(run('sgdisk', '-v', raw), /No problems found/)
    } else assert.match(run('sfdisk', '-d', raw), /label-id: 0x12345678[^]*type=7, bootable[^]*type=27/)
    const bytes = fs.readFileSync(raw)
    for (const { start, content } of volumes)
      assert.equal(sha256(bytes.subarray(start, start + content.length)), sha256(content))
    const cli = (...args: readonly string[]): Promise<CliResult> => vdisk(args, { cwd: folder })
    for (const number of [1, 2, 3])
      assert.deepEqual((await cli('cat', `${backup}@${number}:/file.bin`)).stdout, file, `volume ${number}`)
    const info = await cli('info', backup, '--verbose')
    assert.match(String(info.stdout), /Windows Image Backup[^]*made anew[^]*C:/)
    const { counts, layers } = await check(backup, { deep: true })
    assert.equal(counts.error, 0)
    assert.ok(layers[0]?.groups.some(({ code }) => code === 'W_TABLE_MADE'))
    // One volume alone, as its virtual disk has it.
    await convert(`${backup}@disk=${volumes[1]?.guid}.${format}`, raw, { force: true })
    assert.equal(fs.statSync(raw).size, capacity)
  })

test('the folders around a backup are named; damaged, missing and overlapping virtual disks are refused', async (t) => {
  if (!needs(t)) return
  const folder = testFolder(t)
  const volume = (digit: number, start: number, type = 7): BackedVolume => ({
    guid: `${String(digit).repeat(8)}-0000-4000-8000-000000000001`,
    point: '',
    start,
    content: Buffer.from(diskLike(mebibyte, digit)),
    type,
  })
  const target = join(folder, 'target.raw')
  const answer = async (path: string): Promise<string> => {
    try {
      await convert(path, target, { force: true })
    } catch (error) {
      const { kind, code } = error as ImageError
      return `${exitCodes[kind]} ${code}`
    }
    return 'same'
  }
  const made = (name: string, ...volumes: readonly BackedVolume[]): string =>
    windowsBackup(join(folder, name), 8 * mebibyte, volumes)
  const [one, two] = [volume(1, mebibyte), volume(2, 4 * mebibyte)]
  assert.equal(await answer(made('sound', one, two)), 'same')
  assert.equal(await answer(made('overlap', one, volume(2, mebibyte + 512))), '4 E_OVERLAP')
  assert.equal(
    await answer(made('outside', one, { ...volume(3, 7 * mebibyte), start: 8 * mebibyte - 512 })),
    '4 E_PART_RANGE',
  )
  const five = [1, 2, 3, 4, 5].map((digit) => volume(digit, digit * mebibyte))
  assert.equal(await answer(made('five', ...five)), '5 E_UNSUPPORTED_FEATURE')
  const cut = made('cut', one, two)
  fs.truncateSync(join(cut, `${one.guid}.vhdx`), 400_000)
  assert.match(await answer(cut), /^4 /)
  const empty = made('empty', one)
  fs.rmSync(join(empty, `${one.guid}.vhdx`))
  assert.equal(await answer(join(empty, 'BackupSpecs.xml')), '6 E_PART_MISSING')
  const linked = made('linked', one, two)
  fs.renameSync(join(linked, `${one.guid}.vhdx`), join(folder, 'elsewhere.vhdx'))
  fs.symlinkSync(join(folder, 'elsewhere.vhdx'), join(linked, `${one.guid}.vhdx`))
  assert.equal(await answer(linked), '6 E_REFERENCE_NOT_ALLOWED')
  const several = windowsBackup(join(folder, 'sound'), 16 * mebibyte, [volume(7, mebibyte)])
  assert.equal(await answer(several), '2 E_WHICH_MEMBER')
  assert.equal(await answer(`${several}@disk=disk1`), 'same')
  assert.equal(await answer(`${several}@disk=disk3`), '2 E_NO_MEMBER')
  const outer = await vdisk(['info', join(folder, 'sound', 'WindowsImageBackup')], { cwd: folder })
  assert.match(outer.stderr, /Windows Image Backup[^]*Backup YYYY-MM-DD/)
})
