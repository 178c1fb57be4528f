import fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { noise } from '../../fixtures/content.js'
import { clonezillaFolder, partcloneImage } from '../../fixtures/spec-writer/backups.js'
import { sha256 } from '../support/content.js'
import { gptDisk } from '../support/gpt-disk.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'
import type { FolderFiles } from '../support/disk-folder.js'

/** A disk of 400 sectors; the partition begins at sector 128, and is stored in three pieces. */
const content = noise(5, 400 * 512)
const start = 128 * 512
const sound = (): Record<string, Buffer> => clonezillaFolder(content, 50_000)
const right = sha256(content)

type Files = Record<string, Buffer>
const text = (files: Files, name: string, from: string | RegExp, to: string): Files => ({
  ...files,
  [name]: Buffer.from((files[name] ?? Buffer.alloc(0)).toString().replace(from, to)),
})
const without = (files: Files, ...names: string[]): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)))
const change = (files: Files, name: string, edit: (bytes: Buffer) => Buffer): Files => ({
  ...files,
  [name]: edit(Buffer.from(files[name] ?? Buffer.alloc(0))),
})
const renamed = (files: Files, from: string, to: string): Files => ({
  ...without(files, from),
  [to]: files[from] ?? Buffer.alloc(0),
})

const aa = 'sda1.ext4-ptcl-img.gz.aa'
const ab = 'sda1.ext4-ptcl-img.gz.ab'
const ac = 'sda1.ext4-ptcl-img.gz.ac'
/** The partition in one file that is not compressed. */
const plain = (image = partcloneImage(content.subarray(start))): Files => ({
  ...without(sound(), aa, ab, ac),
  'sda1.ext4-ptcl-img.uncomp': image,
})
/** With a part of the disk that reads as zero. */
const zeroed = (from: number, to: number): string => sha256(Buffer.from(content).fill(0, from, to))

const refused = (what: string, code: string, files: () => FolderFiles, says?: RegExp): DamagedFolder => ({
  what,
  files,
  answer: code,
  says,
})
const fine = (
  what: string,
  files: () => FolderFiles,
  answer: readonly string[] = [],
  reads = right,
): DamagedFolder => ({
  what,
  files,
  answer,
  reads,
})

/** Without its size, the disk ends at a whole MiB behind the last partition. */
const beyond = Buffer.concat([content, Buffer.alloc(2 * 1048576 - content.length)])
const asGpt = (first: Uint8Array): Files => ({
  ...text(without(sound(), 'sda-mbr', 'sda-hidden-data-after-mbr'), 'sda-pt.sf', 'label: dos', 'label: gpt'),
  'sda-gpt-1st': Buffer.from(first),
})

/** Two partitions, none of them saved: the whole disk but the tables is zero. */
const gpt = {
  files: (): Files => {
    const disk = gptDisk()
    const first = new Uint8Array(34 * 512)
    disk.read(0, first)
    const lines = '/dev/sda1 : start=2048, size=2048, type=U\n/dev/sda2 : start=6144, size=2048, type=L\n'
    return {
      'clonezilla-img': sound()['clonezilla-img'] ?? Buffer.alloc(0),
      'sda-pt.sf': Buffer.from(`label: gpt\nunit: sectors\n\n${lines}`),
      parts: Buffer.from('sda1 sda2'),
      'sda-gpt-1st': Buffer.from(first),
    }
  },
  get hash(): string {
    const disk = gptDisk()
    const bytes = new Uint8Array(disk.size)
    disk.read(0, bytes)
    return sha256(bytes)
  },
}

/** An extended partition from sector 128 on, with one logical partition, which is not saved. */
const logical = {
  files: (): Files => ({
    ...without(sound(), aa, ab, ac),
    'sda-pt.sf': Buffer.from(
      'label: dos\nunit: sectors\n\n/dev/sda1 : start=128, size=272, type=5\n' +
        '/dev/sda5 : start=191, size=100, type=83\n',
    ),
  }),
  get hash(): string {
    const disk = Buffer.from(content).fill(0, start)
    disk.write('00feffff83feffff3f00000064000000', start + 446, 'hex')
    disk.writeUInt16LE(0xaa55, start + 510)
    return sha256(disk)
  },
}

