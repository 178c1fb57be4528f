/** What doctor mends in systems that were made for it: sound afterwards, by doctor, by fsck and by other readers. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { doctor, type DoctorResult } from '../../src/operations/doctor/doctor.js'
import { mendGuest, type MendResult } from '../../src/operations/doctor/mending/mend.js'
import { vdisk } from '../support/cli.js'
import {
  cloudModules,
  cpio,
  debianFiles,
  espImage,
  grubConfiguration,
  guestDisk,
  kernelVersion,
  putInto,
  rootImage,
  rootUuid,
  type GuestFiles,
} from '../support/linux-guest.js'
import { loopsMissing } from '../support/loop.js'
import { fillVolume, lvm, partDevice } from '../support/lvm.js'
import { assertSchema } from '../support/schemas.js'
import { have, run, scratch } from '../support/tools.js'

const MiB = 1048576
const rootStart = 10 * MiB
const rootLength = 32 * MiB
const other = '11111111-2222-3333-4444-555555555555'
const fstabOf = (lines: string): string => `# the disks\n${lines}\ntmpfs /tmp tmpfs defaults 0 0\n`

function tools(t: TestContext): boolean {
  return ['sgdisk', 'mke2fs', 'mkfs.vfat', 'mcopy', 'e2fsck', 'debugfs', 'fsck.fat'].every((tool) => have(t, tool))
}

/** The root and the EFI system partition of a disk, as files of their own. */
function parts(at: (name: string) => string, disk: string): { root: string; esp: string } {
  const bytes = fs.readFileSync(disk)
  fs.writeFileSync(at('root.part'), bytes.subarray(rootStart, rootStart + rootLength))
  fs.writeFileSync(at('esp.part'), bytes.subarray(MiB, 9 * MiB))
  return { root: at('root.part'), esp: at('esp.part') }
}

/** What e2fsprogs read, after both filesystems were checked. */
function soundFile(at: (name: string) => string, disk: string, path: string): string {
  const { root, esp } = parts(at, disk)
  run('e2fsck', '-fn', root)
  run('fsck.fat', '-n', esp)
  return spawnSync('debugfs', ['-R', `cat ${path}`, root], { encoding: 'latin1' }).stdout
}

interface Defect {
  readonly name: string
  readonly change: (files: GuestFiles) => void
  readonly platform?: string
  readonly mended: readonly string[]
  readonly left?: readonly string[]
  /** A file of the root, and what it is to hold then. */
  readonly path: string
  readonly holds: RegExp
}

const fstab = (lines: string) => (files: GuestFiles) => {
  files['/etc/fstab'] = fstabOf(lines)
}
const menu = (parameters: string) => (files: GuestFiles) => {
  files['/boot/grub/grub.cfg'] = grubConfiguration(`${parameters} console=ttyS0`)
}
const rootLine = `UUID=${rootUuid} / ext4 defaults 0 1`
const cfg = '/boot/grub/grub.cfg'
const initrd = `/boot/initrd.img-${kernelVersion}`

