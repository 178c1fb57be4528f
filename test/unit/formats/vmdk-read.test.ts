import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync, deflateSync } from 'node:zlib'
import { test, type TestContext } from 'node:test'
import { noise } from '../../../fixtures/content.js'
import {
  cowdExtent,
  descriptorText,
  hostedExtent,
  hostedPlaces,
  seSparseExtent,
  sector,
  streamExtent,
  type StreamOptions,
} from '../../../fixtures/spec-writer/vmdk.js'
import { isImageError } from '../../../src/errors.js'
import { openFile, type OpenOptions } from '../../../src/formats/open.js'
import { check } from '../../../src/operations/check/check.js'
import { readAll } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'

const grain = 65536
const [first, second, third] = [noise(1, grain), noise(2, grain), noise(3, grain)]

type Files = Readonly<Record<string, string | Uint8Array>>

/** Writes files into a folder of their own. */
function put(t: TestContext, files: Files): (name: string) => string {
  const folder = testFolder(t)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return (name) => join(folder, name)
}

function holds(path: string, expected: Uint8Array, options: OpenOptions = {}): string[] {
  using image = openFile(path, options)
  assert.equal(image.top.driver.id, 'vmdk')
  assert.equal(image.capacity, expected.length)
  assert.ok(Buffer.from(readAll(image)).equals(Buffer.from(expected)), 'the content is the one put in')
  return image.notes.map(({ code }) => code)
}

function fails(path: string, code: string, options: OpenOptions = {}): string {
  let message = ''
  assert.throws(
    () => {
      using image = openFile(path, options)
      readAll(image)
    },
    (error) => {
      assert.ok(isImageError(error), String(error))
      assert.equal(error.code, code, error.message)
      message = `${error.message} ${error.hint ?? ''}`
      return true
    },
  )
  return message
}

/** A flat disk of two extents with something between them. */
function twoExtents(line: string, more: Partial<Parameters<typeof descriptorText>[0]> = {}): Files {
  return {
    'd.vmdk': descriptorText({
      createType: 'custom',
      extents: ['RW 128 FLAT "d-f001.vmdk" 0', line, 'RW 128 FLAT "d-f002.vmdk" 0'],
      ...more,
    }),
    'd-f001.vmdk': first,
    'd-f002.vmdk': second,
  }
}

const zeros = Buffer.alloc(grain)

test("peers' faults: lines that others drop", async (t) => {
  const cases: readonly (readonly [name: string, line: string, middle: Buffer, notes?: readonly string[]])[] = [
    ['ZERO', 'RW 128 ZERO', zeros],
    ['a ZERO line with access none', 'NOACCESS 128 ZERO', zeros, ['W_NO_ACCESS']],
    ['RDONLY', 'RDONLY 128 FLAT "third.vmdk" 0', third],
    ['NOACCESS', 'NOACCESS 128 FLAT "third.vmdk" 0', zeros, ['W_NO_ACCESS']],
    ['lower case', 'rw 128 flat "third.vmdk" 0', third],
    ['mixed case', 'Rw 128 Vmfs "third.vmdk"', third],
    ['an offset', 'RW 128 FLAT "far.vmdk" 8', third],
    ['no offset', 'RW 128 FLAT "third.vmdk"', third],
    ['tabs', 'RW\t128\tFLAT\t"third.vmdk"\t0', third],
    ['blanks in front and many of them', '  RW   128   FLAT   "third.vmdk"   0  ', third],
    ['a file that is longer than its line', 'RW 128 FLAT "long.vmdk" 0', third, ['W_EXTENT_SIZE']],
    ['a file that two lines share', 'RW 127 FLAT "third.vmdk" 0\nRW 1 FLAT "third.vmdk" 127', third],
    ['a partition and a device behind', 'RW 128 FLAT "third.vmdk" 0 uuid device', third],
  ]
  for (const [name, line, middle, notes = []] of cases) {
    await t.test(name, () => {
      const at = put(t, {
        ...twoExtents(line),
        'third.vmdk': third,
        'far.vmdk': Buffer.concat([Buffer.alloc(8 * sector), third]),
        'long.vmdk': Buffer.concat([third, Buffer.alloc(sector)]),
      })
      assert.deepEqual(holds(at('d.vmdk'), Buffer.concat([first, middle, second])), notes)
    })
  }
})

