import type { OtherController, Platform } from './types.js'
import {
  hypervIdeWindows,
  hypervWindows,
  kvmWindows,
  sataWindows,
  virtioWindows,
  virtualboxWindows,
  vmwareWindows,
  xenWindows,
} from './windows.js'

const GiB = 2 ** 30
const TiB = 2 ** 40

const virtio = {
  disk: [
    ['virtio_pci', 'virtio_blk'],
    ['virtio_pci', 'virtio_scsi'],
  ],
  net: [['virtio_pci', 'virtio_net']],
} as const
/**
 * Of QEMU's models. SeaBIOS starts from all of them. OVMF, as Debian builds it, has drivers for VirtIO, SATA, IDE and
 * NVMe, and for no other SCSI (docs/doctor.md).
 */
const sataController: OtherController = { title: 'SATA (AHCI)', drivers: ['ahci'], firmware: ['bios', 'uefi'] }
const qemuControllers: readonly OtherController[] = [
  sataController,
  { title: 'IDE', drivers: ['ata_piix'], firmware: ['bios', 'uefi'] },
  { title: 'PVSCSI', drivers: ['vmw_pvscsi'], firmware: ['bios'] },
  { title: 'LSI 53C895A', drivers: ['sym53c8xx'], firmware: ['bios'] },
  { title: 'MegaRAID SAS', drivers: ['megaraid_sas'], firmware: ['bios'] },
]
const nvmeController: OtherController = { title: 'NVMe', drivers: ['nvme'], firmware: ['bios', 'uefi'] }
const hyperv = { disk: [['hv_vmbus', 'hv_storvsc']], net: [['hv_vmbus', 'hv_netvsc']] } as const
const vmware = {
  disk: [['vmw_pvscsi'], ['mptspi'], ['ahci'], ['nvme']],
  net: [['vmxnet3'], ['e1000']],
} as const
const qemuAgent = { title: 'QEMU guest agent', paths: ['/usr/sbin/qemu-ga', '/usr/bin/qemu-ga'] }
const vmwareTools = { title: 'VMware tools', paths: ['/usr/bin/vmtoolsd', '/usr/sbin/vmtoolsd'] }
const local = ['NoCloud', 'ConfigDrive'] as const

/** A whole document, without a firmware: the machine's own is BIOS. */
const libvirtXml =
  "<domain type='kvm'><name>{name}</name><memory unit='GiB'>4</memory><vcpu>2</vcpu>" +
  "<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features><devices>" +
  "<disk type='file' device='disk'><driver name='qemu' type='{format}' discard='unmap'/>" +
  "<source file='{path}'/><target dev='vda' bus='virtio'/>{libvirtSectors}</disk>" +
  "<interface type='network'><source network='default'/><model type='virtio'/></interface>" +
  "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>" +
  "<serial type='pty'/><console type='pty'/></devices></domain>"

