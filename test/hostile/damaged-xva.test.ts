import { spawnSync } from 'node:child_process'
import { xva } from '../../src/formats/xva/index.js'
import { diskLike } from '../support/content.js'
import { testDamagedArchives, testRandomArchives, type DamagedArchive } from '../support/damaged-wrapped.js'
import type { TarEntry } from '../support/ova-bytes.js'
import { isInstalled } from '../support/tools.js'
import { xvaBytes, type XvaRecipe } from '../support/xva-bytes.js'

const piece = 1048576
const content = Buffer.alloc(4 * piece + 65536)
for (const index of [0, 2, 4]) content.set(diskLike(40_000, index + 1), index * piece)
const disks = { root: content, data: Buffer.from(diskLike(piece, 9)) }
const xxhash = (bytes: Buffer): string =>
  spawnSync('xxhsum', ['-H64', '-'], { input: bytes, encoding: 'latin1' }).stdout.slice(0, 16)

const made = (recipe: Partial<XvaRecipe> = {}): Buffer => xvaBytes({ disks, ...recipe })
const one = (
  what: string,
  answer: DamagedArchive['answer'],
  recipe: Partial<XvaRecipe> = {},
  notes: readonly string[] = [],
  change: (bytes: Buffer) => Buffer = (bytes) => bytes,
): DamagedArchive => ({ what, make: () => change(made(recipe)), answer, notes })
const entries = (
  what: string,
  answer: DamagedArchive['answer'],
  change: (entries: TarEntry[]) => TarEntry[],
  notes: readonly string[] = [],
): DamagedArchive => one(what, answer, { entries: change }, notes)
const text = (
  what: string,
  answer: DamagedArchive['answer'],
  from: RegExp | string,
  to: string,
  notes: readonly string[] = [],
): DamagedArchive => one(what, answer, { text: (whole) => whole.replaceAll(from, to) }, notes)
const first = 'Ref:20/00000000'
const second = 'Ref:20/00000002'
const last = 'Ref:20/00000004'
const without =
  (...names: readonly string[]) =>
  (all: TarEntry[]): TarEntry[] =>
    all.filter(({ name }) => !names.some((start) => name.startsWith(start)))
const changed =
  (wanted: string, change: (entry: TarEntry) => TarEntry) =>
  (all: TarEntry[]): TarEntry[] =>
    all.map((entry) => (entry.name === wanted ? change(entry) : entry))
const flipped = ({ bytes, ...entry }: TarEntry): TarEntry => ({
  ...entry,
  bytes: Uint8Array.from(bytes).map((byte, at) => (at === 10 ? byte ^ 1 : byte)),
})
const sized =
  (length: number) =>
  (entry: TarEntry): TarEntry => ({ ...entry, bytes: Buffer.alloc(length, 7) })
const incomplete = ['W_XVA_INCOMPLETE']
const empty = ['W_XVA_EMPTY']

