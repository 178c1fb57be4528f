/** Odd ways of writing what a system starts with: those that are right are no findings, and each defect is one. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { doctor, type DoctorResult } from '../../src/operations/doctor/doctor.js'
import { mendGuest } from '../../src/operations/doctor/mending/mend.js'
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
import { have, isInstalled, run, scratch } from '../support/tools.js'

const kernel = `/boot/vmlinuz-${kernelVersion}`
const initrd = `/boot/initrd.img-${kernelVersion}`
const other = '11111111-2222-3333-4444-555555555555'
const espPart = '22222222-3333-4444-5555-666666666666'
const root = `UUID=${rootUuid}`

interface Planted {
  readonly name: string
  readonly change?: (files: GuestFiles) => void
  /** Done to the disk: labels and ids. */
  readonly spoil?: (disk: string) => void
  readonly platform?: string
  readonly finds: readonly string[]
}

const fstab =
  (line: string) =>
  (files: GuestFiles): void => {
    files['/etc/fstab'] = `${root} / ext4 defaults 0 1\n${line}\n`
  }
const labelled =
  (label: string, part = 'root') =>
  (disk: string): void => {
    run('tune2fs', '-L', label, `${disk}?offset=${10 * 1048576}`)
    run('sgdisk', '-c', `2:${part}`, disk)
  }
const menu =
  (entry: string, before = '') =>
  (files: GuestFiles): void => {
    files['/boot/grub/grub.cfg'] = `${before}\nmenuentry 'Debian' {\n${entry}\n}\n`
  }
const starts = `linux ${kernel} root=${root} ro\ninitrd ${initrd}`
const noGrub = (files: GuestFiles): void => {
  delete files['/boot/grub/grub.cfg']
}
const written =
  (texts: Readonly<Record<string, string>>) =>
  (files: GuestFiles): void => {
    noGrub(files)
    Object.assign(files, texts)
  }
const entry = (lines: string, device = root): string =>
  `title Linux\nlinux ${kernel}\ninitrd ${initrd}\noptions root=${device} ro\n${lines}`
const gone = `UUID=${other}`

