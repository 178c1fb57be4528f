/** Systems as distributions and makers of images lay them out: sound ones have no finding, each defect is one. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { doctor } from '../../src/operations/doctor/doctor.js'
import { mendGuest } from '../../src/operations/doctor/mending/mend.js'
import {
  below,
  efiPart,
  kernelFiles,
  layoutDisk,
  moduleLists,
  systemFiles,
  type LayoutPart,
  type LayoutVolume,
} from '../support/guest-layouts.js'
import type { GuestFiles } from '../support/linux-guest.js'
import { loopsMissing } from '../support/loop.js'
import { have, scratch } from '../support/tools.js'

const root = '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d01'
const boot = '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d02'
const swap = '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d03'
const rootPart = '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d04'
const otherPart = '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d05'
const gone = '11111111-2222-3333-4444-555555555555'
const version = '6.12.9-1'
const older = '6.1.0-18'

interface Layout {
  readonly name: string
  readonly parts: readonly LayoutPart[]
  readonly finds?: readonly string[]
  readonly platform?: string
  readonly verdict?: string
  /** What `--mend` makes of it. */
  readonly mended?: string
}

const pointer = (id: string, prefix: string): string =>
  `search --no-floppy --root-dev-only --fs-uuid --set=dev ${id}\nset prefix=($dev)${prefix}\n` +
  'export $prefix\nconfigfile $prefix/grub.cfg\n'
const esp = (id: string, prefix = '/boot/grub', vendor = 'debian'): LayoutPart =>
  efiPart('GRUB', { [`/EFI/${vendor}/grub.cfg`]: pointer(id, prefix) })
const ext = (uuid: string, files: GuestFiles, more: Partial<LayoutVolume> = {}): LayoutVolume => ({
  type: 'ext4',
  uuid,
  files,
  ...more,
})
const merge = (...all: readonly GuestFiles[]): GuestFiles => Object.assign({}, ...all) as GuestFiles

/** Debian with /boot of its own, and several kernels, of which an older one was saved. */
function severalKernels(saved: string): readonly LayoutPart[] {
  const fstab = `UUID=${root} / ext4 errors=remount-ro 0 1\nUUID=${boot} /boot ext4 defaults 0 2
UUID=ABCD-1234 /boot/efi vfat umask=0077 0 1\nUUID=${swap} none swap sw 0 0
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n/dev/sdb1 /media/usb0 auto rw,user,noauto 0 0\n`
  const kernels = [version, older].map((one) =>
    kernelFiles({ version: one, kernel: `/vmlinuz-${one}`, initramfs: `/initrd.img-${one}` }),
  )
  const lines = (one: string, id: string): string =>
    `menuentry 'Debian, with ${one}' --class gnu $menuentry_id_option '${id}' {
 load_video\n insmod gzio\n if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
 search --no-floppy --fs-uuid --set=root ${boot}
 linux /vmlinuz-${one} root=UUID=${one === older && saved.includes('broken') ? gone : root} ro quiet
 initrd /initrd.img-${one}\n}\n`
  const menu = `if [ -s $prefix/grubenv ]; then\n set have_grubenv=true\n load_env\nfi
if [ "\${next_entry}" ] ; then\n set default="\${next_entry}"\nelse\n set default="\${saved_entry}"\nfi
${lines(version, 'gnulinux-simple')}submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced' {
${lines(version, 'gnulinux-new')}${lines(older, 'gnulinux-old')}}\n`
  const environment = `# GRUB Environment Block\nsaved_entry=${saved}\n`
  return [
    esp(boot, '/grub'),
    { code: '8300', volume: ext(boot, merge(...kernels, { '/grub/grub.cfg': menu, '/grub/grubenv': environment })) },
    {
      code: '8304',
      volume: ext(root, merge(systemFiles(fstab), moduleLists(version), moduleLists(older, '/lib/modules'))),
    },
    { code: '8200', volume: { type: 'swap', uuid: swap } },
  ]
}

