import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { noise } from '../../fixtures/content.js'
import { macriumBlock, MacriumSet, type MacriumBackup } from '../../fixtures/spec-writer/macrium.js'
import { isImageError, openImage } from '../../src/index.js'
import { Random } from '../fuzz/random.js'
import { sha256 } from '../support/content.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'
import { diskFolder } from '../support/disk-folder.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'
import {
  bootRecord,
  changedContent,
  firstContent,
  macriumContent,
  macriumDisk,
  starts,
} from '../support/macrium-disk.js'

type Files = Record<string, Buffer>
type Kind = Partial<MacriumBackup> & { readonly first?: Buffer }

/** Content of the first partition after each of the backups of a set. */
const states = [firstContent()]
for (const seed of [50, 60, 70]) states.push(changedContent(states.at(-1) ?? firstContent(), seed))
const right = (state: number): string => sha256(macriumContent(states[state]))

/** The files of a set, and what the last of each backup is called. */
function setOf(...kinds: readonly Kind[]): { readonly files: Files; readonly names: readonly string[] } {
  const set = new MacriumSet()
  const files: Files = {}
  const names: string[] = []
  for (const [index, { first = states[index], ...backup }] of kinds.entries()) {
    const made = set.add({ disks: [macriumDisk(first)], ...backup })
    Object.assign(files, made)
    names.push(Object.keys(made).at(-1) ?? '')
  }
  return { files, names }
}

const full: Kind = {}
const increment: Kind = { kind: 'inc' }
const delta: Kind = { kind: 'inc', delta: true }
const differential: Kind = { kind: 'diff' }

/** A set, opened by the last file of its last backup, after `change`. */
const made = (
  what: string,
  kinds: readonly Kind[],
  answer: DamagedFolder['answer'],
  {
    change,
    says,
    opened,
    reads = right(kinds.length - 1),
  }: {
    readonly change?: (files: Files, names: readonly string[]) => Files | undefined
    readonly says?: RegExp
    readonly opened?: number
    readonly reads?: string
  } = {},
): DamagedFolder => {
  const { names } = setOf(...kinds)
  return {
    what,
    files: () => {
      const { files } = setOf(...kinds)
      return change?.(files, names) ?? files
    },
    open: names[opened ?? names.length - 1],
    answer,
    reads,
    says,
  }
}
const fine = (what: string, ...kinds: Kind[]): DamagedFolder => made(what, kinds, [])
const one = (
  what: string,
  answer: DamagedFolder['answer'],
  backup: Kind,
  change?: (file: Buffer) => Buffer | undefined,
  says?: RegExp,
): DamagedFolder =>
  made(what, [backup], answer, {
    says,
    change: (files, [name = '']) => ({
      [name]: change?.(files[name] ?? Buffer.alloc(0)) ?? files[name] ?? Buffer.alloc(0),
    }),
  })
const without =
  (index: number) =>
  (files: Files, names: readonly string[]): Files =>
    Object.fromEntries(Object.entries(files).filter(([name]) => name !== names[index]))
const flip =
  (position: number) =>
  (file: Buffer): undefined => {
    const at = position < 0 ? file.length + position : position
    file.writeUInt8(file.readUInt8(at) ^ 1, at)
  }
type Described = Record<string, Record<string, unknown>> & {
  disks: {
    _header: Record<string, unknown>
    _geometry: Record<string, unknown>
    partitions: Record<string, Record<string, unknown>>[]
  }[]
}
const saying = (change: (description: Described) => void): Kind => ({
  describe: (description) => change(description as Described),
})
/** With another value in what the file says of its first partition. */
const partition = (part: string, key: string, value: unknown): Kind =>
  saying(({ disks }) => {
    const node = disks[0]?.partitions[0]?.[part]
    assert.ok(node !== undefined)
    node[key] = value
  })
const header = (key: string, value: unknown): Kind =>
  saying((all) => {
    const node = all['_header']
    assert.ok(node !== undefined)
    node[key] = value
  })
/** Of an element of the first partition's index: where its fields are. */
const element = (index: number): number => 8 + index * 30

/** Changes the index of the first partition, which has no sectors before its filesystem. */
const indexed = (change: (index: Buffer) => void): Kind => ({
  index: (index) => {
    if (index.readUInt32LE(0) === 0) change(index)
    return index
  },
})