const sound: readonly Omit<Planted, 'finds'>[] = [
  {
    name: 'a label with a blank',
    change: fstab('LABEL=my\\040disk /srv ext4 defaults 0 2'),
    spoil: labelled('my disk'),
  },
  {
    name: 'the same by its link',
    change: fstab('/dev/disk/by-label/my\\x20disk /srv ext4 defaults 0 2'),
    spoil: labelled('my disk'),
  },
  {
    name: 'a label with a letter of two bytes',
    change: fstab('LABEL=Dat\\303\\244 /srv ext4 defaults 0 2'),
    spoil: labelled('Datä'),
  },
  {
    name: 'the same by its link, and as it is',
    change: fstab('/dev/disk/by-label/Dat\\xc3\\xa4 /srv ext4 defaults 0 2\nLABEL=Datä /opt ext4 defaults 0 2'),
    spoil: labelled('Datä'),
  },
  {
    name: "a partition's label, tabs",
    change: fstab('PARTLABEL=my\\040part\t/srv\text4\tdefaults\t0\t2'),
    spoil: labelled('x', 'my part'),
  },
  {
    name: 'the root some partitions behind another',
    change: (files) => {
      files['/boot/grub/grub.cfg'] = grubConfiguration(`root=PARTUUID=${espPart}/PARTNROFF=1 ro`)
    },
    spoil: (disk) => run('sgdisk', '-u', `1:${espPart}`, disk),
  },
  {
    name: 'hints before an id',
    change: menu(`search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 ${rootUuid}\n${starts}`),
  },
  { name: 'a hint behind an id', change: menu(`search --fs-uuid --set=root ${rootUuid} --hint hd0,gpt2\n${starts}`) },
  { name: 'a short search', change: menu(`search -n -u ${rootUuid} -s\n${starts}`) },
  { name: 'a search by label', change: menu(`search -l root -s\n${starts}`), spoil: labelled('root') },
  { name: 'a search by a file', change: menu(`search --file --set=root ${kernel}\n${starts}`) },
  { name: 'a root by number', change: menu(`set root='hd0,gpt2'\n${starts}`) },
  {
    name: 'a number, and a search that is right',
    change: menu(`set root='hd0,gpt7'\nsearch --fs-uuid --set=root ${rootUuid}\n${starts}`),
  },
  {
    name: 'a kernel by its partition',
    change: menu(`linux (hd0,gpt2)${kernel} root=${root}\ninitrd (hd0,gpt2)${initrd}`),
  },
  {
    name: 'an entry on one line',
    change: (files) => {
      files['/boot/grub/grub.cfg'] =
        `menuentry 'old' { linux /boot/none root=${gone}; }\n` +
        `set default=1\nmenuentry 'new' { linux ${kernel} root=${root} ro; initrd ${initrd}; }\n`
    },
  },
  {
    name: "systemd-boot's own order: keys come first, then the newest version",
    change: written({
      '/loader/loader.conf': 'timeout 3\n',
      '/loader/entries/zz.conf': entry('sort-key debian\nversion 6.1', gone),
      '/loader/entries/aa.conf': entry('sort-key debian\nversion 6.10'),
      '/loader/entries/zzz-without-a-key.conf': entry('version 9', gone),
      '/loader/entries/tried+0-3.conf': entry('sort-key alpha\nversion 9', gone),
    }),
  },
  {
    name: 'a default with a star',
    change: written({
      '/loader/loader.conf': 'default debian-*\n',
      '/loader/entries/debian-6.1+3.conf': entry(''),
      '/loader/entries/zz.conf': entry('sort-key a', gone),
    }),
  },
  {
    name: 'parameters that the menu of GRUB sets for its entries',
    change: written({
      '/boot/grub2/grub.cfg': [
        'set default="${saved_entry}"',
        'if [ -z "${kernelopts}" ]; then',
        `  set kernelopts="root=${root} ro "`,
        'fi\nblscfg\n',
      ].join('\n'),
      '/boot/loader/entries/one.conf': [
        `title Fedora\nlinux ${kernel}`,
        `initrd ${initrd} $tuned_initrd\noptions $kernelopts $tuned_params\n`,
      ].join('\n'),
    }),
  },
  {
    name: 'extlinux, with a menu that is a program and names from its folder',
    change: written({
      '/boot/extlinux/extlinux.conf':
        'DEFAULT vesamenu.c32\nLABEL old\n  KERNEL /boot/none\nLABEL disk\n  COM32 chain.c32\n' +
        'LABEL new\n  MENU DEFAULT\n' +
        `  LINUX ..${kernel.slice(5)}\n  INITRD ..${initrd.slice(5)}\n  APPEND root=${root} ro\n`,
    }),
  },
  {
    name: 'the first GRUB',
    change: written({
      '/boot/grub/menu.lst':
        `# menu\ndefault=1\ntimeout 5\ntitle old\n\troot (hd0,6)\n\tkernel /boot/none root=/dev/hda1\n` +
        `title Debian\n\troot (hd0,1)\n\tkernel ${kernel} ro root=${root}\n\tinitrd ${initrd}\n`,
    }),
  },
]

