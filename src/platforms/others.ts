import type { Platform } from './types.js'
import { kvmWindows } from './windows.js'

const GiB = 2 ** 30
const TiB = 2 ** 40

/** What is neither a cloud nor a hypervisor of its own. */
export const otherPlatforms: readonly Platform[] = [
  {
    id: 'wsl2',
    title: 'Windows Subsystem for Linux 2',
    formats: [{ format: 'vhdx', required: { subformat: 'dynamic' } }],
    limits: [{ most: TiB, of: 'the disk of a distribution, as it is set up', certainty: 'unconfirmed' }],
    parents: false,
    firmware: ['kernel'],
    table: { schemes: ['none'], certainty: 'unconfirmed' },
    windows: false,
    rules: [
      {
        text: 'an ext4 filesystem without a partition table: convert one partition, IMAGE@2',
        certainty: 'unconfirmed',
      },
      { text: 'the kernel is that of WSL', certainty: 'documented' },
      { text: 'the file may not be sparse on NTFS', certainty: 'unconfirmed' },
    ],
    next: ['wsl --import-in-place {name} {file}', 'with a partition table: wsl --mount --vhd {file} --partition N'],
  },
  {
    id: 'raspberry',
    title: 'Raspberry Pi (card or USB disk)',
    compressed: ['xz', 'gz', 'zst'],
    formats: [{ format: 'raw' }],
    multiple: { bytes: 512, certainty: 'documented' },
    limits: [],
    parents: false,
    firmware: ['own'],
    table: { schemes: ['mbr', 'gpt'], certainty: 'unconfirmed' },
    cpus: ['arm64', 'arm'],
    windows: false,
    rules: [
      { text: 'the size is a multiple of 512 bytes: Imager refuses others', certainty: 'documented' },
      { text: 'the first partition is FAT, with config.txt and cmdline.txt', certainty: 'documented' },
      {
        text: 'root=PARTUUID= in cmdline.txt and fstab is the id of the MBR: new ids break both',
        certainty: 'documented',
      },
    ],
    next: ['vdisk restore {file} DEVICE'],
  },
  {
    id: 'vagrant-libvirt',
    title: 'Vagrant box for libvirt',
    formats: [{ format: 'qcow2', refused: { 'data-file': [''] } }],
    packing: {
      kind: 'vagrant',
      extensions: ['.box', '.tar.gz'],
      title: 'a tar.gz archive with metadata.json, Vagrantfile and box.img',
    },
    multiple: { bytes: GiB, certainty: 'unconfirmed' },
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: {
      disk: [
        ['virtio_pci', 'virtio_blk'],
        ['virtio_pci', 'virtio_scsi'],
      ],
      net: [['virtio_pci', 'virtio_net']],
    },
    windows: kvmWindows,
    rules: [
      { text: 'user vagrant with the insecure key, unless the Vagrantfile says otherwise', certainty: 'documented' },
    ],
    next: ['vagrant box add --name {name} {file}', 'vagrant init {name} && vagrant up --provider=libvirt'],
  },
]
