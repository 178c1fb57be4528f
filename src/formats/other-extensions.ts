/** What a file of some extensions is, and what to write instead for the program that wants it. */
const kinds: readonly (readonly [extensions: string, format: string, instead: string])[] = [
  ['ova', 'an OVA appliance', 'vdisk convert makes one.'],
  ['ovf', 'an OVF appliance', 'Write an .ova: it holds the description, and tar -xf gives the files.'],
  ['box', 'a Vagrant box', 'Write a .qcow2 or .vmdk image, and pack it with its metadata: vagrant package.'],
  ['dmg', 'DMG', 'macOS attaches raw images: name the target .img or .raw.'],
  ['sparseimage', 'an Apple sparse image', 'macOS attaches raw images: name the target .img or .raw.'],
  ['sparsebundle', 'an Apple sparse bundle', 'macOS attaches raw images: name the target .img or .raw.'],
  ['iso', 'ISO 9660', 'A disk is no CD image; name the target .img or .raw.'],
  ['hdd hds pvm', 'a Parallels disk', 'Parallels imports .vhd.'],
  ['qed', 'QED', 'QEMU writes .qcow2 in its place.'],
  ['qcow', 'QCOW, version 1', 'Write a .qcow2, which all programs of today read.'],
  ['simg', 'an Android sparse image', 'Write a .raw image; img2simg makes one of it.'],
  ['ffu', 'a full flash update', 'Write a .vhdx: Windows attaches it, and DISM captures an .ffu of it.'],
  ['cloop', 'a compressed loop', 'Write a .raw.xz or .qcow2 with --compress zstd.'],
  ['vhds', 'a VHD Set', 'Write a .vhdx: Convert-VHD makes a .vhds of it.'],
  ['vma', 'a backup of Proxmox', 'Proxmox imports .qcow2 and .vmdk: qm importdisk.'],
  ['xva', 'an export of XCP-ng or XenServer', 'Both import .vhd and .ova.'],
  ['vmx', 'a VMware machine', 'Write a .vmdk for it, or an .ova, which VMware imports.'],
  ['vbox', 'a VirtualBox machine', 'Write a .vdi for it, or an .ova, which VirtualBox imports.'],
  ['pvs', 'a Parallels machine', 'Parallels imports .vhd.'],
  ['bz2', 'a bzip2 file', packed('bzip2')],
  ['lz4', 'an LZ4 file', packed('lz4')],
  ['lzma', 'an LZMA file', packed('xz --format=lzma')],
  ['lz', 'an lzip file', packed('lzip')],
  ['lzo', 'an lzop file', packed('lzop')],
  ['br', 'a Brotli file', packed('brotli')],
  ['zip', 'a zip archive', 'Write a .raw or .vhd image and pack it with zip.'],
  ['7z', 'a 7z archive', 'Write a .raw or .vhd image and pack it with 7z.'],
  ['rar', 'a rar archive', 'Write a .raw or .vhd image and pack it with rar.'],
  ['tar tgz txz', 'a tar archive', 'Write a .raw image and pack it with tar. --for gce makes a .tar.gz of its own.'],
  ['e01 ex01 s01 l01', 'an EWF image', 'Forensic programs read raw images: name the target .raw or .dd.'],
  ['aff aff4 ad1', 'a forensic image', 'Forensic programs read raw images: name the target .raw or .dd.'],
  ['wim swm esd', 'a WIM archive', 'It holds files, not a disk: write a .vhdx, and capture it with DISM.'],
]

function packed(program: string): string {
  return `Write to standard output: vdisk convert IMAGE - --to raw | ${program} > FILE`
}

/**
 * What a target named like this would be, which vdisk cannot write, and what helps; undefined when nothing is known.
 */
export function otherTarget(name: string): { readonly format: string; readonly hint: string } | undefined {
  const extension = /\.([^./\\]+)$/.exec(name)?.[1]?.toLowerCase() ?? ''
  const [, format, hint] = kinds.find(([extensions]) => extensions.split(' ').includes(extension)) ?? []
  return format === undefined || hint === undefined ? undefined : { format, hint }
}
