import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlaySource } from '../../../src/block/overlay.js'
import type { ParentReference } from '../../../src/formats/driver.js'
import { batEntry, dataWriteGuid, guidBytes, imageBytes, locatorBytes, mib, places } from '../../support/vhdx-bytes.js'
import type { ImageFields, LocatorFields } from '../../support/vhdx-bytes.js'
import { assertTiles, open, readAll, refuses } from '../../support/vhdx-open.js'

const { payload } = places
const linkage = ['parent_linkage', `{${dataWriteGuid}}`] as const
const locator: LocatorFields = { entries: [linkage, ['relative_path', '.\\parent.vhdx']] }
const parentBytes = (fields: Partial<ImageFields> = {}): Buffer =>
  imageBytes({
    capacity: BigInt(3 * mib),
    bat: Object.fromEntries([0, 1, 2].map((block) => [block, batEntry(6, payload + block * mib)])),
    bytes: { [payload]: Buffer.alloc(3 * mib, 0xee) },
    ...fields,
  })
/** The entry of the first sector bitmap with blocks of 1 MiB and sectors of 512. */
const bitmapEntry = 4096
const childBytes = (fields: Partial<ImageFields> = {}): Buffer =>
  imageBytes({ capacity: BigInt(3 * mib), locator, ...fields })
const reference = (bytes: Buffer): ParentReference => {
  const found = open(bytes).parentReference
  assert.ok(found)
  return found
}

test('states of a child: 0 leaves the parent, 1 to 3 are zero, 6 is its own whatever the bitmap says', () => {
  const child = open(
    childBytes({
      capacity: BigInt(5 * mib),
      bat: { 0: batEntry(0), 1: batEntry(1), 2: batEntry(2), 3: batEntry(3), 4: batEntry(6, payload) },
    }),
  )
  assert.equal(child.subformat, 'differencing')
  assert.equal(child.grain, 512)
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((block) => child.extentAt(block * mib, 1).kind),
    ['absent', 'zero', 'zero', 'zero', 'data'],
  )
  assertTiles(child)
})

test('a sector bitmap counts from the least significant bit', () => {
  const cases: [Buffer, number[]][] = [
    [Buffer.from([0x01]), [0]],
    [Buffer.from([0x80]), [7]],
    [Buffer.from([0x05]), [0, 2]],
    [Buffer.concat([Buffer.alloc(255), Buffer.from([0x80])]), [2047]],
    [Buffer.alloc(256, 0x55), Array.from({ length: 1024 }, (_, index) => index * 2)],
  ]
  const parent = open(parentBytes())
  for (const [bits, sectors] of cases) {
    // Block 1 of the chunk: its bits begin at byte 256.
    const bitmap = Buffer.alloc(mib)
    bits.copy(bitmap, 256)
    const child = open(
      childBytes({
        bat: { 1: batEntry(7, payload), [bitmapEntry]: batEntry(6, payload + mib) },
        bytes: { [payload]: Buffer.alloc(mib, 0xcc), [payload + mib]: bitmap },
      }),
    )
    assertTiles(child)
    const expected = Buffer.alloc(3 * mib, 0xee)
    for (const sector of sectors) expected.fill(0xcc, mib + sector * 512, mib + sector * 512 + 512)
    assert.equal(Buffer.compare(readAll(new OverlaySource(child, parent)), expected), 0)
  }
})

test('sectors of 4096 bytes: one bit each', () => {
  const bitmap = Buffer.alloc(mib)
  bitmap[0] = 0x02
  // 2^23 sectors of 4096 in a chunk: 32,768 blocks of 1 MiB.
  const child = open(
    childBytes({
      logicalSector: 4096,
      batLength: mib,
      bat: { 0: batEntry(7, payload), 32768: batEntry(6, payload + mib) },
      bytes: { [payload]: Buffer.alloc(mib, 0xcc), [payload + mib]: bitmap },
    }),
  )
  const expected = Buffer.alloc(3 * mib, 0xee)
  expected.fill(0xcc, 4096, 8192)
  assert.equal(
    Buffer.compare(readAll(new OverlaySource(child, open(parentBytes({ logicalSector: 4096 })))), expected),
    0,
  )
})

test('the last block of one chunk and the first of the next use their own bitmaps', () => {
  const first = Buffer.alloc(mib)
  first[mib - 1] = 0x80
  const second = Buffer.alloc(mib)
  second[0] = 0x01
  const child = open(
    childBytes({
      capacity: BigInt(4097 * mib),
      bat: {
        4095: batEntry(7, payload),
        [bitmapEntry]: batEntry(6, payload + mib),
        4097: batEntry(7, payload + 2 * mib),
        8193: batEntry(6, payload + 3 * mib),
      },
      bytes: { [payload + mib]: first, [payload + 3 * mib]: second },
    }),
  )
  const last = child.extentAt(4096 * mib - 512, 1024)
  assert.ok(last.kind === 'data' && last.length === 512 && last.position === payload + mib - 512)
  const next = child.extentAt(4096 * mib, 1024)
  assert.ok(next.kind === 'data' && next.length === 512 && next.position === payload + 2 * mib)
  assert.equal(child.extentAt(4096 * mib - 1024, 512).kind, 'absent')
  assert.equal(child.extentAt(4096 * mib + 512, 512).kind, 'absent')
})

