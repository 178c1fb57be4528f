import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { noise } from '../../fixtures/content.js'
import { fixedVhd, sparseVhd } from '../../fixtures/spec-writer/vhd.js'
import { blockState, layout, vhdxImage } from '../../fixtures/spec-writer/vhdx.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { gptEntries, gptWrites, protectiveMbr } from '../../src/partition/index.js'
import { sha256 } from '../support/content.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'

const mebibyte = 1048576
const capacity = 6 * mebibyte
const ids = ['11111111-0000-4000-8000-000000000001', '22222222-0000-4000-8000-000000000001'] as const

/** A volume of a machine, in bytes of its disk. */
interface Volume {
  readonly start: number
  readonly content: Buffer
  readonly type?: number
  readonly active?: boolean
}
const volumes: readonly Volume[] = [
  { start: mebibyte, content: noise(1, 65536), active: true },
  { start: 4 * mebibyte, content: noise(2, 65536) },
]

/** A disk with an MBR, the volumes at their places, and zeros between. */
function diskOf(parts: readonly Volume[], size = capacity): Buffer {
  const disk = Buffer.alloc(size)
  disk.write('boot code', 0, 'latin1')
  disk.writeUInt32LE(0x12345678, 440)
  for (const [index, { start, content, type = 7, active = false }] of parts.entries()) {
    const entry = 446 + 16 * index
    disk.set([active ? 0x80 : 0, 0xfe, 0xff, 0xff, type, 0xfe, 0xff, 0xff], entry)
    disk.writeUInt32LE(start / 512, entry + 8)
    disk.writeUInt32LE(content.length / 512, entry + 12)
    if (start > 0) content.copy(disk, start)
  }
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

const right = sha256(diskOf(volumes))
/** Without the second volume, which reads as zero. */
const first = sha256(diskOf(volumes.slice(0, 1)))

const isStored = (disk: Buffer, start: number, length: number): boolean =>
  disk.subarray(start, start + length).some((byte) => byte !== 0)

const recipe = { capacity, uuid: '5'.repeat(32), time: 1.7e9 }
const child = { ...recipe, blockSize: 65536, present: () => false }

function vhd(disk: Buffer): Buffer {
  const present = (sector: number): boolean => isStored(disk, sector * 512, 512)
  return sparseVhd({ ...recipe, capacity: disk.length, blockSize: 65536, content: disk, present })
}

function vhdx(disk: Buffer): Buffer {
  const id = (digit: number): string => `${String(digit).repeat(8)}-0000-4000-8000-000000000009`
  return vhdxImage({
    capacity: disk.length,
    blockSize: mebibyte,
    logicalSectorSize: 512,
    physicalSectorSize: 512,
    leaveBlocksAllocated: false,
    content: (offset, length) => disk.subarray(offset, offset + length),
    state: (block) => (isStored(disk, block * mebibyte, mebibyte) ? blockState.fullyPresent : blockState.notPresent),
    ids: { fileWrite: id(6), dataWrite: id(7), disk: id(8) },
  })
}

const specsOf = (listed: readonly string[]): string =>
  '<?xml version="1.0" encoding="utf-16"?>\r\n<BackupSpecs><FileSpecs>' +
  listed.map((id, index) => `<Volume Name="\\\\?\\Volume{${id}}\\" AccessPath="${'CD'[index] ?? ''}:\\"/>`).join('') +
  '</FileSpecs></BackupSpecs>'
const utf16 = (text: string): Buffer => Buffer.from(`\ufeff${text}`, 'utf16le')
const specs = utf16(specsOf(ids))

type Files = Record<string, Buffer>
const [one, two] = [`${ids[0]}.vhd`, `${ids[1]}.vhd`]
const xml = 'BackupSpecs.xml'
const disks = volumes.map((volume) => diskOf([volume]))
const virtualDisk = (index: number): Buffer => Buffer.from(disks[index] ?? '')
const [vhds, vhdxs] = [disks.map(vhd), disks.map(vhdx)]
const vhdOf = (index: number): Buffer => Buffer.from(vhds[index] ?? '')
const vhdxOf = (index: number): Buffer => Buffer.from(vhdxs[index] ?? '')
const sound = (): Files => ({ [xml]: specs, [one]: vhdOf(0), [two]: vhdOf(1) })
const soundVhdx = (): Files => ({ [xml]: specs, [`${one}x`]: vhdxOf(0), [`${two}x`]: vhdxOf(1) })
const without = (files: Files, ...names: string[]): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)))
/** With the file of the second volume changed. */
const changed = (change: (bytes: Buffer) => unknown, files: Files = sound()): Files => {
  const name = files[two] === undefined ? `${two}x` : two
  const bytes = files[name] ?? Buffer.alloc(0)
  const result = change(bytes)
  return { ...files, [name]: Buffer.isBuffer(result) ? result : bytes }
}
/** With another virtual disk for the second volume. */
const second = (disk: Buffer): Files => ({ ...sound(), [two]: vhd(disk) })
const edited = (change: (disk: Buffer) => void): Files => {
  const disk = virtualDisk(1)
  change(disk)
  return second(disk)
}
const zeroed =
  (...ranges: readonly (readonly [number, number])[]) =>
  (bytes: Buffer): void => {
    for (const [from, to] of ranges) bytes.subarray(from, to).fill(0)
  }
