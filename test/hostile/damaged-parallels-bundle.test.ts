import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parallelsDescriptor, parallelsTop, type BundleOptions } from '../../fixtures/spec-writer/bundles.js'
import { parallelsImage } from '../../fixtures/spec-writer/read-only.js'
import { openImage } from '../../src/index.js'
import { diskLike } from '../support/content.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'
import { diskFolder, type FolderFiles } from '../support/disk-folder.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'

const cluster = 65536
const first = '{11111111-1111-4111-8111-111111111111}'
const other = '{33333333-3333-4333-8333-333333333333}'
const sectors = (6 * cluster) / 512

const oldContent = Buffer.alloc(6 * cluster)
for (const index of [0, 1, 4]) oldContent.set(diskLike(cluster, index + 1), index * cluster)
const newContent = Buffer.from(oldContent)
newContent.set(diskLike(cluster, 20), 2 * cluster)
newContent.fill(0, cluster, 2 * cluster)

const sha = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')
const old = sha(oldContent)
const now = sha(newContent)

const base = parallelsImage(oldContent, 128, true)
const overlay = parallelsImage(newContent, 128, false, oldContent)
/** What the overlay holds alone, zeros where it leaves all to what is below. */
const alone = Buffer.from(newContent)
for (const index of [0, 4]) alone.fill(0, index * cluster, (index + 1) * cluster)

const usual: BundleOptions = {
  storages: [
    {
      start: 0,
      end: sectors,
      images: [
        { guid: parallelsTop, file: 'new.hds' },
        { guid: first, file: 'old.hds' },
      ],
    },
  ],
  shots: [
    [first, ''],
    [parallelsTop, first],
  ],
}
const [usualStorage] = usual.storages
const usualFiles = { 'old.hds': base, 'new.hds': overlay }

const described =
  (options: Partial<BundleOptions> = {}, files: FolderFiles = usualFiles) =>
  (): FolderFiles => ({
    'DiskDescriptor.xml': parallelsDescriptor({ ...usual, ...options }),
    ...files,
  })
const edited =
  (from: string | RegExp, to: string, files: FolderFiles = usualFiles) =>
  (): FolderFiles => {
    const before = parallelsDescriptor(usual)
    const after = before.replace(from, to)
    assert.notEqual(after, before)
    return { 'DiskDescriptor.xml': after, ...files }
  }

const sound = (what: string, files: () => FolderFiles, rest: Partial<DamagedFolder> = {}): DamagedFolder => ({
  what,
  files,
  answer: [],
  reads: now,
  ...rest,
})
const refused = (
  what: string,
  code: string,
  files: () => FolderFiles,
  rest: Partial<DamagedFolder> = {},
): DamagedFolder => ({ what, files, answer: code, ...rest })

const plainFiles = { 'old.hds': oldContent, 'new.hds': overlay }
const plain = (file: string): BundleOptions['storages'] => [
  {
    start: 0,
    end: sectors,
    images: [
      { guid: parallelsTop, file: 'new.hds' },
      { guid: first, file, type: 'Plain' },
    ],
  },
]
/** The disk cut in two at a sector that is no border of a cluster. */
const cut = 131
const halves = (ends: readonly (readonly [number, number])[]): BundleOptions['storages'] =>
  ends.map(([start, end], index) => ({ start, end, images: [{ file: `${index}.hds`, type: 'Plain' }] }))
const halfFiles = { '0.hds': newContent.subarray(0, cut * 512), '1.hds': newContent.subarray(cut * 512) }
const single: Partial<BundleOptions> = { shots: [[parallelsTop, '']] }

const bomb = `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>`

