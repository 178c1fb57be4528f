import type { Platform } from './types.js'
import { azureWindows, cloudWindows, ec2Windows, gceWindows, kvmWindows } from './windows.js'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
const TiB = 1024 * GiB

const waagent = { title: 'Azure Linux agent', paths: ['/usr/sbin/waagent', '/usr/bin/waagent'] }
const cloudInit = { title: 'cloud-init', paths: ['/usr/bin/cloud-init', '/usr/local/bin/cloud-init'] }

/** What both generations of Azure's machines have in common. */
const azure = {
  formats: [{ format: 'vhd', required: { subformat: 'fixed' } }],
  multiple: { bytes: MiB, certainty: 'documented' },
  parents: false,
  drivers: { disk: [['hv_vmbus', 'hv_storvsc']], net: [['hv_netvsc']] },
  datasources: ['Azure'],
  windows: azureWindows,
  agents: [waagent, cloudInit],
  next: [
    'az disk create --resource-group GROUP --name {name} --for-upload --upload-size-bytes {fileBytes} ' +
      '--sku standard_lrs --os-type Linux --hyper-v-generation GENERATION',
    'az disk grant-access --resource-group GROUP --name {name} --access-level Write --duration-in-seconds 86400',
    "azcopy copy {file} 'SAS-URL' --blob-type PageBlob",
    'az disk revoke-access --resource-group GROUP --name {name}',
  ],
} as const

const azureRules = [
  { text: 'a fixed VHD: dynamic VHD and VHDX are refused after the upload', certainty: 'documented' },
  { text: 'the disk is a whole number of MiB; the file is 512 bytes longer', certainty: 'documented' },
  { text: 'Linux: console=ttyS0 earlyprintk=ttyS0 rootdelay=300 on the kernel command line', certainty: 'documented' },
  { text: 'no swap partition on the OS disk; LVM is discouraged there', certainty: 'documented' },
] as const

function generation(commands: readonly string[], name: string): string[] {
  return commands.map((command) => command.replace('GENERATION', name))
}

const awsFormats = [
  { format: 'vmdk', required: { subformat: 'streamOptimized' } },
  { format: 'vhd' },
  { format: 'vhdx' },
  { format: 'raw' },
] as const
const awsAgents: NonNullable<Platform['agents']> = [
  cloudInit,
  { title: 'SSM agent', paths: ['/usr/bin/amazon-ssm-agent', '/snap/bin/amazon-ssm-agent'] },
]
const awsDrivers = { disk: [['nvme']], net: [['ena']] } as const
const virtio = {
  disk: [
    ['virtio_pci', 'virtio_blk'],
    ['virtio_pci', 'virtio_scsi'],
  ],
  net: [['virtio_pci', 'virtio_net']],
} as const

