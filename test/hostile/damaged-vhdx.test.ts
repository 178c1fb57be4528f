import { MemoryStore } from '../../src/block/memory-store.js'
import { vhdx } from '../../src/formats/vhdx/index.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import {
  batEntry,
  dataWriteGuid,
  guids,
  headerBytes,
  imageBytes,
  logEntryBytes,
  logGuid,
  mib,
  places,
  regionTableBytes,
  seal,
  type ImageFields,
} from '../support/vhdx-bytes.js'

const { payload } = places
const [one, two] = [payload, payload + mib]

/** A disk of 4 MiB in blocks of 1 MiB, the first two of which are stored: everything right. */
function disk(fields: Partial<ImageFields> = {}): MemoryStore {
  return new MemoryStore(
    imageBytes({
      capacity: BigInt(4 * mib),
      size: 6 * mib,
      ...fields,
      bat: { 0: batEntry(6, one), 1: batEntry(6, two), ...fields.bat },
    }),
    'test.vhdx',
  )
}

/** A child whose block 0 is partly present, its sector bitmap behind it. */
function child(fields: Partial<ImageFields> = {}): MemoryStore {
  return disk({
    locator: {
      entries: [
        ['parent_linkage', `{${dataWriteGuid}}`],
        ['relative_path', '.\\p.vhdx'],
      ],
    },
    ...fields,
    bat: { 0: batEntry(7, one), 1: 0n, 4096: batEntry(6, two), ...fields.bat },
  })
}

function patched(
  store: MemoryStore,
  ...changes: readonly (readonly [position: number, bytes: Uint8Array | readonly number[]])[]
): MemoryStore {
  for (const [position, bytes] of changes) store.write(position, Uint8Array.from(bytes))
  return store
}

function cut(store: MemoryStore, size: number): MemoryStore {
  store.truncate(size)
  return store
}

const dirty = (log: Readonly<Record<number, Buffer>>, fields: Partial<ImageFields> = {}): MemoryStore =>
  disk({ header: { logGuid }, log, ...fields })
const table = (bat: Readonly<Record<number, bigint>>) => (): MemoryStore => disk({ bat })
const children = (bat: Readonly<Record<number, bigint>>) => (): MemoryStore => child({ bat })
const regions = (change: NonNullable<ImageFields['regions']>) => (): MemoryStore => disk({ regions: change })
const items =
  (change: NonNullable<ImageFields['items']>, fields: Partial<ImageFields> = {}) =>
  (): MemoryStore =>
    disk({ items: change, ...fields })
const locator =
  (...entries: (readonly [string, string])[]) =>
  (): MemoryStore =>
    child({ locator: { entries } })
const linkage = ['parent_linkage', `{${dataWriteGuid}}`] as const
const path = ['relative_path', '.\\p.vhdx'] as const
const headers = [65536, 131072] as const
const flip = [0xff] as const

/** A header with bytes of its reserved space set. */
function oddHeader(): Buffer {
  const bytes = headerBytes({ sequence: 2n })
  bytes[2000] = 1
  return seal(bytes)
}

/** The table of the two regions, changed before it is sealed. */
function oddTable(change: (bytes: Buffer) => void): Buffer {
  const bytes = regionTableBytes([
    { guid: guids.bat, position: BigInt(places.bat), length: mib },
    { guid: guids.metadata, position: BigInt(places.metadata), length: mib },
  ])
  change(bytes)
  return seal(bytes)
}

/** A disk without blocks whose table begins in the last MiB of the file, in a region of 2 MiB. */
function batAtEnd(): MemoryStore {
  return disk({
    size: 8 * mib,
    bat: {},
    regions: ([bat, metadata]) => [{ ...bat!, position: BigInt(6 * mib), length: 2 * mib }, metadata!],
  })
}

