import {
  cowdExtent,
  descriptorText,
  hostedExtent,
  hostedPlaces,
  seSparseExtent,
  sector,
  streamExtent,
  type DescriptorOptions,
  type HostedOptions,
  type StreamOptions,
} from '../../fixtures/spec-writer/vmdk.js'
import type { ByteStore } from '../../src/block/types.js'
import { vmdk } from '../../src/formats/vmdk/index.js'
import { diskLike } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { ImageBytes } from '../support/image-bytes.js'

const grainSize = 16
const grains = 600
const capacity = grains * grainSize
const grainAt = (index: number): Buffer => Buffer.from(diskLike(grainSize * sector, index + 1))
/** Grains 0, 1, 2 and 599 are stored, in that order: two tables are used. */
const content = new Map([0, 1, 2, 599].map((index) => [index, grainAt(index)]))

type Description = Partial<DescriptorOptions>
const described = (description: Description, createType: string): string =>
  descriptorText({ createType, extents: [`RW ${capacity} SPARSE "damaged.vmdk"`], ...description })

const { rgd, gd, overhead } = hostedPlaces({ capacity, grainSize, grains: content })
/** Each directory has one sector, its two tables of four sectors follow. */
const table = (directory: number, index: number): number => directory + 1 + index * 4

class Bytes extends ImageBytes {
  /** An entry of a directory, or of both. */
  directory(index: number, value: number, ...directories: number[]): this {
    for (const at of directories) this.u32(at * sector + index * 4, value)
    return this
  }
  /** An entry of the first table of a directory, or of both. */
  entry(grain: number, value: number, ...directories: number[]): this {
    for (const at of directories) this.u32(table(at, 0) * sector + grain * 4, value)
    return this
  }
}

type Change = (file: Bytes) => Bytes
const same: Change = (file) => file

function damaged(what: string, bytes: () => Buffer, change: Change, answer: Damaged['answer'], says?: RegExp): Damaged {
  const make = (): ByteStore => change(new Bytes(bytes())).store('damaged.vmdk')
  return { what, make, answer, says }
}

const hosted =
  (options: Partial<HostedOptions> = {}, description: Description = {}) =>
  (): Buffer =>
    hostedExtent({
      capacity,
      grainSize,
      grains: content,
      descriptor: described(description, 'monolithicSparse'),
      ...options,
    })
const stream =
  (options: Partial<StreamOptions> = {}) =>
  (): Buffer =>
    streamExtent({
      capacity,
      grainSize,
      grains: content,
      descriptor: described({}, 'streamOptimized'),
      ...options,
    })
const alone = (damage: Damaged): Damaged => ({ ...damage, options: { alone: true } })

/** What stands in the descriptor. */
const inDescriptor = (what: string, description: Description, answer: Damaged['answer'], says?: RegExp): Damaged =>
  damaged(`descriptor: ${what}`, hosted({}, description), same, answer, says)
const inHeader = (what: string, change: Change, answer: Damaged['answer'], says?: RegExp): Damaged =>
  damaged(`header: ${what}`, hosted(), change, answer, says)

const far = 0x7fffffff

