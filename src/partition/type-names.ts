import type { PartitionType } from './types.js'

const dynamicDiskTypes: readonly string[] = [
  '0x42',
  '5808c8aa-7e8f-42e0-85d2-e1e90434cfb3',
  'af9b60a0-1431-4f62-bc68-3311714a69ad',
]

/** Whether a partition belongs to a dynamic disk of Windows (LDM). @param type its id, of an MBR or a GPT. */
export function isDynamicDiskType(type: string): boolean {
  return dynamicDiskTypes.includes(type)
}

/** Types of GPT partitions by GUID (lower case). */
const gptNames: Readonly<Record<string, string>> = {
  'c12a7328-f81f-11d2-ba4b-00a0c93ec93b': 'EFI System',
  '21686148-6449-6e6f-744e-656564454649': 'BIOS boot',
  '024dee41-33e7-11d3-9d69-0008c781f39f': 'MBR partition scheme',
  'e3c9e316-0b5c-4db8-817d-f92df00215ae': 'Microsoft reserved',
  'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7': 'Microsoft basic data',
  'de94bba4-06d1-4d40-a16a-bfd50179d6ac': 'Windows recovery',
  '5808c8aa-7e8f-42e0-85d2-e1e90434cfb3': 'MS LDM metadata',
  'af9b60a0-1431-4f62-bc68-3311714a69ad': 'MS LDM data',
  'e75caf8f-f680-4cee-afa3-b001e56efc2d': 'MS Storage Spaces',
  '37affc90-ef7d-4e96-91c3-2d7ae055b174': 'IBM GPFS',
  '0fc63daf-8483-4772-8e79-3d69d8477de4': 'Linux filesystem',
  '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f': 'Linux swap',
  'e6d6d379-f507-44c2-a23c-238f2a3df928': 'Linux LVM',
  'a19d880f-05fc-4d3b-a006-743f0f84911e': 'Linux RAID',
  '933ac7e1-2eb4-4f13-b844-0e14e2aef915': 'Linux home',
  '3b8f8425-20e0-4f3b-907f-1a25a76f98e8': 'Linux srv',
  '4d21b016-b534-45c2-a9fb-5c16e091fd2d': 'Linux var',
  '7ec6f557-3bc5-4aca-b293-16ef5df639d1': 'Linux var/tmp',
  'bc13c2ff-59e6-4262-a352-b275fd6f7172': 'Linux XBOOTLDR',
  'ca7d7ccb-63ed-4c53-861c-1742536059cc': 'Linux LUKS',
  '7ffec5c9-2d00-49b7-8941-3ea10a5586b7': 'Linux dm-crypt',
  '8da63339-0007-60c0-c436-083ac8230908': 'Linux reserved',
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709': 'Linux root x86-64',
  '44479540-f297-41b2-9af7-d131d5f0458a': 'Linux root x86',
  'b921b045-1df0-41c3-af44-4c6f280d3fae': 'Linux root arm64',
  '69dad710-2ce4-4e3c-b16c-21a1d49abed3': 'Linux root arm',
  '72ec70a6-cf74-40e6-bd49-4bda08e8f224': 'Linux root riscv64',
  'c31c45e6-3f39-412e-80fb-4809c4980599': 'Linux root ppc64le',
  '5eead9a9-fe09-4a1e-a1d7-520d00531306': 'Linux root s390x',
  '8484680c-9521-48c6-9c11-b0720656f69e': 'Linux usr x86-64',
  '2c7357ed-ebd2-46d9-aec1-23d437ec2bf5': 'Linux root verity x86-64',
  '9e1a2d38-c612-4316-aa26-8b49521e5a8b': 'PowerPC PReP',
  '7412f7d5-a156-4b13-81dc-867174929325': 'ONIE boot',
  'd4e6e2cd-4469-46f3-b5cb-1bff57afc149': 'ONIE config',
  'f4019732-066e-4e12-8273-346c5641494f': 'Sony boot',
  'bfbfafe7-a34f-448a-9a5b-6213eb736c22': 'Lenovo boot',
  'd3bfe2de-3daf-11df-ba40-e3a556d89593': 'Intel fast flash',
  '83bd6b9d-7f41-11dc-be0b-001560b84f0f': 'FreeBSD boot',
  '516e7cb4-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD data',
  '516e7cb5-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD swap',
  '516e7cb6-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD UFS',
  '516e7cba-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD ZFS',
  '516e7cb8-6ecf-11d6-8ff8-00022d09712b': 'FreeBSD Vinum',
  '824cc7a0-36a8-11e3-890a-952519ad3f61': 'OpenBSD data',
  '48465300-0000-11aa-aa11-00306543ecac': 'Apple HFS+',
  '7c3457ef-0000-11aa-aa11-00306543ecac': 'Apple APFS',
  '55465300-0000-11aa-aa11-00306543ecac': 'Apple UFS',
  '426f6f74-0000-11aa-aa11-00306543ecac': 'Apple boot',
  '53746f72-6167-11aa-aa11-00306543ecac': 'Apple CoreStorage',
  '52414944-0000-11aa-aa11-00306543ecac': 'Apple RAID',
  '5265636f-7665-11aa-aa11-00306543ecac': 'Apple TV recovery',
  '69646961-6700-11aa-aa11-00306543ecac': 'Apple Silicon boot (iBoot)',
  '52637672-7900-11aa-aa11-00306543ecac': 'Apple Silicon recovery',
  '6a898cc3-1dd2-11b2-99a6-080020736631': 'ZFS / Solaris usr',
  '6a85cf4d-1dd2-11b2-99a6-080020736631': 'Solaris root',
  '6a82cb45-1dd2-11b2-99a6-080020736631': 'Solaris boot',
  '6a945a3b-1dd2-11b2-99a6-080020736631': 'Solaris reserved (ZFS p9)',
  'aa31e02a-400f-11db-9590-000c2911d1b8': 'VMware VMFS',
  '9d275380-40ad-11db-bf97-000c2911d1b8': 'VMware diagnostic',
  '381cfccc-7288-11e0-92ee-000c2911d0b2': 'VMware vSAN',
  '9198effc-31c0-11db-8f78-000c2911d1b8': 'VMware reserved',
  '4fbd7e29-9d25-41b8-afd0-062c0ceff05d': 'Ceph OSD',
  '45b0969e-9b03-4f30-b4c6-b4b80ceff106': 'Ceph journal',
  'fe3a2a5d-4f32-41a7-b725-accc3285a309': 'ChromeOS kernel',
  '3cb8e202-3b7e-47dd-8a3c-7ff2a13cfcec': 'ChromeOS root',
  '2e0a753d-9e48-43b0-8337-b15192cb1b5e': 'ChromeOS reserved',
  'c91818f9-8025-47af-89d2-f030d7000c2c': 'Plan 9',
  '42465331-3ba3-10f1-802a-4861696b7521': 'Haiku BFS',
}

