import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { copyFiles } from '../../src/operations/files/copy.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, fuzz, timed } from '../support/hostile-volumes.js'
import { run, runIn } from '../support/tools.js'
import {
  allFiles,
  bufferVolume,
  content,
  emptyFile,
  haveAll,
  identifyWindows,
  withLoop,
  withMount,
} from '../support/volumes.js'

const mebibyte = 1048576

function fill(at: (name: string) => string): void {
  fs.mkdirSync(at('folder/below'), { recursive: true })
  fs.writeFileSync(at('folder/below/file'), diskLike(30_000, 1))
  fs.writeFileSync(at('a long name of a file'), diskLike(70_000, 2))
  fs.mkdirSync(at('many'))
  for (let index = 0; index < 40; index++) fs.writeFileSync(at(`many/number ${index}`), `content ${index}`)
}

function makeFat(folder: string, bits: '12' | '16' | '32', size: number, cluster: string): Buffer {
  const source = join(folder, `source${bits}`)
  fs.mkdirSync(source)
  fill((name) => join(source, name))
  const image = emptyFile(join(folder, `fat${bits}`), size)
  run('mkfs.vfat', '-F', bits, '-s', cluster, '-n', 'LABEL', image)
  runIn(source, 'mcopy', '-s', '-Q', '-i', image, ...fs.readdirSync(source), '::')
  return fs.readFileSync(image)
}

function makeExfat(folder: string): Buffer {
  const image = emptyFile(join(folder, 'exfat'), 3 * mebibyte)
  run('mkfs.exfat', '-c', '4K', '-b', '4K', '-L', 'label', image)
  withLoop(image, (device) =>
    withMount('mount.exfat-fuse', device, join(folder, 'mount'), [], () => fill((name) => join(folder, 'mount', name))),
  )
  return fs.readFileSync(image)
}

function makeNtfs(folder: string, size = 6 * mebibyte): Buffer {
  const image = emptyFile(join(folder, 'ntfs'), size)
  run('mkfs.ntfs', '-F', '-Q', '-q', '-c', '1024', '-L', 'label', image)
  const mount = join(folder, 'mount')
  withMount('ntfs-3g', image, mount, ['-o', 'compression'], () => {
    const at = (name: string): string => join(mount, name)
    fill(at)
    fs.mkdirSync(at('packed'))
    run('setfattr', '-h', '-v', '0x00000800', '-n', 'system.ntfs_attrib_be', at('packed'))
    fs.writeFileSync(at('packed/text'), 'All work and no play. '.repeat(3000))
    const pieces = fs.openSync(at('pieces'), 'w')
    for (let index = 0; index < 500; index++) fs.writeSync(pieces, 'x', index * 5000)
    fs.closeSync(pieces)
    fs.symlinkSync('/tmp', at('link'))
  })
  return fs.readFileSync(image)
}

function tools(t: TestContext): boolean {
  return haveAll(
    t,
    'mkfs.vfat',
    'mcopy',
    'mkfs.exfat',
    'mount.exfat-fuse',
    'mkfs.ntfs',
    'ntfs-3g',
    'fusermount3',
    'setfattr',
  )
}

test('changed bytes anywhere in the metadata of FAT break nothing', (t) => {
  if (!tools(t)) return
  const folder = testFolder(t)
  fuzz(
    changeableBuffer(makeFat(folder, '12', mebibyte, '1')),
    [
      [0, 90],
      [512, 8192],
      [512, 40_000],
    ],
    120,
  )
  fuzz(
    changeableBuffer(makeFat(folder, '32', 34 * mebibyte, '1')),
    [
      [0, 90],
      [512, 1024],
      [16384, 18000],
      [544_000, 640_000],
    ],
    160,
  )
})

test('changed bytes anywhere in the metadata of exFAT break nothing', (t) => {
  if (!tools(t)) return
  const bytes = makeExfat(testFolder(t))
  fuzz(
    changeableBuffer(bytes),
    [
      [60, 120],
      [12 * 512, 40_000],
      [24 * 512, 200_000],
    ],
    200,
  )
})

