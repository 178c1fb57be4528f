import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import zlib from 'node:zlib'
import { isImageError } from '../../../src/errors.js'
import { check, type CheckResult } from '../../../src/operations/check/check.js'
import { compare } from '../../../src/operations/inspect/compare.js'
import { hash } from '../../../src/operations/inspect/hash.js'
import { contentsLater, info } from '../../../src/operations/inspect/info.js'
import { openDisk, parseImageArgument } from '../../../src/operations/open/opening.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { measure } from '../../../src/operations/transfer/measure.js'
import { diskLike, readAll } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { manifestText, ovfText, tarBytes, type OvfDisk, type TarEntry } from '../../support/ova-bytes.js'

const mebibyte = 2 ** 20

/** Two different disks as VMDKs, as bytes. */
async function disks(folder: string): Promise<{ readonly content: Uint8Array[]; readonly files: Buffer[] }> {
  const content = [1, 2].map((seed) => diskLike(mebibyte, seed))
  const files: Buffer[] = []
  for (const [index, bytes] of content.entries()) {
    fs.writeFileSync(join(folder, 'made.raw'), bytes)
    await convert(join(folder, 'made.raw'), join(folder, `made${index}.vmdk`), {
      options: { subformat: 'streamOptimized' },
    })
    files.push(fs.readFileSync(join(folder, `made${index}.vmdk`)))
  }
  return { content, files }
}

function put(folder: string, name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name)
  fs.writeFileSync(path, bytes)
  return path
}

const entry = (name: string, bytes: Uint8Array | string, more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  bytes: Buffer.from(bytes as Uint8Array),
  ...more,
})

/** An appliance of one disk, `vm-disk1.vmdk`. */
async function single(t: TestContext, change: (entries: TarEntry[]) => TarEntry[] = (all) => all) {
  const folder = testFolder(t)
  const { content, files } = await disks(folder)
  const description = entry('vm.ovf', ovfText([{ id: 'vmdisk1', href: 'vm-disk1.vmdk' }]))
  const disk = entry('vm-disk1.vmdk', files[0] ?? '')
  const manifest = entry('vm.mf', manifestText([description, disk]))
  return {
    folder,
    content: content[0] ?? new Uint8Array(0),
    path: put(folder, 'vm.ova', tarBytes(change([description, manifest, disk]))),
  }
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    if (isImageError(error)) return error.code
    throw error
  }
}

const groups = ({ layers }: CheckResult): string[] => layers.flatMap((layer) => layer.groups.map(({ code }) => code))

test('OVA: its only disk is taken, and info shows the machine', async (t) => {
  const { path, content } = await single(t)
  using opened = openDisk(path, {})
  assert.deepEqual(readAll(opened), content)
  const { format, subformat, appliance, notes } = info(path)
  assert.deepEqual([format, subformat, notes], ['vmdk', 'streamOptimized', []])
  assert.deepEqual(appliance, {
    machines: [
      {
        name: 'Server <1>',
        os: 'debian10_64Guest',
        cpus: 4,
        memory: 3072 * mebibyte,
        firmware: 'bios',
        hardware: 'vmx-13',
        networks: ['lan'],
        disks: ['vmdisk1'],
      },
    ],
    disks: [
      { id: 'vmdisk1', file: 'vm-disk1.vmdk', capacity: mebibyte, controller: 'scsi lsilogic', parent: undefined },
    ],
    signed: false,
    manifest: 'SHA256',
  })
  const result = await check(path, { deep: true })
  assert.deepEqual(groups(result), [])
})

test('OVA: nothing is unpacked: the disk is read where it lies', async (t) => {
  const { path } = await single(t)
  const sections = info(path).sections.find(({ title }) => title === 'Inside')
  assert.equal(sections?.facts.find(({ name }) => name === 'access')?.value, 'at any place, stored as it is')
})

/** An appliance of two disks, each named by everything it can be named by. */
async function two(t: TestContext, list?: readonly OvfDisk[]) {
  const folder = testFolder(t)
  const { content, files } = await disks(folder)
  const described = list ?? [
    { id: 'vmdisk1', href: 'system.vmdk' },
    { id: 'vmdisk2', href: 'data.vmdk' },
  ]
  const bytes = tarBytes([
    entry('vm.ovf', ovfText(described)),
    ...described.flatMap(({ href }, index) => (href === undefined ? [] : [entry(href, files[index] ?? '')])),
  ])
  return { folder, content, path: put(folder, 'vm.ova', bytes) }
}