/** Everything but the loader in one group. */
const bootOnLvm: readonly LayoutPart[] = [
  esp(boot, '/grub'),
  {
    code: '8e00',
    logical: {
      'debian-vg/root': ext(
        root,
        merge(
          systemFiles(
            '/dev/mapper/debian--vg-root / ext4 defaults 0 1\n/dev/mapper/debian--vg-boot /boot ext4 defaults 0 2\n' +
              '/dev/debian-vg/swap none swap sw 0 0\n',
          ),
          moduleLists(version),
        ),
      ),
      'debian-vg/boot': ext(
        boot,
        merge(
          kernelFiles({
            version,
            kernel: `/vmlinuz-${version}`,
            initramfs: `/initrd.img-${version}`,
            holds: ['usr/sbin/lvm'],
          }),
          {
            '/grub/grub.cfg':
              `menuentry 'Debian' {\n insmod lvm\n set root='lvmid/Xu2xzI-9FMy-fHl0/DFJMeO'\n` +
              ` search --no-floppy --fs-uuid --set=root --hint='lvmid/Xu2xzI-9FMy-fHl0/DFJMeO' ${boot}\n` +
              ` linux /vmlinuz-${version} root=/dev/mapper/debian--vg-root ro\n initrd /initrd.img-${version}\n}\n`,
          },
        ),
      ),
      'debian-vg/swap': { type: 'swap', uuid: swap },
    },
  },
]

interface Fedora {
  readonly saved: string
  readonly flags?: string
  readonly subvolume?: string
}

/** Fedora: entries of their own, and btrfs with subvolumes, of which none is mounted by itself. */
function fedora({ saved, flags = 'rootflags=subvol=root', subvolume = 'home' }: Fedora): readonly LayoutPart[] {
  const fstab = `UUID=${root} / btrfs subvol=root,compress=zstd:1 0 0\nUUID=${boot} /boot ext4 defaults 1 2
UUID=ABCD-1234 /boot/efi vfat umask=0077,shortname=winnt 0 2\nUUID=${root} /home btrfs subvol=${subvolume} 0 0\n`
  const entry = (one: string, id: string): string =>
    `title Fedora Linux (${one})\nversion ${one}\nlinux /vmlinuz-${one}\ninitrd /initramfs-${one}.img $tuned_initrd
options root=UUID=${id} ro ${flags} rhgb quiet $tuned_params\ngrub_users $grub_users\nid fedora-${one}\n`
  const kernel = (one: string): GuestFiles =>
    kernelFiles({ version: one, kernel: `/vmlinuz-${one}`, initramfs: `/initramfs-${one}.img` })
  return [
    esp(boot, '/grub2', 'fedora'),
    {
      code: '8300',
      volume: ext(
        boot,
        merge(kernel(version), kernel(older), {
          '/grub2/grub.cfg': `load_env -f \${config_directory}/grubenv\nset default="\${saved_entry}"\nblscfg\n`,
          '/grub2/grubenv': `# GRUB Environment Block\nsaved_entry=${saved}\nboot_success=1\n`,
          [`/loader/entries/abc-${version}.conf`]: entry(version, root),
          [`/loader/entries/abc-${older}.conf`]: entry(older, gone),
        }),
      ),
    },
    {
      code: '8300',
      volume: {
        type: 'btrfs',
        uuid: root,
        subvolumes: ['root', 'home'],
        files: below('/root', merge(systemFiles(fstab, 'fedora'), moduleLists(version), moduleLists(older))),
        links: { '/root/sbin': 'usr/sbin', '/root/lib': 'usr/lib' },
      },
    },
  ]
}

