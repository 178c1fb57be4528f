/** Chains of images and images of several files, inside an archive. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import zlib from 'node:zlib'
import { isImageError } from '../../../src/errors.js'
import { check } from '../../../src/operations/check/check.js'
import { hash } from '../../../src/operations/inspect/hash.js'
import { contentsLater, info } from '../../../src/operations/inspect/info.js'
import { openDisk } from '../../../src/operations/open/opening.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { diskLike, readAll, sha256 } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { manifestText, ovfText, tarBytes, type OvfDisk, type TarEntry } from '../../support/ova-bytes.js'

const mebibyte = 2 ** 20
const entry = (name: string, bytes: Uint8Array | string): TarEntry => ({
  name,
  bytes: Buffer.from(bytes as Uint8Array),
})
const over = (id: string): string => `ovf:parentRef="${id}"`

/** A chain of three VMDKs, the base first: their files, and the content of the disk at each. */
interface Chain {
  readonly folder: string
  readonly files: readonly Buffer[]
  readonly contents: readonly Uint8Array[]
}

const names = ['base.vmdk', 'middle.vmdk', 'top.vmdk']
const capacity = mebibyte

/** Written by our own writer into a folder. @param seed other ids and another content. */
async function writeChain(folder: string, seed: number): Promise<Omit<Chain, 'folder'>> {
  let content = diskLike(capacity, seed)
  const contents: Uint8Array[] = []
  const raw = join(folder, 'made.raw')
  for (const [index, name] of names.entries()) {
    content = Uint8Array.from(content)
    if (index > 0) content.fill(index, index * 200_000, index * 200_000 + 9000)
    contents.push(content)
    fs.writeFileSync(raw, content)
    const parent = index === 0 ? undefined : join(folder, names[index - 1] ?? '')
    const subformat = index === 0 ? 'streamOptimized' : 'monolithicSparse'
    await convert(raw, join(folder, name), { parent, options: { subformat }, flush: false })
  }
  fs.rmSync(raw)
  return { files: names.map((name) => fs.readFileSync(join(folder, name))), contents }
}

const chains = new Map<number, Omit<Chain, 'folder'>>()

/** The same files for all tests; a folder for each, in which they do not lie. */
async function chain(t: TestContext, seed = 5): Promise<Chain> {
  const folder = testFolder(t)
  let made = chains.get(seed)
  if (made === undefined) {
    fs.mkdirSync(join(folder, 'made'))
    chains.set(seed, (made = await writeChain(join(folder, 'made'), seed)))
    fs.rmSync(join(folder, 'made'), { recursive: true })
  }
  return { folder, ...made }
}

/** An appliance of the chain's files; only disks that are not the parent of another are its machine's. */
function appliance(
  { folder, files }: Chain,
  disks: readonly OvfDisk[],
  change: (entries: TarEntry[]) => TarEntry[] = (all) => all,
  name = 'vm.ova',
): string {
  const bases = disks.filter(({ id }) => disks.some(({ attributes = '' }) => attributes.includes(over(id))))
  let text = ovfText(disks)
  for (const { id } of bases)
    text = text.replace(new RegExp(`<Item>(?:(?!</Item>)[^])*ovf:/disk/${id}<[^]*?</Item>`), '')
  const description = entry('vm.ovf', text)
  const images = files.map((bytes, index) => entry(names[index] ?? '', bytes))
  const manifest = entry('vm.mf', manifestText([description, ...images]))
  const path = join(folder, name)
  fs.writeFileSync(path, tarBytes(change([description, manifest, ...images])))
  return path
}

const three: readonly OvfDisk[] = [
  { id: 'b', href: 'base.vmdk' },
  { id: 'm', href: 'middle.vmdk', attributes: over('b') },
  { id: 't', href: 'top.vmdk', attributes: over('m') },
]

function refusal(path: string): string | undefined {
  try {
    using opened = openDisk(path, {})
    if (opened.unreadable !== undefined) throw opened.unreadable
    readAll(opened)
    return undefined
  } catch (error) {
    if (isImageError(error)) return `${error.code}: ${error.message}`
    throw error
  }
}