test('OVA: one of several disks is named by its file, its id or its number', async (t) => {
  const { path, content } = await two(t)
  assert.equal(
    codeOf(() => openDisk(path, {})),
    'E_WHICH_MEMBER',
  )
  for (const [name, index] of [
    ['system.vmdk', 0],
    ['data.vmdk', 1],
    ['vmdisk1', 0],
    ['vmdisk2', 1],
    ['1', 0],
    ['2', 1],
    ['id:vmdisk2', 1],
    ['file:data.vmdk', 1],
    ['number:2', 1],
  ] as const) {
    using opened = openDisk(`${path}@disk=${name}`, {})
    assert.deepEqual(readAll(opened), content[index], name)
  }
  for (const wrong of ['3', 'other', 'id:data.vmdk', ''])
    assert.equal(
      codeOf(() => openDisk(`${path}@disk=${wrong}`, {})),
      'E_NO_MEMBER',
      wrong,
    )
})

test('OVA: a name that can mean two disks is refused, and the hint helps', async (t) => {
  const { path, content } = await two(t, [
    { id: '2', href: 'a.vmdk' },
    { id: '1', href: '2' },
  ])
  assert.equal(
    codeOf(() => openDisk(`${path}@disk=2`, {})),
    'E_WHICH_MEMBER',
  )
  for (const [name, index] of [
    ['id:2', 0],
    ['file:2', 1],
    ['number:2', 1],
    ['number:1', 0],
  ] as const) {
    using opened = openDisk(`${path}@disk=${name}`, {})
    assert.deepEqual(readAll(opened), content[index], name)
  }
})

test('OVA: info lists the disks of several', async (t) => {
  const { path } = await two(t)
  const contents = await contentsLater(path)
  assert.deepEqual(
    contents?.disks.map(({ name, id }) => [name, id]),
    [
      ['system.vmdk', 'vmdisk1'],
      ['data.vmdk', 'vmdisk2'],
    ],
  )
  assert.equal(contents.appliance?.machines[0]?.cpus, 4)
})

test('OVA: a partition of one of several disks', async (t) => {
  const folder = testFolder(t)
  const disk = diskLike(mebibyte, 9)
  disk.fill(0, 0, 512)
  disk.set(Buffer.from('80000000830000004000000000040000', 'hex'), 446)
  disk.set([0x55, 0xaa], 510)
  const raw = put(folder, 'disk.raw', disk)
  await convert(raw, join(folder, 'a.vmdk'), { options: { subformat: 'streamOptimized' } })
  const { files } = await disks(folder)
  const path = put(
    folder,
    'vm.ova',
    tarBytes([
      entry(
        'vm.ovf',
        ovfText([
          { id: 'x', href: 'other.vmdk' },
          { id: 'y', href: 'a.vmdk' },
        ]),
      ),
      entry('other.vmdk', files[0] ?? ''),
      entry('a.vmdk', fs.readFileSync(join(folder, 'a.vmdk'))),
    ]),
  )
  assert.deepEqual(parseImageArgument(`${path}@disk=a.vmdk@1`), {
    path: `${path}@disk=a.vmdk`,
    partition: { number: 1 },
  })
  using wanted = openDisk(`${raw}@1`, {})
  using found = openDisk(`${path}@disk=a.vmdk@1`, {})
  assert.deepEqual(readAll(found), readAll(wanted))
})

test('OVA: a file that is really called that is that file', (t) => {
  const folder = testFolder(t)
  const path = put(folder, 'vm.ova@disk=1', diskLike(mebibyte))
  using opened = openDisk(path, { from: 'raw' })
  assert.equal(opened.capacity, mebibyte)
})

test('an image that holds no other is refused a choice of disks', (t) => {
  const folder = testFolder(t)
  const path = put(folder, 'disk.raw', diskLike(mebibyte))
  assert.equal(
    codeOf(() => openDisk(`${path}@disk=1`, {})),
    'E_NO_MEMBER',
  )
})

test('OVF: the description beside its disks, through the gate', async (t) => {
  const folder = testFolder(t)
  const { content, files } = await disks(folder)
  fs.mkdirSync(join(folder, 'package'))
  const ovf = (href: string) => put(folder, 'package/vm.ovf', ovfText([{ id: 'vmdisk1', href }]))
  put(folder, 'package/disk one.vmdk', files[0] ?? '')
  put(folder, 'secret.vmdk', files[1] ?? '')
  for (const href of ['disk one.vmdk', 'disk%20one.vmdk']) {
    using opened = openDisk(ovf(href), {})
    assert.deepEqual(readAll(opened), content[0])
    assert.deepEqual(
      opened.files.map(({ path }) => path.split('/').at(-1)),
      ['vm.ovf', 'disk one.vmdk'],
    )
  }
  for (const href of ['../secret.vmdk', join(folder, 'secret.vmdk'), '%2e%2e/secret.vmdk'])
    assert.equal(
      codeOf(() => openDisk(ovf(href), {})),
      'E_REFERENCE_NOT_ALLOWED',
      href,
    )
  using allowed = openDisk(ovf('../secret.vmdk'), { allowReferences: [join(folder, 'secret.vmdk')] })
  assert.deepEqual(readAll(allowed), content[1])
  for (const href of ['missing.vmdk', 'http://example.com/disk.vmdk', 'vm.ovf'])
    assert.ok(codeOf(() => openDisk(ovf(href), {})) !== undefined, href)
})

