import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { convert } from '../../src/operations/transfer/convert.js'
import { info } from '../../src/operations/inspect/info.js'
import { saveDisk } from '../support/clonezilla-folder.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { fillVolume, lvm, partDevice } from '../support/lvm.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll } from '../support/volumes.js'

const mebibyte = 1048576
const start = 12 * mebibyte
const length = 60 * mebibyte

interface Saved {
  readonly folder: string
  readonly disk: string
  readonly contents: ReadonlyMap<string, Buffer>
}

/**
 * A disk with a small partition and a physical volume, with two volumes of ext4, one of them in two pieces, and swap;
 * and the folder that Clonezilla makes of it (ocs-functions: save_logv).
 */
async function savedGroup(t: TestContext): Promise<Saved | undefined> {
  if (loopsMissing() !== undefined) {
    t.skip(loopsMissing())
    return undefined
  }
  if (!haveAll(t, 'sfdisk', 'vgcreate', 'mke2fs', 'partclone.ext4', 'zstd')) return undefined
  const cwd = testFolder(t)
  const disk = emptyFile(join(cwd, 'disk.raw'), 80 * mebibyte)
  fs.writeFileSync(join(cwd, 'table'), 'label: gpt\nstart=2048,size=8MiB\nstart=12MiB,size=60MiB,type=lvm\n')
  run('sh', '-c', `sfdisk --quiet ${disk} < ${join(cwd, 'table')}`)
  const physical = partDevice(t, disk, start, length)
  const { path } = physical
  lvm([path], 'pvcreate', '-q', path)
  lvm([path], 'vgcreate', '-q', '-s', '1M', 'vg', path)
  const create = (...parameters: string[]): string =>
    lvm([path], 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', ...parameters)
  create('-n', 'root', '-L', '12M', 'vg')
  create('-n', 'swap', '-L', '4M', 'vg')
  lvm([path], 'lvextend', '-y', '-q', '-L', '+8M', 'vg/root')
  create('-n', 'my-data', '-L', '10M', 'vg')
  const folder = join(cwd, 'saved')
  const boot = partDevice(t, disk, mebibyte, 8 * mebibyte)
  run('mke2fs', '-q', '-F', '-t', 'ext4', boot.path)
  await saveDisk(folder, disk, () => boot.path, 'sda', [{ number: 1, as: 'ext4', compress: ['zst', 'zstd', '-c'] }])
  const contents = new Map<string, Buffer>()
  for (const [name, size] of [
    ['root', 20],
    ['my-data', 10],
  ] as const) {
    const image = emptyFile(join(cwd, `${name}.ext4`), size * mebibyte)
    fs.mkdirSync(join(cwd, name, 'etc'), { recursive: true })
    fs.writeFileSync(join(cwd, name, 'etc/hostname'), `${name}\n`)
    fs.writeFileSync(join(cwd, name, 'noise'), diskLike(size * 50_000, size))
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', join(cwd, name), image)
    contents.set(name, fs.readFileSync(image))
    fillVolume(disk, [physical], `vg/${name}`, contents.get(name)!)
    const saved = join(folder, `vg-${name}.ext4-ptcl-img.zst`)
    run('sh', '-c', `partclone.ext4 -c -F -q -L ${cwd}/log -s ${image} -o - 2> /dev/null | zstd -q -c > ${saved}`)
  }
  const uuid = lvm([path], 'pvs', '--noheadings', '-o', 'pv_uuid').trim()
  fs.writeFileSync(join(folder, 'lvm_vg_dev.list'), `vg /dev/sda2 ${uuid}\n`)
  fs.writeFileSync(join(folder, 'lvm_logv.list'), '/dev/vg/root ext4 data\n/dev/vg/swap swap\n/dev/vg/my-data ext4\n')
  fs.writeFileSync(join(folder, 'swappt-vg-swap.info'), 'UUID="11111111-2222-4333-8444-555555555555"\nLABEL="s"\n')
  lvm([path], 'vgcfgbackup', '-f', join(folder, 'lvm_vg.conf'), 'vg')
  return { folder, disk, contents }
}

test('Clonezilla: a volume group is put together on its physical volume', async (t) => {
  const saved = await savedGroup(t)
  if (saved === undefined) return
  const { folder, contents } = saved
  const cwd = testFolder(t)
  for (const [name, content] of contents) {
    const shown = await vdisk(['cat', `${folder}@lv=vg/${name}:/etc/hostname`], { cwd })
    assert.equal(shown.stdout.toString(), `${name}\n`, shown.stderr)
    const copied = join(cwd, `${name}.noise`)
    assert.equal((await vdisk(['cp', `${folder}@lv=vg/${name}:/noise`, copied], { cwd })).code, 0)
    assert.ok(
      fs
        .readFileSync(copied)
        .equals(Buffer.from(diskLike((content.length / mebibyte) * 50_000, content.length / mebibyte))),
    )
  }
  const { notes } = info(folder)
  assert.deepEqual(
    notes.filter(({ code }) => code === 'W_NOT_SAVED').map(({ message }) => message),
    [],
  )
  // LVM's own tools, and fsck, over the disk that comes of it.
  const out = join(cwd, 'restored.raw')
  await convert(folder, out, { to: 'raw' })
  const made = partDevice(t, out, start, length)
  assert.match(lvm([made.path], 'vgck', 'vg'), /^$/)
  const rows = lvm([made.path], 'lvs', '--noheadings', '-o', 'lv_name,lv_size', '--units', 'm', '--nosuffix', 'vg')
  assert.deepEqual(rows.trim().split(/\s+/), ['my-data', '10.00', 'root', '20.00', 'swap', '4.00'])
  assert.match(run('sgdisk', '-v', out), /No problems found/)
  for (const name of contents.keys()) {
    const volume = join(cwd, `${name}.out`)
    await convert(`${out}@lv=vg/${name}`, volume, { to: 'raw', from: 'raw' })
    run('e2fsck', '-f', '-n', volume)
  }
  await convert(`${out}@lv=vg/swap`, join(cwd, 'swap.out'), { to: 'raw', from: 'raw' })
  assert.match(run('blkid', loopDevice(t, join(cwd, 'swap.out'))), /UUID="11111111-2222-4333-8444-555555555555"/)
})

test('Clonezilla: what a volume group lacks is named, and is never taken from elsewhere', async (t) => {
  const saved = await savedGroup(t)
  if (saved === undefined) return
  const { folder } = saved
  const cwd = testFolder(t)
  const conf = join(folder, 'lvm_vg.conf')
  const text = fs.readFileSync(conf, 'utf8')
  const missing = (): string[] =>
    info(folder)
      .notes.filter(({ code }) => code === 'W_NOT_SAVED')
      .map(({ message }) => message)
  // A volume whose image is not there.
  const image = join(folder, 'vg-my-data.ext4-ptcl-img.zst')
  fs.renameSync(image, join(cwd, 'away'))
  assert.match(missing().join('\n'), /^vg\/my-data is not in the backup: its place on sda2 reads as zero$/)
  fs.copyFileSync(join(folder, 'vg-root.ext4-ptcl-img.zst'), image)
  // The image of a larger volume under its name.
  const swapped = await vdisk(['cat', `${folder}@lv=vg/my-data:/etc/hostname`], { cwd })
  assert.equal(swapped.code, 4, swapped.stderr)
  assert.match(swapped.stderr, /belongs to another partition/)
  fs.renameSync(join(cwd, 'away'), image)
  // Descriptions that cannot be used: the volumes are still there, one by one.
  for (const change of [
    (whole: string) => whole.slice(0, whole.length / 2),
    (whole: string) => whole.replaceAll('pe_start = 2048', 'pe_start = 99999999'),
    (whole: string) => whole.replace(/"pv0", 12/, '"pv0", 3'),
    (whole: string) => whole.replace(/id = "[^"]*"\n\t\t\tdevice/, 'id = "another"\n\t\t\tdevice'),
    (whole: string) => whole.replace(/^vg \{/m, 'other {'),
    () => '',
  ]) {
    const changed = change(text)
    assert.notEqual(changed, text)
    fs.writeFileSync(conf, changed)
    assert.match(missing().join('\n'), /sda2 is a physical volume of LVM \(vg\), and reads as zero/)
    assert.equal((await vdisk(['cat', `${folder}@disk=vg-root:/etc/hostname`], { cwd })).stdout.toString(), 'root\n')
  }
})

test('Clonezilla: striped volumes lie where they were; thin ones are named, with where their content is', async (t) => {
  if (loopsMissing() !== undefined) {
    t.skip(loopsMissing())
    return
  }
  if (!haveAll(t, 'sfdisk', 'vgcreate', 'mke2fs', 'partclone.ext4')) return
  const cwd = testFolder(t)
  const disk = emptyFile(join(cwd, 'disk.raw'), 80 * mebibyte)
  fs.writeFileSync(join(cwd, 'table'), 'label: gpt\nstart=2048,size=30MiB,type=lvm\nstart=32MiB,size=40MiB,type=lvm\n')
  run('sh', '-c', `sfdisk --quiet ${disk} < ${join(cwd, 'table')}`)
  const parts = [partDevice(t, disk, mebibyte, 30 * mebibyte), partDevice(t, disk, 32 * mebibyte, 40 * mebibyte)]
  const paths = parts.map(({ path }) => path)
  for (const path of paths) lvm(paths, 'pvcreate', '-q', path)
  lvm(paths, 'vgcreate', '-q', '-s', '1M', 'vg', ...paths)
  const create = (...parameters: string[]): string =>
    lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', ...parameters)
  create('-n', 'linear', '-L', '3M', 'vg', paths[0] ?? '')
  create('-n', 'fast', '-i', '2', '-I', '64k', '-L', '24M', 'vg')
  lvm(paths, 'lvextend', '-y', '-q', '-i', '1', '-L', '+4M', 'vg/fast')
  const folder = join(cwd, 'saved')
  await saveDisk(folder, disk, () => '', 'sda', [])
  const image = emptyFile(join(cwd, 'fast.ext4'), 28 * mebibyte)
  fs.mkdirSync(join(cwd, 'tree'))
  fs.writeFileSync(join(cwd, 'tree/noise'), diskLike(9_000_000, 7))
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', join(cwd, 'tree'), image)
  const saved = (name: string): void => {
    run(
      'sh',
      '-c',
      `partclone.ext4 -c -F -q -L ${cwd}/log -s ${image} -o ${folder}/vg-${name}.ext4-ptcl-img.uncomp 2>&1`,
    )
  }
  saved('fast')
  const uuids = lvm(paths, 'pvs', '--noheadings', '-o', 'pv_name,pv_uuid').trim().split('\n')
  const uuidOf = (path: string): string =>
    uuids
      .find((row) => row.includes(path))
      ?.trim()
      .split(/\s+/)[1] ?? ''
  fs.writeFileSync(
    join(folder, 'lvm_vg_dev.list'),
    paths.map((path, index) => `vg /dev/sda${index + 1} ${uuidOf(path)}\n`).join(''),
  )
  fs.writeFileSync(join(folder, 'lvm_logv.list'), '/dev/vg/fast ext4 data\n')
  const conf = join(folder, 'lvm_vg.conf')
  lvm(paths, 'vgcfgbackup', '-f', conf, 'vg')
  // What the kernel would give: LVM's own places, filled by hand.
  fillVolume(disk, parts, 'vg/fast', fs.readFileSync(image))
  const out = join(cwd, 'restored.raw')
  await convert(folder, out, { to: 'raw' })
  const volume = (of: string, name: string): Promise<unknown> =>
    convert(`${of}@lv=vg/fast`, join(cwd, name), { to: 'raw', from: of === folder ? undefined : 'raw' })
  await volume(out, 'of-restored')
  await volume(folder, 'of-folder')
  await volume(disk, 'of-disk')
  run('e2fsck', '-f', '-n', join(cwd, 'of-restored'))
  assert.ok(fs.readFileSync(join(cwd, 'of-disk')).equals(fs.readFileSync(image)))
  assert.ok(fs.readFileSync(join(cwd, 'of-restored')).equals(fs.readFileSync(join(cwd, 'of-folder'))))
  run('mkdir', join(cwd, 'dumped'))
  run('debugfs', '-R', `rdump / ${join(cwd, 'dumped')}`, join(cwd, 'of-restored'))
  assert.ok(fs.readFileSync(join(cwd, 'dumped/noise')).equals(fs.readFileSync(join(cwd, 'tree/noise'))))
  // Stripes that do not fill their volume are no description that could be used.
  const text = fs.readFileSync(conf, 'utf8')
  fs.writeFileSync(conf, text.replace('stripe_size = 128', 'stripe_size = 129'))
  assert.match(
    info(folder)
      .notes.map(({ message }) => message)
      .join('\n'),
    /sda1 is a physical volume of LVM \(vg\), and/,
  )
  fs.writeFileSync(conf, text)
  // A thin volume has no places of its own.
  const slim =
    'slim { id = "slim-1" status = ["READ", "WRITE", "VISIBLE"] segment_count = 1 segment1 { start_extent = 0 ' +
    'extent_count = 28 type = "thin" thin_pool = "pool" transaction_id = 0 device_id = 1 } }\n'
  const withSlim = text.replace(/^\t\tfast \{/m, `${slim}$&`)
  assert.notEqual(withSlim, text)
  fs.writeFileSync(conf, withSlim)
  saved('slim')
  fs.appendFileSync(join(folder, 'lvm_logv.list'), '/dev/vg/slim ext4 data\n')
  const messages = info(folder)
    .notes.filter(({ code }) => code === 'W_NOT_SAVED')
    .map(({ message }) => message)
  assert.deepEqual(
    messages.filter((message) => message.includes('slim')),
    ['vg/slim is thin, which is not put together: it is missing on the disk; @disk=vg-slim is its content'],
  )
  await convert(`${folder}@disk=vg-slim`, join(cwd, 'slim.raw'), { to: 'raw' })
  run('e2fsck', '-f', '-n', join(cwd, 'slim.raw'))
})