test('changed bytes anywhere in the metadata of NTFS break nothing', (t) => {
  if (!tools(t)) return
  const bytes = makeNtfs(testFolder(t))
  const mft = Number(bytes.readBigUInt64LE(48)) * 1024
  fuzz(
    changeableBuffer(bytes),
    [
      [0, 90],
      [mft, mft + 1024],
      [mft, mft + 8192],
      [mft + 24 * 1024, mft + 100 * 1024],
      [0, bytes.length - 8],
    ],
    400,
  )
})

/** Position of the first place where `part` lies. */
function find(bytes: Buffer, part: Buffer, from = 0): number {
  const at = bytes.indexOf(part, from)
  assert.ok(at >= 0, 'the made volume has what is to be changed')
  return at
}

test('FAT: circles, breaks and places outside of the volume are reported', async (t) => {
  if (!tools(t)) return
  const folder = testFolder(t)
  const bytes = makeFat(folder, '32', 34 * mebibyte, '1')
  const table = bytes.readUInt16LE(14) * 512
  const fats = bytes[16]! * bytes.readUInt32LE(36) * 512
  const cluster = (number: number): number => table + fats + (number - 2) * 512
  const entry = find(bytes, Buffer.from('ALONGN~1   '), table + fats)
  const first = bytes.readUInt16LE(entry + 26)
  const change = (work: (copy: Buffer) => void): Buffer => {
    const copy = Buffer.from(bytes)
    work(copy)
    return copy
  }
  const said = (copy: Buffer, path = 'a long name of a file'): string => {
    const volume = bufferVolume(copy)
    const tree = identifyWindows(volume)!.openTree!()
    try {
      const node = tree.find(tree.root, path)!
      if (node.kind === 'directory') for (const { name } of tree.entries(node)) assert.ok(name !== '')
      else content(tree, node)
    } catch (error) {
      assert.ok(isImageError(error) && error.code === 'E_FS_CORRUPT')
      return error.message
    }
    return ''
  }
  assert.equal(said(bytes), '')
  assert.match(said(change((copy) => copy.writeUInt32LE(first, table + (first + 3) * 4))), /circle/)
  assert.match(
    said(change((copy) => copy.writeUInt32LE(0, table + (first + 3) * 4))),
    /breaks off: cluster \d+ is marked free/,
  )
  assert.match(
    said(change((copy) => copy.writeUInt32LE(0x0fffffff, table + (first + 3) * 4))),
    /has 2048 bytes, and 70000 are needed/,
  )
  assert.match(
    said(change((copy) => copy.writeUInt32LE(0x0ffffff0, table + (first + 3) * 4))),
    /leads to cluster 268435440/,
  )
  assert.match(said(change((copy) => copy.writeUInt16LE(1, entry + 26))), /leads to cluster 1,/)
  const many = bytes.readUInt16LE(find(bytes, Buffer.from('MANY       '), table + fats) + 26)
  assert.match(
    said(
      change((copy) => copy.writeUInt32LE(many, table + many * 4)),
      'many',
    ),
    /circle/,
  )
  assert.deepEqual(
    [
      ...timed(
        change((copy) => copy.writeUInt32LE(0, 36)),
        'no table',
      ),
    ],
    [],
    'then it is no FAT',
  )
  assert.deepEqual(
    [
      ...timed(
        change((copy) => {
          copy[13] = 0
        }),
        'no cluster size',
      ),
    ],
    [],
  )
  assert.ok(
    timed(
      change((copy) => copy.writeUInt32LE(34 * 2048 + 8, 32)),
      'larger than the volume',
    ).has('W_FS_TRUNCATED'),
  )

  // A folder that contains itself, and names that would lead out of the target.
  const below = find(bytes, Buffer.from('BELOW      '), table + fats)
  const inFolder = bytes.readUInt16LE(find(bytes, Buffer.from('FOLDER     '), table + fats) + 26)
  assert.equal(Math.floor((below - cluster(inFolder)) / 512), 0)
  const image = join(folder, 'hostile')
  fs.writeFileSync(
    image,
    change((copy) => {
      copy.writeUInt16LE(inFolder, below + 26)
      Buffer.from('../../UP   ').copy(copy, find(copy, Buffer.from('NUMBER~1   '), table + fats))
    }),
  )
  fs.mkdirSync(join(folder, 'out'))
  const result = await copyFiles(image, '/', join(folder, 'out'), { from: 'raw', recursive: true })
  assert.deepEqual(
    result.failures.map(({ path, code }) => [path, code]),
    [['/folder/below', 'E_FS_CORRUPT']],
  )
  assert.ok(fs.existsSync(join(folder, 'out/many/..%2F..%2FUP')), fs.readdirSync(join(folder, 'out/many')).join())
  assert.ok(!fs.existsSync(join(folder, 'UP')))
})

