import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { finish } from '../../src/block/work.js'
import { isImageError } from '../../src/errors.js'
import type { WrapperContext } from '../../src/formats/driver.js'
import { ova } from '../../src/formats/ovf/ova.js'
import { openDisk } from '../../src/operations/open/opening.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { diskLike, readAll } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { manifestText, ovfText, tarBytes, tarHeader, type TarEntry } from '../support/ova-bytes.js'
import { Random } from '../fuzz/random.js'
import { ProcessorTime } from '../support/processor-time.js'

const mebibyte = 2 ** 20
const entry = (name: string, bytes: Uint8Array | string, more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  bytes: Buffer.from(bytes as Uint8Array),
  ...more,
})
const standard = ovfText([{ id: 'd', href: 'd.vmdk' }])

interface Case {
  readonly what: string
  readonly make: (disk: Buffer) => Uint8Array
  /** `refused CODE`, or the codes of the notes. */
  readonly answer: readonly string[] | `refused ${string}`
  readonly name?: string
}

/** An appliance with another description. */
const described = (what: string, answer: Case['answer'], text: string | Buffer): Case => ({
  what,
  make: (disk) => tarBytes([entry('vm.ovf', text), entry('d.vmdk', disk)]),
  answer,
})

const nested = (depth: number): string =>
  standard.replace('<NetworkSection>', `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}<NetworkSection>`)
const doctype = '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
const bomb =
  '<!DOCTYPE x [<!ENTITY a "ha">' +
  Array.from({ length: 30 }, (_, at) => `<!ENTITY a${at} "&a${at - 1};&a${at - 1};">`).join('') +
  ']>'