const defects: readonly Defect[] = [
  {
    name: 'names of the first disk in fstab',
    change: fstab('/dev/sda2 / ext4 errors=remount-ro 0 1\n/dev/sda1\t/boot/efi\tvfat\tumask=0077 0 1'),
    mended: ['L-FSTAB-DEVICE', 'L-FSTAB-DEVICE'],
    path: '/etc/fstab',
    holds: new RegExp(`^# the disks\nUUID=${rootUuid} / ext4 errors=remount-ro 0 1\nUUID=ABCD-1234\t/boot/efi\tvfat`),
  },
  {
    name: 'the same, with blanks to spare: the file keeps its size',
    change: fstab(`/dev/vda2${' '.repeat(40)}/ ext4 defaults 0 1`),
    platform: 'azure-gen2',
    mended: ['L-FSTAB-DEVICE'],
    path: '/etc/fstab',
    holds: new RegExp(`^# the disks\nUUID=${rootUuid} {8}/ ext4`),
  },
  {
    name: 'a path of the hardware, whose disk fstab names for the root',
    change: fstab(
      '/dev/disk/by-path/pci-0-part2 / ext4 defaults 0 1\n/dev/disk/by-path/pci-0-part1 /boot/efi vfat ro 0 0',
    ),
    mended: ['L-FSTAB-DEVICE', 'L-FSTAB-DEVICE'],
    path: '/etc/fstab',
    holds: new RegExp(`\nUUID=${rootUuid} +/ ext4 defaults 0 1\nUUID=ABCD-1234 +/boot/efi vfat ro 0 0\ntmpfs`),
  },
  {
    name: 'names of another disk stay',
    change: fstab(`${rootLine}\n/dev/sdb1 /srv ext4 defaults 0 2`),
    mended: [],
    left: ['risk L-FSTAB-DEVICE'],
    path: '/etc/fstab',
    holds: /\/dev\/sdb1 \/srv/,
  },
  {
    name: 'a partition that holds something else stays',
    change: fstab(`${rootLine}\n/dev/sda1 /srv xfs defaults 0 2`),
    mended: [],
    left: ['risk L-FSTAB-DEVICE'],
    path: '/etc/fstab',
    holds: /\/dev\/sda1 \/srv/,
  },
  {
    name: 'a root that is gone, in every entry of the menu',
    change: menu(`root=UUID=${other} ro`),
    mended: ['L-ROOT-ABSENT'],
    path: cfg,
    holds: new RegExp(`root=UUID=${rootUuid} ro console`),
  },
  {
    name: 'rootfstype= of another filesystem',
    change: menu(`root=UUID=${rootUuid} rootfstype=btrfs ro`),
    mended: ['L-ROOT-TYPE'],
    path: cfg,
    holds: /rootfstype=ext4 /,
  },
  {
    name: 'an old PARTUUID',
    change: menu(`root=PARTUUID=${other} ro`),
    mended: ['L-ROOT-ABSENT'],
    path: cfg,
    holds: /root=PARTUUID=[0-9a-f-]{36} ro console/,
  },
  {
    name: 'a name as root=, in a menu that grows',
    change: menu('root=/dev/sda2 ro'),
    platform: 'aws-snapshot',
    mended: ['L-ROOT-DEVICE'],
    path: cfg,
    holds: new RegExp(`root=UUID=${rootUuid} ro console`),
  },
  {
    name: 'the root of another partition, and resume= of swap that is gone',
    change: menu(`root=UUID=ABCD-1234 resume=UUID=${other} ro`),
    mended: ['L-ROOT-OTHER', 'L-RESUME'],
    path: cfg,
    holds: new RegExp(`root=UUID=${rootUuid} noresume {34,}ro console`),
  },
  {
    name: 'GRUB looks for a filesystem that is gone',
    change: (files) => {
      files[cfg] = String(files[cfg]).replace(`--set=root ${rootUuid}`, `--set=root ${other}`)
    },
    mended: ['L-GRUB-SEARCH'],
    path: cfg,
    holds: new RegExp(`set=root ${rootUuid}\nmenuentry`),
  },
  {
    name: 'what the next menu would have',
    change: (files) => {
      files['/etc/default/grub'] = 'GRUB_CMDLINE_LINUX="root=/dev/sda2 quiet"\n'
    },
    mended: ['L-ROOT-DEFAULT'],
    path: '/etc/default/grub',
    holds: new RegExp(`^GRUB_CMDLINE_LINUX="root=UUID=${rootUuid} quiet"\n$`),
  },
]

test('what can be mended is, in a copy, and fsck finds nothing in it', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const { name, change, platform, mended, left = [], path, holds } of defects) {
    const files = debianFiles()
    change(files)
    const disk = guestDisk(at, files)
    const before = fs.readFileSync(disk)
    fs.rmSync(at('mended.raw'), { force: true })
    const result = await mendGuest(disk, { for: platform, output: at('mended.raw') })
    assert.deepEqual(result.mend.mended.map(({ id }) => id).sort(), [...mended].sort(), `${name}: ${said(result)}`)
    const rest = result.findings.filter(({ severity }) => severity !== 'note')
    assert.deepEqual(
      rest.map(({ id, severity }) => `${severity} ${id}`),
      left,
      name,
    )
    assert.ok(fs.readFileSync(disk).equals(before), `${name}: the original is as it was`)
    if (mended.length === 0) {
      assert.equal(fs.existsSync(at('mended.raw')), false, 'nothing was to be done')
      continue
    }
    const { verdict } = await doctor(at('mended.raw'), { for: platform })
    assert.equal(verdict, result.verdict, name)
    assert.match(soundFile(at, at('mended.raw'), path), holds, name)
    // Nothing else has changed.
    const after = fs.readFileSync(at('mended.raw'))
    for (const { position, old } of [...result.mend.ranges].reverse()) after.set(Buffer.from(old, 'hex'), position)
    assert.ok(before.equals(after), `${name}: the ranges that are listed are all`)
  }
})