const xml: readonly DamagedFolder[] = [
  sound('sound', described()),
  sound('opened by its descriptor', described(), { open: 'DiskDescriptor.xml' }),
  sound('opened by the file of the newest state', described(), { open: 'new.hds', answer: ['W_EXTENT_GIVEN'] }),
  sound('opened by the file of a snapshot', described(), { open: 'old.hds', answer: ['W_EXTENT_GIVEN'], reads: old }),
  sound('a file of it read alone', described(), { open: 'new.hds', reads: sha(alone), options: { alone: true } }),
  sound('a byte order mark, UTF-8', () => ({
    ...usualFiles,
    'DiskDescriptor.xml': `\ufeff${parallelsDescriptor(usual)}`,
  })),
  sound('UTF-16', () => ({
    ...usualFiles,
    'DiskDescriptor.xml': Buffer.from(`\ufeff${parallelsDescriptor(usual)}`, 'utf16le'),
  })),
  sound('GUIDs without braces and in upper case', edited(/\{(1111[^}]*)\}/g, '$1')),
  sound(
    'no list of snapshots',
    described({ storages: plain('x').map((storage) => ({ ...storage, images: [{ file: 'new.hds' }] })), shots: [] }),
    {
      reads: sha(alone),
    },
  ),
  sound('unknown elements', edited('<Padding>', '<Miscellaneous><A>1</A></Miscellaneous><Padding>')),
  refused('empty', 'E_DESCRIPTOR', () => ({ ...usualFiles, 'DiskDescriptor.xml': '' })),
  refused('not XML', 'E_DESCRIPTOR', () => ({ ...usualFiles, 'DiskDescriptor.xml': 'no XML at all' })),
  refused('cut off', 'E_DESCRIPTOR', () => ({
    ...usualFiles,
    'DiskDescriptor.xml': parallelsDescriptor(usual).slice(0, 700),
  })),
  refused('another root', 'E_DESCRIPTOR', described({ root: 'Parallels_disk' })),
  refused('version 2.0', 'E_VERSION', described({ version: '2.0' })),
  refused('a document type that declares entities', 'E_DESCRIPTOR', described({ prolog: bomb }), {
    says: /document type/,
  }),
  refused('an external entity', 'E_DESCRIPTOR', described({ prolog: '<!DOCTYPE x SYSTEM "file:///etc/passwd">' })),
  refused('an unknown entity', 'E_DESCRIPTOR', edited('>old.hds<', '>&file;<')),
  refused('5 MiB of blanks', 'E_TOO_LARGE', () => ({
    ...usualFiles,
    'DiskDescriptor.xml': parallelsDescriptor(usual) + ' '.repeat(5 * 2 ** 20),
  })),
  refused('10000 elements in each other', 'E_DESCRIPTOR', edited('<Padding>', `${'<a>'.repeat(10_000)}<Padding>`)),
  refused('no parameters', 'E_DESCRIPTOR', edited(/<Disk_Parameters>[^]*<\/Disk_Parameters>/, '')),
  refused('padding', 'E_UNSUPPORTED_FEATURE', edited('<Padding>0', '<Padding>1')),
  refused(
    'sectors of 4096 bytes',
    'E_UNSUPPORTED_FEATURE',
    described({ parameters: '<LogicSectorSize>4096</LogicSectorSize>' }),
  ),
  refused(
    'encrypted',
    'E_ENCRYPTED',
    described({ parameters: `<Encryption><Engine>${other}</Engine><Data>x</Data></Encryption>` }),
  ),
  refused('a size that is no number', 'E_DESCRIPTOR', described({ diskSize: '12 apples' })),
  refused('a size of 2^60 sectors', 'E_TOO_LARGE', described({ diskSize: String(2 ** 60) })),
  refused('a size without storage for it', 'E_DESCRIPTOR', described({ diskSize: sectors + 1 })),
  sound('a size below that of its storage', described({ diskSize: sectors - 1 }), { answer: ['W_DISK_SIZE'] }),
]

