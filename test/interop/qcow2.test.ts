import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { FileStore } from '../../src/block/file-store.js'
import { copy } from '../../src/engine/index.js'
import type { DiskShape, OptionValues } from '../../src/formats/driver.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { openChain, openLayer } from '../support/chain.js'
import { diskLike, readAll, sha256 } from '../support/content.js'
import { shape } from '../support/drivers.js'
import { have, run, runIn, scratch } from '../support/tools.js'

const capacity = 3 * 1024 * 1024 + 7 * 512
/** Text and noise in the first half, nothing in the middle, a little at the end. */
const content = diskLike(capacity, 5)
content.fill(0, 1_500_000, 2_900_000)

const titleOf = (options: object): string => JSON.stringify(options).replaceAll('"', '')

/** Makes an image with our writer; `inPlace` is where its content comes from. */
async function write(
  source: string,
  sourceFormat: string,
  target: string,
  options: OptionValues,
  rest: Partial<DiskShape> = {},
  base?: string,
): Promise<void> {
  using from = openChain(source, sourceFormat)
  using parent = base === undefined ? undefined : openChain(base)
  using store = FileStore.create(target)
  const extra: FileStore[] = []
  const createFile = (name: string): FileStore => {
    const file = FileStore.create(path.join(path.dirname(target), name))
    extra.push(file)
    return file
  }
  using writer = qcow2.create!(store, shape(from.capacity, rest), options, { createFile })
  await copy({ source: from, target: writer, base: parent })
  writer.finish()
  for (const file of extra) file[Symbol.dispose]()
}

const written: OptionValues[] = [
  {},
  { compat: '0.10' },
  ...[512, 1024, 4096, 32768, 2097152].map((size) => ({ 'cluster-size': size })),
  ...[512, 65536].map((size) => ({ compat: '0.10', 'cluster-size': size, compress: 'zlib' })),
  ...[1, 2, 4, 8, 32, 64].map((bits) => ({ 'refcount-bits': bits })),
  ...[1, 2, 64].map((bits) => ({ 'refcount-bits': bits, 'cluster-size': 512 })),
  ...[1, 2, 4, 8].map((bits) => ({ 'refcount-bits': bits, 'cluster-size': 4096, compress: 'zlib:9' })),
  ...[512, 1024, 2048, 8192, 65536, 262144, 2097152].flatMap((size) =>
    ['zlib', 'zstd:9'].map((compress) => ({ 'cluster-size': size, compress })),
  ),
  ...[16384, 65536, 2097152].map((size) => ({ 'extended-l2': true, 'cluster-size': size })),
  { 'extended-l2': true, 'cluster-size': 65536, compress: 'zstd' },
  { 'lazy-refcounts': true },
  ...['metadata', 'falloc', 'full'].map((preallocation) => ({ preallocation })),
  ...['metadata', 'falloc', 'full'].map((preallocation) => ({ preallocation, 'cluster-size': 512 })),
  { preallocation: 'metadata', 'extended-l2': true },
  { preallocation: 'metadata', compat: '0.10' },
  { 'data-file': 'content.bin' },
  { 'data-file': 'content.bin', 'data-file-raw': true },
  { 'data-file': 'content.bin', 'extended-l2': true, preallocation: 'full' },
]