/** openSUSE: the root is a snapshot, which is mounted by itself; GRUB reads its files from there. */
function openSuse(without = ''): readonly LayoutPart[] {
  const snapshot = '@/.snapshots/1/snapshot'
  const fstab = ['/var subvol=/@/var', '/home subvol=/@/home', '/.snapshots subvol=/@/.snapshots']
    .map((line) => `UUID=${root} ${line.replace(' ', ' btrfs ')} 0 0\n`)
    .join('')
  const files = merge(
    systemFiles(`UUID=${root} / btrfs defaults 0 0\n${fstab}UUID=ABCD-1234 /boot/efi vfat utf8 0 2\n`, 'opensuse'),
    moduleLists(version),
    kernelFiles({ version, kernel: `/boot/vmlinuz-${version}`, initramfs: `/boot/initrd-${version}` }),
    {
      '/boot/grub2/grub.cfg':
        `set btrfs_relative_path="y"\nmenuentry 'openSUSE' {\n search --no-floppy --fs-uuid --set=root ${root}\n` +
        ` linux /boot/vmlinuz-${version} root=UUID=${root} splash=silent \${extra_cmdline}\n` +
        ` initrd /boot/initrd-${version}\n}\n`,
    },
  )
  const left = Object.fromEntries(Object.entries(files).filter(([path]) => path !== without))
  return [
    efiPart('GRUB', {
      '/EFI/opensuse/grub.cfg':
        `set btrfs_relative_path="yes"\nsearch --fs-uuid --set=root ${root}\nset prefix=(\${root})/boot/grub2\n` +
        'source "${prefix}/grub.cfg"\n',
    }),
    {
      code: '8300',
      volume: {
        type: 'btrfs',
        uuid: root,
        subvolumes: ['@', '@/var', '@/home', '@/.snapshots', snapshot, '@/.snapshots/2/snapshot'],
        files: merge(below(`/${snapshot}`, left), below('/@/.snapshots/2/snapshot', systemFiles('# old\n'))),
        links: { [`/${snapshot}/sbin`]: 'usr/sbin' },
        mountedByItself: snapshot,
      },
    },
  ]
}

/** Ubuntu for clouds: labels, and the kernel without its initramfs first. */
function ubuntuCloud(id = rootPart): readonly LayoutPart[] {
  const fstab = `LABEL=cloudimg-rootfs\t/\t ext4\tdiscard,commit=30,errors=remount-ro\t0 1
LABEL=BOOT\t/boot\text4\tdefaults\t0 2\nLABEL=UEFI\t/boot/efi\tvfat\tumask=0077\t0 1\n`
  const menu = `set default="0"\nfunction recordfail {\n set recordfail=1\n}
menuentry 'Ubuntu' --class ubuntu $menuentry_id_option 'gnulinux-simple' {\n recordfail\n load_video
 search --no-floppy --fs-uuid --set=root ${boot}
 if [ "\${initrdfail}" = 1 ]; then
  echo 'GRUB_FORCE_PARTUUID set, initrdless boot failed.'
  linux /vmlinuz-${version} root=LABEL=cloudimg-rootfs ro console=tty1 console=ttyS0
  initrd /initrd.img-${version}
 else
  linux /vmlinuz-${version} root=PARTUUID=${id} ro console=tty1 console=ttyS0 panic=-1
  #Dont fall back on initrd-based boot
 fi\n initrdfail\n}\n`
  return [
    { code: 'ef02' },
    {
      code: 'ef00',
      volume: { ...(esp(boot, '/grub', 'ubuntu').volume as LayoutVolume), label: 'UEFI' },
    },
    {
      code: '8300',
      volume: ext(
        boot,
        merge(kernelFiles({ version, kernel: `/vmlinuz-${version}`, initramfs: `/initrd.img-${version}` }), {
          '/grub/grub.cfg': menu,
        }),
        { label: 'BOOT' },
      ),
    },
    {
      code: '8300',
      uuid: rootPart,
      volume: ext(root, merge(systemFiles(fstab, 'ubuntu'), moduleLists(version)), { label: 'cloudimg-rootfs' }),
    },
  ]
}

/** Alpine: extlinux in /boot, no systemd, no udev. */
function alpine(id = root): readonly LayoutPart[] {
  const files = systemFiles(
    `UUID=${root} / ext4 rw,relatime 0 1\nUUID=${boot} /boot ext4 rw,relatime 0 2\n` +
      '/dev/cdrom /media/cdrom iso9660 noauto,ro 0 0\n/dev/usbdisk /media/usb vfat noauto 0 0\n',
    'alpine',
  )
  delete files['/usr/lib/systemd/systemd']
  delete files['/usr/sbin/init']
  const config =
    `DEFAULT menu.c32\nPROMPT 0\nMENU TITLE Alpine\nTIMEOUT 10\nLABEL virt\n  MENU DEFAULT\n  LINUX vmlinuz-virt\n` +
    `  INITRD initramfs-virt\n  FDTDIR dtbs-virt\n` +
    `  APPEND root=UUID=${id} modules=sd-mod,usb-storage,ext4 quiet rootfstype=ext4\nMENU SEPARATOR\n`
  return [
    efiPart('GRUB'),
    {
      code: '8300',
      volume: ext(
        boot,
        merge(kernelFiles({ version: '6.6.14-0-virt', kernel: '/vmlinuz-virt', initramfs: '/initramfs-virt' }), {
          '/extlinux.conf': config,
        }),
      ),
    },
    {
      code: '8300',
      volume: ext(root, merge(files, moduleLists('6.6.14-0-virt', '/lib/modules'), { '/bin/busybox': 'program' }), {
        links: { '/sbin/init': '/bin/busybox' },
      }),
    },
  ]
}