const cases: readonly Case[] = [
  described('sound', [], standard),
  described('no XML', 'refused E_OVF', 'this is no XML'),
  described('empty', 'refused E_OVF', ''),
  described('cut in the middle', 'refused E_OVF', standard.slice(0, 1500)),
  described('another root', 'refused E_OVF', '<?xml version="1.0"?><html/>'),
  described('no namespace', 'refused E_OVF', '<Envelope/>'),
  described('another namespace', 'refused E_OVF', '<Envelope xmlns="http://example.com/envelope"/>'),
  described('no disks at all', 'refused E_WHICH_MEMBER', ovfText([])),
  described('a disk without a file', 'refused E_WHICH_MEMBER', ovfText([{ id: 'd' }])),
  described('a document type', 'refused E_OVF', ovfText([{ id: 'd', href: 'd.vmdk' }], { before: doctype })),
  described('entities that grow', 'refused E_OVF', ovfText([{ id: 'd', href: 'd.vmdk' }], { before: bomb })),
  described('an entity that is not declared', 'refused E_OVF', standard.replace('Server', '&secret;')),
  described('90 elements inside each other', [], nested(90)),
  described('100000 elements inside each other', 'refused E_OVF', nested(100_000)),
  described(
    '200000 elements',
    'refused E_OVF',
    standard.replace('<NetworkSection>', `${'<a/>'.repeat(200_000)}<NetworkSection>`),
  ),
  described(
    '300000 attributes',
    'refused E_OVF',
    standard.replace(
      '<NetworkSection>',
      `<a ${Array.from({ length: 300_000 }, (_, at) => `a${at}=""`).join(' ')}/><NetworkSection>`,
    ),
  ),
  described('15 MiB of text', [], standard.replace('Server', 'x'.repeat(15 * mebibyte))),
  described('17 MiB', 'refused E_OVF', standard.replace('Server', 'x'.repeat(17 * mebibyte))),
  described('an attribute of 1 MiB', 'refused E_OVF', standard.replace('d.vmdk', 'd'.repeat(mebibyte))),
  described('bytes that are no UTF-8', 'refused E_OVF', Buffer.from(standard.replace('Server', '\xff'), 'latin1')),
  described(
    'two disks of one id',
    'refused E_OVF',
    ovfText([
      { id: 'd', href: 'd.vmdk' },
      { id: 'd', href: 'e.vmdk' },
    ]),
  ),
  described(
    'two files of one id',
    'refused E_OVF',
    standard.replace('</References>', '<File ovf:id="file1" ovf:href="e"/></References>'),
  ),
  described(
    'a disk in a file that is not listed',
    'refused E_OVF',
    standard.replace('ovf:fileRef="file1"', 'ovf:fileRef="x"'),
  ),
  described('a file without a name', 'refused E_OVF', standard.replace('ovf:href="d.vmdk"', '')),
  described('a disk without an id', 'refused E_OVF', standard.replace('ovf:diskId="d"', '')),
  described('a disk that is not in the archive', 'refused E_REFERENCE_MISSING', ovfText([{ id: 'd', href: 'e.vmdk' }])),
  described(
    'a disk outside the archive',
    'refused E_REFERENCE_MISSING',
    ovfText([{ id: 'd', href: '../../etc/passwd' }]),
  ),
  described(
    'a disk on a server',
    'refused E_REFERENCE_MISSING',
    ovfText([{ id: 'd', href: 'http://example.com/d.vmdk' }]),
  ),
  described('a capacity that is no number', [], standard.replace('"1048576"', '"-1"')),
  described('a capacity of 10^16', [], standard.replace('"1048576"', '"9999999999999999"')),
  described(
    'a capacity in units of 2^99',
    [],
    standard.replace('ovf:capacity', 'ovf:capacityAllocationUnits="byte * 2^99" ovf:capacity'),
  ),
  described('memory of no size', [], standard.replace('3072', '1e400')),
  {
    what: 'cut in the disk',
    make: (disk) => tarBytes([entry('vm.ovf', standard), entry('d.vmdk', disk)]).subarray(0, 60000),
    answer: 'refused E_TRUNCATED',
  },
  {
    what: 'cut in the description',
    make: (disk) => tarBytes([entry('vm.ovf', standard), entry('d.vmdk', disk)]).subarray(0, 2000),
    answer: 'refused E_TRUNCATED',
  },
  {
    what: 'the end mark is missing',
    make: (disk) => tarBytes([entry('vm.ovf', standard), entry('d.vmdk', disk)], false),
    answer: ['W_TAR_END'],
  },
  {
    what: 'garbage behind the end mark',
    make: (disk) => Buffer.concat([tarBytes([entry('vm.ovf', standard), entry('d.vmdk', disk)]), diskLike(5000)]),
    answer: [],
  },
  {
    what: 'a damaged second header',
    make: (disk) => {
      const bytes = tarBytes([entry('vm.ovf', standard), entry('d.vmdk', disk)])
      const second = 512 + Math.ceil(standard.length / 512) * 512
      bytes[second + 5] = 0x41
      return bytes
    },
    answer: 'refused E_TAR',
  },
  {
    what: 'a size of 2^80',
    make: () => tarBytes([entry('vm.ovf', standard, { size: Buffer.from('80ffffffffffffffffffffff', 'hex') })]),
    answer: 'refused E_TAR',
  },
  {
    what: 'a size of 2^52',
    make: () => tarBytes([entry('vm.ovf', standard, { size: Buffer.from('800000000010000000000000', 'hex') })]),
    answer: 'refused E_TRUNCATED',
  },
  {
    what: 'a negative size',
    make: () => tarBytes([entry('vm.ovf', standard, { size: Buffer.alloc(12, 0xff) })]),
    answer: 'refused E_TAR',
  },
  {
    what: 'a size that is no number',
    make: () => tarBytes([entry('vm.ovf', standard, { size: '99999999999\x00' })]),
    answer: 'refused E_TAR',
  },
  {
    what: 'the disk is a link',
    make: () => tarBytes([entry('vm.ovf', standard), entry('d.vmdk', '', { type: '2' })]),
    answer: 'refused E_UNSUPPORTED_FORMAT',
  },
  {
    what: 'a sparse file of GNU tar without a map',
    make: (disk) => tarBytes([entry('vm.ovf', standard), entry('d.vmdk', disk, { type: 'S' })]),
    answer: 'refused E_TAR',
  },
  {
    what: 'the description is a link',
    make: (disk) => tarBytes([entry('vm.ovf', '', { type: '1' }), entry('d.vmdk', disk)]),
    answer: 'refused E_UNSUPPORTED_FORMAT',
  },
  {
    what: 'a pax size past 2^53',
    make: (disk) =>
      tarBytes([
        entry('vm.ovf', standard),
        entry('x', '29 size=99999999999999999999\n', { type: 'x' }),
        entry('d.vmdk', disk),
      ]),
    answer: 'refused E_TAR',
  },
  {
    what: 'pax records of 1 MiB',
    make: (disk) =>
      tarBytes([entry('vm.ovf', standard), entry('x', Buffer.alloc(mebibyte), { type: 'x' }), entry('d.vmdk', disk)]),
    answer: 'refused E_TAR',
  },
  {
    what: '70000 members',
    make: () => {
      const head = tarHeader(entry('a', ''))
      return Buffer.concat(Array.from({ length: 70_000 }, () => head))
    },
    answer: 'refused E_UNSUPPORTED_FORMAT',
  },
  {
    what: 'no member at all',
    make: () => Buffer.alloc(10240),
    answer: [],
    name: 'empty.raw',
  },
  {
    what: 'only other files',
    make: () => tarBytes([entry('readme.txt', 'hello'), entry('notes.txt', 'more')]),
    answer: 'refused E_WHICH_MEMBER',
  },
  {
    what: 'a manifest of 5 MiB',
    make: (disk) =>
      tarBytes([entry('vm.ovf', standard), entry('vm.mf', Buffer.alloc(5 * mebibyte, 'a')), entry('d.vmdk', disk)]),
    answer: 'refused E_OVF',
  },
  {
    what: 'a manifest of one line of brackets',
    make: (disk) =>
      tarBytes([entry('vm.ovf', standard), entry('vm.mf', `SHA1(${')'.repeat(3 * mebibyte)}`), entry('d.vmdk', disk)]),
    answer: [],
  },
  {
    what: 'a manifest of 100000 lines',
    make: (disk) =>
      tarBytes([
        entry('vm.ovf', standard),
        entry('vm.mf', `${manifestText([entry('vm.ovf', standard)])}${'x\n'.repeat(100_000)}`),
        entry('d.vmdk', disk),
      ]),
    answer: [],
  },
  {
    what: 'a manifest whose digest of the description is another',
    make: (disk) =>
      tarBytes([entry('vm.ovf', standard), entry('vm.mf', `SHA1(vm.ovf)= ${'0'.repeat(40)}\n`), entry('d.vmdk', disk)]),
    answer: ['W_MANIFEST_DIGEST'],
  },
  {
    what: 'the archive in itself, three times',
    make: (disk) => {
      const once = (bytes: Buffer): Buffer => tarBytes([entry('x.img', bytes)])
      return once(once(once(once(disk))))
    },
    answer: 'refused E_TOO_DEEP',
  },
]