test(
  'exFAT: a wrong checksum of the boot region keeps the map from being used, one of an entry its file from ' +
    'being read',
  (t) => {
    if (!tools(t)) return
    const bytes = makeExfat(testFolder(t))
    const identify = (change: (copy: Buffer) => void): ReturnType<typeof identifyWindows> => {
      const copy = Buffer.from(bytes)
      change(copy)
      return identifyWindows(bufferVolume(copy))
    }
    const boot = identify((copy) => {
      copy[120] = 1
    })!
    assert.deepEqual(
      boot.issues.map(({ code }) => code),
      ['E_FS_CHECKSUM'],
    )
    assert.throws(() => [...boot.usedRuns!()], { code: 'E_FS_CORRUPT' })
    const dirty = identify((copy) => {
      copy[106] = 2
    })!
    assert.equal(dirty.state, 'dirty')
    assert.deepEqual(dirty.issues, [], 'the flags are not part of the checksum')
    assert.throws(() => [...dirty.usedRuns!()], { code: 'E_FS_DIRTY' })
    assert.ok([...dirty.usedRuns!({ allowDirty: true })].length > 0)
    const name = find(bytes, Buffer.from('a long name of ', 'utf16le')) - 2
    const tree = identify((copy) => {
      copy[name + 2] = 98
    })!.openTree!()
    const names = [...tree.entries(tree.root)].map((entry) => entry.name)
    assert.ok(names.includes('b long name of a file') && names.includes('many'))
    assert.throws(() => tree.find(tree.root, 'b long name of a file'), { code: 'E_FS_CORRUPT', message: /checksum/ })
    assert.deepEqual(
      identify((copy) => {
        copy[111] = 0
        copy[108] = 8
      }),
      undefined,
    )
  },
)

/** Position of a record's attribute. */
function attributeAt(bytes: Buffer, record: number, type: number): number {
  for (
    let at = record + bytes.readUInt16LE(record + 20);
    at < record + 1024 && bytes.readUInt32LE(at) !== 0xffffffff;
    at += bytes.readUInt32LE(at + 4)
  ) {
    if (bytes.readUInt32LE(at) === type) return at
  }
  return assert.fail(`the record has no attribute of type ${type}`)
}

/** The cluster where the first run of an attribute begins. */
function firstRun(bytes: Buffer, attribute: number): number {
  const runs = attribute + bytes.readUInt16LE(attribute + 32)
  return bytes.readUIntLE(runs + 1 + (bytes[runs]! % 16), bytes[runs]! >> 4)
}