const said = ({ findings, notLooked }: DoctorResult): string => JSON.stringify({ findings, notLooked })

test('an image is mended in place, whatever its format, and a dry run writes nothing', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  menu(`root=UUID=${other} ro`)(files)
  fstab('/dev/sda2 / ext4 defaults 0 1')(files)
  const disk = guestDisk(at, files)
  for (const format of ['raw', 'qcow2', 'vhd', 'vhdx', 'vmdk', 'vdi']) {
    const image = at(`disk-to-mend.${format}`)
    await convert(disk, image, { to: format })
    const before = fs.readFileSync(image)
    const draft = await mendGuest(image, { inPlace: true, dryRun: true })
    assert.deepEqual(
      draft.mend.mended.map(({ id }) => id),
      ['L-ROOT-ABSENT', 'L-FSTAB-DEVICE'],
      format,
    )
    assert.ok(draft.mend.ranges.length >= 4)
    assert.ok(fs.readFileSync(image).equals(before), `${format}: a dry run writes nothing`)
    const result = await mendGuest(image, { inPlace: true })
    assert.equal(result.verdict, 'ready', format)
    await convert(image, at('read.raw'), { force: true, to: 'raw' })
    assert.match(soundFile(at, at('read.raw'), '/etc/fstab'), new RegExp(`UUID=${rootUuid} / ext4`))
    assert.match(soundFile(at, at('read.raw'), cfg), new RegExp(`root=UUID=${rootUuid} ro`))
    const again = await mendGuest(image, { inPlace: true })
    assert.deepEqual([again.mend.mended, again.mend.ranges], [[], []], `${format}: there is nothing left to do`)
  }
})

/** A change of the root of a disk by debugfs. */
function changeRoot(at: (name: string) => string, disk: string, ...commands: readonly string[]): void {
  const { root } = parts(at, disk)
  for (const command of commands) run('debugfs', '-w', '-R', command, root)
  putInto(disk, root, rootStart)
}

test('what is not in order, asleep, packed or not certain is left as it is, with the reason', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  menu(`root=UUID=${other} ro`)(files)
  const cases: readonly (readonly [string, (disk: string) => void, RegExp])[] = [
    ['a journal to be replayed', (disk) => changeRoot(at, disk, 'feature needs_recovery'), /was not left in order/],
    ['not unmounted', (disk) => changeRoot(at, disk, 'set_super_value state 0'), /was not left in order/],
    ['errors', (disk) => changeRoot(at, disk, 'set_super_value state 3'), /records errors|was not left in order/],
    [
      'a feature that is not known',
      (disk) => changeRoot(at, disk, 'set_super_value feature_ro_compat 0x4046b'),
      /features/,
    ],
  ]
  for (const [name, spoil, reason] of cases) {
    const disk = guestDisk(at, files)
    spoil(disk)
    const result = await mendGuest(disk, { output: at('mended.raw') })
    assert.deepEqual(result.mend.mended, [], `${name}: ${said(result)}`)
    const finding = result.findings.find(({ id }) => id === 'L-ROOT-ABSENT')
    assert.match(finding?.remedy.text ?? said(result), reason, name)
    assert.equal(finding?.remedy.kind, 'inside-guest')
    assert.equal(fs.existsSync(at('mended.raw')), false)
  }
  // Two systems: which root is meant is not certain.
  const twice = guestDisk(at, files)
  fs.truncateSync(twice, 80 * MiB)
  run('sgdisk', '-e', '-n', '3:88064:+33M', '-t', '3:8304', twice)
  const copy = at('second.part')
  fs.copyFileSync(parts(at, twice).root, copy)
  run('tune2fs', '-U', 'random', copy)
  run('e2fsck', '-fy', copy)
  putInto(twice, copy, 43 * MiB)
  const unsure = await mendGuest(twice, { dryRun: true })
  assert.deepEqual(unsure.mend.mended, [], said(unsure))
  assert.equal(unsure.verdict, 'blocked')
})