for (const options of written) {
  test(`qemu-img accepts what is written with ${titleOf(options)}`, async (t) => {
    if (!have(t, 'qemu-img')) return
    const file = scratch(t)
    fs.writeFileSync(file('in.raw'), content)
    await write(file('in.raw'), 'raw', file('out.qcow2'), options)
    // qemu looks for a data file in the working folder, not in the image's.
    runIn(file(''), 'qemu-img', 'check', '-f', 'qcow2', 'out.qcow2')
    assert.match(
      runIn(file(''), 'qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', file('in.raw'), file('out.qcow2')),
      /identical/,
    )
    using image = openLayer(file('out.qcow2'))
    assert.equal(sha256(readAll(image)), sha256(content))
    assert.deepEqual(image.notes, [])
    const info = JSON.parse(runIn(file(''), 'qemu-img', 'info', '--output=json', 'out.qcow2')) as {
      'cluster-size': number
      'format-specific': { data: Record<string, unknown> }
    }
    assert.equal(info['cluster-size'], options['cluster-size'] ?? 65536)
    const { data } = info['format-specific']
    assert.equal(data['compat'], options['compat'] ?? '1.1')
    assert.equal(data['refcount-bits'], options['refcount-bits'] ?? 16)
    assert.equal(data['corrupt'] ?? false, false)
    if (data['compat'] === '1.1') {
      assert.equal(data['lazy-refcounts'], options['lazy-refcounts'] ?? false)
      assert.equal(data['extended-l2'], options['extended-l2'] ?? false)
      assert.equal(data['compression-type'], String(options['compress'] ?? '').startsWith('zstd') ? 'zstd' : 'zlib')
      assert.equal(data['data-file'], options['data-file'])
    }
    if (options['preallocation'] === 'falloc' || options['preallocation'] === 'full') {
      const stat = fs.statSync(file(String(options['data-file'] ?? 'out.qcow2')))
      assert.ok(stat.blocks * 512 >= capacity, `only ${stat.blocks * 512} bytes are reserved`)
    }
    if (options['data-file-raw'] === true)
      assert.equal(Buffer.compare(fs.readFileSync(file('content.bin')), content), 0)
    if (options['compress'] !== undefined && options['refcount-bits'] !== 1 && options['cluster-size'] !== 512) {
      const checked = JSON.parse(run('qemu-img', 'check', '--output=json', file('out.qcow2'))) as {
        'compressed-clusters'?: number
      }
      assert.ok((checked['compressed-clusters'] ?? 0) > 0, 'nothing is compressed')
    }
  })
}

const made: string[][] = [
  [],
  ['-o', 'compat=0.10'],
  ['-c'],
  ['-c', '-o', 'compression_type=zstd'],
  ['-c', '-o', 'cluster_size=512'],
  ['-c', '-o', 'cluster_size=2M'],
  ['-c', '-o', 'cluster_size=4k,compression_type=zstd'],
  ['-o', 'cluster_size=512'],
  ['-o', 'cluster_size=2M'],
  ['-o', 'extended_l2=on,cluster_size=16k'],
  ['-S', '512', '-o', 'extended_l2=on,cluster_size=2M'],
  ['-c', '-o', 'extended_l2=on'],
  ['-o', 'refcount_bits=1'],
  ['-o', 'refcount_bits=64'],
  ['-o', 'preallocation=metadata'],
  ['-o', 'preallocation=full'],
  ['-o', 'lazy_refcounts=on'],
  ['-S', '0'],
]

for (const parameters of made) {
  test(`what qemu-img convert ${parameters.join(' ')} makes is read`, (t) => {
    if (!have(t, 'qemu-img')) return
    const file = scratch(t)
    fs.writeFileSync(file('in.raw'), content)
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...parameters, file('in.raw'), file('out.qcow2'))
    using image = openLayer(file('out.qcow2'))
    assert.equal(image.capacity, capacity)
    assert.equal(sha256(readAll(image)), sha256(content))
    for (const { facts } of image.describe()) assert.ok(facts.length > 0)
  })
}

test('version 1 as qemu-img makes it, plain and compressed', (t) => {
  if (!have(t, 'qemu-img')) return
  const file = scratch(t)
  // In this format qemu-img cannot compress a last cluster that is not whole.
  const whole = content.subarray(0, 3 * 1024 * 1024)
  fs.writeFileSync(file('in.raw'), whole)
  for (const parameters of [[], ['-c']]) {
    // qemu-img 7.2 ends with 1 and no word after a whole compressed version 1 image; its own comparison is what counts.
    spawnSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow', ...parameters, file('in.raw'), file('out.qcow')])
    run('qemu-img', 'compare', '-f', 'raw', '-F', 'qcow', file('in.raw'), file('out.qcow'))
    using image = openLayer(file('out.qcow'))
    assert.equal(image.format, 'qcow')
    assert.equal(sha256(readAll(image)), sha256(whole))
    const kinds = new Set<string>()
    for (let offset = 0; offset < image.capacity;) {
      const extent = image.extentAt(offset, Infinity)
      kinds.add(extent.kind)
      offset += extent.length
    }
    assert.equal(kinds.has('packed'), parameters.length > 0)
    fs.rmSync(file('out.qcow'))
  }
})