test('an OVA whose disk lies over others in it is that disk, whole', async (t) => {
  const made = await chain(t)
  const path = appliance(made, three)
  const { chain: below, appliance: machines, notes, missing } = info(path)
  assert.deepEqual([notes, missing], [[], undefined])
  assert.deepEqual(
    below.map((layer) => [layer.path, layer.subformat]),
    [
      [`${path}@disk=middle.vmdk`, 'monolithicSparse'],
      [`${path}@disk=base.vmdk`, 'streamOptimized'],
    ],
  )
  assert.deepEqual(
    machines?.disks.map(({ id, parent }) => [id, parent]),
    [
      ['b', undefined],
      ['m', 'b'],
      ['t', 'm'],
    ],
  )
  const top = sha256(made.contents[2] ?? new Uint8Array(0))
  assert.equal((await hash(path)).digests[0]?.digest, top)
  await convert(path, join(made.folder, 'out.qcow2'), { verify: true })
  using converted = openDisk(join(made.folder, 'out.qcow2'), {})
  assert.equal(sha256(readAll(converted)), top)
  const { clean, layers } = await check(path, { deep: true })
  assert.ok(clean, JSON.stringify(layers))
  assert.equal(layers.length, 3)
  for (const [index, id] of ['b', 'm', 't'].entries()) {
    using one = openDisk(`${path}@disk=id:${id}`, {})
    assert.deepEqual(readAll(one), made.contents[index], id)
  }
})

test('the disk below is the one that the description says, whatever the child calls it', async (t) => {
  const made = await chain(t)
  const renamed = (entries: TarEntry[]): TarEntry[] =>
    entries.map((each) => (each.name === 'base.vmdk' ? { ...each, name: 'disk-0.vmdk' } : each))
  const disks = three.map((disk) => (disk.id === 'b' ? { ...disk, href: 'disk-0.vmdk' } : disk))
  using opened = openDisk(appliance(made, disks, renamed), {})
  assert.deepEqual(readAll(opened), made.contents[2])
})

test('a parent that is compressed in the archive, one named as oVirt does, and an empty parentRef', async (t) => {
  const made = await chain(t)
  const packed = (entries: TarEntry[]): TarEntry[] =>
    entries.map((each) => (each.name === 'base.vmdk' ? entry('base.vmdk.gz', zlib.gzipSync(each.bytes)) : each))
  const disks = [
    { id: 'b', href: 'base.vmdk.gz', attributes: 'ovf:parentRef=""' },
    { id: 'm', href: 'middle.vmdk', attributes: over('file1') },
    { id: 't', href: 'top.vmdk', attributes: over('middle.vmdk') },
  ]
  using opened = openDisk(`${appliance(made, disks, packed)}@disk=id:t`, {})
  assert.deepEqual(readAll(opened), made.contents[2])
})

test('a description with its disks beside it', async (t) => {
  const made = await chain(t)
  for (const [index, bytes] of made.files.entries()) fs.writeFileSync(join(made.folder, names[index] ?? ''), bytes)
  fs.writeFileSync(join(made.folder, 'vm.ovf'), ovfText(three))
  using opened = openDisk(join(made.folder, 'vm.ovf@disk=id:t'), {})
  assert.deepEqual(readAll(opened), made.contents[2])
  assert.equal(opened.layers.length, 3)
})

test('of several disks only those are offered that a machine has, or that nothing lies over', async (t) => {
  const made = await chain(t)
  const twice = [...three, { id: 's', href: 'middle.vmdk', attributes: over('b') }]
  const path = appliance(made, twice)
  assert.match(refusal(path) ?? '', /^E_WHICH_MEMBER: .*: top\.vmdk, middle\.vmdk$/)
  assert.equal((await contentsLater(path, {}))?.disks.length, 4)
})