test('OVF: the target of a conversion is no disk of the package, not even with --force', async (t) => {
  const folder = testFolder(t)
  const { files } = await disks(folder)
  const disk = put(folder, 'disk.vmdk', files[0] ?? '')
  const path = put(folder, 'vm.ovf', ovfText([{ id: 'vmdisk1', href: 'disk.vmdk' }]))
  await assert.rejects(convert(path, disk, { force: true }), { code: 'E_SAME_FILE' })
  assert.deepEqual(fs.readFileSync(disk), files[0])
})

test('OVA: every form of a manifest is understood, and a change is found', async (t) => {
  const folder = testFolder(t)
  const { files } = await disks(folder)
  const description = entry('vm.ovf', ovfText([{ id: 'vmdisk1', href: 'd.vmdk' }]))
  const disk = entry('d.vmdk', files[0] ?? '')
  const forms = [
    manifestText([description, disk], 'SHA1'),
    manifestText([description, disk], 'SHA512'),
    manifestText(
      [description, disk],
      'SHA256',
      (digest, name, hex) => `${digest} (${name}) = ${hex.toUpperCase()}\r\n`,
    ),
    manifestText([description, disk], 'SHA256', (digest, name, hex) => `${digest}(${name})=${hex}\n`),
  ]
  for (const manifest of forms) {
    const path = put(folder, 'vm.ova', tarBytes([description, entry('vm.mf', manifest), disk]))
    assert.deepEqual(groups(await check(path, { deep: true })), [], manifest)
    const changed = Buffer.from(disk.bytes)
    changed[70000] = (changed[70000] ?? 0) + 1
    const bad = put(folder, 'bad.ova', tarBytes([description, entry('vm.mf', manifest), { ...disk, bytes: changed }]))
    assert.ok(groups(await check(bad, { deep: true })).includes('E_MANIFEST_DIGEST'), manifest)
    const edited = Buffer.from(description.bytes.toString().replace('3072', '4096'))
    const other = put(
      folder,
      'other.ova',
      tarBytes([{ ...description, bytes: edited }, entry('vm.mf', manifest), disk]),
    )
    assert.ok(groups(await check(other)).includes('E_MANIFEST_DIGEST'))
    assert.deepEqual(
      info(other).notes.map(({ code }) => code),
      ['W_MANIFEST_DIGEST'],
    )
  }
})

test('OVA: a disk whose digest is another than the manifest says is not given out', async (t) => {
  const folder = testFolder(t)
  const bytes = diskLike(3 * 2 ** 20, 9)
  const description = entry(
    'vm.ovf',
    ovfText([
      { id: 'a', href: 'a.img', capacity: `${3 * 2 ** 20}` },
      { id: 'b', href: 'b.img', capacity: `${3 * 2 ** 20}` },
    ]),
  )
  const [a, b] = [entry('a.img', bytes), entry('b.img', diskLike(3 * 2 ** 20, 10))]
  const manifest = entry('vm.mf', manifestText([description, a, b], 'SHA256'))
  const changed = Buffer.from(bytes)
  changed[2_000_000] = (changed[2_000_000] ?? 0) ^ 1
  const path = put(folder, 'vm.ova', tarBytes([description, manifest, { ...a, bytes: changed }, b]))
  put(folder, 'vm.ovf', description.bytes)
  put(folder, 'vm.mf', manifest.bytes)
  put(folder, 'a.img', changed)
  put(folder, 'b.img', b.bytes)
  const out = join(folder, 'out.raw')
  const wrong = { code: 'E_MANIFEST_DIGEST', kind: 'corrupt', hint: /--from-option ignore-checksums=true/ }
  for (const source of [path, join(folder, 'vm.ovf')]) {
    await assert.rejects(convert(`${source}@disk=a`, out), wrong)
    await assert.rejects(hash(`${source}@disk=a`), wrong)
    await assert.rejects(measure(`${source}@disk=a`, { to: 'qcow2' }), wrong)
    await assert.rejects(compare(join(folder, 'a.img'), `${source}@disk=a`), wrong)
    assert.ok(!fs.existsSync(out))
    const { notes } = await convert(`${source}@disk=a`, out, { fromOptions: { 'ignore-checksums': true } })
    assert.deepEqual(
      notes.map(({ code }) => code),
      ['W_MANIFEST_DIGEST'],
    )
    assert.ok(fs.readFileSync(out).equals(changed))
    fs.rmSync(out)
    // The other disk is whole.
    assert.deepEqual((await convert(`${source}@disk=b`, out)).notes, [])
    fs.rmSync(out)
  }
  const without = put(folder, 'without.ova', tarBytes([description, { ...a, bytes: changed }, b]))
  await convert(`${without}@disk=a`, out)
  await assert.rejects(hash(`${without}@disk=a`, { fromOptions: { 'ignore-checksums': true } }), {
    code: 'E_UNKNOWN_OPTION',
  })
})