const defects: readonly Planted[] = [
  {
    name: 'the label in another case',
    change: fstab('LABEL=Root /srv ext4 defaults 0 2'),
    spoil: labelled('root'),
    finds: ['blocks L-FSTAB-ABSENT'],
  },
  {
    name: 'a mapped device, and nothing that maps',
    change: fstab('/dev/mapper/vg-data /srv ext4 defaults 0 2'),
    finds: ['blocks L-FSTAB-ABSENT'],
  },
  { name: 'the same for swap', change: fstab('/dev/mapper/vg-swap none swap sw 0 0'), finds: ['note L-FSTAB-ABSENT'] },
  {
    name: 'a root in a group, and no group',
    change: (files) => {
      files['/boot/grub/grub.cfg'] = grubConfiguration('root=/dev/mapper/debian--vg-root ro')
    },
    finds: ['blocks L-ROOT-ABSENT'],
  },
  {
    name: 'a root too many partitions behind another',
    change: (files) => {
      files['/boot/grub/grub.cfg'] = grubConfiguration(`root=PARTUUID=${espPart}/PARTNROFF=5 ro`)
    },
    spoil: (disk) => run('sgdisk', '-u', `1:${espPart}`, disk),
    finds: ['blocks L-ROOT-ABSENT'],
  },
  {
    name: 'an id that is gone, with a hint',
    change: menu(`search --fs-uuid --set=root ${other} --hint hd0,gpt2\n${starts}`),
    finds: ['risk L-GRUB-SEARCH'],
  },
  {
    name: 'a label that is gone',
    change: menu(`search --label boot --set=root\n${starts}`),
    finds: ['risk L-GRUB-SEARCH'],
  },
  {
    name: 'a file that is gone',
    change: menu(`search --file --set=root /boot/here\n${starts}`),
    finds: ['risk L-GRUB-SEARCH'],
  },
  { name: 'a number that is gone', change: menu(`set root='hd0,gpt7'\n${starts}`), finds: ['blocks L-GRUB-SEARCH'] },
  {
    name: 'the number of another partition',
    change: menu(`set root=(hd0,1)\n${starts}`),
    finds: ['blocks L-GRUB-SEARCH'],
  },
  {
    name: 'a kernel in another partition',
    change: menu(`linux (hd0,gpt1)${kernel} root=${root}\ninitrd ${initrd}`),
    finds: ['blocks L-GRUB-SEARCH'],
  },
  {
    name: 'one line, with a root that is gone',
    change: menu(`linux ${kernel} root=${gone}; initrd ${initrd}`),
    finds: ['blocks L-ROOT-ABSENT'],
  },
  {
    name: 'what starts next time alone',
    change: (files) => {
      menu(starts, 'if [ "${next_entry}" ]; then set default="${next_entry}"; fi')(files)
      files['/boot/grub/grub.cfg'] =
        `${String(files['/boot/grub/grub.cfg'])}menuentry 'test' {\nlinux ${kernel} root=${gone}\ninitrd ${initrd}\n}\n`
      files['/boot/grub/grubenv'] = 'next_entry=test\n'
    },
    finds: ['blocks L-ROOT-ABSENT'],
  },
  {
    name: 'an entry of systemd-boot with a root that is gone',
    change: written({
      '/loader/loader.conf': 'default debian.conf\n',
      '/loader/entries/debian.conf': entry('', gone),
      '/loader/entries/zz.conf': entry(''),
    }),
    finds: ['blocks L-ROOT-ABSENT'],
  },
  {
    name: 'an entry of systemd-boot without its kernel',
    change: written({
      '/loader/loader.conf': '',
      '/loader/entries/debian.conf': entry('').replace('/boot/vmlinuz', '/boot/gone'),
    }),
    finds: ['blocks L-KERNEL-ABSENT'],
  },
  {
    name: 'extlinux, by a device name of another platform',
    change: written({
      '/boot/extlinux/extlinux.conf': `DEFAULT l\nLABEL l\nLINUX ${kernel}\nINITRD ${initrd}\nAPPEND root=/dev/xvda2\n`,
    }),
    platform: 'qemu',
    finds: ['blocks L-ROOT-DEVICE'],
  },
  {
    name: 'the first GRUB, in another partition',
    change: written({
      '/boot/grub/grub.conf': [
        'default 0',
        'title Debian',
        'root (hd0,0)',
        `kernel ${kernel} ro root=${root}`,
        `initrd ${initrd}`,
      ].join('\n'),
    }),
    finds: ['blocks L-GRUB-SEARCH'],
  },
]

/** What Ubuntu's images for clouds start with, and what it becomes after new ids. */
const forced =
  (id: string) =>
  (files: GuestFiles): void => {
    files['/etc/default/grub.d/40-force-partuuid.cfg'] = `# made for the image\nGRUB_FORCE_PARTUUID=${id}\n`
  }