// eslint-disable-next-line max-lines-per-function -- one story over one volume
test('NTFS: what is damaged is reported, and the rest can be read', async (t) => {
  if (!tools(t)) return
  const folder = testFolder(t)
  const bytes = makeNtfs(folder)
  const mft = Number(bytes.readBigUInt64LE(48)) * 1024
  const record = (name: string): number => {
    const stored = Buffer.from(name, 'utf16le')
    for (let at = mft + 16 * 1024; at < mft + 400 * 1024; at += 1024) {
      if (bytes.toString('latin1', at, at + 4) === 'FILE' && bytes.subarray(at, at + 1024).includes(stored)) return at
    }
    return assert.fail(`no record of ${name}`)
  }
  const file = record('a long name of a file')
  const codesOf = (change: (copy: Buffer) => void): string => {
    const copy = Buffer.from(bytes)
    change(copy)
    const tree = identifyWindows(bufferVolume(copy))!.openTree!()
    assert.ok([...tree.entries(tree.root)].length > 3)
    try {
      content(tree, tree.find(tree.root, 'a long name of a file')!)
    } catch (error) {
      assert.ok(isImageError(error))
      return `${error.code} ${error.message}`
    }
    return ''
  }
  assert.equal(
    codesOf(() => undefined),
    '',
  )
  assert.match(
    codesOf((copy) => {
      copy[file + 510]! ^= 1
    }),
    /^E_FS_CORRUPT .*written in part/,
  )
  assert.match(
    codesOf((copy) => copy.write('BAAD', file)),
    /^E_FS_CORRUPT .*BAAD/,
  )
  assert.match(
    codesOf((copy) => copy.writeUInt16LE(0, file + 22)),
    /^E_FS_CORRUPT .*not in use/,
  )
  assert.match(
    codesOf((copy) => copy.writeUInt16LE(77, file + 16)),
    /^E_FS_CORRUPT .*sequence number 77/,
  )
  const data = attributeAt(bytes, file, 0x80)
  const runs = data + bytes.readUInt16LE(data + 32)
  assert.match(
    codesOf((copy) => {
      copy.fill(0x7f, runs + 1, runs + 3)
    }),
    /^E_FS_CORRUPT .*(leaves the volume|not valid|was expected)/,
  )
  assert.match(
    codesOf((copy) => {
      copy[runs] = 0x99
    }),
    /^E_FS_CORRUPT .*not valid/,
  )
  assert.match(
    codesOf((copy) => copy.writeUInt16LE(0x4000, data + 12)),
    /^E_FS_FEATURE .*encrypted/,
  )

  // An attribute list that names its own record for everything, and one that names a stranger's.
  const named = record('pieces')
  const base = bytes.readUIntLE(named + 32, 6)
  const pieces = base === 0 ? named : mft + base * 1024
  const list = attributeAt(bytes, pieces, 0x20)
  const [value, valueEnd] = ((): [number, number] => {
    if (bytes[list + 8] === 0)
      return [
        list + bytes.readUInt16LE(list + 20),
        list + bytes.readUInt16LE(list + 20) + bytes.readUInt32LE(list + 16),
      ]
    const place = firstRun(bytes, list) * 1024
    return [place, place + bytes.readUInt32LE(list + 48)]
  })()
  const circular = Buffer.from(bytes)
  for (let at = value; at < valueEnd; at += bytes.readUInt16LE(at + 4))
    circular.writeBigUInt64LE(BigInt((pieces - mft) / 1024), at + 16)
  assert.ok(timed(circular, 'a circular attribute list').has('E_FS_CORRUPT'))
  const strange = Buffer.from(bytes)
  for (let at = value; at < valueEnd; at += bytes.readUInt16LE(at + 4))
    if (bytes.readUInt32LE(at) === 0x80) strange.writeBigUInt64LE(BigInt((file - mft) / 1024), at + 16)
  assert.ok(timed(strange, 'an attribute list with the record of another file').has('E_FS_CORRUPT'))

  // A link and a folder of one name: what is in the folder must not go where the link points.
  const outside = join(folder, 'outside')
  fs.mkdirSync(outside)
  const hostile = Buffer.from(bytes)
  const many = Buffer.from('many', 'utf16le')
  const root = record('many')
  let renamed = 0
  for (let at = hostile.indexOf(many); at >= 0; at = hostile.indexOf(many, at + 1)) {
    if (at >= root && at < root + 1024) continue
    hostile.write('link', at, 'utf16le')
    renamed++
  }
  assert.ok(renamed > 0)
  const link = Buffer.from('/tmp', 'utf16le')
  assert.ok(hostile.includes(link))
  const image = join(folder, 'hostile')
  fs.writeFileSync(image, hostile)
  const out = join(folder, 'out')
  fs.mkdirSync(out)
  const before = fs.readdirSync('/tmp').filter((name) => name.startsWith('number '))
  const result = await copyFiles(image, '/', out, { from: 'raw', recursive: true })
  assert.deepEqual(
    result.failures.map(({ path, code }) => [path, code]),
    [['/link', 'E_EXISTS']],
  )
  assert.deepEqual(
    fs.readdirSync('/tmp').filter((name) => name.startsWith('number ')),
    before,
  )
  // The same for links that stand in the target: never followed, replaced only when asked to, and then themselves.
  const target = join(folder, 'target')
  fs.mkdirSync(target)
  for (const name of ['folder', 'pieces'])
    fs.symlinkSync(name === 'folder' ? outside : join(outside, 'victim'), join(target, name))
  fs.writeFileSync(join(outside, 'victim'), 'as it was')
  for (const force of [false, true]) {
    const copied = await copyFiles(join(folder, 'ntfs'), '/', target, { from: 'raw', recursive: true, force })
    assert.equal(
      copied.failures.some(({ path, code }) => path === '/folder' && code === 'E_EXISTS'),
      true,
    )
    assert.equal(
      copied.failures.some(({ path }) => path === '/pieces'),
      !force,
    )
    assert.deepEqual(fs.readdirSync(outside), ['victim'])
    assert.equal(fs.readFileSync(join(outside, 'victim'), 'utf8'), 'as it was')
  }
  assert.ok(fs.lstatSync(join(target, 'pieces')).isFile())
})