test(`OVA: ${cases.length} damaged archives get the right answer, in time`, async (t) => {
  const folder = testFolder(t)
  const content = diskLike(mebibyte, 3)
  fs.writeFileSync(join(folder, 'made.raw'), content)
  await convert(join(folder, 'made.raw'), join(folder, 'made.vmdk'), { options: { subformat: 'streamOptimized' } })
  const disk = fs.readFileSync(join(folder, 'made.vmdk'))
  for (const { what, make, answer, name = 'vm.ova' } of cases) {
    const path = join(folder, name)
    fs.writeFileSync(path, make(disk))
    const begun = new ProcessorTime()
    let found: string | readonly string[]
    try {
      using opened = openDisk(path, {})
      found = opened.notes.map(({ code }) => code)
      if (name === 'vm.ova') assert.deepEqual(readAll(opened), content, what)
    } catch (error) {
      assert.ok(isImageError(error), `${what}: ${String(error)}`)
      assert.ok(error.message.length < 600, `${what}: a message of ${error.message.length} characters`)
      found = `refused ${error.code}`
    }
    assert.deepEqual(found, answer, what)
    begun.atMost(2000, what)
  }
  assert.ok(process.resourceUsage().maxRSS < 400 * 1024, `${process.resourceUsage().maxRSS} KiB`)
})

test('OVA: whatever is changed in an archive, the answer is an error of ours or the disk', () => {
  const random = new Random(20261130, 0)
  const sound = tarBytes([
    entry('vm.ovf', standard),
    entry('vm.mf', manifestText([entry('vm.ovf', standard)])),
    entry('d.vmdk', diskLike(3000)),
  ])
  const context: WrapperContext = {
    name: 'vm.ova',
    openNamed: () => {
      throw new TypeError('an archive names no file outside')
    },
    openBeside: () => undefined,
  }
  let opened = 0
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(sound)
    for (let change = 0; change <= random.below(4); change++) bytes[random.below(6000)] = random.below(256)
    const cut = random.chance(0.2) ? bytes.subarray(0, random.below(bytes.length)) : bytes
    try {
      const { members, check } = finish(ova.open(new MemoryStore(cut, 'vm.ova', 512), context))
      opened++
      for (const { source } of members) if (source !== undefined) readAll(source)
      if (check !== undefined) finish(check({ deep: true }))
    } catch (error) {
      assert.ok(isImageError(error) && error.kind !== 'internal', `round ${round}: ${String(error)}`)
    }
  }
  assert.ok(opened > 100 && opened < 3000)
})