/** A partition of 4096-byte sectors whose image is of a smaller one. */
const larger = (files: () => FolderFiles): DamagedFolder => {
  const disk = Buffer.alloc(400 * 4096)
  content.copy(disk, 0, 0, start)
  content.copy(disk, 128 * 4096, start)
  return fine('sectors of 4096 bytes', files, ['W_PARTITION_SIZE'], sha256(disk))
}

const folders: readonly DamagedFolder[] = [
  fine('sound', sound),
  fine('sound, not compressed', () => plain()),
  fine('without the log', () => without(sound(), 'clonezilla-img')),
  fine('without the lists', () => without(sound(), 'disk', 'parts', 'dev-fs.list')),
  fine('no table', () => without(sound(), 'sda-pt.sf'), ['W_NO_TABLE'], sha256(content.subarray(start))),
  refused('an empty table without size', 'E_BACKUP', () => text(sound(), 'sda-pt.sf', /size= *\d+/, '')),
  refused('a start that is no number', 'E_BACKUP', () => text(sound(), 'sda-pt.sf', /start= *\d+/, 'start=x')),
  refused('a start of 2^60', 'E_BACKUP', () => text(sound(), 'sda-pt.sf', /start= *\d+/, `start=${2 ** 60}`)),
  refused('a label of BSD', 'E_BACKUP', () => text(sound(), 'sda-pt.sf', 'label: dos', 'label: bsd')),
  refused('sectors of 1000 bytes', 'E_BACKUP', () =>
    text(sound(), 'sda-pt.sf', 'sector-size: 512', 'sector-size: 1000'),
  ),
  larger(() => text(sound(), 'sda-pt.sf', 'sector-size: 512', 'sector-size: 4096')),
  refused('a partition that passes the end', 'E_BACKUP', () => text(sound(), 'sda-pt.sf', /size= *\d+/, 'size=273')),
  refused('a disk of 10 sectors', 'E_BACKUP', () => text(sound(), 'sda-pt.parted', '400s', '10s')),
  refused('partitions that overlap', 'E_BACKUP', () =>
    change(sound(), 'sda-pt.sf', (bytes) =>
      Buffer.concat([bytes, Buffer.from('/dev/sda2 : start=200, size=10, type=83\n')]),
    ),
  ),
  refused('300 partitions', 'E_BACKUP', () =>
    change(sound(), 'sda-pt.sf', (bytes) =>
      Buffer.concat([bytes, Buffer.from('/dev/sda9 : start=1, size=1, type=83\n'.repeat(300))]),
    ),
  ),
  refused('a table of 5 MiB', 'E_BACKUP', () => change(sound(), 'sda-pt.sf', () => Buffer.alloc(5 << 20, 'x'))),
  refused('a table of rubbish', 'E_BACKUP', () => change(sound(), 'sda-pt.sf', () => noise(1, 4096))),
  fine('no MBR', () => without(sound(), 'sda-mbr'), ['W_NO_TABLE'], zeroed(0, 512)),
  fine(
    'nothing behind the MBR',
    () => without(sound(), 'sda-hidden-data-after-mbr'),
    ['W_NOT_SAVED'],
    zeroed(512, start),
  ),
  fine('more behind the MBR than there is room', () =>
    change(sound(), 'sda-hidden-data-after-mbr', (bytes) => Buffer.concat([bytes, noise(9, 70_000)])),
  ),
  fine('no partition', () => without(sound(), aa, ab, ac), ['W_NOT_SAVED'], zeroed(start, content.length)),
  refused('the first piece is missing', 'E_PART_MISSING', () => without(sound(), aa), /sda1\.ext4-ptcl-img\.gz\.aa/),
  refused('the second piece is missing', 'E_PART_MISSING', () => without(sound(), ab), /sda1\.ext4-ptcl-img\.gz\.ab/),
  refused('the last piece is missing', 'E_TRUNCATED', () => without(sound(), ac)),
  refused('the last two pieces are missing', 'E_TRUNCATED', () => without(sound(), ab, ac)),
  refused('the first piece is cut off', 'E_TRUNCATED', () => change(sound(), aa, (bytes) => bytes.subarray(0, 40_000))),
  refused('the second piece is cut off', 'E_TRUNCATED', () => change(sound(), ab, (bytes) => bytes.subarray(1))),
  refused('the last piece is cut off', 'E_TRUNCATED', () => change(sound(), ac, (bytes) => bytes.subarray(0, 1000))),
  refused('the last piece is empty', 'E_TRUNCATED', () => change(sound(), ac, () => Buffer.alloc(0))),
  refused('the last piece is too long', 'E_BACKUP', () =>
    change(sound(), ac, (bytes) => Buffer.concat([bytes, Buffer.alloc(50_000)])),
  ),
  refused('two pieces are swapped', 'E_HEADER', () => ({
    ...sound(),
    [aa]: sound()[ab] ?? '',
    [ab]: sound()[aa] ?? '',
  })),
  refused('a piece is there twice', 'E_COMPRESSED', () => ({ ...sound(), [ab]: sound()[aa] ?? '' })),
  refused('a byte of a piece', 'E_COMPRESSED', () =>
    change(sound(), ab, (bytes) => bytes.fill(bytes.readUInt8(100) ^ 255, 100, 101)),
  ),
  refused('the mark of gzip', 'E_HEADER', () => change(sound(), aa, (bytes) => bytes.fill(0, 0, 2))),
  refused('whole and in pieces', 'E_BACKUP', () => ({ ...sound(), 'sda1.ext4-ptcl-img.gz': sound()[aa] ?? '' })),
  refused('two images', 'E_AMBIGUOUS_FORMAT', () => ({ ...sound(), ...plain() })),
  refused('another filesystem, too large', 'E_BACKUP', () =>
    plain(partcloneImage(Buffer.concat([content.subarray(start), Buffer.alloc(512)]))),
  ),
  fine(
    'a smaller filesystem',
    () => plain(partcloneImage(content.subarray(start, -4096))),
    ['W_PARTITION_SIZE'],
    zeroed(content.length - 4096, content.length),
  ),
  refused('a block of the partition', 'E_CHECKSUM', () =>
    plain(partcloneImage(content.subarray(start)).fill(0xee, 60_000, 60_001)),
  ),
  refused('an image without its mark', 'E_HEADER', () => plain(Buffer.from(noise(3, 100_000)))),
  refused('a gzip file in place of a plain one, of something else', 'E_HEADER', () =>
    plain(gzipSync(noise(3, 100_000))),
  ),
  refused('an empty image', 'E_TRUNCATED', () => plain(Buffer.alloc(0))),
  refused('compressed with lzop', 'E_CODEC', () => renamed(without(sound(), ab, ac), aa, 'sda1.ext4-ptcl-img.lzo.aa')),
  refused('of partimage', 'E_UNSUPPORTED_FORMAT', () => renamed(without(sound(), ab, ac), aa, 'sda1.aa')),
  refused('an ntfsclone image that is none', 'E_HEADER', () =>
    renamed(plain(), 'sda1.ext4-ptcl-img.uncomp', 'sda1.ntfs-img.aa'),
  ),
  fine('no size of the disk', () => without(sound(), 'sda-pt.parted'), ['W_CAPACITY'], sha256(beyond)),
  fine('a GPT that is none', () => asGpt(content.subarray(0, 34 * 512)), ['W_GPT_DAMAGED'], zeroed(34 * 512, start)),
  fine('no GPT', () => without(asGpt(content), 'sda-gpt-1st'), ['W_NO_TABLE'], zeroed(0, start)),
  fine('a GPT without its second', () => gpt.files(), ['W_GPT_REBUILT', 'W_NOT_SAVED'], gpt.hash),
  fine('logical partitions', () => logical.files(), ['W_TABLES_REBUILT', 'W_NOT_SAVED'], logical.hash),
  refused('encrypted', 'E_ENCRYPTED', () => ({ ...sound(), 'ecryptfs.info': Buffer.from('x') })),
  {
    ...refused('a piece is a folder', 'E_REFERENCE_MISSING', () => without(sound(), ab)),
    prepare: (folder) => fs.mkdirSync(join(folder, ab)),
  },
  {
    ...refused('the table is a link', 'E_REFERENCE_NOT_ALLOWED', () => without(sound(), 'sda-pt.sf')),
    prepare: (folder) => fs.symlinkSync('/etc/passwd', join(folder, 'sda-pt.sf')),
  },
]

testDamagedFolders('clonezilla', folders)
