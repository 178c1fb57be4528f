import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { openFile } from '../../src/formats/open.js'
import { readPartitionTable } from '../../src/partition/index.js'
import { openCorpus, type CorpusRecord } from '../support/corpus.js'
import { testFolder } from '../support/folder.js'

/** What sfdisk saw in the content of an image of the corpus. */
interface Content {
  readonly pt?: {
    readonly label: string
    readonly id: string | null
    readonly parts: readonly {
      readonly n: number
      readonly start: number
      readonly size: number
      readonly type: string
      readonly name?: string
      readonly uuid?: string
    }[]
  }
}

const container = ['raw', 'xz', 'gz', 'bz2', 'vhd', 'vhd-fixed', 'vhdx', 'qcow1', 'qcow2', 'qcow3']
const unpackers: Readonly<Record<string, string>> = { xz: 'xz', gz: 'gzip', bz2: 'bzip2' }

/** Where sfdisk is not right, or cannot say: what is, and why. Partitions as number:start+sectors:type. */
const others: Readonly<
  Record<
    string,
    {
      readonly scheme: string
      readonly partitions: readonly string[]
      readonly issues?: readonly string[]
      readonly why: string
    }
  >
> = {
  'debian-isos/memtest86+ia32.iso': {
    scheme: 'mbr',
    partitions: ['2:3296+8192:0xef'],
    issues: ['W_ENTRY_UNUSED'],
    why: 'an entry of type 00 is unused, whatever else is in it',
  },
  'dfvfs-20240505/apm.dmg': {
    scheme: 'apm',
    partitions: ['1:1+63:Apple_partition_map', '2:64+8112:Apple_HFS'],
    why: 'sfdisk does not read Apple maps; parted agrees',
  },
  'dfvfs-20240505/fat-differential.vhd': {
    scheme: 'mbr',
    partitions: ['1:128+6016:0x0e'],
    why: 'the manifest looked at it without its parent',
  },
  'node-apple-partition-map/mac-os-disk-utility.bin': {
    scheme: 'apm',
    partitions: [
      '1:1+63:Apple_partition_map',
      '3:262208+19550904:Apple_HFS',
      '4:19813112+32745368:Apple_HFSX',
      '5:52558480+262144:DOS_FAT_32',
      '6:52820624+9513328:Windows_NTFS',
    ],
    issues: ['W_PART_PAST_END', 'W_PART_PAST_END', 'W_PART_PAST_END', 'W_PART_PAST_END'],
    why: 'the first 32 KiB of a disk with an Apple map',
  },
  'node-gpt/gpt-primary-exfat.bin': {
    scheme: 'gpt',
    partitions: [
      '1:40+409600:c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
      '2:411648+60338176:ebd0a0a2-b9e5-4433-87c0-68b6b72699c7',
    ],
    issues: ['W_GPT_TRUNCATED', 'W_PMBR_SIZE', 'W_PART_PAST_END', 'W_PART_PAST_END'],
    why: 'a GPT cut short is reported as that, never read as its protective MBR',
  },
  'node-gpt/gpt-backup-exfat.bin': {
    scheme: 'none',
    partitions: [],
    issues: ['E_GPT_CORRUPT'],
    why: 'the last sectors of a disk: the header is of another sector',
  },
  'util-linux/images-fs/bitlocker-win7.img.xz': { scheme: 'none', partitions: [], why: 'the boot sector of BitLocker' },
  'util-linux/images-fs/exfat.img.xz': { scheme: 'none', partitions: [], why: 'the boot sector of exFAT' },
  'util-linux/images-fs/fat.img.xz': { scheme: 'none', partitions: [], why: 'the boot sector of FAT' },
  'util-linux/images-fs/fat32_label_64MB.img.xz': {
    scheme: 'none',
    partitions: [],
    why: 'boot code of FAT where a table would be',
  },
  'util-linux/images-fs/fat32_xp_label1.img.xz': {
    scheme: 'none',
    partitions: [],
    why: 'boot code of FAT where a table would be',
  },
  'util-linux/images-fs/ntfs.img.xz': {
    scheme: 'none',
    partitions: [],
    why: 'boot code of NTFS where a table would be',
  },
  'util-linux/images-fs/hpfs.img.xz': {
    scheme: 'none',
    partitions: [],
    issues: ['W_MBR_ODD'],
    why: 'text of boot code where a table would be',
  },
  'util-linux/images-pt/sun.img.xz': {
    scheme: 'none',
    partitions: [],
    issues: ['W_TABLE_NOT_READ'],
    why: 'a Sun label is named, not read',
  },
}
/** Partitions of these images are known to leave their disk, or to be odd otherwise. */
const issues: Readonly<Record<string, readonly string[]>> = {
  // Its only partition begins with the sector of the table.
  'debian-isos/ipxe.iso': ['W_TABLE_IN_PARTITION'],
  'dfvfs-20240505/ufs2.raw': ['W_NESTED_TABLE', 'W_PART_PAST_END'],
  'node-gpt/raspberry.bin': ['W_PART_PAST_END', 'W_PART_PAST_END'],
  'node-mbr/rpi.bin': ['W_EBR_RANGE', 'W_PART_PAST_END', 'W_PART_PAST_END', 'W_PART_PAST_END', 'W_PART_PAST_END'],
  'node-mbr/syslinux.bin': ['W_PART_PAST_END'],
  'util-linux/images-pt/dos+bsd.img.xz': ['W_NESTED_TABLE'],
  'util-linux/isosize/sample.iso.gz': ['W_PART_PAST_END'],
}

