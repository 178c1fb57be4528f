import { adler, ewfImage, type EwfRecipe } from '../../fixtures/spec-writer/ewf.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { ewf } from '../../src/formats/ewf/index.js'
import { diskLike } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'

const chunk = 4096
const content = Buffer.alloc(8 * chunk)
for (const index of [0, 1, 2, 5]) content.set(diskLike(chunk, index + 1), index * chunk)

type Edit = (bytes: Buffer) => Buffer | undefined

/** Changes the section of a type: before its checksums are made, or afterwards. */
const at =
  (type: string, change: (data: Buffer) => void, sum: 'before' | 'after' = 'before', which = 0) =>
  (): Partial<EwfRecipe> => {
    let met = 0
    return {
      edit: (name, data, when) => {
        if (name === type && when === sum && met++ === which) change(data)
      },
    }
  }

const made = (recipe: Partial<EwfRecipe>, change: Edit = () => undefined): MemoryStore => {
  const bytes = Buffer.concat(ewfImage({ content, ...recipe }))
  return new MemoryStore(change(bytes) ?? bytes, 'damaged.E01')
}
type Recipe = Partial<EwfRecipe> | (() => Partial<EwfRecipe>)
const built = (recipe: Recipe): Partial<EwfRecipe> => (typeof recipe === 'function' ? recipe() : recipe)
const found = (what: string, answer: Damaged['answer'], recipe: Recipe, change?: Edit, says?: RegExp): Damaged => ({
  what,
  make: () => made(built(recipe), change),
  answer,
  says,
})
const both = (first: Recipe, second: Recipe) => (): Partial<EwfRecipe> => ({ ...built(first), ...built(second) })
const ex01 = { kind: 'ex01' } as const
const smart = { kind: 'smart' } as const

/** Where a text of one byte a character stands, the nth time. */
const place = (bytes: Buffer, text: string, nth = 0): number => {
  let at = -1
  for (let count = 0; count <= nth; count++) at = bytes.indexOf(text, at + 1, 'latin1')
  return at
}
const flip =
  (position: (bytes: Buffer) => number): Edit =>
  (bytes) => {
    const at = position(bytes)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at)
    return undefined
  }
/** Changes the header of a section of version 1, with a right checksum. */
const header =
  (type: string, change: (bytes: Buffer, at: number) => void, nth = 0): Edit =>
  (bytes) => {
    const at = place(bytes, `${type}\0`, nth)
    change(bytes, at)
    bytes.writeUInt32LE(adler(bytes.subarray(at, at + 72)), at + 72)
    return undefined
  }
const dataOf = (type: string, within: number) => (bytes: Buffer) => place(bytes, `${type}\0`) + 76 + within