/** Clouds. Facts of Azure, AWS, GCE, OCI, DigitalOcean: their documentation of image import, read in 2026. */
export const clouds: readonly Platform[] = [
  {
    ...azure,
    id: 'azure-gen1',
    title: 'Microsoft Azure, generation 1 (BIOS)',
    limits: [
      { least: 20 * MiB, most: 32 * TiB, of: 'a disk', certainty: 'documented' },
      { most: 2 * TiB, of: 'a disk that starts from an MBR', certainty: 'unconfirmed', scheme: 'mbr' },
    ],
    firmware: ['bios'],
    rules: azureRules,
    next: generation(azure.next, 'V1'),
  },
  {
    ...azure,
    id: 'azure-gen2',
    title: 'Microsoft Azure, generation 2 (UEFI)',
    limits: [
      { least: 20 * MiB, most: 32 * TiB, of: 'a disk', certainty: 'documented' },
      { most: 4 * TiB, of: 'an OS disk', certainty: 'unconfirmed' },
    ],
    firmware: ['uefi'],
    table: { schemes: ['gpt'], certainty: 'documented' },
    rules: [
      ...azureRules,
      { text: 'a GPT, and \\EFI\\BOOT\\BOOTX64.EFI in the EFI system partition', certainty: 'documented' },
    ],
    next: generation(azure.next, 'V2'),
  },
  {
    id: 'aws-image',
    title: 'Amazon EC2, VM Import (ImportImage)',
    appliance: {
      next: [
        'aws s3 cp {file} s3://BUCKET/',
        "aws ec2 import-image --disk-containers 'Format=ova,UserBucket={S3Bucket=BUCKET,S3Key=KEY}' " +
          '--boot-mode legacy-bios|uefi',
      ],
    },
    formats: awsFormats,
    limits: [{ most: 2 * TiB, of: 'a disk that starts from an MBR', certainty: 'unconfirmed', scheme: 'mbr' }],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: awsDrivers,
    datasources: ['Ec2'],
    agents: awsAgents,
    noEncryption: true,
    rules: [
      { text: 'one system on the disk: machines that can start several are refused', certainty: 'documented' },
      { text: 'encrypted volumes are refused', certainty: 'documented' },
      { text: 'at most 21 volumes', certainty: 'documented' },
    ],
    next: [
      'aws s3 cp {file} s3://BUCKET/',
      "aws ec2 import-image --disk-containers 'Format={format},UserBucket={S3Bucket=BUCKET,S3Key=KEY}' " +
        '--boot-mode legacy-bios|uefi',
    ],
  },
  {
    id: 'aws-snapshot',
    title: 'Amazon EC2, import as a snapshot (ImportSnapshot, RegisterImage)',
    formats: awsFormats,
    limits: [{ most: 64 * TiB, of: 'a volume', certainty: 'unconfirmed' }],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: awsDrivers,
    datasources: ['Ec2'],
    agents: awsAgents,
    windows: ec2Windows,
    rules: [
      { text: 'nothing is checked or changed: the disk must be ready to start on EC2', certainty: 'documented' },
      { text: 'the volume is a whole number of GiB, rounded up', certainty: 'documented' },
      { text: 'firmware is chosen when the image is registered (--boot-mode)', certainty: 'documented' },
    ],
    next: [
      'aws s3 cp {file} s3://BUCKET/',
      "aws ec2 import-snapshot --disk-container 'Format={format},UserBucket={S3Bucket=BUCKET,S3Key=KEY}'",
      'aws ec2 register-image --name {name} --root-device-name /dev/xvda --ena-support --boot-mode legacy-bios|uefi ' +
        "--block-device-mappings 'DeviceName=/dev/xvda,Ebs={SnapshotId=SNAPSHOT,VolumeSize={GiB}}'",
    ],
  },
  {
    id: 'gce',
    title: 'Google Compute Engine',
    formats: [{ format: 'raw' }],
    packing: {
      kind: 'gce',
      extensions: ['.tar.gz', '.tgz'],
      title: 'a tar.gz archive (GNU format, sparse) with one file, disk.raw',
    },
    multiple: { bytes: GiB, certainty: 'documented' },
    limits: [{ most: 10 * TiB, of: 'disk.raw', certainty: 'unconfirmed' }],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: { disk: [['virtio_pci', 'virtio_scsi'], ['nvme']], net: [['virtio_net'], ['gve']] },
    datasources: ['GCE'],
    agents: [{ title: 'Google guest agent', paths: ['/usr/bin/google_guest_agent'] }, cloudInit],
    windows: gceWindows,
    rules: [
      {
        text: 'the file in the archive is called disk.raw; the archive has GNU or OLDGNU format',
        certainty: 'documented',
      },
      { text: 'the disk is a whole number of GiB', certainty: 'documented' },
      { text: 'UEFI needs the guest OS feature UEFI_COMPATIBLE', certainty: 'unconfirmed' },
    ],
    next: [
      'gcloud storage cp {file} gs://BUCKET/{name}.tar.gz',
      'gcloud compute images create {name} --source-uri gs://BUCKET/{name}.tar.gz ' +
        '--guest-os-features UEFI_COMPATIBLE,VIRTIO_SCSI_MULTIQUEUE,GVNIC',
    ],
  },
  {
    id: 'oci',
    title: 'Oracle Cloud Infrastructure',
    formats: [
      { format: 'qcow2', refused: { 'data-file': [''] } },
      {
        format: 'vmdk',
        advised: { subformat: 'streamOptimized' },
        refused: { subformat: ['monolithicFlat', 'twoGb', 'vmfs'] },
      },
    ],
    limits: [{ most: 400 * GiB, of: 'the one disk of an image', certainty: 'documented' }],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    datasources: ['Oracle'],
    agents: [cloudInit],
    noEncryption: true,
    windows: cloudWindows,
    rules: [
      { text: 'VMDK: monolithicSparse or streamOptimized', certainty: 'documented' },
      { text: 'the root filesystem is found by LVM or UUID, and is not encrypted', certainty: 'documented' },
    ],
    next: [
      'oci os object put --bucket-name BUCKET --file {file}',
      'oci compute image import from-object --bucket-name BUCKET --name OBJECT --namespace NAMESPACE ' +
        '--compartment-id COMPARTMENT --launch-mode PARAVIRTUALIZED',
    ],
  },
  {
    id: 'digitalocean',
    title: 'DigitalOcean custom image',
    compressed: ['gz'],
    formats: [{ format: 'qcow2' }, { format: 'raw' }, { format: 'vhdx' }, { format: 'vdi' }, { format: 'vmdk' }],
    limits: [{ most: 100 * GiB, of: 'an image, not compressed', certainty: 'documented' }],
    parents: false,
    firmware: ['bios'],
    drivers: virtio,
    datasources: ['ConfigDrive', 'DigitalOcean'],
    agents: [cloudInit],
    windows: false,
    rules: [
      { text: 'Unix-like systems with ext3 or ext4, and cloud-init 0.7.7 or newer', certainty: 'documented' },
      { text: 'an image is fetched from a URL that answers HEAD, or uploaded in the console', certainty: 'documented' },
    ],
    next: ['doctl compute image create {name} --image-url URL --region REGION'],
  },
  {
    id: 'hetzner',
    title: 'Hetzner Cloud, written in the rescue system',
    compressed: ['zst', 'gz', 'xz'],
    formats: [{ format: 'raw' }],
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    datasources: ['Hetzner'],
    agents: [cloudInit],
    windows: cloudWindows,
    rules: [
      {
        text: 'there is no upload: the disk is written in the rescue system, and kept as a snapshot',
        certainty: 'unconfirmed',
      },
      { text: 'BIOS on x86 servers, UEFI on arm64', certainty: 'unconfirmed' },
    ],
    next: ["zstd -c {file} | ssh root@SERVER 'zstd -d > /dev/sda && sync'"],
  },
  {
    id: 'openstack',
    title: 'OpenStack (Glance)',
    formats: [{ format: 'qcow2', refused: { 'data-file': [''] } }, { format: 'raw' }],
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    datasources: ['OpenStack', 'ConfigDrive'],
    agents: [cloudInit],
    windows: cloudWindows,
    rules: [
      {
        text: 'no backing file and no data file; the declared format is that of the content',
        certainty: 'unconfirmed',
      },
      { text: 'clouds on Ceph want raw: --to raw', certainty: 'unconfirmed' },
    ],
    next: [
      'openstack image create {name} --file {file} --disk-format {format} --container-format bare ' +
        '--property hw_firmware_type=bios|uefi --property hw_disk_bus=virtio',
    ],
  },
  {
    id: 'kubevirt',
    title: 'KubeVirt container disk',
    formats: [{ format: 'qcow2', refused: { 'data-file': [''] } }],
    packing: {
      kind: 'containerDisk',
      extensions: ['.tar.gz', '.tgz'],
      title: 'a layer of a container image with one file in /disk, owned by 107:107, mode 0440',
    },
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    datasources: ['NoCloud', 'ConfigDrive'],
    agents: [cloudInit, { title: 'QEMU guest agent', paths: ['/usr/sbin/qemu-ga', '/usr/bin/qemu-ga'] }],
    windows: kvmWindows,
    rules: [{ text: 'one file in /disk, readable by user 107', certainty: 'documented' }],
    next: [
      'crane append --new_layer {file} --new_tag REGISTRY/{name}:latest',
      'or with a Containerfile of two lines: FROM scratch, ADD {file} /; podman build -t REGISTRY/{name} .',
      'spec.volumes: containerDisk: image: REGISTRY/{name}:latest',
    ],
  },
  {
    id: 'kubevirt-cdi',
    title: 'KubeVirt, Containerized Data Importer',
    compressed: ['gz', 'xz'],
    formats: [
      { format: 'qcow2' },
      { format: 'raw' },
      { format: 'vmdk' },
      { format: 'vdi' },
      { format: 'vhd' },
      { format: 'vhdx' },
    ],
    limits: [],
    parents: false,
    firmware: ['bios', 'uefi'],
    drivers: virtio,
    datasources: ['NoCloud', 'ConfigDrive'],
    agents: [cloudInit, { title: 'QEMU guest agent', paths: ['/usr/sbin/qemu-ga', '/usr/bin/qemu-ga'] }],
    windows: kvmWindows,
    rules: [
      { text: 'the volume claim is larger than the disk: 5.5 % are kept for the filesystem', certainty: 'documented' },
    ],
    next: ['virtctl image-upload dv {name} --size {claim} --image-path {file}'],
  },
]