test('OVA: what the manifest leaves out, says too much, or says wrongly', async (t) => {
  const { path } = await single(t, ([description, , disk]) => {
    assert.ok(description !== undefined && disk !== undefined)
    const lines = `${manifestText([description])}nonsense\nSHA256(gone.vmdk)= ${'0'.repeat(64)}\nSHA256(x)= 12\n`
    return [description, entry('vm.mf', lines), disk]
  })
  assert.deepEqual(groups(await check(path)).sort(), ['W_MANIFEST_FILE', 'W_MANIFEST_LINE', 'W_MANIFEST_NO_LINE'])
})

test('OVA: capacity, size and order that are not as they should be', async (t) => {
  const { path, content } = await single(t, ([, , disk]) => {
    assert.ok(disk !== undefined)
    const text = ovfText([{ id: 'vmdisk1', href: 'vm-disk1.vmdk', capacity: '5' }]).replace(
      'ovf:href=',
      'ovf:size="7" ovf:href=',
    )
    return [disk, entry('vm.ovf', text)]
  })
  assert.deepEqual(groups(await check(path)).sort(), ['W_OVF_CAPACITY', 'W_OVF_ORDER', 'W_OVF_SIZE'])
  using opened = openDisk(path, {})
  assert.deepEqual(readAll(opened), content)
})

test('OVA: disks that are compressed with gzip, in pieces, or under long names', async (t) => {
  const folder = testFolder(t)
  const { content, files } = await disks(folder)
  const [file = Buffer.alloc(0)] = files
  const long = `${'n'.repeat(150)}.vmdk`
  const pax = (key: string, value: string): Buffer => {
    const rest = ` ${key}=${value}\n`
    const length = [1, 2, 3]
      .map((digits) => rest.length + digits)
      .find((total) => String(total).length + rest.length === total)
    return Buffer.from(`${length ?? 0}${rest}`)
  }
  const cases: readonly (readonly [string, string, readonly TarEntry[]])[] = [
    ['d.vmdk.gz', 'ovf:compression="gzip"', [entry('d.vmdk.gz', zlib.gzipSync(file))]],
    ['d.vmdk', 'ovf:compression="gzip"', [entry('d.vmdk', zlib.gzipSync(file))]],
    [
      'd.vmdk',
      'ovf:chunkSize="65536"',
      [0, 1, 2].map((index) =>
        entry(
          `d.vmdk.${String(index).padStart(9, '0')}`,
          file.subarray(index * 65536, index === 2 ? undefined : (index + 1) * 65536),
        ),
      ),
    ],
    [long, '', [entry('././@LongLink', `${long}\0`, { type: 'L' }), entry(long.slice(0, 100), file)]],
    [long, '', [entry('PaxHeaders/x', pax('path', long), { type: 'x' }), entry('short', file)]],
    ['d.vmdk', '', [entry('pax', pax('comment', 'x'), { type: 'g' }), entry('./d.vmdk', file)]],
    [
      'd.vmdk',
      '',
      [entry('pax', pax('size', String(file.length)), { type: 'x' }), entry('d.vmdk', file, { size: '00000000000\0' })],
    ],
    [
      'd.vmdk',
      '',
      [entry('d.vmdk', file, { size: Buffer.from(`80${file.length.toString(16).padStart(22, '0')}`, 'hex') })],
    ],
  ]
  for (const [href, attributes, entries] of cases) {
    const text = ovfText([{ id: 'vmdisk1', href }]).replace('ovf:href=', `${attributes} ovf:href=`)
    const path = put(folder, 'vm.ova', tarBytes([entry('vm.ovf', text), ...entries]))
    using opened = openDisk(path, {})
    assert.deepEqual(readAll(opened), content[0], `${href} ${attributes}`)
  }
})

