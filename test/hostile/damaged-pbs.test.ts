import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { noise } from '../../fixtures/content.js'
import { chunkPath, datastore, pbsBlob, sealedIndex, type DatastoreOptions } from '../../fixtures/spec-writer/pbs.js'
import { isImageError, openImage } from '../../src/index.js'
import { Random } from '../fuzz/random.js'
import { sha256 } from '../support/content.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'
import { diskFolder } from '../support/disk-folder.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'

const chunk = 65536
/** Chunks 0, 1 and 5 hold something, 6 ends in the middle, 3 is as 0. */
const content = Buffer.alloc(6 * chunk + 4096)
for (const index of [0, 1, 5]) content.set(noise(index + 1, chunk), index * chunk)
content.copyWithin(3 * chunk, 0, chunk)
content.set(noise(9, 4096), 6 * chunk)
const right = sha256(content)

type Files = Record<string, Buffer>
const made = (options?: DatastoreOptions): Files => datastore(content, options)
const index = Object.keys(made())[0] ?? ''
const manifest = Object.keys(made())[1] ?? ''
/** The files of the chunks 0, 1 and 6, which have names of their own. */
const nameOf = (at: number): string => {
  const digest =
    made()
      [index]?.subarray(4096 + 32 * at, 4096 + 32 * (at + 1))
      .toString('hex') ?? ''
  return chunkPath(digest)
}
const [zero, one, last, hole] = [nameOf(0), nameOf(1), nameOf(6), nameOf(2)]

const stored = (
  what: string,
  answer: DamagedFolder['answer'],
  change: (files: Files) => Files | undefined = () => undefined,
  options: DatastoreOptions = {},
  rest: Partial<DamagedFolder> = {},
): DamagedFolder => ({
  what,
  files: () => {
    const files = made(options)
    return change(files) ?? files
  },
  open: index,
  answer,
  reads: typeof answer === 'string' || answer.length === 0 ? right : (answer[0] ?? ''),
  ...rest,
})
const without =
  (...names: readonly string[]) =>
  (files: Files): Files =>
    Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)))
const edit =
  (name: string, change: (bytes: Buffer) => Buffer | undefined) =>
  (files: Files): Files => {
    const bytes = Buffer.from(files[name] ?? Buffer.alloc(0))
    return { ...files, [name]: change(bytes) ?? bytes }
  }
const flip =
  (position: number) =>
  (bytes: Buffer): undefined => {
    const at = position < 0 ? bytes.length + position : position
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  }
const header = (
  what: string,
  answer: DamagedFolder['answer'],
  change: (bytes: Buffer) => Buffer | undefined,
): DamagedFolder => stored(what, answer, edit(index, change))
const named = (path: string): Partial<DamagedFolder> => ({ open: path })
const wrong =
  (name: string): DamagedFolder['prepare'] =>
  (folder) => {
    fs.rmSync(join(folder, name))
    fs.symlinkSync('/etc/hostname', join(folder, name))
  }