const storages: readonly DamagedFolder[] = [
  refused('no storage', 'E_DESCRIPTOR', described({ storages: [] })),
  sound(
    'two storages',
    described(
      {
        ...single,
        storages: halves([
          [0, cut],
          [cut, sectors],
        ]),
      },
      halfFiles,
    ),
  ),
  sound(
    'two storages, the second first',
    described(
      {
        ...single,
        storages: halves([
          [cut, sectors],
          [0, cut],
        ]),
      },
      { '1.hds': halfFiles['0.hds'], '0.hds': halfFiles['1.hds'] },
    ),
  ),
  refused(
    'a gap between storages',
    'E_DESCRIPTOR',
    described(
      {
        ...single,
        storages: halves([
          [0, cut],
          [cut + 1, sectors],
        ]),
      },
      halfFiles,
    ),
  ),
  refused(
    'storages that overlap',
    'E_DESCRIPTOR',
    described(
      {
        ...single,
        storages: halves([
          [0, cut],
          [cut - 1, sectors],
        ]),
      },
      halfFiles,
    ),
  ),
  refused(
    'no storage at the start',
    'E_DESCRIPTOR',
    described({ ...single, storages: halves([[1, sectors]]) }, halfFiles),
  ),
  refused('a storage of no sectors', 'E_DESCRIPTOR', described({ ...single, storages: halves([[0, 0]]) }, halfFiles)),
  refused(
    'a storage that ends before it begins',
    'E_DESCRIPTOR',
    described({ ...single, storages: halves([[8, 0]]) }, halfFiles),
  ),
  refused(
    'one file for both storages',
    'E_REFERENCE_LOOP',
    described(
      {
        ...single,
        storages: halves([
          [0, cut],
          [cut, sectors],
        ]).map((storage) => ({ ...storage, images: [{ file: '0.hds', type: 'Plain' }] })),
      },
      halfFiles,
    ),
  ),
  sound('another size of blocks than the header', described({ storages: [{ ...usualStorage!, blockSize: 2048 }] }), {
    answer: ['W_BLOCK_SIZE'],
  }),
  refused(
    'a storage larger than its image, another behind it',
    'E_EXTENT_SIZE',
    described(
      {
        ...single,
        storages: [
          { start: 0, end: sectors + 1, images: [{ file: 'old.hds' }] },
          { start: sectors + 1, end: sectors + 2, images: [{ file: '0.hds', type: 'Plain' }] },
        ],
      },
      { ...usualFiles, ...halfFiles },
    ),
  ),
  sound(
    'a storage larger than its image, at the end',
    described({ ...single, storages: [{ start: 0, end: sectors + 8, images: [{ file: 'old.hds' }] }] }),
    {
      answer: ['W_EXTENT_SIZE'],
      reads: old,
    },
  ),
  sound(
    'a storage smaller than its image',
    described({ ...single, storages: [{ start: 0, end: sectors - 8, images: [{ file: 'old.hds' }] }] }),
    {
      answer: ['W_EXTENT_SIZE'],
      reads: sha(oldContent.subarray(0, (sectors - 8) * 512)),
    },
  ),
]

const snapshots: readonly DamagedFolder[] = [
  sound('the newest state is another than the usual one', described({ top: first }), { reads: old }),
  refused('the newest state is not listed', 'E_DESCRIPTOR', described({ top: other })),
  refused('no snapshot of the usual name', 'E_DESCRIPTOR', described({ shots: [[first, '']] })),
  refused(
    'snapshots in a circle',
    'E_DESCRIPTOR',
    described({
      shots: [
        [first, parallelsTop],
        [parallelsTop, first],
      ],
    }),
    { says: /circle/ },
  ),
  refused('a snapshot over itself', 'E_DESCRIPTOR', described({ shots: [[parallelsTop, parallelsTop]] }), {
    says: /circle/,
  }),
  refused('a snapshot over one that is not there', 'E_DESCRIPTOR', described({ shots: [[parallelsTop, other]] })),
  refused(
    'two snapshots of one name',
    'E_DESCRIPTOR',
    described({
      shots: [
        [parallelsTop, ''],
        [parallelsTop, first],
        [first, ''],
      ],
    }),
  ),
  refused(
    'a snapshot without an image',
    'E_DESCRIPTOR',
    described({
      shots: [
        [first, ''],
        [other, first],
        [parallelsTop, other],
      ],
    }),
  ),
  refused('a name that is no GUID', 'E_DESCRIPTOR', described({ top: 'first' })),
  refused(
    'two images of one snapshot',
    'E_DESCRIPTOR',
    described({
      storages: [{ ...usualStorage!, images: [...usualStorage!.images, { guid: first, file: 'third.hds' }] }],
    }),
  ),
  sound(
    'an image that belongs to no snapshot',
    described({
      storages: [{ ...usualStorage!, images: [...usualStorage!.images, { guid: other, file: 'third.hds' }] }],
    }),
    { answer: ['W_IMAGE_UNUSED'] },
  ),
  refused(
    'one file in two snapshots',
    'E_REFERENCE_LOOP',
    described({
      storages: [{ ...usualStorage!, images: [{ file: 'old.hds' }, { guid: first, file: 'old.hds' }] }],
    }),
  ),
  refused(
    '300 snapshots',
    'E_DESCRIPTOR',
    described({
      shots: Array.from({ length: 300 }, (_, index) => {
        const guid = (number: number): string => `{00000000-0000-4000-8000-${String(number).padStart(12, '0')}}`
        return [index === 0 ? parallelsTop : guid(index), index === 299 ? '' : guid(index + 1)] as const
      }),
    }),
  ),
]