test('the external data file of qemu-img', (t) => {
  if (!have(t, 'qemu-img')) return
  const file = scratch(t)
  fs.writeFileSync(file('in.raw'), content)
  for (const raw of ['on', 'off']) {
    run(
      'qemu-img',
      'convert',
      '-f',
      'raw',
      '-O',
      'qcow2',
      '-o',
      `data_file=${file('data.bin')},data_file_raw=${raw}`,
      file('in.raw'),
      file('out.qcow2'),
    )
    using image = openLayer(file('out.qcow2'))
    assert.equal(sha256(readAll(image)), sha256(content))
    assert.deepEqual(image.references, [{ role: 'data-file', path: file('data.bin') }])
    using alone = openLayer(file('out.qcow2'), 'qcow2', { openReference: () => undefined })
    assert.throws(() => alone.extentAt(0, 512), { code: 'E_REFERENCE_NOT_OPENED', kind: 'reference' })
    fs.rmSync(file('out.qcow2'))
  }
})

test('internal snapshots of qemu-img, by id and by name, with their own sizes', (t) => {
  if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
  const file = scratch(t)
  const image = file('disk.qcow2')
  const expected: string[] = []
  const state = (): void => {
    run('qemu-img', 'convert', '-O', 'raw', image, file('state.raw'))
    expected.push(sha256(fs.readFileSync(file('state.raw'))))
  }
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', image, '1M')
  run('qemu-io', '-f', 'qcow2', '-c', 'write -P 1 0 300k', '-c', 'write -c -P 9 512k 4k', image)
  run('qemu-img', 'snapshot', '-c', 'first', image)
  state()
  run('qemu-io', '-f', 'qcow2', '-c', 'write -P 2 100k 100k', '-c', 'write -z 0 8k', image)
  run('qemu-img', 'snapshot', '-c', '1', image)
  state()
  run('qemu-img', 'resize', '-q', image, '5M')
  run('qemu-io', '-f', 'qcow2', '-c', 'write -P 3 3M 64k', image)
  state()
  const contentOf = (snapshot?: string): string => {
    using opened = openLayer(image, 'qcow2', snapshot === undefined ? {} : { snapshot })
    return sha256(readAll(opened))
  }
  assert.equal(contentOf('first'), expected[0])
  // '1' is the id of the first and the name of the second.
  assert.throws(() => contentOf('1'), { kind: 'usage', code: 'E_SNAPSHOT_AMBIGUOUS' })
  assert.equal(contentOf('id:1'), expected[0])
  assert.equal(contentOf('name:1'), expected[1])
  assert.equal(contentOf('2'), expected[1])
  assert.equal(contentOf(), expected[2])
  assert.throws(() => contentOf('third'), {
    kind: 'usage',
    code: 'E_SNAPSHOT_UNKNOWN',
    message: /1 \(first\), 2 \(1\)/,
  })
  using opened = openLayer(image)
  const facts = opened.describe().flatMap((section) => section.facts)
  assert.equal(facts.find(({ name }) => name === 'snapshot1Name')?.value, 'first')
  assert.equal(facts.find(({ name }) => name === 'snapshot1Size')?.value, 1048576n)
})

test('bitmaps are reported', (t) => {
  if (!have(t, 'qemu-img')) return
  const image = scratch(t)('disk.qcow2')
  run('qemu-img', 'create', '-q', '-f', 'qcow2', image, '1M')
  run('qemu-img', 'bitmap', '--add', '-g', '64k', image, 'b0')
  using opened = openLayer(image)
  const facts = opened.describe().flatMap((section) => section.facts)
  assert.match(String(facts.find(({ name }) => name === 'bitmap1')?.value), /^b0, 65536 bytes a bit/)
})