test("peers' faults: types, a flat file that is too short, directories and zero entries", (t) => {
  for (const createType of [
    'custom',
    'vmfsThin',
    'VMFSTHICK',
    'vmfsPreallocated',
    'vmfsEagerZeroedThick',
    'vmfs',
    'monolithicFlat',
  ])
    holds(
      put(t, {
        'd.vmdk': descriptorText({ createType, extents: ['RW 128 VMFS "d-flat.vmdk"'] }),
        'd-flat.vmdk': first,
      })('d.vmdk'),
      first,
    )
  const short = put(t, {
    'd.vmdk': descriptorText({ createType: 'vmfs', extents: ['RW 256 VMFS "d-flat.vmdk"'] }),
    'd-flat.vmdk': first,
  })
  assert.match(fails(short('d.vmdk'), 'E_TRUNCATED'), /d-flat\.vmdk has 65536 bytes, and 131072 are needed/)

  const options = {
    capacity: 1024,
    grains: new Map([[2, first] as const]),
    descriptor: descriptorText({ createType: 'monolithicSparse', extents: ['RW 1024 SPARSE "d.vmdk"'] }),
  }
  const whole = Buffer.alloc(1024 * sector)
  first.copy(whole, 2 * grain)
  const { gd, rgd } = hostedPlaces(options)
  const damaged = hostedExtent(options)
  assert.deepEqual(holds(put(t, { 'd.vmdk': damaged })('d.vmdk'), whole), [])
  for (const value of [0, 0xfffffff0]) {
    damaged.writeUInt32LE(value, gd * sector)
    assert.ok(holds(put(t, { 'd.vmdk': damaged })('d.vmdk'), whole).includes('W_GRAIN_TABLE_COPY_USED'))
  }
  damaged.writeUInt32LE(0xfffffff0, rgd * sector)
  fails(put(t, { 'd.vmdk': damaged })('d.vmdk'), 'E_GRAIN_DIRECTORY')
  // One grain entry that cannot be, and its copy.
  const entry = hostedExtent(options)
  entry.writeUInt32LE(0xfffffff0, (gd + 1) * sector + 2 * 4)
  assert.ok(holds(put(t, { 'd.vmdk': entry })('d.vmdk'), whole).includes('W_GRAIN_TABLE_COPY_USED'))
  entry.writeUInt32LE(0xfffffff0, (rgd + 1) * sector + 2 * 4)
  fails(put(t, { 'd.vmdk': entry })('d.vmdk'), 'E_TRUNCATED')

  const zeroed = hostedExtent({ ...options, grains: new Map([[0, 'zero']]) })
  assert.match(fails(put(t, { 'd.vmdk': zeroed })('d.vmdk'), 'E_OVERLAP'), /flag 2/)
  holds(
    put(t, { 'd.vmdk': hostedExtent({ ...options, version: 2, flags: 7, grains: new Map([[0, 'zero']]) }) })('d.vmdk'),
    Buffer.alloc(1024 * sector),
  )
})

test('descriptor grammar', async (t) => {
  const cases: Readonly<Record<string, Partial<Parameters<typeof descriptorText>[0]>>> = {
    'CR LF': { eol: '\r\n' },
    'CR alone': { eol: '\r' },
    'comments of 20 KiB': { more: Array.from({ length: 400 }, () => `# ${'x'.repeat(60)}`) },
    'keys in other cases': { more: ['ENCODING = "UTF-8"', 'FOO=bar', 'line without any sense'] },
    'content id in capitals and short': { cid: 'ABC', parentCid: 'FFFFFFFF' },
    'no type': { createType: '' },
    'version 4': { more: ['Version=4'] },
  }
  for (const [name, more] of Object.entries(cases))
    await t.test(name, () => {
      holds(put(t, twoExtents('RW 128 ZERO', more))('d.vmdk'), Buffer.concat([first, zeros, second]))
    })
  const bom = twoExtents('RW 128 ZERO')
  holds(
    put(t, { ...bom, 'd.vmdk': Buffer.from(`\ufeff${String(bom['d.vmdk'])}\0\0\0garbage`) })('d.vmdk'),
    Buffer.concat([first, zeros, second]),
  )
  // Named as nothing in particular, and without the usual first line.
  const bare = String(bom['d.vmdk']).split('\n').slice(1).join('\n')
  holds(put(t, { ...bom, disk: bare })('disk'), Buffer.concat([first, zeros, second]))
})