const u32 =
  (position: number, value: number) =>
  (bytes: Buffer): void =>
    void bytes.writeUInt32LE(value, position)
const u64 =
  (position: number, value: bigint) =>
  (bytes: Buffer): void =>
    void bytes.writeBigUInt64LE(value, position)
const flip =
  (position: number) =>
  (bytes: Buffer): void =>
    void bytes.writeUInt8(bytes.readUInt8(position) ^ 8, position)

const made = (what: string, files: () => Files, more: Partial<DamagedFolder> = {}): DamagedFolder => ({
  what,
  files,
  answer: ['W_TABLE_MADE'],
  reads: right,
  ...more,
})
const refused = (
  what: string,
  answer: string,
  files: () => Files,
  more: Partial<DamagedFolder> = {},
): DamagedFolder => ({
  what,
  files,
  answer,
  ...more,
})
/** What is there is asked for by name: it is warned that something is not. */
const lacking = { open: '@disk=disk1', answer: ['W_TABLE_MADE', 'W_NOT_SAVED'] }

/** A disk of 8 MiB with a GPT: which volumes it holds, in the order of their entries. */
function gptDisk(...held: readonly (0 | 1)[]): Buffer {
  const store = new MemoryStore(undefined, 'disk')
  const disk = { sectorSize: 512, capacity: 8 * mebibyte, entryCount: 128, entrySize: 128 } as const
  const entries = held.map((index, entry) => ({
    number: entry + 1,
    type: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7',
    unique: ids[index],
    firstLba: 2048 * (index + 1),
    lastLba: 2048 * (index + 1) + 127,
    name: `volume ${index}`,
  }))
  const writes = gptWrites({
    ...disk,
    diskGuid: '33333333-0000-4000-8000-000000000001',
    mbr: protectiveMbr(disk.capacity, 512),
    entries: gptEntries(entries),
  }).flat()
  for (const { position, bytes } of writes) store.write(position, bytes)
  for (const index of held) store.write((index + 1) * mebibyte, noise(10 + index, 65536))
  store.truncate(disk.capacity)
  const bytes = Buffer.alloc(disk.capacity)
  store.read(0, bytes)
  return bytes
}
/** Two virtual disks with a GPT, the second changed. @param isSigned whether its checksums fit the change. */
const gpt = (change: (disk: Buffer) => void = () => undefined, isSigned = true): Files => {
  const disk = gptDisk(1)
  change(disk)
  if (isSigned) {
    disk.writeUInt32LE(crc32(disk.subarray(1024, 1024 + 128 * 128)), 512 + 88)
    disk.writeUInt32LE(0, 512 + 16)
    disk.writeUInt32LE(crc32(disk.subarray(512, 512 + 92)), 512 + 16)
  }
  return { [xml]: specs, [one]: vhd(gptDisk(0)), [two]: vhd(disk) }
}
const other = vhd(diskOf(volumes.slice(0, 1), 8 * mebibyte))