test('encrypted images: info works, reading is refused by name', (t) => {
  if (!have(t, 'qemu-img')) return
  const image = scratch(t)('disk.qcow2')
  const luks = 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10'
  const secret = ['--object', 'secret,id=s,data=abc']
  // qemu-img times its own key derivation, and ends where the clock of its thread seems to go back.
  for (let attempt = 0; ; attempt++)
    try {
      run('qemu-img', 'create', '-q', '-f', 'qcow2', ...secret, '-o', luks, image, '1M')
      break
    } catch (error) {
      if (attempt === 20 || !String(error).includes('Unable to get accurate CPU usage')) throw error
    }
  using opened = openLayer(image)
  assert.equal(opened.capacity, 1048576)
  assert.equal(opened.unreadable?.code, 'E_ENCRYPTED')
  assert.throws(() => opened.extentAt(0, 512), { kind: 'unsupported', code: 'E_ENCRYPTED' })
  assert.ok(opened.describe()[0]?.facts.some(({ name, value }) => name === 'encryption' && value === 'LUKS'))
})

for (const [format, qemuName, options] of [
  ['raw', 'raw', ''],
  ['qcow2', 'qcow2', ''],
  ['qcow', 'qcow', ''],
  ['vhd', 'vpc', 'force_size=on'],
  ['vhdx', 'vhdx', ''],
] as const) {
  test(`a chain of qemu-img over a ${qemuName} parent reads as qemu reads it`, (t) => {
    if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
    const file = scratch(t)
    fs.writeFileSync(file('in.raw'), content.subarray(0, 2 * 1024 * 1024))
    run(
      'qemu-img',
      'convert',
      '-f',
      'raw',
      '-O',
      qemuName,
      ...(options === '' ? [] : ['-o', options]),
      file('in.raw'),
      file('base'),
    )
    for (const [index, extended] of ['on', 'off'].entries()) {
      run(
        'qemu-img',
        'create',
        '-q',
        '-f',
        'qcow2',
        '-b',
        index === 0 ? 'base' : 'child0',
        '-F',
        index === 0 ? qemuName : 'qcow2',
        '-o',
        `extended_l2=${extended},cluster_size=16k`,
        file(`child${index}`),
        index === 0 ? '3M' : '4M',
      )
      run(
        'qemu-io',
        '-f',
        'qcow2',
        '-c',
        `write -P ${index + 7} ${index * 90 + 3}k 70k`,
        '-c',
        `write -z ${index * 20 + 400}k 9k`,
        '-c',
        'write -z 640k 64k',
        file(`child${index}`),
      )
    }
    run('qemu-img', 'convert', '-O', 'raw', file('child1'), file('expected.raw'))
    using layer = openLayer(file('child0'))
    assert.equal(layer.parentReference?.format, format)
    assert.deepEqual(layer.parentReference.paths, ['base'])
    using disk = openChain(file('child1'), 'qcow2')
    assert.equal(sha256(readAll(disk)), sha256(fs.readFileSync(file('expected.raw'))))
  })
}

for (const options of [
  {},
  { compat: '0.10' },
  { 'extended-l2': true },
  { 'cluster-size': 512 },
  { compress: 'zlib' },
  { 'data-file': 'content.bin' },
] as OptionValues[]) {
  test(`a child written over a parent, ${titleOf(options)}`, async (t) => {
    if (!have(t, 'qemu-img')) return
    const file = scratch(t)
    const before = diskLike(2 * 1024 * 1024 + 512, 3)
    fs.writeFileSync(file('base.raw'), before)
    const after = Uint8Array.from(content)
    // Alike, changed, zeroed where the parent has data, and past the parent's end.
    after.set(before.subarray(0, 600_000))
    after.fill(0, 600_000, 1_100_000)
    fs.writeFileSync(file('in.raw'), after)
    await writeChild(file, options)
    // qemu looks for a data file in the working folder, not in the image's.
    runIn(file(''), 'qemu-img', 'check', '-f', 'qcow2', 'out.qcow2')
    assert.match(
      runIn(file(''), 'qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', file('in.raw'), file('out.qcow2')),
      /identical/,
    )
    using disk = openChain(file('out.qcow2'))
    assert.equal(sha256(readAll(disk)), sha256(after))
    using layer = openLayer(file('out.qcow2'))
    assert.equal(layer.extentAt(0, 1024).kind, 'absent', 'what the parent has was written again')
  })
}

async function writeChild(file: (name: string) => string, options: OptionValues): Promise<void> {
  using image = openLayer(file('base.raw'), 'raw')
  const parent = { image, path: file('base.raw'), relativePath: 'base.raw', time: 0 }
  await write(file('in.raw'), 'raw', file('out.qcow2'), options, { parent }, file('base.raw'))
}