test('names of extents are bytes, and understood by the encoding that the descriptor says', (t) => {
  const line = (name: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from('# Disk DescriptorFile\nversion=1\nencoding="windows-1252"\nCID=1\nparentCID=ffffffff\n'),
      Buffer.from('createType="monolithicFlat"\nRW 128 FLAT "'),
      name,
      Buffer.from('" 0\n'),
    ])
  const western = Buffer.from('größe.vmdk', 'latin1')
  const utf8 = put(t, { 'd.vmdk': line(western), 'größe.vmdk': first })
  holds(utf8('d.vmdk'), first)
  const folder = testFolder(t)
  writeFileSync(join(folder, 'd.vmdk'), line(western))
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), western]), first)
  holds(join(folder, 'd.vmdk'), first)
  const spaces = put(t, {
    'd.vmdk': descriptorText({ createType: 'monolithicFlat', extents: ['RW 128 FLAT "my disk (1)  x.vmdk" 0'] }),
    'my disk (1)  x.vmdk': first,
  })
  holds(spaces('d.vmdk'), first)
})

test('the files that a descriptor names go through the gate', (t) => {
  const outside = testFolder(t)
  writeFileSync(join(outside, 'x.bin'), first)
  const naming = (name: string): string =>
    put(t, {
      'in/d.vmdk': descriptorText({ createType: 'monolithicFlat', extents: [`RW 128 FLAT "${name}" 0`] }),
      'x.bin': first,
    })('in/d.vmdk')
  fails(naming(join(outside, 'x.bin')), 'E_REFERENCE_NOT_ALLOWED')
  fails(naming('../x.bin'), 'E_REFERENCE_NOT_ALLOWED')
  fails(naming('http://example.com/x.vmdk'), 'E_BACKING_UNSUPPORTED')
  fails(naming('not-there.vmdk'), 'E_REFERENCE_MISSING')
  fails(naming('d.vmdk'), 'E_REFERENCE_LOOP')
  holds(naming(join(outside, 'x.bin')), first, { allowReferences: [outside] })
  fails(naming('/dev/null'), 'E_REFERENCE_NOT_ALLOWED')
})

test('what points at devices, and what is encrypted or elsewhere, is refused by name', (t) => {
  const refuse = (
    createType: string,
    extent: string,
    code: string,
    says: RegExp,
    more: readonly string[] = [],
  ): void => {
    const at = put(t, { 'd.vmdk': descriptorText({ createType, extents: [extent], more }), 'x.vmdk': first })
    assert.match(fails(at('d.vmdk'), code), says)
  }
  for (const createType of [
    'fullDevice',
    'partitionedDevice',
    'vmfsRDM',
    'vmfsRDMP',
    'vmfsRaw',
    'vmfsRawDeviceMap',
    'vmfsPassthroughRawDeviceMap',
  ])
    refuse(createType, 'RW 128 FLAT "/dev/sda" 0', 'E_TYPE', /names a physical device/)
  refuse('custom', 'RW 128 VMFSRDM "x.vmdk"', 'E_TYPE', /names a physical device/)
  refuse('vmfs', 'RW 128 VMFS "vsan://52c7"', 'E_TYPE', /vSAN datastore/)
  refuse('vmfs', 'RW 128 VMFS "vvol://52c7"', 'E_TYPE', /vVol datastore/)
  refuse('vmfs', 'RW 128 VMFS "x.vmdk"', 'E_ENCRYPTED', /encrypted/, ['encryption.keySafe = "vmware:key/list"'])
  refuse('vmfs', 'RW 128 VMFS "x.vmdk"', 'E_UNSUPPORTED_FEATURE', /native snapshot/, ['isNativeSnapshot="yes"'])
  refuse('vmfs', 'RW 0 VMFS "x.vmdk"', 'E_DISK_SIZE', /no sector/)
  refuse('vmfs', 'RW -1 VMFS "x.vmdk"', 'E_DESCRIPTOR', /line 8/)
  refuse('vmfs', 'RW 0x10 VMFS "x.vmdk"', 'E_DESCRIPTOR', /sectors/)
  refuse('vmfs', 'RW 9223372036854775808 VMFS "x.vmdk"', 'E_DESCRIPTOR', /sectors/)
  refuse('vmfs', 'RW 128 CLOUD "x.vmdk"', 'E_DESCRIPTOR', /unknown type/)
  refuse('vmfs', 'RW 128 VMFS', 'E_DESCRIPTOR', /without the name/)
  const none = put(t, { 'd.vmdk': '# Disk DescriptorFile\nversion=1\ncreateType="vmfs"\n' })
  fails(none('d.vmdk'), 'E_DESCRIPTOR')
  const many = `# Disk DescriptorFile\n${'RW 1 ZERO\n'.repeat(4097)}`
  fails(put(t, { 'd.vmdk': many })('d.vmdk'), 'E_DESCRIPTOR')
  const huge = `# Disk DescriptorFile\n${'RW 1 FLAT "x" 0\n'.repeat(100_000)}`
  fails(put(t, { 'd.vmdk': huge })('d.vmdk'), 'E_DESCRIPTOR')
})