/** Arch: /boot is the EFI system partition of systemd-boot, with two kernels. */
const arch: readonly LayoutPart[] = [
  efiPart('systemd-boot', {
    '/loader/loader.conf': 'default  arch.conf\ntimeout 3\nconsole-mode max\n',
    '/loader/entries/arch.conf':
      `title Arch Linux\nlinux /vmlinuz-linux\ninitrd /intel-ucode.img\ninitrd /initramfs-linux.img\n` +
      `options root=PARTUUID=${rootPart} rw zswap.enabled=0\n`,
    '/loader/entries/arch-lts.conf': `title Arch Linux LTS\nlinux /none\noptions root=PARTUUID=${gone} rw\n`,
    '/intel-ucode.img': kernelFiles({ version: 'x', kernel: '/k', initramfs: '/i' })['/i'] ?? '',
    ...kernelFiles({ version: '6.9.1-arch1-1', kernel: '/vmlinuz-linux', initramfs: '/initramfs-linux.img' }),
  }),
  {
    code: '8304',
    uuid: rootPart,
    volume: ext(
      root,
      merge(
        systemFiles(
          `# /dev/nvme0n1p2\nUUID=${root}\t/\text4\trw,relatime\t0 1\nUUID=ABCD-1234\t/boot\tvfat\trw\t0 2\n`,
        ),
        moduleLists('6.9.1-arch1-1'),
      ),
    ),
  },
]

/** NixOS: none of the usual programs; the menu names the one to start. */
function nixos(store = 'abc-nixos-system'): readonly LayoutPart[] {
  const kernel = '/EFI/nixos/abc-linux-6.6.8-bzImage.efi'
  const files = systemFiles(`/dev/disk/by-uuid/${root} / ext4 x-initrd.mount 0 1\n`, 'nixos')
  delete files['/usr/lib/systemd/systemd']
  delete files['/usr/sbin/init']
  return [
    efiPart('systemd-boot', {
      '/loader/loader.conf': 'timeout 5\ndefault nixos-generation-2.conf\n',
      '/loader/entries/nixos-generation-2.conf':
        `title NixOS\nversion Generation 2\nlinux ${kernel}\ninitrd /EFI/nixos/abc-initrd.efi\n` +
        `options init=/nix/store/${store}/init root=fstab loglevel=4\n`,
      ...kernelFiles({ version: '6.6.8', kernel, initramfs: '/EFI/nixos/abc-initrd.efi' }),
    }),
    {
      code: '8304',
      volume: ext(
        root,
        merge(files, moduleLists('6.6.8', '/lib/modules'), { '/nix/store/abc-nixos-system/init': '#!' }),
      ),
    },
  ]
}