const cases: readonly DamagedFolder[] = [
  fine('sound', full),
  fine('sound, not compressed', { compression: 'none' }),
  fine('sound, its description compressed', { compressedDescription: true }),
  fine('a full and an incremental backup', full, increment),
  fine('a full and a differential backup', full, increment, differential),
  fine('a full backup and changes', full, delta, delta, delta),
  fine('changes after a differential backup', full, delta, differential, delta),
  fine('changes after an incremental backup with a whole index', full, increment, delta),
  fine('a backup in three files', { parts: 3 }),
  fine('changes of a backup in two files, in two files', { parts: 2 }, { ...delta, parts: 2 }),
  made('the full backup of a set with changes', [full, delta, delta], [], { opened: 0, reads: right(0) }),
  made('a backup in the middle of a set', [full, delta, delta, delta], [], { opened: 2, reads: right(2) }),
  made('files of another set beside it', [full, delta], [], {
    change: (files) => ({ ...files, ...new MacriumSet('0123456789ABCDEF').add({ disks: [macriumDisk(states[3])] }) }),
  }),
  made('files that are none beside it', [full, delta], [], {
    change: (files) => ({ ...files, 'a.mrimgx': noise(1, 5000), 'b.mrimgx': Buffer.alloc(0) }),
  }),
  made('files that were given other names', [full, increment], [], {
    change: (files, [first = '', second = '']) => ({
      'monday.mrimgx': files[first] ?? Buffer.alloc(0),
      [second]: files[second] ?? Buffer.alloc(0),
    }),
  }),
  made('a copy of a file of the set', [full, increment], [], {
    change: (files, [first = '']) => ({ ...files, 'copy.mrimgx': files[first] ?? Buffer.alloc(0) }),
  }),
  made('two files of one number, under other names', [full, increment], 'E_PART_ORDER', {
    change: (files, [first = '', second = '']) => ({
      'one.mrimgx': files[first] ?? Buffer.alloc(0),
      'two.mrimgx': files[first] ?? Buffer.alloc(0),
      [second]: files[second] ?? Buffer.alloc(0),
    }),
    says: /one\.mrimgx and two\.mrimgx both are file 0/,
  }),
  made('consolidated: the file says that it holds the blocks of another', [{ merged: [7] }], []),
  made('the full backup is missing', [full, increment], 'E_PART_MISSING', {
    change: without(0),
    says: /-00-00\.mrimgx/,
  }),
  made('the full backup of changes is missing', [full, delta, delta], 'E_PART_MISSING', { change: without(0) }),
  made('changes in the middle are missing', [full, delta, delta, delta], 'E_PART_MISSING', {
    change: without(2),
    says: /file 2 of the set, 2394E9AA621DDC3A-02-02\.mrimgx, is missing/,
  }),
  made('a part of a backup in three files is missing', [{ parts: 3 }], 'E_PART_MISSING', {
    change: (files) => Object.fromEntries(Object.entries(files).filter(([name]) => !name.endsWith('-01.mrimgx'))),
  }),
  {
    ...made('a part of a backup in three files is opened', [{ parts: 3 }], 'E_WHICH_MEMBER', {
      says: /-00-02\.mrimgx/,
    }),
    open: '2394E9AA621DDC3A-00-00.mrimgx',
  },
  {
    ...made('a part whose last one is missing', [{ parts: 2 }], 'E_PART_MISSING', {
      change: (files) => Object.fromEntries(Object.entries(files).slice(0, 1)),
    }),
    open: '2394E9AA621DDC3A-00-00.mrimgx',
  },
  made('the file before is damaged', [full, increment], 'E_CHECKSUM', {
    change: (files, [first = '']) => flip(612)(files[first] ?? Buffer.alloc(0)),
  }),
  made('the description of the file before is damaged', [full, increment], 'E_PART_MISSING', {
    change: (files, [first = '']) => flip(-100)(files[first] ?? Buffer.alloc(0)),
    says: /beside it: .*MD5/,
  }),
  made('the index of the full backup before changes is damaged', [full, delta], 'E_CHECKSUM', {
    change: (files, [first = '']) => {
      const file = files[first] ?? Buffer.alloc(0)
      flip(file.indexOf('$INDEX') + 60)(file)
      return undefined
    },
  }),
  made('the file before is swapped for one of another backup of the set', [full, delta, increment], 'E_PART_MISSING', {
    change: (files, [first = '', second = '']) => ({ ...files, [first]: files[second] ?? Buffer.alloc(0) }),
  }),
  one('the last byte is missing', 'E_NOT_RECOGNISED', full, (file) => file.subarray(0, -1)),
  one('cut in the middle', 'E_NOT_RECOGNISED', full, (file) => file.subarray(0, file.length / 2)),
  one('the footer alone', 'E_HEADER', full, (file) => file.subarray(-20)),
  one(
    'the metadata begins behind the end',
    'E_HEADER',
    full,
    (file) => void file.writeUInt32LE(0x7fffffff, file.length - 20),
  ),
  one(
    'the metadata begins at 2^64-1',
    'E_TOO_LARGE',
    full,
    (file) => void file.fill(255, file.length - 20, file.length - 12),
  ),
  one('the metadata begins elsewhere', 'E_HEADER', full, (file) => void file.writeUInt32LE(700, file.length - 20)),
  one('the description has another MD5', 'E_CHECKSUM', full, (file) => flip(file.indexOf('$JSON') + 14)(file)),
  one('a byte of the description', 'E_CHECKSUM', full, (file) => flip(file.indexOf('imageid'))(file)),
  one(
    'the description is longer than the file',
    'E_TRUNCATED',
    full,
    (file) => void file.writeUInt32LE(0x7fffffff, file.indexOf('$JSON') + 8),
  ),
  one(
    'no description',
    'E_VERSION',
    { blocks: (blocks, what) => (what === 'file' ? blocks.slice(1) : blocks) },
    undefined,
    /Reflect 8/,
  ),
  one('a description that is no JSON', 'E_BACKUP', {
    blocks: (blocks, what) => (what === 'file' ? [macriumBlock('$JSON', Buffer.from('{"a":'))] : blocks),
  }),
  one(
    'a description without a header',
    'E_BACKUP',
    saying((all) => delete (all as Record<string, unknown>)['_header']),
  ),
  one('a description that is a list', 'E_BACKUP', {
    blocks: (blocks, what) => (what === 'file' ? [macriumBlock('$JSON', Buffer.from('[]'))] : blocks),
  }),
  one('a description that does not unpack', 'E_COMPRESSED', {
    blocks: (blocks, what) => (what === 'file' ? [macriumBlock('$JSON', noise(1, 100), 2)] : blocks),
  }),
  one('encrypted', 'E_ENCRYPTED', { encrypted: true }, undefined, /aes-256/),
  one('an encrypted description', 'E_ENCRYPTED', {
    blocks: (blocks, what) => (what === 'file' ? [macriumBlock('$JSON', noise(1, 96), 4)] : blocks),
  }),
  one('a backup of files', 'E_NOT_A_DISK_IMAGE', header('backup_format', 'file_and_folder')),
  one('a number of its file that is none', 'E_BACKUP', header('file_number', 'one')),
  one('a number of its file below zero', 'E_BACKUP', header('file_number', -1)),
  one(
    'no disks',
    'E_WHICH_MEMBER',
    saying((all) => void all.disks.splice(0)),
  ),
  one('an index behind the end', 'E_TRUNCATED', header('index_file_position', 2 ** 40)),
  one('an index where the blocks are', 'E_HEADER', header('index_file_position', 512)),
  one('an index position with a fraction', 'E_BACKUP', header('index_file_position', 600.5)),
  one(
    'a disk that ends before its partitions',
    'E_BACKUP',
    saying(({ disks }) => {
      const [disk] = disks
      if (disk !== undefined) disk._geometry['disk_size'] = 65536
    }),
  ),
  one(
    'a disk of 2^60 bytes',
    'E_BACKUP',
    saying(({ disks }) => {
      const [disk] = disks
      if (disk !== undefined) disk._geometry['disk_size'] = 2 ** 60
    }),
  ),
  one(
    'sectors of 520 bytes',
    'E_UNSUPPORTED_FEATURE',
    saying(({ disks }) => {
      const [disk] = disks
      if (disk !== undefined) disk._geometry['bytes_per_sector'] = 520
    }),
  ),
  one('blocks of 0 bytes', 'E_BACKUP', partition('_header', 'block_size', 0)),
  one('blocks of 1 GiB', 'E_BACKUP', partition('_header', 'block_size', 2 ** 30)),
  one('smaller blocks than it has', ['E_COMPRESSED'], partition('_header', 'block_size', 2048)),
  one('a partition that begins in another', 'E_OVERLAP', partition('_geometry', 'start', starts.second)),
  one('a filesystem that begins behind its partition', 'E_BACKUP', partition('_file_system', 'lcn0_offset', 2 ** 40)),
  one('a filesystem that begins before its partition', 'E_BACKUP', partition('_file_system', 'lcn0_offset', 0)),
  one('no first sectors', 'E_META_MISSING', { blocks: (blocks, what) => (what === 'disk' ? blocks.slice(1) : blocks) }),
  one('damaged first sectors', 'E_CHECKSUM', full, (file) => flip(file.indexOf('$TRACK0') + 100)(file)),
  one('a damaged boot record', 'E_CHECKSUM', full, (file) => flip(file.indexOf(bootRecord))(file)),
  one('no index', 'E_MAP', { blocks: (blocks, what) => (what === 'partition' ? blocks.slice(0, 1) : blocks) }),
  one('a compressed index', 'E_HEADER', {
    blocks: (blocks, what) => (what === 'partition' ? blocks.map((block) => macriumBlock('$INDEX', block, 2)) : blocks),
  }),
  one(
    'an index that does not say it is the last, before the description',
    [],
    full,
    (file) => void file.writeUInt8(0, file.lastIndexOf('$INDEX') + 28),
  ),
  one('a damaged index', ['E_CHECKSUM'], full, (file) => flip(file.indexOf('$INDEX') + 32 + element(3))(file)),
  one('a block that the index says is not there', ['E_CHECKSUM'], full, (file) => {
    file.writeUInt32LE(0, file.indexOf('$INDEX') + 32 + element(1) + 24)
    return undefined
  }),
  one('an index with more elements than bytes', ['E_MAP'], {
    index: (index) => {
      const longer = Buffer.from(index)
      longer.writeUInt32LE(0xffffffff, 0)
      return longer
    },
  }),
  one('an index with more blocks than the partition', ['E_MAP'], {
    index: (index) => {
      const more = Buffer.concat([index, ...Array.from({ length: 50 }, () => index.subarray(8, 38))])
      more.writeUInt32LE((more.length - 8) / 30, 4)
      return index.readUInt32LE(0) === 0 ? more : index
    },
  }),
  one('an index with bytes behind its elements', ['E_MAP'], {
    index: (index) => Buffer.concat([index, Buffer.alloc(7)]),
  }),
  one('an index cut off', ['E_MAP'], { index: (index) => index.subarray(0, -5) }),
  one('an index of 3 bytes', ['E_MAP'], { index: (index) => index.subarray(0, 3) }),
  one(
    'a block in a file that is not there',
    ['E_PART_MISSING'],
    indexed((index) => void index.writeUInt16LE(9, element(1) + 28)),
  ),
  one(
    'a block behind the end of the file',
    ['E_TRUNCATED'],
    indexed((index) => void index.writeBigInt64LE(2n ** 40n, element(1))),
  ),
  one(
    'a block of 2 GiB',
    ['E_MAP'],
    indexed((index) => void index.writeUInt32LE(0x7fffffff, element(1) + 24)),
  ),
  one(
    'two blocks swapped',
    ['E_CHECKSUM'],
    indexed((index) => {
      const first = Buffer.from(index.subarray(element(0), element(0) + 8))
      index.copy(index, element(0), element(1), element(1) + 8)
      first.copy(index, element(1))
    }),
  ),
  one('a damaged block', ['E_CHECKSUM'], full, (file) => flip(512 + 200)(file)),
  one('a damaged block that is not compressed', ['E_CHECKSUM'], { compression: 'none' }, (file) =>
    flip(512 + 200)(file),
  ),
  one('a block that does not unpack', ['E_COMPRESSED'], full, (file) => flip(512)(file)),
  made(
    'changes of blocks that no partition has',
    [
      full,
      {
        ...delta,
        index: (index) => {
          if (index.readUInt32LE(0) === 0 && index.length > 8) index.writeUInt32LE(0x7fffffff, index.length - 4)
          return index
        },
      },
    ],
    ['E_MAP'],
  ),
]
testDamagedFolders(
  'macrium',
  cases.map((item) =>
    Array.isArray(item.answer) && item.answer.length > 0 ? { ...item, reads: codeRead(item) } : item,
  ),
)