/** A disk of two sparse extents, the second shorter than a grain. */
function splitSparse(): { files: Files; content: Buffer } {
  const content = Buffer.alloc((1024 + 100) * sector)
  first.copy(content, 3 * grain)
  second.copy(content, 1024 * sector, 0, 100 * sector)
  const last = Buffer.alloc(grain)
  second.copy(last, 0, 0, 100 * sector)
  return {
    content,
    files: {
      'x.vmdk': descriptorText({
        createType: 'twoGbMaxExtentSparse',
        extents: ['RW 1024 SPARSE "x-s001.vmdk"', 'RW 100 SPARSE "x-s002.vmdk"'],
      }),
      'x-s001.vmdk': hostedExtent({ capacity: 1024, grains: new Map([[3, first]]) }),
      'x-s002.vmdk': hostedExtent({ capacity: 100, grains: new Map([[0, last]]) }),
    },
  }
}

test('an extent that is given instead of its descriptor finds it, and says so', (t) => {
  const { files, content } = splitSparse()
  const at = put(t, files)
  assert.deepEqual(holds(at('x.vmdk'), content), [])
  for (const name of ['x-s001.vmdk', 'x-s002.vmdk']) assert.deepEqual(holds(at(name), content), ['W_EXTENT_GIVEN'])
  // QEMU leaves space for a descriptor in its extents.
  const blank = put(t, {
    ...files,
    'x-s001.vmdk': hostedExtent({ capacity: 1024, grains: new Map([[3, first]]), descriptor: '' }),
  })
  assert.deepEqual(holds(blank('x-s001.vmdk'), content), ['W_EXTENT_GIVEN'])

  const flat = put(t, {
    'y.vmdk': descriptorText({ createType: 'vmfs', extents: ['RW 128 VMFS "y-flat.vmdk"'] }),
    // What a guest writes at the start of its disk is not what the file is.
    'y-flat.vmdk': Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), first]).subarray(0, grain),
  })
  {
    using image = openFile(flat('y-flat.vmdk'))
    assert.equal(image.top.driver.id, 'vmdk')
    assert.deepEqual(
      image.notes.map(({ code }) => code),
      ['W_EXTENT_GIVEN'],
    )
  }
  const lone = put(t, { 'x-s001.vmdk': files['x-s001.vmdk'] ?? '', 'y-flat.vmdk': first, 'y-ctk.vmdk': first })
  fails(lone('x-s001.vmdk'), 'E_DESCRIPTOR_MISSING')
  holds(lone('x-s001.vmdk'), content.subarray(0, 1024 * sector), { options: { alone: true } })
  fails(lone('y-flat.vmdk'), 'E_DESCRIPTOR_MISSING')
  assert.match(fails(lone('y-ctk.vmdk'), 'E_TYPE'), /changed-block tracking file.*y\.vmdk/)
  // A descriptor that does not list the file is another disk's.
  fails(put(t, { ...files, 'x-s003.vmdk': files['x-s001.vmdk'] ?? '' })('x-s003.vmdk'), 'E_DESCRIPTOR_MISSING')
  // A link to an extent that lies elsewhere.
  const folder = testFolder(t)
  symlinkSync(at('x-s001.vmdk'), join(folder, 'other.vmdk'))
  assert.deepEqual(holds(join(folder, 'other.vmdk'), content), ['W_EXTENT_GIVEN'])
})