const tables: readonly Damaged[] = [
  damaged('whole', hosted(), same, []),
  damaged('the last byte is missing', hosted(), (file) => file.cut(file.bytes.length - 1), ['E_TRUNCATED']),
  damaged('half of the grains are missing', hosted(), (file) => file.cut((overhead + 2 * grainSize) * sector), [
    'E_TRUNCATED',
    'E_TRUNCATED',
  ]),
  damaged('an entry of the directory leads behind the end', hosted(), (file) => file.directory(0, far, gd), [
    'E_GRAIN_DIRECTORY',
    'W_GRAIN_TABLE_COPY_USED',
  ]),
  damaged('an entry of the directory leads to no table', hosted(), (file) => file.directory(1, 0, gd), [
    'E_GRAIN_DIRECTORY',
    'W_GRAIN_TABLE_COPY_USED',
  ]),
  damaged('an entry of the copy of the directory is damaged', hosted(), (file) => file.directory(0, far, rgd), [
    'E_GRAIN_DIRECTORY',
  ]),
  damaged('an entry of both directories is damaged', hosted(), (file) => file.directory(0, far, gd, rgd), [
    'E_GRAIN_DIRECTORY',
    'E_GRAIN_DIRECTORY',
    'L_UNREFERENCED',
  ]),
  damaged('both directories lead to one table', hosted(), (file) => file.directory(0, table(gd, 0), rgd), [
    'W_TABLE_SHARED',
  ]),
  damaged('a table differs from its copy', hosted(), (file) => file.entry(1, 0, rgd), ['E_TABLES_DIFFER']),
  damaged('an entry is damaged, that of the copy is not', hosted(), (file) => file.entry(1, far, gd), [
    'E_TABLES_DIFFER',
    'W_GRAIN_TABLE_COPY_USED',
  ]),
  damaged('a table differs, and the image was not closed', hosted({ unclean: true }), (file) => file.entry(1, 0, rgd), [
    'W_TABLES_DIFFER',
    'W_UNCLEAN',
  ]),
  damaged('not closed', hosted({ unclean: true }), same, ['W_UNCLEAN']),
  damaged('a grain behind the end', hosted(), (file) => file.entry(1, far, gd, rgd), ['E_TRUNCATED', 'L_UNREFERENCED']),
  damaged('a grain among the tables', hosted(), (file) => file.entry(1, gd, gd, rgd), ['E_OVERLAP', 'L_UNREFERENCED']),
  damaged('a grain of zeros that the header does not know', hosted(), (file) => file.entry(1, 1, gd, rgd), [
    'E_OVERLAP',
    'L_UNREFERENCED',
  ]),
  damaged('two grains in one place', hosted(), (file) => file.entry(1, overhead, gd, rgd), [
    'E_SHARED_GRAIN',
    'L_UNREFERENCED',
  ]),
  damaged('a grain in the middle of another', hosted(), (file) => file.entry(1, overhead + 8, gd, rgd), [
    'E_SHARED_GRAIN',
  ]),
  damaged('grains that belong to nothing', hosted(), (file) => file.add(3 * grainSize * sector, 7), ['L_UNREFERENCED']),
]

const headers: readonly Damaged[] = [
  inHeader('cut', (file) => file.cut(300), 'refused E_TRUNCATED'),
  inHeader('version 0', (file) => file.u32(4, 0), 'refused E_VERSION'),
  inHeader('version 4', (file) => file.u32(4, 4), 'refused E_VERSION'),
  inHeader('sent as text', (file) => file.u8(74, 10), 'refused E_HEADER', /text/),
  inHeader('a flag that is not known', (file) => file.u32(8, 3 | (1 << 20)), 'refused E_UNSUPPORTED_FEATURE'),
  inHeader('2^60 sectors', (file) => file.u64(12, 2n ** 60n), 'refused E_DISK_SIZE'),
  inHeader('grains of no sectors', (file) => file.u64(20, 0n), 'refused E_HEADER'),
  inHeader('grains of 15 sectors', (file) => file.u64(20, 15n), 'refused E_HEADER'),
  inHeader('grains of 2^40 sectors', (file) => file.u64(20, 2n ** 40n), 'refused E_HEADER'),
  inHeader('tables of no entries', (file) => file.u32(44, 0), 'refused E_HEADER'),
  inHeader('tables of 2^31 entries', (file) => file.u32(44, 2 ** 31), 'refused E_HEADER'),
  inHeader('a directory behind the end', (file) => file.u64(56, 2n ** 40n), ['W_GD_COPY_USED']),
  inHeader(
    'both directories behind the end',
    (file) => file.u64(56, 2n ** 40n).u64(48, 2n ** 40n),
    'refused E_TRUNCATED',
  ),
  inHeader('a compression that is not known', (file) => file.u8(77, 2), 'refused E_UNSUPPORTED_FEATURE'),
  inHeader('a descriptor behind the end', (file) => file.u64(28, 2n ** 40n), 'refused E_DESCRIPTOR'),
  inHeader('a descriptor of 2^50 sectors, whose text ends at once', (file) => file.u64(36, 2n ** 50n), []),
]