test('what lies below must be what the child was made of', async (t) => {
  const made = await chain(t)
  const other = await chain(t, 6)
  const damaged = Buffer.from(made.files[0] ?? '')
  damaged[damaged.length - 3000] = (damaged[damaged.length - 3000] ?? 0) ^ 1
  const with0 = (bytes: Buffer | undefined): Chain => ({
    ...made,
    files: [bytes ?? Buffer.alloc(0), ...made.files.slice(1)],
  })
  const without = (name: string) => (entries: TarEntry[]) => entries.filter((each) => each.name !== name)
  const larger = join(made.folder, 'larger')
  fs.mkdirSync(larger)
  fs.writeFileSync(join(larger, 'made.raw'), Buffer.alloc(2 * mebibyte))
  await convert(join(larger, 'made.raw'), join(larger, 'base.vmdk'), { options: { subformat: 'streamOptimized' } })
  const cid = /CID=([0-9a-f]{8})/.exec((made.files[0] ?? Buffer.alloc(0)).toString('latin1'))?.[1] ?? ''
  const largerBase = Buffer.from(
    fs
      .readFileSync(join(larger, 'base.vmdk'))
      .toString('latin1')
      .replace(/\nCID=[0-9a-f]{8}/, `\nCID=${cid}`),
    'latin1',
  )
  const cases: readonly (readonly [what: string, expected: RegExp, path: () => string])[] = [
    ['another content id', /^E_PARENT_ID: /, () => appliance(with0(other.files[0]), three)],
    [
      'a base of another size',
      /^E_PARENT_CAPACITY: middle\.vmdk in .* lies over base\.vmdk in /,
      () => appliance(with0(largerBase), three),
    ],
    ['no file of the base', /^E_REFERENCE_MISSING: .*base\.vmdk/, () => appliance(made, three, without('base.vmdk'))],
    [
      'a base that is not listed',
      /^E_PARENT_MISSING: vm\.ovf in .*: the disk m lies over nothing, which the description does not list/,
      () =>
        appliance(made, [three[0] ?? { id: '' }, { id: 'm', href: 'middle.vmdk', attributes: over('nothing') }]) +
        '@disk=id:m',
    ],
    [
      'a base that is an empty disk',
      /^E_PARENT_MISSING: .*: the disk m lies over b, which is an empty disk/,
      () => appliance(made, [{ id: 'b' }, { id: 'm', href: 'middle.vmdk', attributes: over('b') }]),
    ],
    [
      'a disk over itself',
      /^E_PARENT_LOOP: .*: the disk m lies over m/,
      () => appliance(made, [{ id: 'm', href: 'middle.vmdk', attributes: over('m') }]),
    ],
    [
      'two disks over each other',
      /^E_PARENT_LOOP: .*: the disk t lies over m, and the chain below that goes in a circle/,
      () =>
        `${appliance(made, [
          { id: 'm', href: 'middle.vmdk', attributes: over('t') },
          { id: 't', href: 'top.vmdk', attributes: over('m') },
        ])}@disk=id:t`,
    ],
    [
      'a whole disk over another',
      /^E_PARENT_UNNAMED: base\.vmdk in .* the disk m, and the image names no parent/,
      () =>
        `${appliance(made, [
          { id: 'm', href: 'middle.vmdk' },
          { id: 'b', href: 'base.vmdk', attributes: over('m') },
        ])}@disk=id:b`,
    ],
    [
      'a child whose base lies nowhere',
      /^E_PARENT_MISSING: middle\.vmdk in .* needs its parent "base\.vmdk", and it is not there/,
      () => appliance(made, [{ id: 'm', href: 'middle.vmdk' }], without('base.vmdk')),
    ],
    [
      'a chain of 300',
      /^E_PARENT_|^E_CHAIN_TOO_LONG: /,
      () =>
        appliance(
          made,
          Array.from({ length: 300 }, (_, at) => ({
            id: `d${at}`,
            href: 'middle.vmdk',
            attributes: at === 0 ? '' : over(`d${at - 1}`),
          })),
        ),
    ],
  ]
  for (const [what, expected, path] of cases) {
    const at = path()
    assert.match(refusal(at) ?? 'read', expected, what)
    assert.ok(info(at).missing !== undefined || what === 'no file of the base' || what === 'a chain of 300', what)
    await assert.rejects(convert(at, join(made.folder, 'no.raw')), what)
    assert.ok(!fs.existsSync(join(made.folder, 'no.raw')), what)
  }
  const path = appliance(with0(damaged), three, (entries) =>
    entries.map((each) =>
      each.name === 'vm.mf'
        ? entry(
            'vm.mf',
            manifestText([...entries.filter(({ name }) => name === 'vm.ovf'), entry('base.vmdk', made.files[0] ?? '')]),
          )
        : each,
    ),
  )
  await assert.rejects(convert(path, join(made.folder, 'no.raw')), { code: 'E_MANIFEST_DIGEST' })
})