test('sparse extents: grains, tables and versions that occur', async (t) => {
  const text = (capacity: number): string =>
    descriptorText({ createType: 'monolithicSparse', extents: [`RW ${capacity} SPARSE "other name.vmdk"`] })
  for (const grainSize of [8, 16, 128, 2048])
    for (const entries of [128, 512, 1024])
      await t.test(`grain ${grainSize}, ${entries} entries`, () => {
        const capacity = grainSize * entries + grainSize + 1
        const bytes = noise(grainSize + entries, grainSize * sector)
        const last = Math.floor((capacity - 1) / grainSize)
        const grains = new Map([
          [last, bytes],
          [entries, bytes],
          [0, bytes],
        ])
        const content = Buffer.alloc(capacity * sector)
        for (const index of grains.keys()) bytes.copy(content, index * grainSize * sector)
        const file = hostedExtent({ capacity, grainSize, entries, grains, descriptor: text(capacity) })
        holds(put(t, { 'd.vmdk': file })('d.vmdk'), content)
      })
  const of = (patch: (header: Buffer) => void, capacity = 256): string =>
    put(t, { 'd.vmdk': hostedExtent({ capacity, grains: new Map([[0, first]]), descriptor: text(256), patch }) })(
      'd.vmdk',
    )
  const content = Buffer.concat([first, zeros])
  holds(
    of((header) => void header.writeUInt32LE(2, 4)),
    content,
  )
  assert.ok(
    holds(
      of((header) => void (header[72] = 1)),
      content,
    ).includes('W_UNCLEAN'),
  )
  holds(
    of((header) => void header.writeUInt32LE(0x8003, 8)),
    content,
  )
  fails(
    of((header) => void header.writeUInt32LE(0, 4)),
    'E_VERSION',
  )
  fails(
    of((header) => void header.writeUInt32LE(4, 4)),
    'E_VERSION',
  )
  fails(
    of((header) => void header.writeUInt32LE(0x80003, 8)),
    'E_UNSUPPORTED_FEATURE',
  )
  fails(
    of((header) => void header.writeUInt32LE(0x10003, 8)),
    'E_HEADER',
  )
  fails(
    of((header) => void header.writeUInt16LE(2, 77)),
    'E_UNSUPPORTED_FEATURE',
  )
  assert.match(
    fails(
      of((header) => void header.write('\n \n\n', 73, 'latin1')),
      'E_HEADER',
    ),
    /transfer as text/,
  )
  for (const size of [0n, 3n, 4096n, 1n << 33n, (1n << 64n) - 1n])
    fails(
      of((header) => void header.writeBigUInt64LE(size, 20)),
      'E_HEADER',
    )
  for (const count of [0, 64, 511, 0xffffffff])
    fails(
      of((header) => void header.writeUInt32LE(count, 44)),
      'E_HEADER',
    )
  fails(
    of((header) => void header.writeBigUInt64LE((1n << 63n) - 1n, 12)),
    'E_DISK_SIZE',
  )
  fails(
    of((header) => void header.write('kdmv', 0, 'latin1')),
    'E_HEADER',
  )
  fails(
    of((header) => void header.writeBigUInt64LE(1n << 40n, 28)),
    'E_DESCRIPTOR',
  )
  // Both directories outside; the first one only.
  const far = (header: Buffer, ...places: readonly number[]): void => {
    for (const at of places) header.writeBigUInt64LE((1n << 33n) + 7n, at)
  }
  fails(
    of((header) => far(header, 48, 56)),
    'E_TRUNCATED',
  )
  assert.ok(
    holds(
      of((header) => far(header, 56)),
      content,
    ).includes('W_GD_COPY_USED'),
  )
  assert.deepEqual(
    holds(
      of((header) => void header.writeBigUInt64LE(128n, 12)),
      first,
    ),
    ['W_EXTENT_SIZE'],
  )
})