test('OVA: the content says what a disk is, whatever its name and its URI', async (t) => {
  const folder = testFolder(t)
  const content = diskLike(mebibyte, 5)
  fs.writeFileSync(join(folder, 'made.raw'), content)
  for (const format of ['qcow2', 'vhd', 'vdi', 'vhdx'] as const) {
    await convert(join(folder, 'made.raw'), join(folder, `made.${format}`))
    const text = ovfText([
      {
        id: 'd',
        href: 'd.vmdk',
        attributes: 'ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#sparse"',
      },
    ])
    const path = put(
      folder,
      'vm.ova',
      tarBytes([entry('vm.ovf', text), entry('d.vmdk', fs.readFileSync(join(folder, `made.${format}`)))]),
    )
    using opened = openDisk(path, {})
    assert.equal(opened.top.driver.id, format)
    assert.deepEqual(readAll(opened).subarray(0, mebibyte), content)
  }
})

test('OVA: descriptions of other programs', async (t) => {
  const folder = testFolder(t)
  const { content, files } = await disks(folder)
  const standard = ovfText([{ id: 'd', href: 'd.vmdk' }])
  const variants: Readonly<Record<string, string | Buffer>> = {
    'another prefix, unqualified attributes': standard
      .replaceAll('ovf:', '')
      .replaceAll(/<(\/?)(?=[A-Z])/g, '<$1o:')
      .replace('xmlns=', 'xmlns:o='),
    'OVF 2': standard.replaceAll('http://schemas.dmtf.org/ovf/envelope/1', 'http://schemas.dmtf.org/ovf/envelope/2'),
    'with a byte order mark': `\ufeff${standard}`,
    'in UTF-16': Buffer.from(`\ufeff${standard}`, 'utf16le'),
    'with CDATA': standard.replace('Server &lt;1&gt;', '<![CDATA[Server <1>]]>'),
    'in a collection': standard
      .replace('<VirtualSystem ', '<VirtualSystemCollection ovf:id="all"><Info>All</Info><VirtualSystem ')
      .replace('</VirtualSystem>', '</VirtualSystem></VirtualSystemCollection>'),
  }
  for (const [what, text] of Object.entries(variants)) {
    const path = put(folder, 'vm.ova', tarBytes([entry('vm.ovf', text), entry('d.vmdk', files[0] ?? '')]))
    using opened = openDisk(path, {})
    assert.deepEqual(readAll(opened), content[0], what)
    const { appliance } = info(path)
    assert.equal(appliance?.machines[0]?.name, 'Server <1>', what)
    assert.equal(appliance.machines[0].memory, 3072 * mebibyte, what)
  }
})

test('OVA: firmware, and units of memory', async (t) => {
  const folder = testFolder(t)
  const { files } = await disks(folder)
  const machine = (text: string) => {
    const path = put(folder, 'vm.ova', tarBytes([entry('vm.ovf', text), entry('d.vmdk', files[0] ?? '')]))
    return info(path).appliance?.machines[0]
  }
  const config = '<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>'
  assert.equal(machine(ovfText([{ id: 'd', href: 'd.vmdk' }], { extra: config }))?.firmware, 'uefi')
  const text = ovfText([{ id: 'd', href: 'd.vmdk' }])
  for (const [unit, memory] of [
    ['MegaBytes', 3072 * mebibyte],
    ['byte*2^10', 3072 * 1024],
    ['byte * 2 ^ 20', 3072 * mebibyte],
    ['GB', 3072 * 2 ** 30],
    ['bytes', 3072],
    ['parsec', undefined],
  ] as const)
    assert.equal(machine(text.replace('byte * 2^20', unit))?.memory, memory, unit)
})

test('boxes of Vagrant, and other archives with one disk', async (t) => {
  const folder = testFolder(t)
  const { content, files } = await disks(folder)
  const [disk = Buffer.alloc(0)] = files
  const box = tarBytes([entry('metadata.json', '{"provider":"libvirt"}'), entry('box.img', disk)])
  for (const bytes of [box, zlib.gzipSync(box)]) {
    using opened = openDisk(put(folder, 'vm.box', bytes), {})
    assert.deepEqual(readAll(opened), content[0])
  }
  const several = put(folder, 'disks.tar', tarBytes([entry('a/x.vmdk', disk), entry('a/y.vmdk', files[1] ?? '')]))
  using second = openDisk(`${several}@disk=a/y.vmdk`, {})
  assert.deepEqual(readAll(second), content[1])
})