/** Types of MBR partitions. */
const mbrNames: Readonly<Record<number, string>> = {
  0x00: 'empty',
  0x01: 'FAT12',
  0x04: 'FAT16 <32M',
  0x05: 'extended CHS',
  0x06: 'FAT16',
  0x07: 'NTFS/exFAT/HPFS',
  0x08: 'AIX',
  0x09: 'AIX boot',
  0x0a: 'OS/2 boot mgr',
  0x0b: 'FAT32 CHS',
  0x0c: 'FAT32 LBA',
  0x0e: 'FAT16 LBA',
  0x0f: 'extended LBA',
  0x11: 'hidden FAT12',
  0x12: 'Compaq/OEM diag',
  0x14: 'hidden FAT16<32',
  0x16: 'hidden FAT16',
  0x17: 'hidden NTFS',
  0x1b: 'hidden FAT32',
  0x1c: 'hidden FAT32 LBA',
  0x1e: 'hidden FAT16 LBA',
  0x24: 'NEC DOS',
  0x27: 'WinRE hidden NTFS',
  0x39: 'Plan 9',
  0x3c: 'PartitionMagic',
  0x41: 'PPC PReP',
  0x42: 'Windows LDM (dynamic disk) / SFS',
  0x4d: 'QNX4',
  0x4e: 'QNX4',
  0x4f: 'QNX4',
  0x63: 'Hurd/SysV',
  0x64: 'NetWare',
  0x65: 'NetWare',
  0x80: 'Minix',
  0x81: 'Minix',
  0x82: 'Linux swap / Solaris',
  0x83: 'Linux',
  0x84: 'hibernation',
  0x85: 'Linux extended',
  0x86: 'NTFS volume set',
  0x87: 'NTFS volume set',
  0x88: 'Linux plaintext',
  0x8e: 'Linux LVM',
  0x9f: 'BSD/OS',
  0xa0: 'Thinkpad hibernation',
  0xa5: 'FreeBSD',
  0xa6: 'OpenBSD',
  0xa8: 'Darwin UFS',
  0xa9: 'NetBSD',
  0xab: 'Darwin boot',
  0xaf: 'HFS/HFS+',
  0xb7: 'BSDI fs/swap',
  0xb8: 'BSDI fs/swap',
  0xbc: 'Acronis',
  0xbe: 'Solaris boot',
  0xbf: 'Solaris',
  0xda: 'non-FS data',
  0xde: 'Dell utility',
  0xdf: 'BootIt',
  0xe8: 'LUKS',
  0xea: 'Linux extended boot',
  0xeb: 'BeOS',
  0xee: 'GPT protective',
  0xef: 'EFI system (MBR)',
  0xf0: 'PA-RISC boot',
  0xf8: 'EBBR protective',
  0xfb: 'VMware VMFS',
  0xfc: 'VMware swap/core',
  0xfd: 'Linux raid auto',
  0xfe: 'LANstep',
  0xff: 'Xenix BBT',
}