/** RHEL: /boot on XFS, root and swap in a group, and dracut with what it opens. */
function rhel(opens: string): readonly LayoutPart[] {
  const fstab = `/dev/mapper/rhel-root / xfs defaults 0 0\nUUID=${boot} /boot xfs defaults 0 0
UUID=ABCD-1234 /boot/efi vfat umask=0077 0 2\n/dev/mapper/rhel-swap none swap defaults 0 0\n`
  return [
    esp(boot, '/grub2', 'redhat'),
    {
      code: '8300',
      volume: ext(
        boot,
        merge(
          kernelFiles({
            version,
            kernel: `/vmlinuz-${version}`,
            initramfs: `/initramfs-${version}.img`,
            holds: ['usr/sbin/lvm', 'usr/lib/dracut/hooks/cmdline/30-parse-lvm.sh'],
          }),
          {
            '/grub2/grub.cfg': 'set default="${saved_entry}"\nblscfg\n',
            '/grub2/grubenv': `# GRUB Environment Block\nsaved_entry=abc-${version}\n`,
            [`/loader/entries/abc-${version}.conf`]:
              `title RHEL\nversion ${version}\nlinux /vmlinuz-${version}\ninitrd /initramfs-${version}.img\n` +
              `options root=/dev/mapper/rhel-root ro crashkernel=1G-4G:192M ${opens} rhgb quiet\n`,
          },
        ),
      ),
    },
    {
      code: '8e00',
      logical: {
        'rhel/root': {
          ...ext(root, merge(systemFiles(fstab.replaceAll(' xfs ', ' ext4 '), 'rhel'), moduleLists(version))),
        },
        'rhel/swap': { type: 'swap', uuid: swap },
      },
    },
  ]
}

/** Two systems of which a script of GRUB chooses one. */
const twoSystems: readonly LayoutPart[] = [
  efiPart('GRUB', {
    '/EFI/BOOT/grub.cfg':
      'set ORDER="A B"\nload_env --file=(hd0,1)/grubenv\n' +
      'if [ "$A_OK" -eq 1 ]; then set rootpart=A; else set rootpart=B; fi\n' +
      'menuentry "chosen" {\n linux (hd0,gpt2)/boot/bzImage root=PARTLABEL=$rootpart rootwait ro\n}\n',
  }),
  ...(['A', 'B'] as const).map((name) => ({
    code: '8304',
    name,
    uuid: name === 'A' ? rootPart : otherPart,
    volume: ext(
      name === 'A' ? root : boot,
      merge(
        systemFiles(`/dev/root / auto defaults 1 1\nproc /proc proc defaults 0 0\n`),
        moduleLists(version, '/lib/modules', true),
        {
          '/boot/bzImage': kernelFiles({ version, kernel: '/k', initramfs: '/i' })['/k'] ?? '',
        },
      ),
    ),
  })),
]

/** The same, where each entry names its own: the second starts. */
function namedSystems(id = otherPart): readonly LayoutPart[] {
  const [, ...systems] = twoSystems
  const entry = (name: string, part: string, number: number): string =>
    `menuentry "${name}" {\n linux (hd0,gpt${number})/boot/bzImage root=PARTUUID=${part} rootwait ro\n` +
    ` initrd (hd0,gpt${number})/boot/initrd\n}\n`
  return [
    efiPart('GRUB', { '/EFI/BOOT/grub.cfg': `set default=1\n${entry('A', rootPart, 2)}${entry('B', id, 3)}` }),
    ...systems.map((part) => ({
      ...part,
      volume: {
        ...part.volume!,
        files: merge(part.volume?.files ?? {}, {
          '/boot/initrd': kernelFiles({ version, kernel: '/k', initramfs: '/i' })['/i'] ?? '',
        }),
      },
    })),
  ]
}

const opened = 'rd.lvm.lv=rhel/root rd.lvm.lv=rhel/swap'

const sound: readonly Layout[] = [
  { name: 'Debian, an older kernel', parts: severalKernels('gnulinux-advanced>gnulinux-old') },
  { name: '/boot on LVM', parts: bootOnLvm },
  { name: 'Fedora', parts: fedora({ saved: `abc-${version}` }) },
  { name: 'Fedora, the entry by its number', parts: fedora({ saved: '0' }) },
  { name: 'openSUSE', parts: openSuse() },
  { name: 'Ubuntu for clouds', parts: ubuntuCloud(), platform: 'aws-snapshot' },
  { name: 'Alpine', parts: alpine() },
  { name: 'Arch', parts: arch },
  { name: 'NixOS', parts: nixos() },
  { name: 'RHEL', parts: rhel(opened) },
  { name: 'RHEL, the group', parts: rhel('rd.lvm.vg=rhel') },
  { name: 'RHEL, nothing named', parts: rhel('') },
  { name: 'two systems, chosen by a script', parts: twoSystems, verdict: 'unknown' },
  { name: 'two systems, each by its name', parts: namedSystems() },
]