test('NTFS: dirty, hibernated and interrupted volumes are reported, and keep their map', (t) => {
  if (!tools(t)) return
  const folder = testFolder(t)
  const image = emptyFile(join(folder, 'ntfs'), 8 * mebibyte)
  run('mkfs.ntfs', '-F', '-Q', '-q', image)
  const mount = join(folder, 'mount')
  withMount('ntfs-3g', image, mount, [], () =>
    fs.writeFileSync(join(mount, 'hiberfil.sys'), Buffer.concat([Buffer.from('HIBR'), Buffer.alloc(8192)])),
  )
  const bytes = fs.readFileSync(image)
  const state = (change: (copy: Buffer) => void): string => {
    const copy = Buffer.from(bytes)
    change(copy)
    const volume = bufferVolume(copy)
    const found = identifyWindows(volume)!
    if (found.state !== 'clean')
      assert.throws(() => [...found.usedRuns!()], { code: 'E_FS_DIRTY', message: new RegExp(found.state) })
    assert.ok([...found.usedRuns!({ allowDirty: true })].length > 0)
    return found.state
  }
  const hibernation = find(bytes, Buffer.from('HIBR\0\0\0\0'))
  const wake = (copy: Buffer): void => void copy.write('WAKE', hibernation)
  assert.equal(
    state(() => undefined),
    'hibernated',
  )
  assert.equal(state(wake), 'clean')
  const becomes = (mark: string) => (copy: Buffer) => void copy.write(mark, hibernation)
  for (const mark of ['wake', '\0\0\0\0']) assert.equal(state(becomes(mark)), 'clean', mark)
  // While it wakes up, and whatever a later Windows may write: its memory is still needed.
  for (const mark of ['hibr', 'RSTR', 'rstr', 'LINK']) assert.equal(state(becomes(mark)), 'hibernated', mark)
  const mft = Number(bytes.readBigUInt64LE(48)) * 4096
  const volume = mft + 3 * 1024
  const information = attributeAt(bytes, volume, 0x70)
  assert.equal(
    state((copy) => {
      wake(copy)
      copy.writeUInt16LE(1, information + bytes.readUInt16LE(information + 20) + 10)
    }),
    'dirty',
  )
  // A restart page whose client is in use, and that does not say that the volume is clean.
  const log = mft + 2 * 1024
  const data = attributeAt(bytes, log, 0x80)
  const place = firstRun(bytes, data) * 4096
  const restart =
    (flags: number) =>
    (copy: Buffer): void => {
      wake(copy)
      copy.write('RSTR', place)
      copy.writeUInt16LE(48, place + 24)
      copy.writeUInt16LE(0, place + 48 + 12)
      copy.writeUInt16LE(flags, place + 48 + 14)
    }
  assert.equal(state(restart(0)), 'dirty')
  assert.equal(state(restart(2)), 'clean')
  assert.ok(allFiles(identifyWindows(bufferVolume(bytes))!.openTree!()).has('hiberfil.sys'))
})