testDamagedArchives(xva, content, [
  one('sound', 'same'),
  one('sound, no checksums', 'same', { sum: 'none' }),
  ...(isInstalled('xxhsum') ? [one('sound, xxHash', 'same', { sum: 'xxhash', xxhash })] : []),
  one('a wrong xxHash', 'read E_COMPRESSED', { sum: 'xxhash', xxhash: () => '0123456789abcdef' }),
  one('no end mark', 'same', { end: false }, ['W_TAR_END']),
  entries('the disks in turns', 'same', (all) => [...all.slice(4), ...all.slice(0, 4)]),
  entries(
    'a piece of no bytes, which keeps the connection alive',
    'same',
    (all) => [
      ...all.slice(0, 2),
      { name: 'Ref:20/00000001', bytes: Buffer.alloc(0) },
      { name: 'Ref:20/00000001.checksum', bytes: Buffer.alloc(40, 'a') },
      ...all.slice(2),
    ],
    empty,
  ),
  entries('a folder for each disk', 'same', (all) => [{ name: 'Ref:20/', bytes: Buffer.alloc(0), type: '5' }, ...all]),
  entries('files of no disk', 'same', (all) => [{ name: 'readme', bytes: Buffer.alloc(9) }, ...all]),
  entries('pieces of an unknown disk', 'same', (all) => [{ name: 'Ref:99/00000000', bytes: Buffer.alloc(9) }, ...all]),
  text('another disk of the same name', 'same', '>data<', '>root<'),
  entries('a flipped bit in a piece', 'read E_COMPRESSED', changed(second, flipped)),
  entries('a flipped bit in a checksum', 'read E_COMPRESSED', changed(`${second}.checksum`, flipped)),
  entries('the checksum of another piece', 'read E_COMPRESSED', (all) =>
    changed(`${second}.checksum`, (entry) => ({ ...entry, bytes: all[1]?.bytes ?? entry.bytes }))(all),
  ),
  entries('a checksum of 39 digits', 'read E_PIECE', changed(`${second}.checksum`, sized(39)), incomplete),
  entries('a checksum of no bytes', 'read E_PIECE', changed(`${second}.checksum`, sized(0)), incomplete),
  entries(
    'a checksum that does not follow its piece',
    'read E_PIECE',
    (all) => [...without(`${second}.checksum`)(all), { name: `${second}.checksum`, bytes: Buffer.alloc(40, 'a') }],
    incomplete,
  ),
  entries('one checksum missing', 'same', without(`${second}.checksum`)),
  entries('the first piece missing', 'read E_TRUNCATED', without(first), incomplete),
  entries('the last piece missing', 'read E_TRUNCATED', without(last), incomplete),
  entries('no pieces at all', 'read E_TRUNCATED', () => [], [...incomplete, ...incomplete]),
  entries('a piece twice', 'read E_PIECE', (all) => [...all, ...all.slice(0, 2)], incomplete),
  entries(
    'a piece behind the end of the disk',
    'read E_PIECE',
    (all) => [...all, { name: 'Ref:20/00000005', bytes: Buffer.alloc(piece) }],
    incomplete,
  ),
  entries(
    'a piece with the number 10^9',
    'read E_PIECE',
    (all) => [...all, { name: 'Ref:20/1000000000', bytes: Buffer.alloc(512) }],
    incomplete,
  ),
  entries('a short piece in the middle', 'read E_PIECE', changed(second, sized(piece - 512)), incomplete),
  entries('a piece of 2 MiB', 'read E_PIECE', changed(second, sized(2 * piece)), incomplete),
  entries(
    'two short pieces',
    'read E_PIECE',
    (all) => changed(first, sized(512))(changed(second, sized(512))(all)),
    incomplete,
  ),
  entries(
    'a link for a piece',
    'read E_UNSUPPORTED_FORMAT',
    changed(second, (entry) => ({ ...entry, type: '2' })),
    incomplete,
  ),
  entries(
    'a size that is no number',
    'refused E_TAR',
    changed(second, (entry) => ({ ...entry, size: 'xxxxxxxxxxx\0' })),
  ),
  entries(
    'a size past the end of the archive',
    'read E_TRUNCATED',
    changed(second, (entry) => ({ ...entry, size: '77777777777\0' })),
    ['W_TAR_END', ...incomplete, ...incomplete],
  ),
  text('no XML', 'refused E_DESCRIPTION', /[^]*/g, 'none'),
  text('an empty description', 'refused E_DESCRIPTION', /[^]*/g, ''),
  text('cut in the middle', 'refused E_DESCRIPTION', /<\/array>[^]*/g, ''),
  text('no objects', 'refused E_DESCRIPTION', '>objects<', '>things<'),
  text('a document type', 'refused E_DESCRIPTION', /^/g, '<!DOCTYPE x [<!ENTITY a "b">]>'),
  text('a disk of -1 bytes', 'refused E_DESCRIPTION', `>${content.length}<`, '>-1<'),
  text('a disk of 10^30 bytes', 'refused E_DESCRIPTION', `>${content.length}<`, `>1${'0'.repeat(30)}<`),
  text('a disk without a size', 'refused E_DESCRIPTION', `>${content.length}<`, '><'),
  text('a disk that no machine has', 'same', '>Ref:21<', '>Ref:77<', incomplete),
  one('cut off in a piece', 'read E_TRUNCATED', {}, ['W_TAR_END', ...incomplete, ...incomplete], (bytes) =>
    bytes.subarray(0, bytes.indexOf(second) + 4000),
  ),
  one('cut off between two pieces', 'read E_TRUNCATED', {}, ['W_TAR_END', ...incomplete, ...incomplete], (bytes) =>
    bytes.subarray(0, bytes.indexOf(second)),
  ),
  one('cut off in the description', 'refused E_TRUNCATED', {}, [], (bytes) => bytes.subarray(0, 700)),
  one('the first sector alone', 'refused E_TRUNCATED', {}, [], (bytes) => bytes.subarray(0, 512)),
])

const whole = made()
testRandomArchives(
  xva,
  content,
  whole,
  [
    [0, 4096],
    [whole.indexOf(first), whole.indexOf(first) + 512],
    [whole.indexOf(second), whole.indexOf(second) + 512],
    [whole.indexOf(`${second}.checksum`), whole.indexOf(`${second}.checksum`) + 560],
  ],
  60,
)