test('names of an image in an archive mean files of the archive, and then those beside it', async (t) => {
  const made = await chain(t)
  const [base, middle] = made.files.map((bytes, index) => entry(names[index] ?? '', bytes))
  const [wrong] = (await chain(t, 6)).files
  const away = testFolder(t)
  const path = join(away, 'vm.tar')
  const write = (...entries: (TarEntry | undefined)[]): void =>
    fs.writeFileSync(path, tarBytes(entries.filter((each) => each !== undefined)))
  write(base, middle)
  const read = (member: string): Uint8Array => {
    using opened = openDisk(`${path}@disk=${member}`, {})
    return readAll(opened)
  }
  assert.deepEqual(read('middle.vmdk'), made.contents[1])
  // Another one of that name beside the archive is not the one that is meant.
  fs.writeFileSync(join(away, 'base.vmdk'), wrong ?? '')
  assert.deepEqual(read('middle.vmdk'), made.contents[1])
  const inFolders = (each: TarEntry | undefined, folder: string): TarEntry | undefined =>
    each === undefined ? undefined : { ...each, name: `${folder}/${each.name}` }
  write(inFolders(base, './a'), inFolders(middle, './a'), inFolders(entry('base.vmdk', wrong ?? ''), 'b'))
  assert.deepEqual(read('a/middle.vmdk'), made.contents[1])
  // A base in another folder of the archive is none that is beside it.
  write(inFolders(base, 'b'), inFolders(middle, 'a'))
  assert.match(refusal(`${path}@disk=a/middle.vmdk`) ?? '', /^E_PARENT_ID: /)
  write(base, middle, base)
  assert.match(refusal(`${path}@disk=middle.vmdk`) ?? '', /holds several files of the name base\.vmdk/)
  fs.writeFileSync(join(away, 'base.vmdk'), made.files[0] ?? '')
  write(middle)
  assert.deepEqual(read('middle.vmdk'), made.contents[1])
})

test('an image in several files is all of them, in an archive too', async (t) => {
  const folder = testFolder(t)
  const content = diskLike(mebibyte, 8)
  fs.writeFileSync(join(folder, 'made.raw'), content)
  const split = join(folder, 'split')
  fs.mkdirSync(split)
  await convert(join(folder, 'made.raw'), join(split, 'd.vmdk'), { options: { subformat: 'twoGbMaxExtentFlat' } })
  const parts = [0, 1, 2].map((number) =>
    entry(`p.raw.00${number + 1}`, content.subarray(number * 400_000, (number + 1) * 400_000)),
  )
  const files = fs.readdirSync(split).map((name) => entry(name, fs.readFileSync(join(split, name))))
  const path = join(folder, 'all.tar')
  fs.writeFileSync(path, tarBytes([...parts, ...files]))
  for (const name of ['p.raw.001', 'd.vmdk', 'd-f001.vmdk']) {
    using opened = openDisk(`${path}@disk=${name}`, {})
    assert.equal(sha256(readAll(opened)), sha256(content), name)
  }
  fs.writeFileSync(path, tarBytes([...parts.filter(({ name }) => name !== 'p.raw.002'), ...files]))
  assert.match(refusal(`${path}@disk=p.raw.001`) ?? '', /^E_PART_MISSING: /)
})