/** Hypervisors of servers and desktops. */
export const hypervisors: readonly Platform[] = [
  {
    id: 'proxmox',
    title: 'Proxmox VE',
    formats: [{ format: 'qcow2' }, { format: 'raw' }, { format: 'vmdk' }],
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    otherControllers: qemuControllers,
    datasources: local,
    agents: [qemuAgent],
    windows: kvmWindows,
    rules: [{ text: 'UEFI needs --bios ovmf and an EFI disk', certainty: 'unconfirmed' }],
    next: [
      'qm create VMID --name {name} --memory 4096 --net0 virtio,bridge=vmbr0 --machine q35 ' +
        '--scsihw virtio-scsi-single --agent 1',
      'qm disk import VMID {file} STORAGE',
      'qm set VMID --scsi0 STORAGE:vm-VMID-disk-0,discard=on --boot order=scsi0',
      'for UEFI: qm set VMID --bios ovmf --efidisk0 STORAGE:1,efitype=4m',
    ],
  },
  {
    id: 'ovirt',
    title: 'oVirt',
    formats: [
      { format: 'qcow2', refused: { compat: ['0.10', 'v2'], subformat: ['v2'], 'data-file': [''] } },
      { format: 'raw' },
    ],
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    otherControllers: [sataController],
    datasources: local,
    agents: [qemuAgent],
    windows: kvmWindows,
    rules: [
      { text: 'QCOW2 of version 3 (compat 1.1)', certainty: 'documented' },
      { text: 'storage rounds the size up to 128 MiB', certainty: 'unconfirmed' },
    ],
    next: ['upload_disk.py --engine-url URL --sd-name DOMAIN --disk-format {format} {file}'],
  },
  {
    id: 'xcp-ng',
    title: 'XCP-ng, XenServer',
    formats: [{ format: 'vhd', required: { subformat: 'dynamic' }, advised: { 'block-size': '2M' } }],
    limits: [{ most: 2040 * GiB, of: 'a VHD', certainty: 'documented' }],
    parents: true,
    firmware: ['bios', 'uefi'],
    drivers: { disk: [['xen_blkfront']], net: [['xen_netfront']] },
    datasources: local,
    agents: [{ title: 'Xen guest tools', paths: ['/usr/sbin/xe-daemon', '/usr/sbin/xe-linux-distribution'] }],
    windows: xenWindows,
    rules: [{ text: 'a dynamic VHD with blocks of 2 MiB', certainty: 'documented' }],
    next: [
      'xe vdi-create sr-uuid=SR name-label={name} virtual-size={bytes}',
      'xe vdi-import uuid=VDI format=vhd filename={file}',
    ],
  },
  {
    id: 'hyperv-gen1',
    title: 'Hyper-V, generation 1 (BIOS, starts from IDE)',
    sectorSizes: [512, 4096],
    formats: [{ format: 'vhdx' }, { format: 'vhd' }],
    limits: [{ most: 64 * TiB, of: 'a VHDX', certainty: 'documented' }],
    parents: true,
    firmware: ['bios'],
    drivers: hyperv,
    datasources: local,
    windows: hypervIdeWindows,
    rules: [
      { text: 'the disk to start from has an MBR, and at most 2 TiB', certainty: 'documented' },
      { text: 'the file may be neither sparse, compressed nor encrypted on NTFS', certainty: 'documented' },
    ],
    next: ['New-VM -Name {name} -Generation 1 -MemoryStartupBytes 4GB -VHDPath {file}'],
  },
  {
    id: 'hyperv-gen2',
    title: 'Hyper-V, generation 2 (UEFI, starts from SCSI)',
    sectorSizes: [512, 4096],
    formats: [{ format: 'vhdx' }],
    limits: [{ most: 64 * TiB, of: 'a VHDX', certainty: 'documented' }],
    parents: true,
    firmware: ['uefi'],
    secureBoot: true,
    table: { schemes: ['gpt'], certainty: 'documented' },
    drivers: hyperv,
    datasources: local,
    windows: hypervWindows,
    rules: [
      { text: 'a VHDX: generation 2 does not take VHD', certainty: 'documented' },
      { text: 'Linux: Secure Boot with the template "Microsoft UEFI Certificate Authority"', certainty: 'unconfirmed' },
      { text: 'blocks of 1 MiB are advised for ext4', certainty: 'unconfirmed' },
      { text: 'the file may be neither sparse, compressed nor encrypted on NTFS', certainty: 'documented' },
    ],
    next: [
      'New-VM -Name {name} -Generation 2 -MemoryStartupBytes 4GB -VHDPath {file}',
      'for Linux: Set-VMFirmware {name} -SecureBootTemplate MicrosoftUEFICertificateAuthority',
    ],
  },
  {
    id: 'vmware',
    title: 'VMware Workstation, Fusion',
    appliance: { next: ['ovftool {file} {name}.vmx'] },
    formats: [{ format: 'vmdk', advised: { subformat: 'monolithicSparse' } }],
    limits: [{ most: 62 * TiB, of: 'a VMDK', certainty: 'documented' }],
    parents: true,
    firmware: ['bios', 'uefi'],
    drivers: vmware,
    datasources: ['VMware', 'OVF', ...local],
    agents: [vmwareTools],
    windows: vmwareWindows,
    rules: [{ text: 'UEFI needs firmware = "efi" in the .vmx file', certainty: 'documented' }],
    next: ['Make a machine, choose "Use an existing virtual disk", and name {file}.'],
  },
  {
    id: 'esxi',
    title: 'VMware ESXi, vSphere',
    appliance: {
      next: [
        'govc import.ova -ds DATASTORE -name {name} {file}',
        'ovftool --datastore=DATASTORE --name={name} {file} vi://USER@HOST',
      ],
    },
    formats: [{ format: 'vmdk', required: { subformat: 'streamOptimized' } }],
    limits: [{ most: 62 * TiB, of: 'a VMDK', certainty: 'documented' }],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: vmware,
    datasources: ['VMware', 'OVF', ...local],
    agents: [vmwareTools],
    windows: vmwareWindows,
    rules: [
      {
        text: 'the VMDK of an import is streamOptimized: others are an "unsupported or invalid disk type"',
        certainty: 'documented',
      },
      { text: 'UEFI needs firmware = "efi" in the .vmx file, or in the OVF', certainty: 'documented' },
    ],
    next: ['govc import.vmdk -ds DATASTORE {file}', 'govc vm.create -disk {name}/{name}.vmdk -on=false {name}'],
  },
  {
    id: 'virtualbox',
    title: 'VirtualBox',
    appliance: { next: ['VBoxManage import {file} --vsys 0 --vmname {name}'] },
    formats: [{ format: 'vdi' }, { format: 'vmdk' }, { format: 'vhd' }],
    limits: [],
    parents: true,
    firmware: ['bios', 'uefi'],
    drivers: { disk: [['ahci'], ['ata_piix']], net: [['e1000']] },
    datasources: local,
    agents: [{ title: 'VirtualBox guest additions', paths: ['/usr/sbin/VBoxService', '/usr/bin/VBoxClient'] }],
    windows: virtualboxWindows,
    rules: [
      { text: 'every copy has a UUID of its own: a known one is refused', certainty: 'documented' },
      { text: 'VHDX is only read', certainty: 'documented' },
    ],
    next: [
      'VBoxManage createvm --name {name} --register',
      'VBoxManage storagectl {name} --name SATA --add sata --portcount 1',
      'VBoxManage storageattach {name} --storagectl SATA --port 0 --device 0 --type hdd --medium {file}',
      'for UEFI: VBoxManage modifyvm {name} --firmware efi',
    ],
  },
  {
    id: 'qemu',
    title: 'QEMU',
    sectorSizes: [512, 4096],
    formats: [{ format: 'qcow2' }, { format: 'raw' }],
    limits: [],
    parents: true,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    otherControllers: [...qemuControllers, nvmeController],
    datasources: local,
    agents: [qemuAgent],
    windows: kvmWindows,
    rules: [],
    next: ['qemu-system-x86_64 -machine q35,accel=kvm -m 4G -drive file={file},if=virtio,discard=unmap{qemuSectors}'],
  },
  {
    id: 'libvirt',
    title: 'libvirt (KVM)',
    sectorSizes: [512, 4096],
    formats: [{ format: 'qcow2' }, { format: 'raw' }],
    limits: [],
    parents: true,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    otherControllers: qemuControllers,
    datasources: local,
    agents: [qemuAgent],
    windows: kvmWindows,
    rules: [{ text: 'disks with sectors of 4096 bytes need a blockio element', certainty: 'documented' }],
    next: [
      'Write this into {name}.xml, then: virsh define {name}.xml && virsh start {name}',
      libvirtXml,
      "for UEFI, instead of <os>: <os firmware='efi'>; without virtio in the guest: bus='sata', dev='sda'",
    ],
  },
  {
    id: 'utm',
    title: 'UTM',
    formats: [{ format: 'qcow2', refused: { compress: ['zstd'] } }, { format: 'raw' }],
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    otherControllers: [sataController, nvmeController],
    datasources: local,
    agents: [qemuAgent],
    windows: kvmWindows,
    rules: [
      { text: 'QCOW2 compressed with zstd is not read', certainty: 'documented' },
      {
        text: '"UEFI boot" is switched on by default: switch it off for a disk that starts from BIOS',
        certainty: 'unconfirmed',
      },
    ],
    next: ['Make a machine, remove its disk, and import {file} under Drives.'],
  },
  {
    id: 'parallels',
    title: 'Parallels Desktop',
    formats: [{ format: 'vmdk' }, { format: 'vhd' }],
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: { disk: [['ahci']], net: [['virtio_net'], ['e1000']] },
    datasources: local,
    windows: sataWindows,
    rules: [{ text: 'disks are imported from VMDK or VHD: vdisk writes no .hdd', certainty: 'unconfirmed' }],
    next: ['prl_convert {file} --allow-no-os'],
  },
  {
    id: 'cloud-hypervisor',
    title: 'Cloud Hypervisor',
    formats: [{ format: 'raw' }, { format: 'qcow2' }],
    limits: [],
    parents: false,
    firmware: ['uefi', 'kernel'],
    drivers: { disk: [['virtio_pci', 'virtio_blk']], net: [['virtio_pci', 'virtio_net']] },
    datasources: local,
    windows: virtioWindows,
    rules: [{ text: 'there is no BIOS: a GPT with a loader in its EFI system partition', certainty: 'unconfirmed' }],
    next: ['cloud-hypervisor --firmware CLOUDHV.fd --disk path={file} --memory size=4G --cpus boot=2'],
  },
  {
    id: 'firecracker',
    title: 'Firecracker',
    formats: [{ format: 'raw' }],
    limits: [],
    parents: false,
    firmware: ['kernel'],
    table: { schemes: ['none', 'gpt', 'mbr'], certainty: 'unconfirmed' },
    drivers: { disk: [['virtio_mmio', 'virtio_blk']], net: [['virtio_mmio', 'virtio_net']] },
    builtIn: true,
    datasources: local,
    windows: false,
    rules: [
      { text: 'the kernel is given beside the disk, and has its drivers built in', certainty: 'unconfirmed' },
      { text: 'a filesystem without a table is usual: convert one partition, IMAGE@2', certainty: 'unconfirmed' },
    ],
    next: ['"drives": [{"drive_id": "rootfs", "path_on_host": {json}, "is_root_device": true, "is_read_only": false}]'],
  },
]