test('the partition that settings of GRUB name is looked at, and mended', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const known = (disk: string): void => {
    run('sgdisk', '-u', `2:${espPart}`, disk)
  }
  await finds(at, { name: 'right', change: forced(espPart), spoil: known, platform: 'qemu', finds: [] })
  await finds(at, {
    name: 'gone',
    change: forced(other),
    spoil: known,
    platform: 'qemu',
    finds: ['risk L-ROOT-DEFAULT'],
  })
  const mended = await mendGuest(at('disk.raw'), { for: 'qemu', output: at('mended.raw') })
  assert.deepEqual(
    mended.findings.map(({ id }) => id),
    [],
  )
})

const ids = ({ findings }: DoctorResult): string[] => findings.map(({ id, severity }) => `${severity} ${id}`)

function tools(t: TestContext): boolean {
  return ['sgdisk', 'mke2fs', 'tune2fs', 'mkfs.vfat', 'mcopy'].every((tool) => have(t, tool))
}

test('what is written in an odd way, and right, is no finding', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const { name, change, spoil, platform = 'qemu' } of sound)
    await finds(at, { name, change, spoil, platform, finds: [] })
})

test('each of more defects is found, and nothing else', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const one of defects) await finds(at, one)
})

async function finds(at: (name: string) => string, { name, change, spoil, platform, finds }: Planted): Promise<void> {
  const files = debianFiles()
  change?.(files)
  const disk = guestDisk(at, files)
  spoil?.(disk)
  const result = await doctor(disk, { for: platform })
  assert.deepEqual(ids(result), finds, `${name}: ${JSON.stringify(result.findings)}`)
  if (finds.length === 0) assert.equal(result.verdict, 'ready', `${name}: ${JSON.stringify(result.notLooked)}`)
}

const ring = 'kernel/drivers/virtio/virtio_ring.ko'
const sd = 'kernel/drivers/scsi/sd_mod.ko'
const cards = ['kernel/drivers/ata/ahci.ko', 'kernel/drivers/scsi/vmw_pvscsi.ko']

/** A kernel whose modules need each other, as modules.dep says, and an initramfs with some of them. */
function withModules(files: GuestFiles, packed: readonly string[]): void {
  const all = [...cloudModules, ring, sd, ...cards]
  const needs = (name: string): string => (/virtio_(pci|blk|scsi)/.test(name) ? ring : '')
  files[`/usr/lib/modules/${kernelVersion}/modules.dep`] = all.map((name) => `${name}: ${needs(name)}\n`).join('')
  files[initrd] = cpio(packed.map((name) => `usr/lib/modules/${kernelVersion}/${name}`))
}

test('a driver counts with what it needs; another controller is named where firmware starts from it', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const noVirtio = cloudModules.filter((name) => !name.includes('virtio'))
  const look = async (packed: readonly string[], platform = 'qemu'): Promise<DoctorResult> => {
    const files = debianFiles()
    withModules(files, packed)
    return await doctor(guestDisk(at, files), { for: platform })
  }
  const remedy = ({ findings }: DoctorResult): string => findings[0]?.remedy.text ?? ''
  assert.deepEqual(ids(await look([...cloudModules, ring])), ['note L-CONTROLLER'])
  assert.deepEqual(ids(await look([...cloudModules, ring, sd])), [])
  const ringless = await look([...cloudModules, sd])
  assert.deepEqual(ids(ringless), ['blocks L-INITRD-DRIVER'])
  assert.match(ringless.findings[0]?.found ?? '', /: virtio_ring$/)
  const sdless = await look(cloudModules, 'hyperv-gen2')
  assert.deepEqual(ids(sdless), ['blocks L-INITRD-DRIVER', 'risk F-SECURE-BOOT'])
  assert.match(sdless.findings[0]?.found ?? '', /: sd_mod$/)
  // UEFI: SATA would do, PVSCSI would not.
  const [, pvscsi = ''] = cards
  const sata = await look([...noVirtio, sd, ...cards])
  assert.deepEqual(ids(sata), ['blocks L-INITRD-DRIVER'])
  assert.match(remedy(sata), /another controller, which the guest has a driver for: SATA \(AHCI\), NVMe\./)
  const blind = await look([...noVirtio.filter((name) => !name.includes('nvme')), sd, pvscsi])
  assert.match(remedy(blind), /has a driver for PVSCSI: the UEFI of qemu sees no disk there\. /)
  // VMware's own firmware has a driver for it.
  assert.deepEqual(ids(await look([...noVirtio, sd, pvscsi], 'vmware')).slice(0, 1), ['risk L-NET-DRIVER'])
})