test('every partition table of the corpus is read as it is', (t) => {
  const corpus = openCorpus(t)
  if (corpus === undefined) return
  const folder = testFolder(t)
  let tables = 0
  for (const record of corpus.records as readonly (CorpusRecord & { readonly content?: Content })[]) {
    if (record.content === undefined || !container.includes(record.kind)) continue
    const unpacker = unpackers[record.kind]
    const file =
      unpacker === undefined
        ? path.join(corpus.folder, record.path)
        : unpacked(unpacker, path.join(corpus.folder, record.path), folder)
    using image = openFile(file, record.kind === 'raw' || unpacker !== undefined ? { from: 'raw' } : {})
    const table = readPartitionTable(image)
    const { pt } = record.content
    // sfdisk takes the boot sector of a FAT without text in it for an empty table.
    const expected = others[record.path] ?? {
      scheme: pt === undefined ? 'none' : pt.label === 'gpt' ? 'gpt' : pt.parts.length === 0 ? 'none' : 'mbr',
      partitions: (pt?.parts ?? []).map(
        ({ n, start, size, type }) =>
          `${n}:${start}+${size}:${pt?.label === 'gpt' ? type.toLowerCase() : `0x${type.padStart(2, '0')}`}`,
      ),
      issues: issues[record.path] ?? [],
    }
    const found = table.partitions.map(
      ({ number, start, length, type }) =>
        `${number}:${start / table.sectorSize}+${length / table.sectorSize}:${type.id}`,
    )
    assert.deepEqual([table.scheme, found], [expected.scheme, expected.partitions], record.path)
    assert.deepEqual(
      table.issues.map(({ code }) => code).filter((code) => code !== 'W_MISALIGNED'),
      expected.issues ?? [],
      record.path,
    )
    if (pt !== undefined && others[record.path] === undefined && table.scheme !== 'none') {
      assert.equal(table.diskId, pt.id?.toLowerCase().replace(/^0x/, ''), record.path)
      if (pt.label === 'gpt')
        assert.deepEqual(
          table.partitions.map(({ label, uuid }) => [label, uuid]),
          pt.parts.map(({ name, uuid }) => [name, uuid?.toLowerCase()]),
        )
    }
    if (table.scheme !== 'none') tables++
  }
  assert.ok(tables >= 28, String(tables))
})

function unpacked(program: string, file: string, folder: string): string {
  const target = path.join(folder, 'unpacked.raw')
  const handle = fs.openSync(target, 'w')
  try {
    const result = spawnSync(program, ['--decompress', '--stdout', file], { stdio: ['ignore', handle, 'pipe'] })
    assert.equal(result.status, 0, result.stderr.toString())
  } finally {
    fs.closeSync(handle)
  }
  return target
}
