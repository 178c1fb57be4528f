import assert from 'node:assert/strict'
import { join } from 'node:path'
import fs from 'node:fs'
import { test } from 'node:test'
import { SliceSource } from '../../src/block/slice.js'
import { openFile } from '../../src/formats/open.js'
import { diskLike } from '../support/content.js'
import { openCorpus } from '../support/corpus.js'
import { testFolder } from '../support/folder.js'
import { run } from '../support/tools.js'
import {
  allFiles,
  blkid,
  content as readWhole,
  emptyFile,
  haveAll,
  identifyWindows,
  openVolume,
  partcloneRuns,
} from '../support/volumes.js'

const mebibyte = 1048576

/** Arguments of the programs that make a volume, and the size of the file. */
const volumes: readonly (readonly [size: number, program: string, ...parameters: string[]])[] = [
  [1.44 * mebibyte, 'mkfs.vfat', '-n', 'FLOPPY'],
  [4 * mebibyte, 'mkfs.vfat', '-F', '12', '-i', '00000000'],
  [16 * mebibyte, 'mkfs.vfat', '-F', '16', '-s', '4', '-n', 'SIXTEEN'],
  [64 * mebibyte, 'mkfs.vfat', '-F', '16', '-S', '4096', '-n', 'A B'],
  [32 * mebibyte, 'mkfs.vfat', '-F', '16', '-f', '1', '-R', '9'],
  [2 * mebibyte, 'mkfs.vfat', '-F', '32', '-n', 'TINY32'],
  [70 * mebibyte, 'mkfs.vfat', '-F', '32', '-s', '1', '-n', 'THIRTYTWO'],
  [600 * mebibyte, 'mkfs.vfat', '-F', '32', '-S', '2048', '-h', '63'],
  [2 * 1024 * mebibyte, 'mkfs.vfat', '-F', '32', '-n', 'ESP', '-i', 'CAFE0001'],
  [8 * mebibyte, 'mkfs.exfat', '-L', 'Ünï 名'],
  [300 * mebibyte, 'mkfs.exfat', '-c', '4K'],
  [2048 * mebibyte, 'mkfs.exfat', '-c', '1M', '-L', 'big'],
  [8 * mebibyte, 'mkfs.ntfs', '-F', '-Q', '-q', '-L', 'Größe 名'],
  [100 * mebibyte, 'mkfs.ntfs', '-F', '-Q', '-q', '-c', '65536'],
  [64 * mebibyte, 'mkfs.ntfs', '-F', '-Q', '-q', '-s', '4096', '-c', '4096'],
  [2048 * mebibyte, 'mkfs.ntfs', '-F', '-Q', '-q', '-c', '512', '-L', 'small clusters'],
]

test('type, label, id and version of made volumes are those of blkid', (t) => {
  if (!haveAll(t, 'blkid', 'mkfs.vfat', 'mkfs.exfat', 'mkfs.ntfs')) return
  const folder = testFolder(t)
  for (const [index, [size, program, ...parameters]] of volumes.entries()) {
    const path = emptyFile(join(folder, String(index)), Math.floor(size))
    run(program, ...parameters, path)
    const what = `${program} ${parameters.join(' ')}`
    const expected = blkid(path)
    const found = identifyWindows(openVolume(t, path))
    assert.ok(found, what)
    assert.equal(found.type, expected['ID_FS_TYPE'], what)
    assert.equal(found.uuid, expected['ID_FS_UUID'], what)
    assert.equal(found.version, expected['ID_FS_VERSION'], what)
    assert.equal(encodeLabel(found.label), expected['ID_FS_LABEL_ENC'], what)
    assert.equal(found.state, 'clean', what)
    assert.deepEqual(found.issues, [], what)
    fs.rmSync(path)
  }
})