const extent = (count: number, type = 'SPARSE'): readonly string[] => [`RW ${count} ${type} "damaged.vmdk"`]
const descriptors: readonly Damaged[] = [
  inDescriptor('no type', { createType: '' }, ['W_DESCRIPTOR']),
  inDescriptor('a line that is none', { more: ['x'] }, ['W_DESCRIPTOR_LINE']),
  damaged(
    'descriptor: a version that is not known',
    () => {
      const bytes = hosted()()
      bytes.write('version=9', bytes.indexOf('version=1'), 'latin1')
      return bytes
    },
    same,
    ['W_DESCRIPTOR_VERSION'],
  ),
  inDescriptor('a content id that is none', { cid: 'what' }, ['W_CONTENT_ID']),
  inDescriptor('a smaller extent', { extents: extent(capacity - grainSize) }, ['W_EXTENT_SIZE']),
  inDescriptor('a larger extent', { extents: extent(capacity + grainSize) }, ['W_EXTENT_SIZE']),
  inDescriptor('a consolidation', { more: ['ddb.consolidateDestType = "x"'] }, ['W_CONSOLIDATION']),
  inDescriptor('no extent', { extents: [] }, 'refused E_DESCRIPTOR'),
  inDescriptor('an extent of an unknown type', { extents: extent(capacity, 'MOIST') }, 'refused E_DESCRIPTOR'),
  inDescriptor('an extent of no number', { extents: ['RW x SPARSE "damaged.vmdk"'] }, 'refused E_DESCRIPTOR'),
  inDescriptor('an extent without a name', { extents: [`RW ${capacity} SPARSE`] }, 'refused E_DESCRIPTOR'),
  inDescriptor('encrypted', { more: ['encryption.keySafe = "x"'] }, 'refused E_ENCRYPTED'),
  inDescriptor('a device', { createType: 'fullDevice' }, 'refused E_TYPE'),
  inDescriptor('a native snapshot', { more: ['isNativeSnapshot="yes"'] }, 'refused E_UNSUPPORTED_FEATURE'),
]

/** Where the first grain of a stream begins. */
const firstGrain = 128 * sector
const streams: readonly Damaged[] = [
  damaged('stream: whole', stream(), same, []),
  damaged('stream: no footer', stream({ footer: false }), same, ['E_TRUNCATED'], /footer/),
  damaged('stream: cut', stream(), (file) => file.cut(firstGrain + 700), ['E_TRUNCATED'], /footer/),
  damaged('stream: bytes behind its end', stream({ behind: Buffer.alloc(4096, 9) }), same, ['W_TRAILING_DATA']),
  damaged("stream: another grain's marker", stream(), (file) => file.u64(firstGrain, 4096n), ['E_MARKER']),
  damaged('stream: a grain of no bytes', stream(), (file) => file.u32(firstGrain + 8, 0), ['E_MARKER']),
  damaged('stream: a grain of 2^31 bytes', stream(), (file) => file.u32(firstGrain + 8, 2 ** 31), ['E_MARKER']),
  damaged('stream: a grain that is no zlib', stream({ pack: () => Buffer.alloc(100, 0xff) }), same, [
    'E_COMPRESSED',
    'E_COMPRESSED',
    'E_COMPRESSED',
    'E_COMPRESSED',
  ]),
]

const ofEsx = new Map([0, 5].map((index) => [index, Buffer.from(diskLike(4096, index + 1))]))
const seSparse =
  (replay = false) =>
  (): Buffer =>
    seSparseExtent({ capacity, grains: ofEsx, replay })
const cowd = (): Buffer => cowdExtent({ capacity, grainSize: 8, grains: ofEsx })
const seDirectory = 32 * sector
const esx: readonly Damaged[] = [
  damaged('SE sparse: whole', seSparse(), same, []),
  damaged('SE sparse: a journal to replay', seSparse(true), same, 'refused E_DIRTY'),
  damaged('SE sparse: an entry of no kind', seSparse(), (file) => file.u64(40 * sector, 0xf000000000000000n), [
    'E_GRAIN_TABLE',
  ]),
  damaged('SE sparse: an entry of the directory', seSparse(), (file) => file.u64(seDirectory, 5n), [
    'E_GRAIN_DIRECTORY',
  ]),
  damaged('SE sparse: another version', seSparse(), (file) => file.u64(8, 3n), 'refused E_VERSION'),
  damaged('COWD: whole', cowd, same, []),
  damaged('COWD: cut', cowd, (file) => file.cut(file.bytes.length - 1), ['E_TRUNCATED']),
  damaged('COWD: a directory behind the end', cowd, (file) => file.u32(20, far), 'refused E_TRUNCATED'),
  damaged('COWD: grains of 3 sectors', cowd, (file) => file.u32(16, 3), 'refused E_HEADER'),
  damaged('COWD: a table behind the end', cowd, (file) => file.u32(2048, far), ['E_GRAIN_DIRECTORY']),
  damaged('COWD: a grain in the header', cowd, (file) => file.u32(5 * sector, 1), ['E_OVERLAP']),
].map(alone)

testDamaged(vmdk, [...tables, ...headers, ...descriptors, ...streams, ...esx])