export function gptType(guid: string): PartitionType {
  return { id: guid, name: gptNames[guid] ?? guid }
}

export function mbrType(id: number): PartitionType {
  const text = `0x${id.toString(16).padStart(2, '0')}`
  return { id: text, name: mbrNames[id] ?? text }
}

/** The MBR type that serves a GPT type, for tables converted into each other; undefined where there is none. */
const pairs: readonly (readonly [mbr: number, gpt: string])[] = [
  [0x83, '0fc63daf-8483-4772-8e79-3d69d8477de4'],
  [0x82, '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f'],
  [0x8e, 'e6d6d379-f507-44c2-a23c-238f2a3df928'],
  [0xfd, 'a19d880f-05fc-4d3b-a006-743f0f84911e'],
  [0x07, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [0x0c, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [0x0b, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [0x0e, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [0x06, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [0x04, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [0x01, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [0x27, 'de94bba4-06d1-4d40-a16a-bfd50179d6ac'],
  [0xef, 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'],
  [0xaf, '48465300-0000-11aa-aa11-00306543ecac'],
  [0xa5, '516e7cb4-6ecf-11d6-8ff8-00022d09712b'],
  [0xa6, '824cc7a0-36a8-11e3-890a-952519ad3f61'],
  [0xfb, 'aa31e02a-400f-11db-9590-000c2911d1b8'],
  [0xfc, '9d275380-40ad-11db-bf97-000c2911d1b8'],
  [0x41, '9e1a2d38-c612-4316-aa26-8b49521e5a8b'],
]

/** The GPT type for an MBR one; undefined where there is none. */
export function gptTypeFor(mbr: number): string | undefined {
  return pairs.find(([id]) => id === mbr)?.[1]
}

/** The MBR type for a GPT one; undefined where there is none. Linux types of a purpose (root, home …) are all 0x83. */
export function mbrTypeFor(guid: string): number | undefined {
  const found = pairs.find(([, id]) => id === guid)?.[0]
  if (found !== undefined) return found
  return (gptNames[guid] ?? '').startsWith('Linux ') ? 0x83 : undefined
}