const cases: readonly DamagedFolder[] = [
  stored('sound', []),
  stored('sound, not compressed', [], undefined, { kind: 'plain' }),
  stored('sound, opened by the folder of the snapshot', [], undefined, {}, named('vm/100/2026-11-30T00:14:36Z')),
  stored(
    'sound, in a namespace',
    [],
    undefined,
    { folder: 'ns/a/ns/b/vm/7/now' },
    named('ns/a/ns/b/vm/7/now/drive-scsi0.img.fidx'),
  ),
  stored('sound, the chunks beside the index', [], undefined, { folder: '.' }, named('drive-scsi0.img.fidx')),
  stored('without what the backup says of itself', [], without(manifest)),
  stored('the chunk of zeros is not there: its digest says what it holds', [], without(hole)),
  stored('a damaged chunk of zeros, which is not needed', [], edit(hole, flip(20))),
  stored('a damaged manifest, of which nothing depends', [], edit(manifest, flip(20))),
  stored('a manifest that is no JSON', [], (files) => ({ ...files, [manifest]: pbsBlob(Buffer.from('{')) })),
  stored('a manifest that is a number', [], (files) => ({ ...files, [manifest]: pbsBlob(Buffer.from('7')) })),
  stored('other files among the chunks', [], (files) => ({ ...files, '.chunks/.lock': Buffer.alloc(0) })),
  header('4095 bytes', 'E_TRUNCATED', (bytes) => bytes.subarray(0, 4095)),
  header('the header alone', 'E_TRUNCATED', (bytes) => bytes.subarray(0, 4096)),
  header('one byte is missing', 'E_TRUNCATED', (bytes) => bytes.subarray(0, -1)),
  header('one digest is missing', 'E_TRUNCATED', (bytes) => sealedIndex(bytes.subarray(0, -32))),
  header('one digest too many', 'E_TRAILING_DATA', (bytes) => sealedIndex(Buffer.concat([bytes, Buffer.alloc(32)]))),
  header('a damaged mark', 'E_NOT_RECOGNISED', flip(0)),
  header(
    'an index of an archive of files',
    'E_NOT_A_DISK_IMAGE',
    (bytes) => (bytes.write('1c914ea519bab3cd', 'hex'), undefined),
  ),
  header('the digest of the index', 'E_CHECKSUM', flip(40)),
  header('a damaged digest', 'E_CHECKSUM', flip(4100)),
  header('two digests swapped', 'E_CHECKSUM', (bytes) => {
    const first = Buffer.from(bytes.subarray(4096, 4128))
    bytes.copyWithin(4096, 4128, 4160)
    first.copy(bytes, 4128)
    return undefined
  }),
  header('a disk of no bytes', 'E_HEADER', (bytes) => (bytes.writeBigUInt64LE(0n, 64), undefined)),
  header('a disk of 2^64-1 bytes', 'E_TOO_LARGE', (bytes) => (bytes.writeBigUInt64LE(2n ** 64n - 1n, 64), undefined)),
  header('a disk of 2^50 bytes', 'E_TRUNCATED', (bytes) => (bytes.writeBigUInt64LE(2n ** 50n, 64), undefined)),
  header('a smaller disk', 'E_TRAILING_DATA', (bytes) => (bytes.writeBigUInt64LE(BigInt(chunk), 64), undefined)),
  header('chunks of no bytes', 'E_HEADER', (bytes) => (bytes.writeBigUInt64LE(0n, 72), undefined)),
  header('chunks of 100000 bytes', 'E_HEADER', (bytes) => (bytes.writeBigUInt64LE(100_000n, 72), undefined)),
  header('chunks of 1 TiB', 'E_HEADER', (bytes) => (bytes.writeBigUInt64LE(2n ** 40n, 72), undefined)),
  header(
    'chunks of half the size',
    'E_TRUNCATED',
    (bytes) => (bytes.writeBigUInt64LE(BigInt(chunk / 2), 72), undefined),
  ),
  header(
    'chunks of twice the size',
    'E_TRAILING_DATA',
    (bytes) => (bytes.writeBigUInt64LE(BigInt(2 * chunk), 72), undefined),
  ),
  stored('no chunks', 'E_PART_MISSING', (files) => ({ [index]: files[index] ?? Buffer.alloc(0) })),
  stored('.chunks is a file', 'E_PART_MISSING', (files) => ({
    [index]: files[index] ?? Buffer.alloc(0),
    '.chunks': Buffer.alloc(9),
  })),
  stored('a chunk is missing', ['E_PART_MISSING'], without(one), {}, { says: /chunk 1, [0-9a-f]{64}, is missing/ }),
  stored('the last chunk is missing', ['E_PART_MISSING'], without(last)),
  stored(
    'all chunks are missing',
    ['E_PART_MISSING'],
    without(zero, one, last, nameOf(5)),
    {},
    {
      prepare: (folder) => fs.mkdirSync(join(folder, '.chunks'), { recursive: true }),
    },
  ),
  stored('a chunk is a link', ['E_PART_MISSING'], undefined, {}, { prepare: wrong(one), says: /no regular file/ }),
  stored(
    '.chunks is a link',
    'E_PART_MISSING',
    undefined,
    {},
    {
      prepare: (folder) => {
        fs.renameSync(join(folder, '.chunks'), join(folder, 'chunks'))
        fs.symlinkSync('chunks', join(folder, '.chunks'))
      },
    },
  ),
  stored(
    'a chunk of no bytes',
    ['E_TRUNCATED'],
    edit(one, () => Buffer.alloc(0)),
  ),
  stored(
    'a chunk of 11 bytes',
    ['E_TRUNCATED'],
    edit(one, (bytes) => bytes.subarray(0, 11)),
  ),
  stored(
    'half a chunk',
    ['E_CHECKSUM'],
    edit(one, (bytes) => bytes.subarray(0, bytes.length / 2)),
  ),
  stored('a chunk with another mark', ['E_HEADER'], edit(one, flip(0))),
  stored('a chunk with another CRC', ['E_CHECKSUM'], edit(one, flip(9))),
  stored('a damaged chunk', ['E_CHECKSUM'], edit(one, flip(5000))),
  stored(
    'two chunks swapped',
    ['E_TRUNCATED', 'E_CHECKSUM'],
    (files) => ({ ...files, [one]: files[last] ?? one, [last]: files[one] ?? one }) as Files,
  ),
  stored(
    'a chunk with other content and a right CRC',
    ['E_CHECKSUM'],
    edit(one, () => pbsBlob(noise(77, chunk))),
  ),
  stored(
    'a chunk that does not unpack',
    ['E_COMPRESSED'],
    edit(one, () => {
      const blob = pbsBlob(noise(77, 1000), 'plain')
      blob.write('31b958426fb6a37f', 'hex')
      return blob
    }),
  ),
  stored(
    'a chunk that unpacks to more',
    ['E_COMPRESSED'],
    edit(one, () => pbsBlob(noise(77, 2 * chunk - 100))),
  ),
  stored(
    'a chunk that unpacks to less',
    ['E_TRUNCATED'],
    edit(one, () => pbsBlob(noise(77, 100))),
  ),
  stored(
    'a chunk of 1 MiB',
    ['E_HEADER'],
    edit(one, () => Buffer.alloc(1048576)),
  ),
  stored(
    'an encrypted disk',
    'E_ENCRYPTED',
    undefined,
    { kind: 'encrypted' },
    { says: /drive-scsi0\.img\.fidx is encrypted/ },
  ),
  stored('encrypted chunks, of which nothing says so', ['E_ENCRYPTED'], without(manifest), { kind: 'encrypted' }),
  stored(
    'two disks in the folder of the snapshot',
    'E_UNSUPPORTED_FORMAT',
    (files) => ({
      ...files,
      'vm/100/2026-11-30T00:14:36Z/drive-scsi1.img.fidx': files[index] ?? Buffer.alloc(0),
    }),
    {},
    { ...named('vm/100/2026-11-30T00:14:36Z'), says: /holds several disks|backup of Proxmox/ },
  ),
]
testDamagedFolders('pbs', cases)

test('pbs: 40 damaged files', () => {
  assert.ok(cases.filter(({ answer }) => answer.length > 0).length >= 40)
})

test('pbs: 100 files with bytes changed at random are refused, or give what was put in', async (t) => {
  const folder = diskFolder(testFolder(t), 'store', made())
  const random = new Random(5, 0)
  const names = [index, zero, one, last]
  for (let round = 0; round < 100; round++) {
    const path = join(folder, names[round % names.length] ?? '')
    const whole = fs.readFileSync(path)
    const bytes = Buffer.from(whole)
    for (let change = 0; change < 1 + (round % 3); change++)
      bytes.writeUInt8(random.below(256), random.below(round % 2 === 0 ? Math.min(100, bytes.length) : bytes.length))
    fs.writeFileSync(path, bytes)
    try {
      using image = await openImage(join(folder, index))
      assert.equal(guestSha256(image), right)
    } catch (error) {
      assert.ok(isImageError(error), String(error))
    }
    fs.writeFileSync(path, whole)
  }
})
