/** What doctor finds in systems that were made for it: each defect alone, and nothing in a sound one. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { doctor, type DoctorResult } from '../../src/operations/doctor/doctor.js'
import { vdisk } from '../support/cli.js'
import { assertSchema } from '../support/schemas.js'
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
import { kernelFile } from '../support/tiny-kernel.js'
import { have, isInstalled, run, scratch } from '../support/tools.js'

const MiB = 1048576
const initrd = `/boot/initrd.img-${kernelVersion}`
const kernelPath = `/boot/vmlinuz-${kernelVersion}`
const other = '11111111-2222-3333-4444-555555555555'

function tools(t: TestContext): boolean {
  return ['sgdisk', 'mke2fs', 'mkfs.vfat', 'mcopy'].every((tool) => have(t, tool))
}

const ids = ({ findings }: DoctorResult): string[] => findings.map(({ id, severity }) => `${severity} ${id}`)

interface Defect {
  readonly name: string
  readonly change: (files: GuestFiles) => void
  readonly platform?: string
  readonly loader?: string
  /** Severity and id of every finding, the worst first. */
  readonly finds: readonly string[]
  readonly verdict: DoctorResult['verdict']
}

const fstab = (line: string) => (files: GuestFiles) => {
  files['/etc/fstab'] = `UUID=${rootUuid} / ext4 defaults 0 1\n${line}\n`
}
const menu = (parameters: string) => (files: GuestFiles) => {
  files['/boot/grub/grub.cfg'] = grubConfiguration(`${parameters} console=ttyS0`)
}
const packed = (modules: readonly string[]) => (files: GuestFiles) => {
  files[initrd] = cpio(modules.map((name) => `usr/lib/modules/${kernelVersion}/${name}`))
}