test('a stop between two writes leaves the old file, with empty lines at most, or the new one', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  const old = fstabOf('/dev/sda2 / ext4 defaults 0 1')
  files['/etc/fstab'] = old
  const disk = guestDisk(at, files)
  const { ranges } = (await mendGuest(disk, { dryRun: true })).mend
  assert.equal(ranges.length, 3, 'empty lines behind the end, the size, the content')
  const bytes = fs.readFileSync(disk)
  const seen: string[] = [soundFile(at, disk, '/etc/fstab')]
  for (const { position, new: now } of ranges) {
    bytes.set(Buffer.from(now, 'hex'), position)
    fs.writeFileSync(at('stopped.raw'), bytes)
    seen.push(soundFile(at, at('stopped.raw'), '/etc/fstab'))
  }
  const more = 'UUID='.length + rootUuid.length - '/dev/sda2'.length
  const filled = `${old}${'\n'.repeat(more)}`
  assert.deepEqual(seen, [old, old, filled, old.replace('/dev/sda2', `UUID=${rootUuid}`)])
})

test('a file in a logical volume is mended where it lies', async (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!tools(t) || !have(t, 'vgcreate')) return
  const at = scratch(t)
  const files = debianFiles()
  menu('root=/dev/mapper/vg-root ro')(files)
  fstab('/dev/mapper/vg-root / ext4 defaults 0 1\n/dev/sda1 /boot/efi vfat umask=0077 0 1')(files)
  const disk = guestDisk(at, files)
  fs.truncateSync(disk, 64 * MiB)
  run('sgdisk', '-e', '-d', '2', '-n', '2:20480:+48M', '-t', '2:8e00', disk)
  const devices = [partDevice(t, disk, rootStart, 48 * MiB)]
  const paths = devices.map(({ path }) => path)
  run('wipefs', '-a', ...paths)
  lvm(paths, 'pvcreate', '-q', ...paths)
  lvm(paths, 'vgcreate', '-q', '-s', '1M', 'vg', ...paths)
  lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', '-n', 'root', '-L', '32M', 'vg')
  fillVolume(disk, devices, 'vg/root', fs.readFileSync(rootImage(at, files)))
  const result = await mendGuest(disk, { output: at('mended.raw') })
  assert.deepEqual(
    result.mend.mended.map(({ id }) => id),
    ['L-FSTAB-DEVICE'],
    said(result),
  )
  await convert(`${at('mended.raw')}@lv=vg/root`, at('root.raw'), { to: 'raw' })
  run('e2fsck', '-fn', at('root.raw'))
  assert.match(run('debugfs', '-R', 'cat /etc/fstab', at('root.raw')), /\nUUID=ABCD-1234 +\/boot\/efi vfat umask/)
})

test('btrfs keeps checksums of content: its files are left as they are', async (t) => {
  if (!tools(t) || !have(t, 'mkfs.btrfs')) return
  const at = scratch(t)
  const files = debianFiles()
  menu(`root=UUID=${other} ro`)(files)
  const disk = guestDisk(at, files)
  fs.truncateSync(disk, 160 * MiB)
  run('sgdisk', '-e', '-d', '2', '-n', '2:20480:+140M', '-t', '2:8304', disk)
  const root = at('btrfs.img')
  fs.writeFileSync(root, '')
  fs.truncateSync(root, 140 * MiB)
  run('mkfs.btrfs', '-q', '--rootdir', at('tree'), root)
  putInto(disk, root, rootStart)
  const result = await mendGuest(disk, { dryRun: true })
  assert.deepEqual([result.verdict, result.mend.mended], ['blocked', []], said(result))
  assert.match(said(result), /It is not mended here: files of btrfs are not changed in their place/)
})