/** How a program packs an initramfs; lz4 as the kernel's own format. */
const packers: readonly (readonly [name: string, ...flags: readonly string[]])[] = [
  ['gzip', '-c'],
  ['xz', '-c', '--check=crc32'],
  ['zstd', '-c', '-q'],
  ['lz4', '-c', '-l', '-q'],
  ['bzip2', '-c'],
  ['xz', '-c', '--format=lzma'],
  ['lzop', '-c'],
  ['cat'],
]

test('archives that follow each other are read, whatever each is packed with', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const archive = (chosen: (name: string) => boolean): Buffer =>
    cpio(cloudModules.filter(chosen).map((name) => `lib/modules/${kernelVersion}/${name}`))
  const halves = [archive((name) => name.includes('virtio')), archive((name) => !name.includes('virtio'))]
  const packed = packers.flatMap(([program, ...flags]) => {
    if (!isInstalled(program)) return []
    const [one, two] = halves.map((input) => spawnSync(program, flags, { input }).stdout)
    return one === undefined || two === undefined ? [] : [{ name: [program, ...flags].join(' '), one, two }]
  })
  for (const [index, { name, one }] of packed.entries()) {
    const after = packed[(index + 1) % packed.length]
    const before = packed[(index + packed.length - 1) % packed.length]
    for (const second of [after, before]) {
      if (second === undefined) continue
      const files = debianFiles()
      // The kernel takes what is not packed at multiples of 4 alone, and zeros between archives.
      files[initrd] = Buffer.concat([one, Buffer.alloc(512 - (one.length % 4)), second.two])
      const result = await doctor(guestDisk(at, files), { for: 'qemu' })
      assert.deepEqual(ids(result), [], `${name}, then ${second.name}: ${JSON.stringify(result)}`)
    }
  }
})

test('Secure Boot takes what Microsoft signed, and nothing else', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const look = async (signer: string): Promise<DoctorResult> => {
    const disk = guestDisk(at, debianFiles())
    putInto(disk, espImage(at, '/EFI/BOOT/BOOTX64.EFI', signer), 1048576)
    return await doctor(disk, { for: 'hyperv-gen2' })
  }
  assert.deepEqual(ids(await look('Microsoft Corporation UEFI CA 2011')), [])
  const own = await look('Debian Secure Boot CA')
  assert.deepEqual(ids(own), ['risk F-SECURE-BOOT'])
  assert.match(own.findings[0]?.found ?? '', /signed, and not by Microsoft/)
  assert.match((await look('')).findings[0]?.found ?? '', /not signed/)
})

test('of two systems the one that the menu starts is looked into', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const second = debianFiles()
  noGrub(second)
  second['/etc/fstab'] = `${gone} / ext4 defaults 0 1\n`
  const image = rootImage(at, second)
  run('tune2fs', '-f', '-U', other, image)
  fs.renameSync(image, at('second.img'))
  const first = debianFiles()
  menu(`linux ${kernel} root=${gone} ro\ninitrd ${initrd}`)(first)
  const disk = guestDisk(at, first)
  fs.truncateSync(disk, 90 * 1048576)
  run('sgdisk', '-e', disk)
  run('sgdisk', '-n', `3:${49 * 2048}:+33M`, '-t', '3:8304', disk)
  putInto(disk, at('second.img'), 49 * 1048576)
  const result = await doctor(disk, { for: 'qemu' })
  assert.deepEqual(ids(result), [], JSON.stringify(result.findings))
  assert.match(result.looked.join(), /the root: \/ in partition 3/)
  assert.match(JSON.stringify(result.notLooked), /the system in partition 2/)
})