const files: readonly DamagedFolder[] = [
  refused('a missing file', 'E_REFERENCE_MISSING', described({}, { 'new.hds': overlay })),
  refused(
    'an unknown type',
    'E_TYPE',
    described({ storages: [{ ...usualStorage!, images: [{ file: 'new.hds', type: 'Zipped' }] }] }),
  ),
  refused(
    'a file without a name',
    'E_DESCRIPTOR',
    described({ storages: [{ ...usualStorage!, images: [{ file: '' }] }] }),
  ),
  refused('a file outside', 'E_REFERENCE_NOT_ALLOWED', edited('>old.hds<', '>../../../etc/passwd<')),
  refused('an absolute name', 'E_REFERENCE_NOT_ALLOWED', edited('>old.hds<', '>/etc/passwd<')),
  refused('the name of a server', 'E_BACKING_UNSUPPORTED', edited('>old.hds<', '>nbd://host/export<')),
  refused('a link that leads out', 'E_REFERENCE_NOT_ALLOWED', described({}, { 'new.hds': overlay }), {
    prepare: (folder) => fs.symlinkSync('/etc/passwd', join(folder, 'old.hds')),
  }),
  refused(
    'a descriptor that is a link',
    'E_UNSUPPORTED_FORMAT',
    described({}, { 'x.xml': parallelsDescriptor(usual), ...usualFiles }),
    {
      prepare: (folder) => {
        fs.rmSync(join(folder, 'DiskDescriptor.xml'))
        fs.symlinkSync('x.xml', join(folder, 'DiskDescriptor.xml'))
      },
    },
  ),
  refused('an overlay that is no image', 'E_HEADER', described({}, { 'old.hds': base, 'new.hds': Buffer.alloc(4096) })),
  refused('an overlay of no bytes', 'E_TRUNCATED', described({}, { 'old.hds': base, 'new.hds': Buffer.alloc(0) })),
  sound(
    'a base that was not closed',
    () => {
      const dirty = Buffer.from(base)
      dirty.writeUInt32LE(0x746f6e59, 44)
      return described({}, { 'old.hds': dirty, 'new.hds': overlay })()
    },
    { answer: ['W_DIRTY'] },
  ),
  sound('a base that is cut off', described({}, { 'old.hds': base.subarray(0, base.length - 5), 'new.hds': overlay }), {
    answer: ['E_TRUNCATED'],
    reads: 'E_TRUNCATED',
  }),
  sound('a plain base', described({ storages: plain('old.hds') }, plainFiles)),
  sound(
    'a plain base that is too short',
    described({ storages: plain('old.hds') }, { ...plainFiles, 'old.hds': oldContent.subarray(0, 5 * cluster) }),
    { answer: ['E_TRUNCATED'], reads: 'E_TRUNCATED' },
  ),
  sound(
    'a plain base that is too long',
    described(
      { storages: plain('old.hds') },
      { ...plainFiles, 'old.hds': Buffer.concat([oldContent, Buffer.alloc(700, 1)]) },
    ),
  ),
  sound('empty files beside it', described({}, { ...usualFiles, 'damaged.hdd': '', 'DiskDescriptor.xml.Backup': 'x' })),
]

testDamagedFolders('damaged.hdd', [...xml, ...storages, ...snapshots, ...files])

test('a snapshot is chosen by its GUID, in any spelling', async (t) => {
  const folder = diskFolder(testFolder(t), 'disk.hdd', described()())
  for (const [wanted, content] of [
    [first, old],
    [first.slice(1, -1).toUpperCase(), old],
    [parallelsTop, now],
  ] as const) {
    using image = await openImage(folder, { snapshot: wanted })
    assert.equal(guestSha256(image), content)
  }
  await assert.rejects(openImage(folder, { snapshot: other }), { code: 'E_SNAPSHOT_UNKNOWN' })
  await assert.rejects(openImage(join(folder, 'new.hds'), { snapshot: first, fromOptions: { alone: true } }), {
    code: 'E_NO_SNAPSHOTS',
  })
})

test('files named as parts, without the descriptor that lists them, are no disks', async (t) => {
  const name = `x.hdd.0.${parallelsTop}.hds`
  const folder = diskFolder(testFolder(t), 'lost.hdd', { [name]: oldContent })
  await assert.rejects(openImage(join(folder, name)), { code: 'E_DESCRIPTOR_MISSING' })
  using image = await openImage(join(folder, name), { from: 'raw' })
  assert.equal(guestSha256(image), old)
})

test('an expandable image beside a descriptor that does not list it is read alone', async (t) => {
  const folder = diskFolder(testFolder(t), 'other.hdd', { ...described()(), 'third.hds': base })
  using image = await openImage(join(folder, 'third.hds'))
  assert.equal(guestSha256(image), old)
  assert.deepEqual(image.describe().notes, [])
})