/** A disk with /boot on ext4 beside the root: `folder` is where the root's files lie in its filesystem. */
function splitDisk(
  at: (name: string) => string,
  files: GuestFiles,
  { type, folder, uuid }: { readonly type: 'ext4' | 'btrfs'; readonly folder: string; readonly uuid: string },
): string {
  const [disk, root, boot] = [at('split.raw'), at('root.img'), at('boot.img')]
  for (const path of [at('tree'), at('kernels'), root, boot]) fs.rmSync(path, { recursive: true, force: true })
  for (const [path, content] of Object.entries(files)) {
    const isKernel = path.startsWith('/boot/')
    const place = isKernel ? at(`kernels${path.slice(5)}`) : at(`tree${folder}${path}`)
    fs.mkdirSync(dirname(place), { recursive: true })
    fs.writeFileSync(place, path === cfg ? String(content).replaceAll('/boot/', '/') : content)
  }
  run('mke2fs', '-q', '-t', 'ext4', '-U', bootUuid, '-d', at('kernels'), boot, '16M')
  if (type === 'ext4') run('mke2fs', '-q', '-t', 'ext4', '-U', uuid, '-d', at('tree'), root, '140M')
  else {
    fs.writeFileSync(root, '')
    fs.truncateSync(root, 140 * MiB)
    run('mkfs.btrfs', '-q', '-U', uuid, '--rootdir', at('tree'), root)
  }
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, 180 * MiB)
  const types = ['-t', '1:ef00', '-t', '2:8304', '-t', '3:8300']
  run('sgdisk', '-n', '1:2048:+8M', '-n', '2:20480:+140M', '-n', '3:0:+16M', ...types, disk)
  putInto(disk, espImage(at), MiB)
  putInto(disk, root, rootStart)
  putInto(disk, boot, rootStart + 140 * MiB)
  return disk
}
const bootUuid = '6b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d02'
const btrfsUuid = '6b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d03'

/** Has GRUB look for a filesystem. */
function menuOf(files: GuestFiles, uuid: string): void {
  files[cfg] = String(files[cfg]).replace(/--set=root \S+/g, `--set=root ${uuid}`)
}

test('/boot by an id that is gone: the one filesystem with kernels is meant', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  fstab(`${rootLine}\nUUID=${other} /boot ext4 defaults 0 2`)(files)
  menuOf(files, bootUuid)
  const disk = splitDisk(at, files, { type: 'ext4', folder: '', uuid: rootUuid })
  const before = await doctor(disk)
  assert.deepEqual(
    before.findings.map(({ id, severity }) => `${severity} ${id}`),
    ['blocks L-FSTAB-ABSENT'],
  )
  assert.equal(before.verdict, 'mendable')
  const result = await mendGuest(disk, { output: at('mended.raw') })
  assert.deepEqual([result.verdict, result.mend.mended.length], ['ready', 1], said(result))
  assert.deepEqual((await doctor(at('mended.raw'))).findings, [])
  // GRUB looks for a filesystem that is there, and has no kernel.
  fstab(`${rootLine}\nUUID=${bootUuid} /boot ext4 defaults 0 2`)(files)
  menuOf(files, rootUuid)
  const wrong = await doctor(splitDisk(at, files, { type: 'ext4', folder: '', uuid: rootUuid }))
  assert.deepEqual(
    wrong.findings.map(({ id, severity }) => `${severity} ${id}`),
    ['blocks L-GRUB-SEARCH'],
  )
  assert.match(said(wrong), /which is partition 2; \/vmlinuz-\S+ is in partition 3/)
})

test('subvolumes of btrfs that are not there', async (t) => {
  if (!tools(t) || !have(t, 'mkfs.btrfs')) return
  const at = scratch(t)
  const files = debianFiles()
  const look = async (subvolume: string, home: string): Promise<DoctorResult> => {
    menu(`root=UUID=${btrfsUuid} rootflags=noatime,subvol=${subvolume} ro`)(files)
    fstab(
      `UUID=${btrfsUuid} / btrfs subvol=@ 0 0\nUUID=${btrfsUuid} /home btrfs subvol=${home} 0 0\n` +
        `UUID=${bootUuid} /boot ext4 defaults 0 2`,
    )(files)
    menuOf(files, bootUuid)
    files[initrd] = cpio(
      [...cloudModules, 'kernel/fs/btrfs/btrfs.ko'].map((name) => `lib/modules/${kernelVersion}/${name}`),
    )
    return await doctor(splitDisk(at, files, { type: 'btrfs', folder: '/@', uuid: btrfsUuid }), { for: 'qemu' })
  }
  const ids = ({ findings }: Pick<MendResult, 'findings'>): string[] => findings.map(({ id }) => id)
  const sound = await look('@', '@/etc')
  assert.deepEqual([ids(sound), sound.verdict], [[], 'ready'], said(sound))
  assert.deepEqual(ids(await look('@', '@home')), ['L-FSTAB-SUBVOLUME'])
  const spoilt = await look('@rootfs', '@/etc')
  assert.deepEqual([ids(spoilt), spoilt.verdict], [['L-ROOT-SUBVOLUME'], 'mendable'], said(spoilt))
  const mended = await mendGuest(at('split.raw'), { for: 'qemu', output: at('mended.raw') })
  assert.deepEqual([ids(mended), mended.verdict], [[], 'ready'], said(mended))
})