/** Of what a check finds: reading the disk stops at the first. */
function codeRead({ answer }: DamagedFolder): string {
  return typeof answer === 'string' ? answer : (answer[0] ?? '')
}

test('macrium: 40 damaged files', () => {
  assert.ok(cases.filter(({ answer }) => answer.length > 0).length >= 40)
})

test('macrium: 150 files with bytes changed at random are refused, or give what was put in', async (t) => {
  const { files, names } = setOf(full, delta)
  const random = new Random(9, 0)
  const hash = right(1)
  for (let round = 0; round < 150; round++) {
    const folder = diskFolder(testFolder(t), `set${round}`, files)
    const path = join(folder, names[round % 2] ?? '')
    const bytes = fs.readFileSync(path)
    for (let change = 0; change < 1 + (round % 3); change++)
      bytes.writeUInt8(random.below(256), 512 + random.below(bytes.length - 512))
    fs.writeFileSync(path, bytes)
    try {
      using image = await openImage(join(folder, names[1] ?? ''))
      assert.equal(guestSha256(image), hash)
    } catch (error) {
      assert.ok(isImageError(error), String(error))
      assert.ok(['corrupt', 'unsupported', 'reference'].includes(error.kind), `${error.kind} ${error.code}`)
    }
    fs.rmSync(folder, { recursive: true })
  }
})