/** 16 TiB in blocks of 32 MiB, each in its place but the last, which lies upon the first. */
function large(): MemoryStore {
  const blocks = (16 * 2 ** 40) / (32 * mib)
  const batLength = 8 * mib
  const start = payload
  const data = start + batLength
  const store = new MemoryStore(
    imageBytes({
      capacity: 16n * 2n ** 40n,
      blockSize: 32 * mib,
      size: 4 * mib,
      regions: () => [
        { guid: guids.bat, position: BigInt(start), length: batLength },
        { guid: guids.metadata, position: BigInt(places.metadata), length: mib },
      ],
    }),
    'large.vhdx',
  )
  const entries = Buffer.alloc(batLength)
  for (let block = 0; block < blocks; block++) {
    entries.writeBigUInt64LE(
      batEntry(6, data + (block === blocks - 1 ? 0 : block) * 32 * mib),
      (block + Math.floor(block / 128)) * 8,
    )
  }
  store.write(start, entries)
  store.truncate(data + (blocks - 1) * 32 * mib)
  return store
}

const images: readonly Damaged[] = [
  { what: 'nothing is wrong', make: () => disk(), answer: [] },
  { what: 'nothing is wrong with a child', make: () => child(), answer: [] },
  // Identifier and headers.
  { what: 'the identifier is damaged', make: () => patched(disk(), [0, flip]), answer: 'refused E_NOT_VHDX' },
  { what: 'nothing but the identifier', make: () => cut(disk(), 65536), answer: 'refused E_TRUNCATED' },
  { what: 'one byte too few for the headers', make: () => cut(disk(), mib - 1), answer: 'refused E_TRUNCATED' },
  {
    what: 'header 1 is damaged',
    make: () => patched(disk(), [headers[0] + 20, flip]),
    answer: ['E_HEADER_INVALID'],
    says: /at byte 131072, is left/,
  },
  {
    what: 'header 2, the newer one, is damaged',
    make: () => patched(disk(), [headers[1] + 20, flip]),
    answer: ['E_HEADER_INVALID'],
    says: /at byte 65536, is left/,
  },
  {
    what: 'header 1 is gone',
    make: () => patched(disk(), [headers[0], new Uint8Array(4096)]),
    answer: ['E_HEADER_INVALID'],
  },
  {
    what: 'both headers are damaged',
    make: () => patched(disk(), [headers[0] + 20, flip], [headers[1] + 20, flip]),
    answer: 'refused E_HEADER',
  },
  { what: 'both headers are of version 2', make: () => disk({ header: { version: 2 } }), answer: 'refused E_VERSION' },
  { what: 'header 1 is of version 2', make: () => disk({ header2: { version: 2 } }), answer: ['E_HEADER_INVALID'] },
  {
    what: 'two different headers of one sequence number',
    make: () => disk({ header: { sequence: 5n }, header2: { dataWriteGuid: logGuid } }),
    answer: 'refused E_HEADER_AMBIGUOUS',
  },
  { what: 'two equal headers, which is no damage', make: () => disk({ header: { sequence: 5n } }), answer: [] },
  {
    what: 'reserved bytes of a header are set',
    make: () => patched(disk(), [headers[1], oddHeader()]),
    answer: ['W_RESERVED'],
  },
  {
    what: 'reserved bytes of the first MiB are set',
    make: () => patched(disk(), [900000, flip], [70000, flip]),
    answer: ['W_RESERVED', 'W_RESERVED'],
  },
  {
    what: 'a DataWriteGuid of zeros',
    make: () => disk({ header: { dataWriteGuid: '00000000-0000-0000-0000-000000000000' } }),
    answer: ['W_GUID_ZERO'],
  },
  { what: 'an empty log of version 1', make: () => disk({ header: { logVersion: 1 } }), answer: ['W_LOG_VERSION'] },
  {
    what: 'an empty log of an odd length',
    make: () => disk({ header: { logLength: 4096 } }),
    answer: ['W_LOG_LENGTH'],
  },
  { what: 'an empty log of no length', make: () => disk({ header: { logLength: 0 } }), answer: ['W_LOG_LENGTH'] },
  {
    what: 'an empty log past the end',
    make: () => disk({ header: { logOffset: BigInt(64 * mib) } }),
    answer: ['W_LOG_BEYOND_END'],
  },
  { what: 'a log in the headers', make: () => disk({ header: { logOffset: 0n } }), answer: 'refused E_LOG_RANGE' },
  {
    what: 'a log upon the BAT',
    make: () => disk({ header: { logOffset: BigInt(places.bat) } }),
    answer: 'refused E_OVERLAP',
  },
  // Region tables.
  {
    what: 'region table 1 is damaged',
    make: () => patched(disk(), [196608 + 40, flip]),
    answer: ['E_REGION_TABLE_COPY_USED'],
  },
  {
    what: 'region table 2 is damaged',
    make: () => patched(disk(), [262144 + 40, flip]),
    answer: ['E_REGION_TABLE_INVALID'],
  },
  {
    what: 'both region tables are damaged',
    make: () => patched(disk(), [196608 + 40, flip], [262144 + 40, flip]),
    answer: 'refused E_REGION_CRC',
  },
  {
    what: 'the region tables differ',
    make: () => patched(disk(), [262144, oddTable((bytes) => bytes.writeUInt32LE(0, 16 + 28))]),
    answer: ['E_REGION_TABLES_DIFFER'],
  },
  {
    what: 'reserved bits of a region are set',
    make: () =>
      patched(
        disk(),
        [196608, oddTable((bytes) => bytes.writeUInt32LE(9, 16 + 28))],
        [262144, oddTable((bytes) => bytes.writeUInt32LE(9, 16 + 28))],
      ),
    answer: ['W_RESERVED', 'W_RESERVED'],
  },
  { what: 'a region table of 2048 entries', make: () => disk({ regionCount: 2048 }), answer: 'refused E_REGION_CRC' },
  { what: 'no BAT region', make: regions((all) => all.slice(1)), answer: 'refused E_REGION' },
  {
    what: 'two metadata regions',
    make: regions((all) => [...all, { guid: guids.metadata, position: BigInt(5 * mib), length: mib }]),
    answer: 'refused E_REGION',
  },
  {
    what: 'a required region that nobody knows',
    make: regions((all) => [...all, { guid: Buffer.alloc(16, 7), position: BigInt(5 * mib), length: mib }]),
    answer: 'refused E_UNSUPPORTED_FEATURE',
  },
  {
    what: 'a region that nobody knows, upon a block',
    make: regions((all) => [...all, { guid: Buffer.alloc(16, 7), position: BigInt(two), length: mib, required: 0 }]),
    answer: ['E_BAT_RANGE'],
  },
  {
    what: 'a region at an odd place',
    make: regions(([bat, metadata]) => [{ ...bat!, position: BigInt(places.bat + 512) }, metadata!]),
    answer: 'refused E_ALIGN',
  },
  {
    what: 'a region upon another',
    make: regions(([bat, metadata]) => [{ ...bat!, length: 2 * mib }, metadata!]),
    answer: 'refused E_OVERLAP',
  },
  {
    what: 'a BAT region past the end',
    make: regions(([bat, metadata]) => [{ ...bat!, position: BigInt(64 * mib) }, metadata!]),
    answer: 'refused E_TRUNCATED',
  },
  // Metadata.
  {
    what: 'a metadata table without its signature',
    make: () => patched(disk(), [places.metadata, flip]),
    answer: 'refused E_META_TABLE',
  },
  { what: 'a metadata table of 2048 entries', make: () => disk({ itemCount: 2048 }), answer: 'refused E_META_TABLE' },
  { what: 'an item is missing', make: items((all) => all.slice(0, 4)), answer: 'refused E_META_MISSING' },
  { what: 'an item occurs twice', make: items((all) => [...all, all[0]!]), answer: 'refused E_META_DUP' },
  {
    what: 'an item in the table',
    make: items(([head, ...rest]) => [{ ...head!, offset: 32 }, ...rest]),
    answer: 'refused E_META_RANGE',
  },
  {
    what: 'an item of more than 1 MiB',
    make: items(([head, ...rest]) => [{ ...head!, length: mib + 1 }, ...rest]),
    answer: 'refused E_META_RANGE',
  },
  {
    what: 'a required item that nobody knows',
    make: items((all) => [...all, { guid: Buffer.alloc(16, 7), flags: 4, bytes: Buffer.alloc(8) }]),
    answer: 'refused E_UNSUPPORTED_FEATURE',
  },
  {
    what: 'an item that nobody knows, which is no damage',
    make: items((all) => [...all, { guid: Buffer.alloc(16, 7), flags: 1, bytes: Buffer.alloc(8) }]),
    answer: [],
  },
  {
    what: 'a disk id of zeros',
    make: items(([parameters, size, id, ...rest]) => [
      parameters!,
      size!,
      { ...id!, bytes: Buffer.alloc(16) },
      ...rest,
    ]),
    answer: ['W_DISK_ID_ZERO'],
  },
  {
    what: 'a BAT region of which the unused part passes the end of the file',
    make: () => cut(patched(batAtEnd()), 7 * mib),
    answer: ['W_REGION_BEYOND_END'],
  },
  {
    what: 'a file of more than 128 TiB',
    make: () => {
      const store = disk()
      store.truncate(2 ** 47 + mib)
      return store
    },
    answer: ['L_UNREFERENCED', 'W_NOT_CHECKED'],
    shallow: true,
  },
  {
    what: 'an item that is not said to be required',
    make: items(([head, ...rest]) => [{ ...head!, flags: 0 }, ...rest]),
    answer: ['W_META_FLAGS'],
  },
  {
    what: 'an item of more bytes than it has',
    make: items(([head, ...rest]) => [{ ...head!, bytes: Buffer.concat([head!.bytes, Buffer.alloc(4)]) }, ...rest]),
    answer: ['W_META_LENGTH'],
  },
  {
    what: 'reserved bits of an item are set',
    make: items(([head, ...rest]) => [{ ...head!, flags: 12 }, ...rest]),
    answer: ['W_RESERVED'],
  },
  {
    what: 'reserved bytes of the metadata table are set',
    make: () => patched(disk(), [places.metadata + 20, flip]),
    answer: ['W_RESERVED'],
  },
  {
    what: 'reserved bits of the file parameters are set',
    make: () => disk({ parameterFlags: 4 }),
    answer: ['W_RESERVED_BITS'],
  },
  { what: 'blocks of 3 MiB', make: () => disk({ blockSize: 3 * mib }), answer: 'refused E_BLOCK_SIZE' },
  { what: 'sectors of 1024 bytes', make: () => disk({ logicalSector: 1024 }), answer: 'refused E_SECTOR' },
  {
    what: 'physical sectors that are smaller than logical ones',
    make: () => disk({ logicalSector: 4096, physicalSector: 512 }),
    answer: ['W_SECTOR_SIZES'],
  },
  { what: 'a disk of 65 TiB', make: () => disk({ capacity: 65n * 2n ** 40n }), answer: 'refused E_DISK_SIZE' },
  {
    what: 'a disk of half a sector more',
    make: () => disk({ capacity: BigInt(4 * mib + 256) }),
    answer: 'refused E_DISK_SIZE',
  },
  {
    what: 'a disk that needs a longer BAT',
    make: () => disk({ capacity: BigInt(mib * 131073) }),
    answer: 'refused E_BAT_TOO_SHORT',
  },
  // The log.
  {
    what: 'a log that was not replayed',
    make: () =>
      dirty({
        0: logEntryBytes({
          sequence: 5n,
          tail: 0,
          flushed: 6 * mib,
          last: 6 * mib,
          changes: [{ at: one, data: Buffer.alloc(4096, 1) }],
        }),
      }),
    answer: ['W_LOG_REPLAYED'],
  },
  {
    what: 'a log that replaces a damaged entry of the BAT',
    make: () =>
      dirty(
        {
          0: logEntryBytes({
            sequence: 5n,
            tail: 0,
            flushed: 6 * mib,
            last: 6 * mib,
            changes: [{ at: places.bat, zero: 4096 }],
          }),
        },
        { bat: { 0: batEntry(5, 0), 1: 0n } },
      ),
    answer: ['W_LOG_REPLAYED'],
  },
  { what: 'a log without any whole entry', make: () => dirty({}), answer: 'refused E_LOG_CORRUPT' },
  { what: 'a log that is ignored', make: () => dirty({}), options: { 'ignore-log': true }, answer: ['W_LOG_IGNORED'] },
  {
    what: 'a log that says that the file was longer',
    make: () => dirty({ 0: logEntryBytes({ sequence: 5n, tail: 0, flushed: 64 * mib, last: 64 * mib }) }),
    answer: 'refused E_TRUNCATED',
  },
  {
    what: 'a log that changes a header',
    make: () =>
      dirty({
        0: logEntryBytes({
          sequence: 5n,
          tail: 0,
          flushed: 6 * mib,
          last: 6 * mib,
          changes: [{ at: 65536, zero: 4096 }],
        }),
      }),
    answer: 'refused E_LOG_RANGE',
  },
  {
    what: 'a log of version 1',
    make: () => dirty({}, { header: { logGuid, logVersion: 1 } }),
    answer: 'refused E_LOG_VERSION',
  },
  // The BAT.
  { what: 'the reserved state 4', make: table({ 2: batEntry(4) }), answer: ['E_BAT_STATE'] },
  { what: 'the reserved state 5', make: table({ 2: batEntry(5) }), answer: ['E_BAT_STATE'] },
  {
    what: 'a partly present block of a disk without parent',
    make: table({ 0: batEntry(7, one) }),
    answer: ['E_BAT_STATE'],
  },
  { what: 'a block at byte 0', make: table({ 2: batEntry(6, 0) }), answer: ['E_BAT_RANGE'], says: /in the headers/ },
  {
    what: 'a block in the log',
    make: table({ 2: batEntry(6, places.log) }),
    answer: ['E_BAT_RANGE'],
    says: /in the log/,
  },
  {
    what: 'a block in the BAT',
    make: table({ 2: batEntry(6, places.bat) }),
    answer: ['E_BAT_RANGE'],
    says: /in the BAT/,
  },
  {
    what: 'a block past the end',
    make: table({ 2: batEntry(6, 100 * mib) }),
    answer: ['E_BAT_RANGE'],
    says: /past the end/,
  },
  {
    what: 'the greatest place that an entry can name',
    make: table({ 2: (2n ** 64n - 2n ** 20n) | 6n }),
    answer: ['E_BAT_RANGE'],
  },
  {
    what: 'the last block is cut off',
    make: () => cut(disk(), 6 * mib - 512),
    answer: ['E_TRUNCATED', 'W_TRAILING_PARTIAL_MIB'],
  },
  {
    what: 'two blocks in one place',
    make: table({ 1: batEntry(6, one) }),
    answer: ['E_OVERLAP', 'L_UNREFERENCED'],
    says: /block 1 at byte 4194304 shares bytes with block 0/,
  },
  {
    what: 'three blocks in one place',
    make: table({ 1: batEntry(6, one), 2: batEntry(6, one) }),
    answer: ['E_OVERLAP', 'E_OVERLAP', 'L_UNREFERENCED'],
  },
  {
    what: 'reserved bits of an entry are set',
    make: table({ 1: batEntry(6, two) | 0x80n }),
    answer: ['W_BAT_RESERVED_BITS'],
  },
  {
    what: 'a zero block that names a place',
    make: table({ 1: batEntry(2, two) }),
    answer: ['L_UNREFERENCED', 'W_BAT_STALE_POSITION'],
    says: /Hyper-V/,
  },
  {
    what: 'an absent block that names a place',
    make: table({ 1: batEntry(0, two) }),
    answer: ['L_UNREFERENCED', 'W_BAT_STALE_POSITION'],
  },
  {
    what: 'an unmapped block that keeps its place, which is no damage',
    make: table({ 1: batEntry(3, two) }),
    answer: [],
  },
  { what: 'a block that no entry names', make: table({ 1: 0n }), answer: ['L_UNREFERENCED'] },
  {
    what: 'an entry in the slot of a sector bitmap',
    make: () => disk({ capacity: BigInt(4097 * mib), bat: { 1: 0n, 4096: batEntry(6, two) } }),
    answer: ['E_SB_UNEXPECTED', 'L_UNREFERENCED'],
    says: /slipped/,
  },
  {
    what: 'an entry behind the end of the disk',
    make: table({ 1: 0n, 4: batEntry(6, two) }),
    answer: ['L_BLOCK_BEYOND_DISK'],
  },
  {
    what: 'an unused entry behind the end of the disk',
    make: table({ 4: batEntry(2, 0) }),
    answer: ['W_BAT_UNUSED_ENTRY'],
  },
  {
    what: 'half a MiB behind the last block',
    make: () => patched(disk(), [6 * mib + 524287, [0]]),
    answer: ['W_TRAILING_PARTIAL_MIB'],
  },
  {
    what: '3 MiB behind the last block',
    make: () => patched(disk(), [9 * mib - 1, [0]]),
    answer: ['L_UNREFERENCED'],
    says: /3145728 bytes/,
  },
  // Children.
  {
    what: 'a partly present block without its sector bitmap',
    make: children({ 4096: 0n }),
    answer: ['E_SB_MISSING', 'L_UNREFERENCED'],
  },
  {
    what: 'a sector bitmap of the state 7',
    make: children({ 4096: batEntry(7, two) }),
    answer: ['E_BAT_STATE', 'E_SB_MISSING', 'L_UNREFERENCED'],
  },
  {
    what: 'a sector bitmap past the end',
    make: children({ 4096: batEntry(6, 100 * mib) }),
    answer: ['E_BAT_RANGE', 'L_UNREFERENCED'],
  },
  {
    what: 'a sector bitmap upon its block',
    make: children({ 4096: batEntry(6, one) }),
    answer: ['E_OVERLAP', 'L_UNREFERENCED'],
    says: /sector bitmap of chunk 0 .*with block 0/,
  },
  { what: 'a parent without a locator', make: () => disk({ parameterFlags: 2 }), answer: 'refused E_PARENT_LOCATOR' },
  {
    what: 'a locator without a parent',
    make: () => child({ parameterFlags: 0, bat: { 0: batEntry(6, one), 4096: 0n } }),
    answer: ['L_UNREFERENCED', 'W_PARENT_LOCATOR_UNUSED'],
  },
  { what: 'a locator without the id of the parent', make: locator(path), answer: 'refused E_PARENT_LOCATOR' },
  { what: 'a locator without a path', make: locator(linkage), answer: 'refused E_PARENT_LOCATOR' },
  { what: 'a key twice', make: locator(linkage, path, path), answer: 'refused E_PARENT_LOCATOR' },
  {
    what: 'an id that is no GUID',
    make: locator(['parent_linkage', 'base'], path),
    answer: 'refused E_PARENT_LOCATOR',
  },
  {
    what: 'the id of the parent is all zero',
    make: locator(['parent_linkage', '{00000000-0000-0000-0000-000000000000}'], path),
    answer: ['E_PARENT_ID'],
  },
  {
    what: 'a second id of the parent',
    make: locator(linkage, ['parent_linkage2', `{${logGuid}}`], path),
    answer: ['W_PARENT_LINKAGE2'],
  },
  {
    what: 'a key that nobody knows',
    make: locator(linkage, path, ['colour', 'blue']),
    answer: ['W_PARENT_LOCATOR_KEY'],
  },
  {
    what: 'a locator of another type',
    make: () => child({ locator: { type: Buffer.alloc(16, 9), entries: [linkage, path] } }),
    answer: 'refused E_PARENT_LOCATOR_TYPE',
  },
  // Size.
  {
    what: 'a disk of 16 TiB whose last block lies upon its first',
    make: large,
    answer: ['E_OVERLAP'],
    says: /block 524287 .*with block 0/,
  },
]

testDamaged(vhdx, images)