test('a bitmap that is missing, of an unknown state, or out of place', () => {
  const partly = (entry: bigint): Buffer => childBytes({ bat: { 0: batEntry(7, payload), [bitmapEntry]: entry } })
  refuses(() => open(partly(0n)).extentAt(0, 1), 'corrupt', 'E_SB_MISSING')
  refuses(() => open(partly(batEntry(3, payload + mib))).extentAt(0, 1), 'corrupt', 'E_SB_MISSING')
  refuses(
    () => open(partly(batEntry(6, places.metadata))).extentAt(0, 1),
    'corrupt',
    'E_BAT_RANGE',
    /sector bitmap of chunk 0/,
  )
  refuses(() => open(partly(batEntry(6, 64 * mib))).extentAt(0, 1), 'corrupt', 'E_BAT_RANGE')
  refuses(() => open(partly(batEntry(6, payload))).extentAt(0, 1), 'corrupt', 'E_OVERLAP')
})

test('a table too short by the entry of the last bitmap', () => {
  // 31 whole chunks of 4097 entries are 127,007; a 32nd does not fit in one MiB even when it has one block.
  assert.equal(open(childBytes({ capacity: BigInt(31 * 4096 * mib) })).capacity, 31 * 4096 * mib)
  refuses(() => open(childBytes({ capacity: BigInt((31 * 4096 + 1) * mib) })), 'corrupt', 'E_BAT_TOO_SHORT')
})

test('paths in the order of the specification, whatever the order of the keys', () => {
  const paths: [string, string][] = [
    ['absolute_win32_path', '\\\\?\\c:\\p.vhdx'],
    ['volume_path', '\\\\?\\Volume{1}\\p.vhdx'],
    ['relative_path', '..\\p.vhdx'],
  ]
  const wanted = ['..\\p.vhdx', '\\\\?\\Volume{1}\\p.vhdx', '\\\\?\\c:\\p.vhdx']
  for (const entries of [[linkage, ...paths], [...paths].reverse().concat([[...linkage]])]) {
    const found = reference(childBytes({ locator: { entries } }))
    assert.deepEqual([found.paths, found.format, found.identity], [wanted, 'vhdx', dataWriteGuid])
  }
})

test('the parent is known by either linkage, whatever the case; another is refused with both ids', () => {
  const other = '99999999-9999-9999-9999-9999999999ab'
  const parent = open(parentBytes())
  reference(
    childBytes({
      locator: {
        entries: [
          ['parent_linkage', `{${dataWriteGuid.toUpperCase()}}`],
          ['relative_path', 'p'],
        ],
      },
    }),
  ).verify(parent)
  reference(
    childBytes({
      locator: {
        entries: [
          ['parent_linkage', `{${other}}`],
          ['parent_linkage2', `{${dataWriteGuid}}`],
          ['relative_path', 'p'],
        ],
      },
    }),
  ).verify(parent)
  refuses(
    () =>
      reference(
        childBytes({
          locator: {
            entries: [
              ['parent_linkage', `{${other}}`],
              ['relative_path', 'p'],
            ],
          },
        }),
      ).verify(parent),
    'reference',
    'E_PARENT_ID',
    new RegExp(`${other}.*${dataWriteGuid}`),
  )
  refuses(
    () => reference(childBytes()).verify(open(parentBytes({ logicalSector: 4096 }))),
    'reference',
    'E_PARENT_SECTOR',
  )
  reference(childBytes()).verify(open(parentBytes({ blockSize: 4 * mib, bat: {} })))
})

test('a parent smaller than the child: zeros past its end', () => {
  const chain = new OverlaySource(open(childBytes()), open(parentBytes({ capacity: BigInt(mib + 512) })))
  const bytes = readAll(chain)
  assert.equal(bytes[mib + 511], 0xee)
  assert.ok(bytes.subarray(mib + 512).every((byte) => byte === 0))
})

test('locators that are damaged', () => {
  const bad = (act: (item: Buffer) => void, entries: LocatorFields['entries'] = locator.entries): void => {
    const item = locatorBytes({ entries })
    act(item)
    refuses(
      () =>
        open(
          childBytes({ items: (items) => items.map((one, index) => (index === 5 ? { ...one, bytes: item } : one)) }),
        ),
      'corrupt',
      'E_PARENT_LOCATOR',
    )
  }
  const none = (): void => undefined
  bad((item) => item.writeUInt16LE(65535, 18))
  bad((item) => item.writeUInt32LE(0, 20))
  bad((item) => item.writeUInt32LE(0xffffffff, 24))
  bad((item) => item.writeUInt16LE(0, 28))
  bad((item) => item.writeUInt16LE(3, 28))
  bad((item) => item.writeUInt16LE(0, 30))
  bad((item) => item.writeUInt16LE(65534, 30))
  bad(none, [['relative_path', 'p']])
  bad(none, [linkage])
  bad(none, [linkage, linkage, ['relative_path', 'p']])
  bad(none, [
    ['parent_linkage', 'not a guid'],
    ['relative_path', 'p'],
  ])
  bad(none, [linkage, ['parent_linkage2', '{1}'], ['relative_path', 'p']])
  bad(none, [
    ['Parent_Linkage', `{${dataWriteGuid}}`],
    ['relative_path', 'p'],
  ])
  refuses(
    () => open(childBytes({ locator: { ...locator, type: guidBytes('deadbeef-0000-0000-0000-000000000003') } })),
    'unsupported',
    'E_PARENT_LOCATOR_TYPE',
    /deadbeef-0000/,
  )
  refuses(
    () =>
      open(childBytes({ items: (items) => items.map((one, index) => (index === 5 ? { ...one, length: 19 } : one)) })),
    'corrupt',
    'E_PARENT_LOCATOR',
  )
})

test('a locator without the flag is reported and ignored', () => {
  const disk = open(childBytes({ parameterFlags: 0 }))
  assert.deepEqual(
    disk.notes.map((note) => note.code),
    ['W_PARENT_LOCATOR_UNUSED'],
  )
  assert.equal(disk.parentReference, undefined)
})