const cases: readonly DamagedFolder[] = [
  made('sound', sound),
  made('sound, VHDX', soundVhdx),
  made('sound, opened by its list of volumes', sound, { open: xml }),
  made('a list in UTF-8', () => ({ ...sound(), [xml]: Buffer.from(specsOf(ids).replace('utf-16', 'utf-8')) })),
  made('a volume that is not listed', () => ({ ...sound(), [xml]: utf16(specsOf(ids.slice(0, 1))) })),
  made('a list of no volumes', () => ({ ...sound(), [xml]: utf16(specsOf([])) })),
  made('a list that is something else', () => ({ ...sound(), [xml]: utf16('<Other/>') })),
  made('virtual disks that are not named after volumes', () => ({
    [xml]: specs,
    'a.vhd': vhdOf(0),
    'b.vhd': vhdOf(1),
  })),
  made('a fixed VHD', () => changed(() => fixedVhd({ ...recipe, content: virtualDisk(1) }))),
  made("virtual disks with each other's names: each volume is where its own table says", () => ({
    [xml]: specs,
    [one]: vhdOf(1),
    [two]: vhdOf(0),
  })),
  made('sound, with a GPT', () => gpt(), { reads: sha256(gptDisk(0, 1)) }),
  refused('the second virtual disk is missing', 'E_PART_MISSING', () => without(sound(), two), {
    says: /22222222.*\(D:/,
  }),
  refused('the first virtual disk is missing', 'E_PART_MISSING', () => without(sound(), one), {
    says: /11111111.*\(C:/,
  }),
  refused('a VHDX is missing', 'E_PART_MISSING', () => without(soundVhdx(), `${two}x`)),
  refused('no virtual disk is there', 'E_PART_MISSING', () => without(sound(), one, two), { open: xml }),
  made('one is missing, and the disk is asked for', () => without(sound(), two), { ...lacking, reads: first }),
  refused('a list that is cut off', 'E_BACKUP', () => ({ ...sound(), [xml]: specs.subarray(0, 300) })),
  made(
    'a list that is cut off, and the disk is asked for',
    () => ({ ...sound(), [xml]: specs.subarray(0, 300) }),
    lacking,
  ),
  refused('an empty list', 'E_BACKUP', () => ({ ...sound(), [xml]: Buffer.alloc(0) })),
  refused('a list of zeros', 'E_BACKUP', () => ({ ...sound(), [xml]: Buffer.alloc(specs.length) })),
  refused('a list of 17 MiB', 'E_BACKUP', () => ({
    ...sound(),
    [xml]: Buffer.concat([specs, Buffer.alloc(17 * mebibyte, 32)]),
  })),
  refused('a list with a document type', 'E_BACKUP', () => ({
    ...sound(),
    [xml]: utf16(specsOf(ids).replace('<BackupSpecs>', '<!DOCTYPE a [<!ENTITY b "c">]><BackupSpecs>')),
  })),
  refused('129 virtual disks', 'E_BACKUP', () => ({
    ...sound(),
    ...Object.fromEntries(Array.from({ length: 127 }, (_, index) => [`${index}.vhd`, Buffer.alloc(1)])),
  })),
  refused('an MBR without its mark', 'E_BACKUP', () => edited(zeroed([510, 512])), {
    says: /22222222.*no sound partition/,
  }),
  made('the same, and the disk is asked for', () => edited(zeroed([510, 512])), { ...lacking, reads: first }),
  refused('a volume for a disk', 'E_BACKUP', () => edited((disk) => void disk.write('NTFS    ', 3, 'latin1'))),
  refused('an MBR without partitions', 'E_BACKUP', () => edited(zeroed([446, 510]))),
  refused('a partition behind the disk', 'E_PART_RANGE', () => edited(u32(454, capacity / 512))),
  refused('a partition of 2 TiB', 'E_PART_RANGE', () => edited(u32(458, 0xffffffff))),
  refused('a partition at the table', 'E_OVERLAP', () => edited(u32(454, 0))),
  refused('partitions that overlap', 'E_OVERLAP', () =>
    second(diskOf([{ start: mebibyte + 512, content: noise(3, 65536) }])),
  ),
  refused('a copy of a virtual disk beside it', 'E_OVERLAP', () => ({ ...sound(), 'copy.vhd': vhdOf(0) })),
  refused('five partitions and no GPT', 'E_UNSUPPORTED_FEATURE', () =>
    second(diskOf([2, 3, 4, 5].map((at) => ({ start: at * mebibyte, content: noise(at, 512) })))),
  ),
  refused('a virtual disk of another disk', 'E_WHICH_MEMBER', () => ({ ...sound(), 'x.vhd': other })),
  made('a virtual disk of another disk, the first chosen', () => ({ ...sound(), 'x.vhd': other }), {
    open: '@disk=disk1',
  }),
  refused('a disk that is not there', 'E_NO_MEMBER', sound, { open: '@disk=disk3' }),
  refused('one is missing, and the other has no table', 'E_PART_MISSING', () => ({
    [xml]: specs,
    [one]: vhd(Buffer.alloc(capacity)),
  })),
  made(
    'one virtual disk, and it is damaged: it is read as it is',
    () => ({ [xml]: utf16(specsOf(ids.slice(0, 1))), [one]: vhd(Buffer.alloc(capacity)) }),
    { answer: [], reads: sha256(Buffer.alloc(capacity)) },
  ),
  made('a virtual disk alone, where the other one is missing', () => without(sound(), two), {
    open: `@disk=${one}`,
    answer: [],
    reads: sha256(virtualDisk(0)),
  }),
  refused('an empty VHD', 'E_TRUNCATED', () => changed(() => Buffer.alloc(0))),
  refused('a VHD of 511 bytes', 'E_TRUNCATED', () => changed((bytes) => bytes.subarray(0, 511))),
  refused('half of a VHD', 'E_TRUNCATED', () => changed((bytes) => bytes.subarray(0, bytes.length >> 1))),
  made('a VHD without its footer', () => changed((bytes) => bytes.subarray(0, -512)), {
    answer: ['E_FOOTER_COPY_USED', 'W_TABLE_MADE'],
  }),
  made('a footer of zeros', () => changed(zeroed([-512, Infinity])), {
    answer: ['E_FOOTER_COPY_USED', 'W_TABLE_MADE'],
  }),
  made('a copy of the footer of zeros', () => changed(zeroed([0, 512])), {
    answer: ['E_FOOTER_COPY_DAMAGED', 'W_TABLE_MADE'],
  }),
  refused('both footers of zeros', 'E_NOT_VHD', () => changed(zeroed([0, 512], [-512, Infinity]))),
  refused('a wrong checksum of the dynamic header', 'E_CHECKSUM', () =>
    changed((bytes) => void bytes.writeUInt8(1, 600)),
  ),
  refused('a block behind the end', 'E_TRUNCATED', () =>
    changed((bytes) => void bytes.writeUInt32BE(0x7fffffff, 1536)),
  ),
  made('two blocks in one place', () => changed((bytes) => void bytes.copyWithin(1536 + 4 * 64, 1536, 1540)), {
    answer: ['E_OVERLAP', 'L_UNREFERENCED', 'W_TABLE_MADE'],
    reads: sha256(
      diskOf(volumes.slice(0, 1).concat({ start: 4 * mebibyte, content: virtualDisk(1).subarray(0, 65536) })),
    ),
  }),
  refused('text for a VHD', 'E_NOT_VHD', () => changed(() => Buffer.from('no disk\n'.repeat(1000)))),
  refused('a VHDX named .vhd', 'E_NOT_VHD', () => changed(() => vhdxOf(1))),
  refused('a VHD named .vhdx', 'E_TRUNCATED', () => changed(() => vhdOf(1), soundVhdx())),
  refused('a VHD that has a parent', 'E_PARENT_MISSING', () =>
    changed(() => sparseVhd({ ...child, content: virtualDisk(1), parent: { uuid: '6'.repeat(32), name: one } })),
  ),
  refused('no mark of a VHDX', 'E_NOT_VHDX', () => changed(zeroed([0, 8]), soundVhdx())),
  made('one header of a VHDX', () => changed(zeroed([65536, 69632]), soundVhdx()), {
    answer: ['E_HEADER_INVALID', 'W_TABLE_MADE'],
  }),
  refused('both headers of a VHDX', 'E_HEADER', () => changed(zeroed([65536, 69632], [131072, 135168]), soundVhdx())),
  refused('both region tables', 'E_REGION_CRC', () => changed(zeroed([196608, 200704], [262144, 266240]), soundVhdx())),
  refused('the metadata of a VHDX', 'E_META_TABLE', () =>
    changed(zeroed([layout.metadata, layout.metadata + 4096]), soundVhdx()),
  ),
  refused('a block of a VHDX behind the end', 'E_BAT_RANGE', () =>
    changed((bytes) => void bytes.writeBigUInt64LE(2n ** 50n + 6n, layout.table + 32), soundVhdx()),
  ),
  refused('a VHDX that is cut off', 'E_BAT_RANGE', () =>
    changed((bytes) => bytes.subarray(0, 4.5 * mebibyte), soundVhdx()),
  ),
  refused('a link for a virtual disk', 'E_REFERENCE_NOT_ALLOWED', sound, {
    prepare: (folder) => {
      fs.renameSync(join(folder, two), join(folder, 'away'))
      fs.symlinkSync('away', join(folder, two))
    },
  }),
  refused('a folder for a virtual disk', 'E_REFERENCE_MISSING', () => without(sound(), two), {
    prepare: (folder) => fs.mkdirSync(join(folder, two)),
  }),
  refused('a GPT without its mark', 'E_BACKUP', () => gpt(zeroed([512, 520]))),
  refused('a flipped bit in an entry of a GPT', 'E_BACKUP', () => gpt(flip(1024 + 33), false)),
  refused('a flipped bit in the header of a GPT', 'E_BACKUP', () => gpt(flip(512 + 57), false)),
  refused('a GPT with a header of 4 GiB', 'E_BACKUP', () => gpt(u32(512 + 12, 0xffffffff), false)),
  refused('a GPT with entries of 256 bytes', 'E_BACKUP', () => gpt(u32(512 + 84, 256))),
  refused('a GPT of 2^32 entries', 'E_BACKUP', () => gpt(u32(512 + 80, 0xffffffff))),
  refused('a GPT whose entries lie behind the disk', 'E_BACKUP', () => gpt(u64(512 + 72, 2n ** 60n))),
  refused('a partition of a GPT behind the disk', 'E_PART_RANGE', () => gpt(u64(1024 + 40, 2n ** 50n))),
  refused('a partition of a GPT that ends before it begins', 'E_PART_RANGE', () => gpt(u64(1024 + 40, 1n))),
  refused('partitions of two GPTs that overlap', 'E_OVERLAP', () => gpt(u64(1024 + 32, 2100n))),
]

testDamagedFolders('wib', cases)

test('wib: 40 damaged files', () => {
  assert.ok(cases.filter(({ answer }) => typeof answer === 'string' || answer.length > 1).length >= 40)
})