test('variables of GRUB keep the size of their block', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  const block = `# GRUB Environment Block\nsaved_entry=one\nkernelopts=root=/dev/sda2 ro\n`
  files['/boot/grub2/grubenv'] = block.padEnd(1024, '#')
  Reflect.deleteProperty(files, cfg)
  files['/boot/grub2/grub.cfg'] = 'set default="${saved_entry}"\nblscfg\n'
  files['/boot/loader/entries/one.conf'] =
    `title Fedora\nlinux /boot/vmlinuz-${kernelVersion}\n` +
    `initrd /boot/initrd.img-${kernelVersion}\noptions $kernelopts\n`
  const disk = guestDisk(at, files)
  const result = await mendGuest(disk, { for: 'aws-snapshot', inPlace: true })
  assert.deepEqual(
    result.mend.mended.map(({ id }) => id),
    ['L-ROOT-DEVICE'],
    said(result),
  )
  const text = soundFile(at, disk, '/boot/grub2/grubenv')
  assert.equal(text.length, 1024)
  assert.match(text, new RegExp(`^# GRUB Environment Block\nsaved_entry=one\nkernelopts=root=UUID=${rootUuid} ro\n#+$`))
})

test('new ids of the partitions, and what names the old ones', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  const uuid = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee'
  menu(`root=PARTUUID=${uuid} ro`)(files)
  fstab(`PARTUUID=${uuid} / ext4 defaults 0 1`)(files)
  const disk = guestDisk(at, files)
  run('sgdisk', '-u', `2:${uuid}`, disk)
  assert.equal((await doctor(disk)).verdict, 'ready')
  await vdisk(['partition', 'fix', disk, '--new-ids', '--output', at('clone.raw')], { cwd: at('.') })
  assert.equal((await doctor(at('clone.raw'))).verdict, 'mendable')
  const result = await mendGuest(at('clone.raw'), { inPlace: true })
  assert.equal(result.verdict, 'ready', said(result))
  assert.ok(result.mend.ranges.every(({ old, new: now }) => old.length === now.length))
  const id = /Partition unique GUID: ([0-9A-F-]+)/.exec(run('sgdisk', '-i', '2', at('clone.raw')))?.[1]?.toLowerCase()
  assert.match(soundFile(at, at('clone.raw'), '/etc/fstab'), new RegExp(`PARTUUID=${id} / ext4`))
})

test('the command mends, prints what was done and what is left, and refuses to guess where to', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  menu(`root=UUID=${other} ro`)(files)
  fstab(`${rootLine}\n/dev/sdb1 /srv ext4 nofail 0 2`)(files)
  guestDisk(at, files)
  const cwd = at('.')
  const nowhere = await vdisk(['doctor', 'disk.raw', '--mend'], { cwd })
  assert.equal(nowhere.code, 2)
  assert.match(nowhere.stderr, /--output FILE[\s\S]*--in-place[\s\S]*--dry-run/)
  const dry = await vdisk(['doctor', 'disk.raw', '--mend', '--dry-run'], { cwd })
  assert.match(
    dry.stdout.toString(),
    /Would mend[\s\S]*L-ROOT-ABSENT[\s\S]*from byte \d+ of the disk\n +- "root=UUID=1111/,
  )
  assert.match(dry.stdout.toString(), /Nothing was written[\s\S]*ready: [\s\S]*Risk L-FSTAB-DEVICE/)
  assert.equal(dry.code, 0)
  const json = await vdisk(['doctor', 'disk.raw', '--mend', '--output', 'out.qcow2', '--json'], { cwd })
  assert.equal(json.code, 0, json.stderr)
  const result = JSON.parse(json.stdout.toString()) as MendResult
  assertSchema('doctor', result)
  assert.equal(result.mend.target?.format, 'qcow2')
  const human = await vdisk(['doctor', 'disk.raw', '--mend', '--in-place'], { cwd })
  assert.match(human.stdout.toString(), /Mended[\s\S]*in place[\s\S]*verdict then +ready/)
  assert.equal((await vdisk(['doctor', 'disk.raw'], { cwd })).code, 0)
  await assert.rejects(mendGuest(`${at('disk.raw')}@2`, { dryRun: true }), (error: unknown) => isImageError(error))
})
