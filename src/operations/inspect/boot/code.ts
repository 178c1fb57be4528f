import { viewOf } from '../../../binary/integers.js'

/** What a boot sector holds, as far as it is known. */
export type BootCodeKind =
  | 'none'
  | 'unknown'
  | 'notBootable'
  | 'grub'
  | 'grubLegacy'
  | 'syslinux'
  | 'isolinux'
  | 'windows'
  | 'dos'
  | 'lilo'
  | 'freebsd'
  | 'parted'

/** Machine code in a boot sector. */
export interface BootCode {
  readonly kind: BootCodeKind
  /** For people. */
  readonly title: string
  /**
   * What it goes on with: the partition that is marked active, one marked `legacy BIOS bootable` (GPT), files or
   * sectors of its own,
   * nothing, or it is not known.
   */
  readonly continues: 'active' | 'legacy' | 'itself' | 'nothing' | 'unknown'
}

interface Known extends BootCode {
  /** Texts of which each must be in the sector. */
  readonly texts: readonly string[]
  /** First bytes, in hexadecimal. */
  readonly begins?: string
}

/** Known by their messages; the first match counts. */
const masters: readonly Known[] = [
  { kind: 'grub', title: 'GRUB 2', continues: 'itself', texts: ['GRUB ', 'Geom', 'Read'], begins: 'eb63' },
  {
    kind: 'grubLegacy',
    title: 'GRUB 0.97 (legacy)',
    continues: 'itself',
    texts: ['GRUB ', 'Geom', 'Read'],
    begins: 'eb48',
  },
  {
    kind: 'isolinux',
    title: 'isolinux (a CD image made for USB sticks too)',
    continues: 'itself',
    texts: ['isolinux.bin missing or corrupt'],
  },
  { kind: 'syslinux', title: 'syslinux for GPT', continues: 'legacy', texts: ['Missing OS'] },
  { kind: 'syslinux', title: 'syslinux', continues: 'active', texts: ['Operating system load error'] },
  {
    kind: 'windows',
    title: 'Windows',
    continues: 'active',
    texts: ['Invalid partition table', 'Missing operating system', 'TCPA'],
  },
  {
    kind: 'dos',
    title: 'MS-DOS or Windows up to XP',
    continues: 'active',
    texts: ['Invalid partition table', 'Missing operating system'],
    begins: '33c08ed0bc007c',
  },
  {
    kind: 'freebsd',
    title: 'FreeBSD',
    continues: 'active',
    texts: ['Invalid partition table', 'Missing operating system'],
    begins: 'fc31c0',
  },
  { kind: 'freebsd', title: 'FreeBSD for GPT', continues: 'itself', texts: ['Missing boot loader'] },
  { kind: 'freebsd', title: 'the FreeBSD boot menu', continues: 'active', texts: ['Drive', 'FreeBS'] },
  { kind: 'lilo', title: 'LILO', continues: 'itself', texts: ['LILO'] },
  { kind: 'parted', title: 'GNU parted', continues: 'active', texts: [], begins: 'fab800108ed0bc00b0' },
]

const volumes: readonly Known[] = [
  {
    kind: 'notBootable',
    title: 'code that only says that the disk is not bootable',
    continues: 'nothing',
    texts: ['This is not a bootable disk'],
  },
  { kind: 'windows', title: 'Windows (starts BOOTMGR)', continues: 'itself', texts: ['BOOTMGR'] },
  { kind: 'dos', title: 'Windows up to XP (starts NTLDR)', continues: 'itself', texts: ['NTLDR'] },
  { kind: 'syslinux', title: 'syslinux', continues: 'itself', texts: ['SYSLINUX'] },
  { kind: 'syslinux', title: 'extlinux', continues: 'itself', texts: ['EXTLINUX'] },
  { kind: 'grub', title: 'GRUB', continues: 'itself', texts: ['GRUB ', 'Geom', 'Read'] },
  { kind: 'lilo', title: 'LILO', continues: 'itself', texts: ['LILO'] },
  { kind: 'dos', title: 'FreeDOS', continues: 'itself', texts: ['KERNEL  SYS'] },
  { kind: 'dos', title: 'MS-DOS', continues: 'itself', texts: ['IO      SYS'] },
]

const unknown: BootCode = { kind: 'unknown', title: 'code that is not known here', continues: 'unknown' }

/** Bytes of code before the disk signature and the table. */
const masterCodeLength = 440

/** The boot code of a master boot record, its first 512 bytes. */
export function masterBootCode(sector: Uint8Array): BootCode {
  if (!hasSignature(sector)) return none('no boot code: the first sector does not end in 55 AA')
  const code = sector.subarray(0, masterCodeLength)
  if (code.every((byte) => byte === 0)) return none('no boot code: zeros')
  return known(masters, code) ?? unknown
}

/** The boot code of a volume, from its first 1536 bytes: some systems' code goes on in the sectors behind the first. */
export function volumeBootCode(sectors: Uint8Array): BootCode {
  if (!hasSignature(sectors)) return none('no boot code: the first sector does not end in 55 AA')
  const code = known(volumes, sectors)
  if (code !== undefined) return code
  // Behind the parameters of the largest kind of boot sector (FAT32).
  return sectors.subarray(90, 510).every((byte) => byte === 0) ? none('no boot code: zeros') : unknown
}

/** The sector at which GRUB's boot code goes on, counted in sectors of the disk. */
export function grubCoreSector(sector: Uint8Array): bigint {
  return viewOf(sector).getBigUint64(0x5c, true)
}

/** Whether a sector is the first one of GRUB's core image (diskboot). */
export function isGrubCore(sector: Uint8Array): boolean {
  const text = latin1(sector)
  return text.includes('loading') && text.includes('Geom') && text.includes('Read')
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

function known(list: readonly Known[], code: Uint8Array): BootCode | undefined {
  const text = latin1(code)
  const found = list.find(
    ({ texts, begins }) =>
      texts.every((one) => text.includes(one)) &&
      (begins === undefined || text.startsWith(Buffer.from(begins, 'hex').toString('latin1'))),
  )
  return found === undefined ? undefined : { kind: found.kind, title: found.title, continues: found.continues }
}

function none(title: string): BootCode {
  return { kind: 'none', title, continues: 'nothing' }
}

function hasSignature(sector: Uint8Array): boolean {
  return sector[510] === 0x55 && sector[511] === 0xaa
}