const defects: readonly Defect[] = [
  { name: 'none', change: () => undefined, finds: [], verdict: 'ready' },
  {
    name: 'none, on GCE but for its size',
    change: () => undefined,
    platform: 'gce',
    finds: ['blocks D-SIZE'],
    verdict: 'mendable',
  },
  {
    name: 'a device name in fstab',
    change: fstab('/dev/sdb1 /srv ext4 defaults 0 2'),
    finds: ['risk L-FSTAB-DEVICE'],
    platform: 'qemu',
    verdict: 'ready',
  },
  {
    name: 'a device name that the platform has not',
    change: fstab('/dev/xvdb1 /srv ext4 defaults 0 2'),
    finds: ['blocks L-FSTAB-DEVICE'],
    platform: 'azure-gen2',
    verdict: 'blocked',
  },
  {
    name: 'an id that nothing has',
    change: fstab(`UUID=${other} /srv ext4 defaults 0 2`),
    finds: ['blocks L-FSTAB-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'the same, which may be missing',
    change: fstab(`UUID=${other} /srv ext4 nofail 0 2`),
    finds: ['note L-FSTAB-ABSENT'],
    verdict: 'ready',
  },
  {
    name: 'a path of the hardware',
    change: fstab('/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part1 /srv ext4 defaults 0 2'),
    finds: ['risk L-FSTAB-DEVICE'],
    verdict: 'ready',
  },
  {
    name: 'a share of the old hypervisor',
    change: fstab('share /srv vboxsf defaults 0 0'),
    finds: ['risk L-FSTAB-SHARE'],
    verdict: 'ready',
  },
  {
    name: 'root= by an id that nothing has',
    change: menu(`root=UUID=${other} ro`),
    finds: ['blocks L-ROOT-ABSENT'],
    verdict: 'mendable',
  },
  { name: 'root= by a name', change: menu('root=/dev/sda2 ro'), finds: ['risk L-ROOT-DEVICE'], verdict: 'ready' },
  {
    name: 'root= by a name that EC2 gives to no disk',
    change: menu('root=/dev/sda2 ro'),
    platform: 'aws-snapshot',
    finds: ['blocks L-ROOT-DEVICE'],
    verdict: 'mendable',
  },
  {
    name: 'root= of another partition',
    change: menu('root=UUID=ABCD-1234 ro'),
    finds: ['blocks L-ROOT-OTHER'],
    verdict: 'mendable',
  },
  {
    name: 'resume= of swap that is gone',
    change: menu(`root=UUID=${rootUuid} resume=UUID=${other} ro`),
    finds: ['risk L-RESUME'],
    verdict: 'ready',
  },
  {
    name: 'no virtio in the initramfs',
    change: packed(cloudModules.filter((name) => !name.includes('virtio'))),
    platform: 'proxmox',
    finds: ['blocks L-INITRD-DRIVER'],
    verdict: 'blocked',
  },
  {
    name: 'the same, where it is not needed',
    change: packed(cloudModules.filter((name) => !name.includes('virtio'))),
    platform: 'hyperv-gen2',
    finds: ['risk F-SECURE-BOOT'],
    verdict: 'ready',
  },
  {
    name: 'no network driver that VMware needs; NVMe is enough for its disk',
    change: () => undefined,
    platform: 'vmware',
    finds: ['risk L-NET-DRIVER', 'note L-CONTROLLER', 'note L-AGENT'],
    verdict: 'ready',
  },
  {
    name: 'no filesystem of the root in the initramfs',
    change: packed(cloudModules.filter((name) => !name.includes('ext4'))),
    finds: ['blocks L-INITRD-FILESYSTEM'],
    verdict: 'blocked',
  },
  {
    name: 'an initramfs that is cut off',
    change: (files) => {
      files[initrd] = (files[initrd] as Buffer).subarray(0, 700)
    },
    finds: ['blocks L-INITRD-DAMAGED'],
    verdict: 'blocked',
  },
  {
    name: 'no initramfs',
    change: (files) => {
      Reflect.deleteProperty(files, initrd)
    },
    finds: ['blocks L-INITRD-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'no kernel',
    change: (files) => {
      Reflect.deleteProperty(files, `/boot/vmlinuz-${kernelVersion}`)
    },
    finds: ['blocks L-KERNEL-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'no modules',
    change: (files) => {
      for (const path of Object.keys(files))
        if (path.startsWith('/usr/lib/modules')) Reflect.deleteProperty(files, path)
    },
    finds: ['risk L-MODULES-ABSENT'],
    verdict: 'unknown',
  },
  {
    name: 'a kernel of no bytes',
    change: (files) => {
      files[kernelPath] = ''
    },
    finds: ['blocks L-KERNEL-DAMAGED'],
    verdict: 'blocked',
  },
  {
    name: 'a kernel that is cut off',
    change: (files) => {
      files[kernelPath] = kernelFile(kernelVersion).subarray(0, 2500)
    },
    finds: ['blocks L-KERNEL-DAMAGED'],
    verdict: 'blocked',
  },
  {
    name: 'a kernel of zeros, as a crash leaves it',
    change: (files) => {
      files[kernelPath] = Buffer.alloc(40960)
    },
    finds: ['blocks L-KERNEL-DAMAGED'],
    verdict: 'blocked',
  },
  {
    name: 'something that may be a kernel',
    change: (files) => {
      files[kernelPath] = Buffer.alloc(40960, 7)
    },
    finds: [],
    verdict: 'unknown',
  },
  {
    name: 'an initramfs that is empty',
    change: (files) => {
      files[initrd] = ''
    },
    platform: 'qemu',
    finds: ['blocks L-INITRD-DRIVER', 'blocks L-INITRD-FILESYSTEM'],
    verdict: 'blocked',
  },
  {
    name: 'an initramfs of another kernel',
    change: (files) => {
      files[initrd] = cpio(cloudModules.map((name) => `usr/lib/modules/5.10.0-1/${name}`))
    },
    platform: 'qemu',
    finds: ['blocks L-INITRD-DRIVER', 'blocks L-INITRD-FILESYSTEM'],
    verdict: 'blocked',
  },
  {
    name: 'a kernel whose name has no version, as Arch names it',
    change: (files) => {
      files['/boot/vmlinuz-linux'] = kernelFile(kernelVersion)
      files['/boot/grub/grub.cfg'] = grubConfiguration(`root=UUID=${rootUuid}`, '/boot/vmlinuz-linux')
    },
    platform: 'qemu',
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'a kernel that is another one than its name says',
    change: (files) => {
      files[kernelPath] = kernelFile('6.1.0-99-amd64')
    },
    finds: ['risk L-MODULES-ABSENT'],
    verdict: 'unknown',
  },
  {
    name: 'a default in a submenu, whose kernel is gone',
    change: (files) => {
      const text = String(files['/boot/grub/grub.cfg'])
      files['/boot/grub/grub.cfg'] = text.replace('default="0"', 'default="1>0"')
    },
    finds: ['blocks L-ROOT-DEVICE', 'blocks L-KERNEL-ABSENT'],
    platform: 'aws-snapshot',
    verdict: 'blocked',
  },
  {
    name: 'the same by the saved titles',
    change: (files) => {
      const text = String(files['/boot/grub/grub.cfg'])
      files['/boot/grub/grub.cfg'] = text.replace('default="0"', 'default="${saved_entry}"')
      files['/boot/grub/grubenv'] = 'saved_entry=Advanced options>Debian GNU/Linux, old\n'
    },
    finds: ['blocks L-KERNEL-ABSENT', 'risk L-ROOT-DEVICE'],
    verdict: 'blocked',
  },
  {
    name: 'the number of an entry behind a submenu',
    change: (files) => {
      const behind = `menuentry 'Debian, new' {\n\tlinux /boot/vmlinuz-9 root=UUID=${other}\n}\n`
      const text = String(files['/boot/grub/grub.cfg']) + behind
      files['/boot/grub/grub.cfg'] = text.replace('default="0"', 'default="2"')
    },
    finds: ['blocks L-ROOT-ABSENT', 'blocks L-KERNEL-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'rootfstype= of another filesystem',
    change: menu(`root=UUID=${rootUuid} rootfstype=xfs ro`),
    finds: ['blocks L-ROOT-TYPE'],
    verdict: 'mendable',
  },
  {
    name: 'no program to start',
    change: (files) => {
      delete files['/usr/sbin/init']
    },
    finds: ['blocks L-INIT-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'init= of a program that is not there',
    change: menu(`root=UUID=${rootUuid} init=/sbin/runit ro`),
    finds: ['risk L-INIT-ABSENT'],
    verdict: 'ready',
  },
  {
    name: 'a label that nothing has',
    change: fstab('LABEL=data /srv ext4 defaults 0 2'),
    finds: ['blocks L-FSTAB-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'a label of a partition that nothing has, mounted by nobody',
    change: fstab('/dev/disk/by-partlabel/data /srv ext4 noauto 0 2'),
    finds: ['note L-FSTAB-ABSENT'],
    verdict: 'ready',
  },
  {
    name: 'swap that is gone',
    change: fstab(`UUID=${other} none swap sw 0 0`),
    finds: ['note L-FSTAB-ABSENT'],
    verdict: 'ready',
  },
  {
    name: 'the root by an id that is gone: it is not mounted again to be written to',
    change: (files) => {
      files['/etc/fstab'] = `UUID=${other} / ext4 defaults 0 1\n`
    },
    finds: ['risk L-FSTAB-ABSENT'],
    verdict: 'ready',
  },
  {
    name: 'another type than the filesystem is',
    change: fstab('UUID=ABCD-1234 /boot/efi ext4 defaults 0 2'),
    finds: ['blocks L-FSTAB-TYPE'],
    verdict: 'blocked',
  },
  {
    name: 'the same, which may fail',
    change: fstab('UUID=ABCD-1234 /boot/efi ext4 nofail 0 2'),
    finds: ['note L-FSTAB-TYPE'],
    verdict: 'ready',
  },
  {
    name: 'an encrypted volume that is gone',
    change: (files) => {
      files['/etc/crypttab'] = `# name device key\nhome UUID=${other} none luks\n`
    },
    finds: ['blocks L-FSTAB-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'the same, which nothing opens',
    change: (files) => {
      files['/etc/crypttab'] = `home UUID=${other} none luks,noauto\n`
    },
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'RESUME= of swap that is gone',
    change: (files) => {
      files['/etc/initramfs-tools/conf.d/resume'] = `RESUME=UUID=${other}\n`
    },
    finds: ['risk L-RESUME'],
    verdict: 'ready',
  },
  {
    name: 'the command line of the next kernel',
    change: (files) => {
      files['/etc/kernel/cmdline'] = `root=UUID=${other} ro quiet\n`
    },
    finds: ['risk L-ROOT-DEFAULT'],
    verdict: 'ready',
  },
  {
    name: 'nothing that a cloud talks to',
    change: (files) => {
      delete files['/usr/bin/cloud-init']
      delete files['/usr/sbin/qemu-ga']
    },
    platform: 'aws-snapshot',
    finds: ['note L-AGENT'],
    verdict: 'ready',
  },
  { name: 'no loader', change: () => undefined, loader: '', finds: ['blocks F-NO-LOADER'], verdict: 'blocked' },
  {
    name: 'a loader that firmware does not find on its own',
    change: () => undefined,
    loader: '/EFI/debian/grubx64.efi',
    finds: ['blocks F-FALLBACK'],
    verdict: 'blocked',
  },
  {
    name: 'UEFI where there is only BIOS',
    change: () => undefined,
    platform: 'hyperv-gen1',
    finds: ['blocks F-FIRMWARE'],
    verdict: 'blocked',
  },
  {
    name: 'GRUB looks for a filesystem that is gone',
    change: (files) => {
      files['/boot/grub/grub.cfg'] = String(files['/boot/grub/grub.cfg']).replace(rootUuid, other)
    },
    finds: ['risk L-GRUB-SEARCH'],
    verdict: 'ready',
  },
  {
    name: 'the address of the old card',
    change: (files) => {
      files['/etc/udev/rules.d/70-persistent-net.rules'] =
        'SUBSYSTEM=="net", ATTR{address}=="52:54:00:12:34:56", NAME="eth0"\n'
    },
    finds: ['risk L-NET-ADDRESS'],
    verdict: 'ready',
  },
  {
    name: 'the name of the old card',
    change: (files) => {
      files['/etc/netplan/50.yaml'] = 'network:\n  ethernets:\n    ens192:\n      dhcp4: true\n'
    },
    finds: ['risk L-NET-NAME'],
    verdict: 'ready',
  },
  {
    name: 'cloud-init that does not ask the platform',
    change: (files) => {
      files['/etc/cloud/cloud.cfg'] = 'datasource_list: [ Ec2, None ]\n'
    },
    platform: 'azure-gen2',
    finds: ['risk L-CI-DATASOURCE'],
    verdict: 'ready',
  },
  {
    name: 'no agent',
    change: (files) => {
      delete files['/usr/sbin/qemu-ga']
    },
    platform: 'proxmox',
    finds: ['note L-AGENT'],
    verdict: 'ready',
  },
  {
    name: 'ids of one machine',
    change: (files) => {
      files['/etc/machine-id'] = '0123456789abcdef0123456789abcdef\n'
    },
    platform: 'proxmox',
    finds: ['note L-ID'],
    verdict: 'ready',
  },
  {
    name: 'no console',
    change: (files) => {
      files['/boot/grub/grub.cfg'] = grubConfiguration(`root=UUID=${rootUuid} ro`)
    },
    platform: 'azure-gen2',
    finds: ['note L-CONSOLE'],
    verdict: 'ready',
  },
]

test('each defect that is planted is found, and nothing else', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const { name, change, platform, loader, finds, verdict } of defects) {
    const files = debianFiles()
    change(files)
    const result = await doctor(guestDisk(at, files, loader), { for: platform })
    assert.deepEqual(ids(result), finds, `${name}: ${JSON.stringify(result.findings)}`)
    assert.equal(result.verdict, verdict, `${name}: ${JSON.stringify(result.notLooked)}`)
    for (const { where, found, wanted, why } of result.findings)
      for (const text of [where, found, wanted, why]) assert.notEqual(text, '', name)
  }
})

/** How a program packs an initramfs; lz4 as the kernel's own format. */
const packers: readonly (readonly [string, readonly string[]])[] = [
  ['gzip', ['-c']],
  ['xz', ['-c', '--check=crc32']],
  ['zstd', ['-c', '-q']],
  ['lz4', ['-c', '-l', '-q']],
  ['bzip2', ['-c']],
  ['xz', ['-c', '--format=lzma']],
  ['lzop', ['-c']],
]

test('the names in an initramfs are found behind an early archive, through every compression', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const early = cpio(['kernel/x86/microcode/GenuineIntel.bin'])
  const archive = (chosen: (name: string) => boolean): Buffer =>
    cpio(cloudModules.filter(chosen).map((name) => `lib/modules/${kernelVersion}/${name}`))
  const main = archive(() => true)
  for (const [program, flags] of packers) {
    if (!isInstalled(program)) {
      t.diagnostic(`${program} is not installed`)
      continue
    }
    const { stdout } = spawnSync(program, flags, { input: main })
    const files = debianFiles()
    files[initrd] = Buffer.concat([early, Buffer.alloc(512), stdout])
    const sound = await doctor(guestDisk(at, files), { for: 'qemu' })
    assert.deepEqual(ids(sound), [], `${program} ${flags.join(' ')}: ${JSON.stringify(sound)}`)
    assert.equal(sound.verdict, 'ready')
    // Damage in what is packed is found.
    files[initrd] = Buffer.concat([early, Buffer.alloc(512), stdout.subarray(0, stdout.length - 40)])
    const damaged = await doctor(guestDisk(at, files), { for: 'qemu' })
    assert.deepEqual(ids(damaged), ['blocks L-INITRD-DAMAGED'], program)
  }
  // An archive that is appended counts too.
  const files = debianFiles()
  files[initrd] = Buffer.concat([
    archive((name) => !name.includes('virtio')),
    Buffer.alloc(100),
    archive((name) => name.includes('virtio')),
  ])
  assert.deepEqual(ids(await doctor(guestDisk(at, files), { for: 'qemu' })), [])
})

test('what is no archive is not guessed about, and hostile ones are bounded', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const hostile: readonly (readonly [string, Buffer, DoctorResult['verdict']])[] = [
    ['unknown bytes', Buffer.alloc(4096, 0x5a), 'unknown'],
    [
      'a name of 4 GiB',
      Buffer.from(`070701${'0'.repeat(88)}ffffffff${'0'.repeat(8)}`.padEnd(600, 'x'), 'latin1'),
      'blocked',
    ],
    [
      'content of 4 GiB',
      Buffer.from(`070701${'0'.repeat(48)}ffffffff${'0'.repeat(32)}00000002${'0'.repeat(8)}a\0`, 'latin1'),
      'blocked',
    ],
    ['no digits', Buffer.from(`070701${'zz'.repeat(60)}`, 'latin1'), 'blocked'],
  ]
  for (const [name, bytes, verdict] of hostile) {
    const files = debianFiles()
    files[initrd] = bytes
    const result = await doctor(guestDisk(at, files), { for: 'qemu' })
    assert.equal(result.verdict, verdict, `${name}: ${JSON.stringify(result)}`)
  }
  if (!isInstalled('gzip')) return
  // 600 MiB of zeros behind one entry that claims them.
  const bomb = at('bomb')
  const head = `070701${'0'.repeat(48)}25800000${'0'.repeat(32)}00000002${'0'.repeat(8)}a\0`
  fs.writeFileSync(bomb, head)
  fs.truncateSync(bomb, 600 * 1048576)
  run('gzip', '-1', bomb)
  const files = debianFiles()
  files[initrd] = fs.readFileSync(`${bomb}.gz`)
  const result = await doctor(guestDisk(at, files), { for: 'qemu' })
  assert.equal(result.verdict, 'unknown')
  assert.match(JSON.stringify(result.notLooked), /more than 536870912 bytes/)
})

test('a root in a logical volume is found, and what its group has not', async (t) => {
  if (!tools(t) || !have(t, 'vgcreate')) return
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  const at = scratch(t)
  const disk = at('lvm.raw')
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, 64 * MiB)
  run('sgdisk', '-n', '1:2048:+8M', '-t', '1:ef00', '-n', '2:20480:+48M', '-t', '2:8e00', disk)
  putInto(disk, espImage(at), MiB)
  const devices = [partDevice(t, disk, 10 * MiB, 48 * MiB)]
  const paths = devices.map(({ path }) => path)
  lvm(paths, 'pvcreate', '-q', ...paths)
  lvm(paths, 'vgcreate', '-q', '-s', '1M', 'my-vg', ...paths)
  lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', '-n', 'root', '-L', '32M', 'my-vg')
  const files = debianFiles()
  menu('root=/dev/mapper/my--vg-root ro')(files)
  const lvmNames = [`usr/lib/modules/${kernelVersion}/kernel/drivers/md/dm-mod.ko.xz`, 'usr/sbin/lvm']
  const modules = cloudModules.map((name) => `usr/lib/modules/${kernelVersion}/${name}`)
  files[initrd] = cpio([...modules, ...lvmNames])
  const look = async (line: string): Promise<DoctorResult> => {
    files['/etc/fstab'] = `/dev/mapper/my--vg-root / ext4 defaults 0 1\n${line}\n`
    fillVolume(disk, devices, 'my-vg/root', fs.readFileSync(rootImage(at, files)))
    return await doctor(disk, { for: 'qemu' })
  }
  const sound = await look('')
  assert.deepEqual(ids(sound), [])
  assert.equal(sound.verdict, 'ready', JSON.stringify(sound.notLooked))
  assert.match(sound.looked.join(), /in the logical volume my-vg\/root/)
  assert.doesNotMatch(JSON.stringify(sound.notLooked), /LVM/)
  for (const kept of [[], ...lvmNames.map((name) => [name])]) {
    files[initrd] = cpio([...modules, ...kept])
    assert.deepEqual(ids(await look('')), ['blocks L-INITRD-LVM'])
  }
  files[initrd] = cpio([...modules, ...lvmNames])
  assert.deepEqual(ids(await look('/dev/my-vg/home /home ext4 defaults 0 2')), ['blocks L-FSTAB-ABSENT'])
  assert.deepEqual(ids(await look(`UUID=${other} /home ext4 defaults 0 2`)), ['blocks L-FSTAB-ABSENT'])
})

test('entries of the Boot Loader Specification, with the variables of GRUB, are read', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  const options = (root: string): void => {
    files['/boot/grub2/grubenv'] =
      `# GRUB Environment Block\nsaved_entry=one-${kernelVersion}\nkernelopts=root=${root} ro\n`
  }
  delete files['/boot/grub/grub.cfg']
  files['/boot/grub2/grub.cfg'] = 'set default="${saved_entry}"\nblscfg\n'
  files[`/boot/loader/entries/one-${kernelVersion}.conf`] = [
    'title Fedora',
    `linux /boot/vmlinuz-${kernelVersion}`,
    `initrd ${initrd}`,
    'options $kernelopts',
    '',
  ].join('\n')
  files['/boot/loader/entries/zero-rescue.conf'] = 'title Rescue\nlinux /boot/none\noptions root=/dev/sda1\n'
  options(`UUID=${rootUuid}`)
  assert.deepEqual(ids(await doctor(guestDisk(at, files), { for: 'qemu' })), [])
  options(`UUID=${other}`)
  assert.deepEqual(ids(await doctor(guestDisk(at, files), { for: 'qemu' })), ['blocks L-ROOT-ABSENT'])
})

test('the command prints findings, JSON of its schema, a page, and exit codes', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = debianFiles()
  fstab(`UUID=${other} /srv<b> ext4 defaults 0 2`)(files)
  guestDisk(at, files)
  const cwd = at('.')
  const text = await vdisk(['doctor', 'disk.raw', '--html', 'page.html'], { cwd })
  assert.equal(text.code, 1)
  assert.match(
    text.stdout.toString(),
    /blocked: it does not start as it is[\s\S]*Blocks L-FSTAB-ABSENT: \/etc\/fstab:2/,
  )
  assert.match(text.stdout.toString(), /not looked into +.*disk drivers/)
  const page = fs.readFileSync(at('page.html'), 'utf8')
  assert.match(page, /Will it start[\s\S]*L-FSTAB-ABSENT[\s\S]*&lt;b&gt;/)
  assert.doesNotMatch(page, /\/srv<b>/)
  const json = await vdisk(['doctor', 'disk.raw', '--for', 'qemu', '--json'], { cwd })
  assert.equal(json.code, 1)
  assertSchema('doctor', JSON.parse(json.stdout.toString()))
  guestDisk(at, debianFiles())
  assert.equal((await vdisk(['doctor', 'disk.raw', '--for', 'qemu'], { cwd })).code, 0)
  assert.equal((await vdisk(['doctor', 'disk.raw', '--for', 'nowhere'], { cwd })).code, 2)
})