test('stream-optimised', async (t) => {
  const capacity = 1024 + 100
  const content = Buffer.alloc(capacity * sector)
  const grains = new Map([
    [0, first],
    [7, second],
    [8, Buffer.concat([third.subarray(0, 100 * sector), Buffer.alloc(grain - 100 * sector)])],
  ])
  for (const [index, bytes] of grains) bytes.copy(content, index * grain)
  const descriptor = descriptorText({ createType: 'streamOptimized', extents: [`RW ${capacity} SPARSE "disk"`] })
  const file = (more: Partial<StreamOptions> = {}): string =>
    put(t, { 'd.vmdk': streamExtent({ capacity, grains, descriptor, ...more }) })('d.vmdk')
  const good: Readonly<Record<string, Partial<StreamOptions>>> = {
    'with a footer': {},
    'tables first': { layout: 'tables-first' },
    'no markers but lengths': { markers: false, layout: 'tables-first' },
    'progress markers': { progress: true },
    'grains in another order': { grains: new Map([...grains].reverse()) },
    'a short last grain': {
      pack: (bytes, index) => deflateSync(index === 8 ? bytes.subarray(0, 100 * sector) : bytes),
    },
    'stored, not compressed': { pack: (bytes) => deflateSync(bytes, { level: 0 }) },
  }
  for (const [name, more] of Object.entries(good))
    await t.test(name, () => assert.deepEqual(holds(file(more), content), []))
  for (const behind of [1, 512, 65536, 1000_000])
    await t.test(`${behind} bytes behind the end`, () =>
      assert.deepEqual(holds(file({ behind: Buffer.alloc(behind) }), content), ['W_TRAILING_DATA']),
    )
  await t.test('damaged', () => {
    fails(file({ pack: (bytes) => deflateRawSync(bytes) }), 'E_COMPRESSED')
    fails(file({ pack: (bytes) => deflateSync(bytes.subarray(0, 1000)) }), 'E_COMPRESSED')
    fails(file({ pack: (bytes) => deflateSync(Buffer.concat([bytes, bytes])) }), 'E_COMPRESSED')
    fails(file({ pack: () => Buffer.alloc(0) }), 'E_MARKER')
    fails(file({ lba: (index) => index * 128 + 1 }), 'E_MARKER')
    const adler = (bytes: Buffer): Buffer => {
      const packed = deflateSync(bytes)
      packed[packed.length - 1] = (packed.at(-1) ?? 0) ^ 1
      return packed
    }
    fails(file({ pack: adler }), 'E_COMPRESSED')
  })
  await t.test('cut off', () => {
    const cut = file({ footer: false })
    assert.match(fails(cut, 'E_TRUNCATED'), /markers=true/)
    assert.deepEqual(holds(cut, content, { options: { markers: true } }), ['W_NO_FOOTER'])
    using image = openFile(cut)
    assert.equal(image.top.image.describe()[0]?.title, 'VMDK', 'info still answers')
    const whole = streamExtent({ capacity, grains, descriptor })
    const half = put(t, { 'd.vmdk': whole.subarray(0, whole.length - 40000) })('d.vmdk')
    fails(half, 'E_TRUNCATED')
    const kept = Buffer.from(content)
    kept.fill(0, 8 * grain)
    assert.deepEqual(holds(half, kept, { options: { markers: true } }), ['W_NO_FOOTER'])
  })
})