const blocks = (id: string): Pick<Layout, 'finds' | 'verdict'> => ({ finds: [`blocks ${id}`], verdict: 'blocked' })
const mends = (id: string): Pick<Layout, 'finds' | 'verdict' | 'mended'> => ({
  finds: [`blocks ${id}`],
  verdict: 'mendable',
  mended: 'ready',
})

const defects: readonly Layout[] = [
  {
    name: 'Debian, an older kernel with a root that is gone',
    parts: severalKernels('gnulinux-advanced>gnulinux-old').map((part) =>
      part.volume?.uuid === boot ? severalKernels('gnulinux-advanced>gnulinux-old\nbroken')[1]! : part,
    ),
    ...mends('L-ROOT-ABSENT'),
  },
  { name: 'Fedora, the second entry by its number', parts: fedora({ saved: '1' }), ...mends('L-ROOT-ABSENT') },
  { name: 'Fedora, no subvolume named', parts: fedora({ saved: '0', flags: '' }), ...mends('L-ROOT-SUBVOLUME') },
  {
    name: 'Fedora, other options alone',
    parts: fedora({ saved: '0', flags: 'rootflags=compress=zstd' }),
    ...mends('L-ROOT-SUBVOLUME'),
  },
  {
    name: 'Fedora, a subvolume of fstab that is gone',
    parts: fedora({ saved: '0', subvolume: 'homes' }),
    ...blocks('L-FSTAB-SUBVOLUME'),
  },
  {
    name: 'openSUSE without its initramfs',
    parts: openSuse(`/boot/initrd-${version}`),
    ...blocks('L-INITRD-ABSENT'),
  },
  {
    name: 'Ubuntu for clouds after new ids',
    parts: ubuntuCloud(gone),
    platform: 'aws-snapshot',
    ...mends('L-ROOT-ABSENT'),
  },
  { name: 'Alpine, another id', parts: alpine(gone), ...mends('L-ROOT-ABSENT') },
  { name: 'NixOS, a system that was removed', parts: nixos('old-nixos-system'), ...blocks('L-INIT-ABSENT') },
  {
    name: 'RHEL, swap that is gone',
    parts: rhel(`${opened} rd.lvm.lv=rhel/old`),
    ...mends('L-ROOT-OPENED'),
  },
  { name: 'RHEL, the old root', parts: rhel('rd.lvm.lv=rhel/old rd.lvm.lv=rhel/swap'), ...mends('L-ROOT-OPENED') },
  { name: 'RHEL, swap alone', parts: rhel('rd.lvm.lv=rhel/swap'), ...mends('L-ROOT-OPENED') },
  { name: 'two systems, the second gone', parts: namedSystems(gone), ...blocks('L-ROOT-ABSENT') },
]

function ready(t: TestContext): boolean {
  const missing = loopsMissing()
  if (missing !== undefined) t.skip(missing)
  const tools = ['sgdisk', 'mke2fs', 'mkfs.vfat', 'mcopy', 'mkfs.btrfs', 'btrfs', 'lvcreate', 'mkswap']
  return missing === undefined && tools.every((tool) => have(t, tool))
}

async function finds(t: TestContext, at: (name: string) => string, layout: Layout): Promise<void> {
  const { name, parts, finds = [], platform = 'qemu', verdict = 'ready', mended } = layout
  const disk = layoutDisk(t, at, parts)
  const result = await doctor(disk, { for: platform })
  const found = result.findings
    .filter(({ severity }) => severity !== 'note')
    .map(({ id, severity }) => `${severity} ${id}`)
  assert.deepEqual(found, finds, `${name}: ${JSON.stringify(result.findings)}`)
  assert.equal(result.verdict, verdict, `${name}: ${JSON.stringify([result.findings, result.notLooked])}`)
  if (mended === undefined) return
  const after = await mendGuest(disk, { for: platform, dryRun: true })
  assert.equal(after.verdict, mended, `${name}: ${JSON.stringify(after.findings)}`)
}

for (const [title, layouts] of [
  ['sound systems, as they are laid out, have no finding', sound],
  ['each defect of such a system is found, and nothing else', defects],
] as const)
  test(title, async (t) => {
    if (!ready(t)) return
    const at = scratch(t)
    for (const layout of layouts) await finds(t, at, layout)
  })