/** As blkid encodes what is not safe in a file name. */
function encodeLabel(label: string | undefined): string | undefined {
  return label?.replace(/[ \\]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`)
}

test('the map of used blocks is that of partclone', (t) => {
  if (
    !haveAll(
      t,
      'partclone.fat',
      'partclone.exfat',
      'partclone.ntfs',
      'mkfs.vfat',
      'mkfs.exfat',
      'mkfs.ntfs',
      'mcopy',
      'ntfscp',
      'ntfsinfo',
    )
  )
    return
  const folder = testFolder(t)
  const noise = join(folder, 'noise')
  fs.writeFileSync(noise, diskLike(5 * mebibyte + 777, 3))
  const make = (name: string, size: number, ...[program = '', ...parameters]: string[]): string => {
    const path = emptyFile(join(folder, name), size)
    run(program, ...parameters, path)
    return path
  }
  const fat16 = make('fat16', 40 * mebibyte, 'mkfs.vfat', '-F', '16', '-s', '4')
  const fat32 = make('fat32', 80 * mebibyte, 'mkfs.vfat', '-F', '32', '-s', '2')
  for (const path of [fat16, fat32]) {
    for (const name of ['a', 'b', 'c']) run('mcopy', '-i', path, noise, `::${name}`)
    run('mdel', '-i', path, '::b')
  }
  const ntfs = make('ntfs', 60 * mebibyte + 512 * 5, 'mkfs.ntfs', '-F', '-Q', '-q')
  for (const name of ['a', 'b']) run('ntfscp', '-q', ntfs, noise, name)
  const exfat = make('exfat', 60 * mebibyte + 512 * 3, 'mkfs.exfat', '-c', '8K')
  for (const [kind, path] of [
    ['fat', fat16],
    ['fat', fat32],
    ['ntfs', ntfs],
    ['exfat', exfat],
  ] as const) {
    const volume = openVolume(t, path)
    const found = identifyWindows(volume)
    assert.ok(found?.usedRuns && found.used !== undefined && found.free !== undefined && found.size !== undefined)
    const theirs = partcloneRuns(kind, path, folder)
    const ours = [...found.usedRuns()]
    const last = ours.at(-1)!
    if (found.size < volume.capacity) assert.equal(last.offset + last.length, volume.capacity, 'a tail is in use')
    // Their map ends at the last whole cluster; ours says that what follows is to be copied.
    const end = Math.max(...[...theirs, ...ours.slice(0, -1)].map(({ offset, length }) => offset + length))
    assert.deepEqual(below(ours, end), theirs, path)
    assert.ok(volume.capacity - found.size <= 4096)
    if (kind === 'ntfs') {
      const said = run('ntfsinfo', '-m', path)
      const clusters = Number(/Volume Size in Clusters: (\d+)/.exec(said)?.[1])
      const free = Number(/Free Clusters: (\d+)/.exec(said)?.[1])
      assert.equal(found.free, free * 4096)
      assert.equal(found.used, (clusters - free) * 4096)
    } else assert.equal(found.used, ours.reduce((sum, { length }) => sum + length, 0) - (volume.capacity - found.size))
  }
})

function below(runs: readonly { offset: number; length: number }[], end: number): { offset: number; length: number }[] {
  return runs
    .filter(({ offset }) => offset < end)
    .map(({ offset, length }) => ({ offset, length: Math.min(length, end - offset) }))
}

interface CorpusContent {
  readonly TYPE?: string
  readonly VERSION?: string
  readonly LABEL?: string
  readonly UUID?: string
  readonly parts_fs?: readonly {
    readonly start: number
    readonly fs?: string
    readonly label?: string
    readonly uuid?: string
  }[]
}

/** Text as `blkid -o export` and `cat -v` write it. */
function plain(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const bytes: number[] = []
  const rest = text.replace(/\\(.)/g, '$1')
  for (const [, meta, control, character = ''] of rest.matchAll(/(M-)?(\^(?=.))?(.)/gsu)) {
    const code = character.codePointAt(0)!
    bytes.push((control === undefined ? code : code ^ 0x40) + (meta === undefined ? 0 : 0x80))
  }
  return Buffer.from(bytes).toString('utf8')
}

test('the volumes of the corpus are what blkid sees in them', (t) => {
  const corpus = openCorpus(t)
  if (corpus === undefined) return
  const folder = testFolder(t)
  const types = new Set(['vfat', 'exfat', 'ntfs', 'BitLocker'])
  let compared = 0
  for (const record of corpus.records) {
    const { content } = record as typeof record & { readonly content?: CorpusContent }
    const volumes = [
      ...(content?.TYPE === undefined
        ? []
        : [{ start: 0, fs: content.TYPE, version: content.VERSION, label: content.LABEL, uuid: content.UUID }]),
      ...(content?.parts_fs ?? []).map((part) => ({ version: undefined, label: undefined, uuid: undefined, ...part })),
      // Entries of a sector that was only taken for a table have no start.
    ].filter(({ start, fs: type }) => Number.isInteger(start) && type !== undefined && types.has(type))
    if (volumes.length === 0 || !['raw', 'vhd', 'vhd-fixed', 'vhdx', 'qcow2', 'qcow3', 'xz'].includes(record.kind))
      continue
    const path = join(corpus.folder, record.path)
    const image = record.kind === 'xz' ? join(folder, 'unpacked') : path
    if (record.kind === 'xz') run('sh', '-c', 'xz -dc < "$0" > "$1"', path, image)
    const disk = openFile(image, record.kind === 'xz' || record.kind === 'raw' ? { from: 'raw' } : {})
    t.after(() => disk[Symbol.dispose]())
    for (const { start, fs: type, version, label, uuid } of volumes) {
      const what = `${record.path} at sector ${start}`
      const found = identifyWindows(new SliceSource(disk, start * 512, disk.capacity - start * 512))
      assert.ok(found, what)
      assert.equal(found.type, type, what)
      if (version !== undefined) assert.equal(found.version, version, what)
      // BitLocker's own description and id, which blkid does not look for, are reported here.
      if (type !== 'BitLocker') assert.deepEqual([found.label, found.uuid], [plain(label), uuid], what)
      assert.deepEqual(found.issues, [], what)
      assert.equal(found.state, type === 'BitLocker' ? 'unknown' : 'clean', what)
      if (found.openTree !== undefined) {
        const tree = found.openTree()
        for (const [name, file] of allFiles(tree))
          if (file.kind === 'file') assert.equal(readWhole(tree, file).length, file.size, `${what}: ${name}`)
      }
      compared++
    }
  }
  assert.ok(compared >= 15, `${compared} volumes`)
})