test('chains: ESX deltas, SE sparse, children of every kind', async (t) => {
  const capacity = 40960
  const base = noise(9, capacity * sector)
  const baseFiles = {
    'base.vmdk': descriptorText({
      createType: 'vmfs',
      cid: 'aaaa0001',
      extents: [`RW ${capacity} VMFS "base-flat.vmdk"`],
    }),
    'base-flat.vmdk': base,
  }
  const child = (createType: string, extent: string, hint = 'base.vmdk', parentCid = 'aaaa0001'): string =>
    descriptorText({ createType, cid: 'bbbb0002', parentCid, hint, extents: [extent] })
  const cowd = cowdExtent({
    capacity,
    grains: new Map([
      [0, first.subarray(0, 512)],
      [4097, second.subarray(0, 512)],
      [40959, third.subarray(0, 512)],
    ]),
  })
  const overCowd = Buffer.from(base)
  first.copy(overCowd, 0, 0, 512)
  second.copy(overCowd, 4097 * 512, 0, 512)
  third.copy(overCowd, 40959 * 512, 0, 512)
  await t.test('COWD', () => {
    const at = put(t, {
      ...baseFiles,
      'c.vmdk': child('vmfsSparse', `RW ${capacity} VMFSSPARSE "c-000001-delta.vmdk"`),
      'c-000001-delta.vmdk': cowd,
    })
    assert.deepEqual(holds(at('c.vmdk'), overCowd), [])
  })
  await t.test('SE sparse over COWD', () => {
    const content = Buffer.from(overCowd)
    third.copy(content, 4096, 0, 4096)
    content.fill(0, 8192, 16384)
    second.copy(content, 5119 * 4096, 0, 4096)
    const files = (replay: boolean): Files => ({
      ...baseFiles,
      'c.vmdk': child('vmfsSparse', `RW ${capacity} VMFSSPARSE "c-delta.vmdk"`),
      'c-delta.vmdk': cowd,
      'd.vmdk': child('seSparse', `RW ${capacity} SESPARSE "d-sesparse.vmdk"`, '/vmfs/volumes/5f/c.vmdk', 'bbbb0002'),
      'd-sesparse.vmdk': seSparseExtent({
        capacity,
        replay,
        grains: new Map<number, Buffer | 'zero' | 'unmapped'>([
          [5119, second.subarray(0, 4096)],
          [1, third.subarray(0, 4096)],
          [2, 'zero'],
          [3, 'unmapped'],
        ]),
      }),
    })
    assert.ok(holds(put(t, files(false))('d.vmdk'), content).includes('W_UNMAPPED_GRAINS'))
    assert.match(fails(put(t, files(true))('d.vmdk'), 'E_DIRTY'), /ESXi host once/)
    assert.ok(holds(put(t, files(false))('d-sesparse.vmdk'), content).includes('W_EXTENT_GIVEN'))
  })
  await t.test('hosted, with zeroed grains, by a Windows path, moved', (s) => {
    const content = Buffer.from(base)
    first.copy(content, 0)
    content.fill(0, grain, 2 * grain)
    const file = (hint: string, parentCid = 'aaaa0001'): Buffer =>
      hostedExtent({
        capacity,
        version: 2,
        flags: 7,
        grains: new Map<number, Buffer | 'zero'>([
          [0, first],
          [1, 'zero'],
        ]),
        descriptor: child('monolithicSparse', `RW ${capacity} SPARSE "c.vmdk"`, hint, parentCid),
      })
    holds(put(s, { ...baseFiles, 'c.vmdk': file('C:\\VMs\\x\\base.vmdk') })('c.vmdk'), content)
    const moved = put(s, {
      'c.vmdk': file('base.vmdk'),
      'far/base.vmdk': baseFiles['base.vmdk'],
      'far/base-flat.vmdk': base,
      'far/renamed.vmdk': baseFiles['base.vmdk'],
    })
    fails(moved('c.vmdk'), 'E_PARENT_MISSING')
    holds(moved('c.vmdk'), content, { search: [moved('far')] })
    holds(moved('c.vmdk'), content, { parentMap: [{ from: 'base.vmdk', to: moved('far/renamed.vmdk') }] })
    const other = put(s, { ...baseFiles, 'c.vmdk': file('base.vmdk', 'aaaa0009') })
    assert.match(fails(other('c.vmdk'), 'E_PARENT_ID'), /aaaa0009.*aaaa0001.*any-parent-cid/s)
    holds(other('c.vmdk'), content, { options: { 'any-parent-cid': true } })
    fails(put(s, { 'c.vmdk': file('c.vmdk', 'bbbb0002') })('c.vmdk'), 'E_PARENT_LOOP')
  })
  await t.test('a child that is larger than its parent', () => {
    const at = put(t, {
      ...baseFiles,
      'c.vmdk': hostedExtent({
        capacity: capacity + 256,
        grains: new Map(),
        descriptor: child('monolithicSparse', `RW ${capacity + 256} SPARSE "c.vmdk"`),
      }),
    })
    holds(at('c.vmdk'), Buffer.concat([base, Buffer.alloc(256 * sector)]))
  })
})

test('files that are nothing, or hardly anything', (t) => {
  const at = put(t, {
    'short.vmdk': 'KDMV',
    'cut.vmdk': hostedExtent({ capacity: 1024, grains: new Map() }).subarray(0, 511),
    'text.vmdk': 'nothing to see here, whatever it is',
    'cowd.vmdk': 'COWD',
  })
  fails(at('short.vmdk'), 'E_TRUNCATED')
  fails(at('cut.vmdk'), 'E_TRUNCATED')
  fails(at('text.vmdk'), 'E_NOT_RECOGNISED')
  fails(at('cowd.vmdk'), 'E_DESCRIPTOR_MISSING')
})

test('two flat extents that share sectors of a file: the check warns', async (t) => {
  const extents = ['RW 128 FLAT "d-flat.vmdk" 0', 'RW 128 FLAT "d-flat.vmdk" 64']
  const at = put(t, {
    'd.vmdk': descriptorText({ createType: 'twoGbMaxExtentFlat', extents }),
    'd-flat.vmdk': noise(1, 192 * sector),
  })
  const { layers } = await check(at('d.vmdk'))
  assert.deepEqual(
    layers[0]?.groups.map(({ code }) => code),
    ['W_EXTENTS_OVERLAP'],
  )
})