const images: readonly Damaged[] = [
  found('sound', [], {}),
  found('sound, EnCase 1', [], { kind: 'encase1' }),
  found('sound, SMART', [], smart),
  found('sound, version 2', [], ex01),
  found('sound, three tables', [], { chunksPerTable: 3 }),
  found('no digests', [], { digests: false }),
  found('a part of a chunk at the end', [], { content: content.subarray(0, 7 * chunk + 512) }),
  found('unreadable sectors', ['W_BAD_SECTORS'], { badSectors: [[8, 2]] }, undefined, /sectors 8\+2/),
  found('unreadable sectors, version 2', ['W_BAD_SECTORS'], { ...ex01, badSectors: [[8, 1]] }),
  found('a header alone', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, 13)),
  found('half a header', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, 10)),
  found('the first half', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, bytes.length / 2)),
  found('cut off by a byte', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, -1)),
  found('cut off by a byte, version 2', 'refused E_TRUNCATED', ex01, (bytes) => bytes.subarray(0, -1)),
  found('the first half, version 2', 'refused E_TRUNCATED', ex01, (bytes) => bytes.subarray(0, bytes.length / 2)),
  found('another segment', 'refused E_PART_ORDER', {}, (bytes) => {
    bytes.writeUInt16LE(3, 9)
    return undefined
  }),
  found('another segment, version 2', 'refused E_PART_ORDER', ex01, (bytes) => {
    bytes.writeUInt32LE(2, 12)
    return undefined
  }),
  found('major version 3', 'refused E_UNSUPPORTED_FEATURE', ex01, (bytes) => {
    bytes.writeUInt8(3, 8)
    return undefined
  }),
  found('an unknown compression method', 'refused E_UNSUPPORTED_FEATURE', ex01, (bytes) => {
    bytes.writeUInt16LE(7, 10)
    return undefined
  }),
  found('a flipped bit in the header of the volume section', 'refused E_SECTION', {}, flip(dataOf('volume', -40))),
  found(
    'a section that leads back',
    'refused E_SECTION',
    {},
    header('volume', (bytes, at) => bytes.writeBigUInt64LE(13n, at + 16)),
  ),
  found(
    'a section that leads to itself',
    'refused E_SECTION',
    {},
    header('volume', (bytes, at) => bytes.writeBigUInt64LE(BigInt(at), at + 16)),
  ),
  found(
    'a section that leads past the end',
    'refused E_TRUNCATED',
    {},
    header('sectors', (bytes, at) => bytes.writeBigUInt64LE(2n ** 40n, at + 16)),
  ),
  found(
    'a section that leads to 2^63',
    'refused E_TOO_LARGE',
    {},
    header('sectors', (bytes, at) => bytes.writeBigUInt64LE(2n ** 63n, at + 16)),
  ),
  found(
    'a section longer than what follows allows',
    'refused E_SECTION',
    {},
    header('sectors', (bytes, at) => bytes.writeBigUInt64LE(2n ** 30n, at + 24)),
  ),
  found(
    'a section shorter than its header',
    'refused E_SECTION',
    {},
    header('volume', (bytes, at) => bytes.writeBigUInt64LE(40n, at + 24)),
  ),
  found(
    'an unknown section',
    [],
    {},
    header('digest', (bytes, at) => bytes.write('digesT', at)),
  ),
  found(
    'no description of the media',
    'refused E_HEADER',
    {},
    header('volume', (bytes, at) => bytes.write('volumE', at)),
  ),
  found('no tables', ['E_MAP', 'W_CHUNKS_MISSING'], {}, (bytes) => {
    header('table', (all, at) => all.write('tablE', at))(bytes)
    header('table2', (all, at) => all.write('tablE2', at))(bytes)
    return undefined
  }),
  found(
    'a damaged description of the media',
    'refused E_HEADER',
    at('volume', (data) => data.writeUInt8(9, 17), 'after'),
  ),
  found(
    'no sectors in a chunk',
    'refused E_HEADER',
    at('volume', (data) => data.writeUInt32LE(0, 8)),
  ),
  found(
    '4 GiB sectors in a chunk',
    'refused E_HEADER',
    at('volume', (data) => data.writeUInt32LE(0xffffffff, 8)),
  ),
  found(
    'sectors of 513 bytes',
    'refused E_HEADER',
    at('volume', (data) => data.writeUInt32LE(513, 12)),
  ),
  found(
    '2^60 sectors',
    'refused E_TOO_LARGE',
    at('volume', (data) => data.writeBigUInt64LE(2n ** 60n, 16)),
  ),
  found(
    'more sectors than chunks',
    ['E_MAP', 'W_CHUNKS_MISSING'],
    at('volume', (data) => data.writeBigUInt64LE(2000n, 16)),
    undefined,
    /chunk 8 is in no table/,
  ),
  found(
    'fewer sectors than chunks',
    ['E_DIGEST', 'E_DIGEST', 'W_CHUNKS_BEYOND'],
    at('volume', (data) => data.writeBigUInt64LE(40n, 16)),
  ),
  found(
    'logical evidence',
    'refused E_UNSUPPORTED_FORMAT',
    at('volume', (data) => data.writeUInt8(0xe, 0)),
  ),
  found(
    'a damaged table',
    ['W_TABLE_COPY'],
    at('table', (data) => data.writeUInt8(0x77, 40), 'after'),
  ),
  found(
    'a damaged second table',
    ['W_TABLE_COPY'],
    at('table2', (data) => data.writeUInt8(0x77, 40), 'after'),
  ),
  found('both tables damaged', ['E_CHECKSUM', 'E_CHECKSUM'], {}, (bytes) => {
    flip(dataOf('table', 30))(bytes)
    flip(dataOf('table2', 30))(bytes)
    return undefined
  }),
  found('the headers of both tables damaged', 'refused E_CHECKSUM', {}, (bytes) => {
    flip(dataOf('table', 3))(bytes)
    flip(dataOf('table2', 3))(bytes)
    return undefined
  }),
  found('a damaged table header', ['W_TABLE_COPY'], {}, flip(dataOf('table', 3))),
  found(
    'a table of 2^31 entries',
    'refused E_CHECKSUM',
    both(
      { kind: 'encase1' },
      at('table', (data) => data.writeUInt32LE(2 ** 31, 0)),
    ),
  ),
  found(
    'a table without entries',
    'refused E_CHECKSUM',
    both(
      { kind: 'encase1' },
      at('table', (data) => data.writeUInt32LE(0, 0)),
    ),
  ),
  found(
    'a table that begins past the file',
    'refused E_CHECKSUM',
    both(
      { kind: 'encase1' },
      at('table', (data) => data.writeBigUInt64LE(2n ** 50n, 8)),
    ),
  ),
  found(
    'a chunk before the chunks',
    ['E_MAP'],
    both(
      { kind: 'encase1' },
      at('table', (data) => data.writeUInt32LE(20, 20)),
    ),
  ),
  found(
    'a chunk past the chunks',
    ['E_MAP', 'E_MAP'],
    both(
      { kind: 'encase1' },
      at('table', (data) => data.writeUInt32LE(0x7ffffff0, 28)),
    ),
  ),
  found(
    'two chunks in one place',
    ['E_MAP'],
    both(
      { kind: 'encase1' },
      at('table', (data) => data.copy(data, 32, 28, 32)),
    ),
  ),
  found(
    'a stored chunk marked as compressed',
    ['E_COMPRESSED'],
    at('table', (data) => data.writeUInt32LE(data.readUInt32LE(24) + 2 ** 31, 24)),
  ),
  found(
    'a compressed chunk marked as stored',
    ['E_MAP'],
    at('table', (data) => data.writeUInt32LE(data.readUInt32LE(20) - 2 ** 31, 20)),
  ),
  found(
    'a flipped bit in a compressed chunk',
    ['E_COMPRESSED'],
    at('sectors', (data) => data.writeUInt8(data.readUInt8(100) ^ 1, 100)),
  ),
  found(
    'a flipped bit in a stored chunk',
    ['E_COMPRESSED'],
    {},
    flip((bytes) => bytes.indexOf(content.subarray(chunk, chunk + 64))),
    /Adler-32/,
  ),
  found('a flipped bit in a chunk of SMART', ['E_COMPRESSED'], smart, flip(dataOf('table', 24 + 8 * 4 + 200))),
  found(
    'two MD5 that differ',
    ['W_DIGEST'],
    at('hash', (data) => data.writeUInt8(data.readUInt8(0) ^ 1, 0)),
    undefined,
    /two digests/,
  ),
  found(
    'a damaged MD5, and a whole one',
    ['W_DIGEST'],
    at('hash', (data) => data.writeUInt8(1, 0), 'after'),
  ),
  found(
    'another MD5',
    ['E_DIGEST'],
    both(
      { kind: 'encase1' },
      at('hash', (data) => data.writeUInt8(data.readUInt8(0) ^ 1, 0)),
    ),
    undefined,
    /MD5/,
  ),
  found(
    'another SHA-1',
    ['E_DIGEST'],
    at('digest', (data) => data.writeUInt8(data.readUInt8(20) ^ 1, 20)),
    undefined,
    /SHA-1/,
  ),
  found(
    'a damaged list of unreadable sectors',
    ['W_ERROR_TABLE'],
    both(
      { badSectors: [[1, 1]] },
      at('error2', (data) => data.writeUInt8(9, 520), 'after'),
    ),
  ),
  found(
    'unreadable sectors without end',
    ['W_ERROR_TABLE'],
    both(
      { badSectors: [[1, 1]] },
      at('error2', (data) => data.writeUInt32LE(0xffffffff, 0)),
    ),
  ),
  found(
    'a text that is no text',
    [],
    at('header2', (data) => data.fill(0x55)),
  ),
  found(
    'a damaged descriptor, version 2',
    'refused E_SECTION',
    both(
      ex01,
      at('table header', (data) => data.writeUInt8(1, 58), 'after'),
    ),
  ),
  found(
    'a descriptor that leads forward, version 2',
    'refused E_SECTION',
    both(
      ex01,
      at('table header', (data) => data.writeBigUInt64LE(2n ** 33n, 8)),
    ),
  ),
  found(
    'a section longer than the file, version 2',
    'refused E_SECTION',
    both(
      ex01,
      at('sectors header', (data) => data.writeBigUInt64LE(2n ** 40n, 16)),
    ),
  ),
  found(
    'encrypted, version 2',
    'refused E_ENCRYPTED',
    both(
      ex01,
      at('sectors header', (data) => data.writeUInt32LE(3, 4)),
    ),
  ),
  found(
    'chunks out of order, version 2',
    'refused E_CHECKSUM',
    both(
      ex01,
      at('table', (data) => data.writeBigUInt64LE(5n, 0)),
    ),
  ),
  found(
    'a damaged table, version 2',
    ['E_CHECKSUM'],
    both(
      ex01,
      at('table', (data) => data.writeUInt8(0x77, 50), 'after'),
    ),
  ),
  found(
    'a chunk outside, version 2',
    ['E_MAP'],
    both(
      ex01,
      at('table', (data) => data.writeBigUInt64LE(1n, 16)),
    ),
  ),
  found(
    'a chunk of 4 GiB, version 2',
    ['E_MAP'],
    both(
      ex01,
      at('table', (data) => data.writeUInt32LE(0xffffffff, 24)),
    ),
  ),
  found(
    'no number of sectors, version 2',
    'refused E_HEADER',
    both(
      ex01,
      at('device', (data) => data.fill(0x31)),
    ),
  ),
]

testDamaged(ewf, images)
