import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readPartitionTable } from '../../src/partition/index.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, fuzz } from '../support/hostile-volumes.js'
import { hostFacts, treeFacts, type PosixFacts } from '../support/posix-trees.js'
import { run } from '../support/tools.js'
import { bufferVolume, content, haveAll, identify } from '../support/volumes.js'

test('an HFS+ tree of xorriso is what 7-Zip extracts, and what it was made of; changed bytes break nothing', (t) => {
  if (!haveAll(t, 'xorriso', '7z')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(join(source, 'A folder/below'), { recursive: true })
  fs.writeFileSync(join(source, 'A folder/below/Ünïcödé 名前.txt'), diskLike(900_000, 1))
  fs.writeFileSync(join(source, 'A folder/small'), 'small')
  fs.writeFileSync(join(source, 'empty'), '')
  fs.writeFileSync(join(source, 'README.TXT'), diskLike(5000, 2))
  fs.symlinkSync('A folder/small', join(source, 'link'))
  fs.mkdirSync(join(source, 'many'))
  for (let index = 0; index < 300; index++)
    fs.writeFileSync(join(source, `many/a name of some length, ${index}`), `content ${index}`)
  fs.chmodSync(join(source, 'README.TXT'), 0o640)
  fs.utimesSync(join(source, 'README.TXT'), 1_000_000_000, 1_234_567_890)
  const image = join(folder, 'image')
  run('env', 'LC_ALL=C.UTF-8', 'xorriso', '-as', 'mkisofs', '-quiet', '-hfsplus', '-R', '-o', image, source)
  const whole = fs.readFileSync(image)
  const disk = bufferVolume(whole)
  const [partition] = readPartitionTable(disk).partitions.filter(({ start }) =>
    ['H+', 'HX'].includes(whole.toString('latin1', start + 1024, start + 1026)),
  )
  assert.ok(partition)
  const bytes = whole.subarray(partition.start, partition.start + partition.length)
  fs.writeFileSync(join(folder, 'volume'), bytes)
  const out = join(folder, 'out')
  run('env', 'LC_ALL=C.UTF-8', '7z', 'x', '-bd', '-thfs', `-o${out}`, join(folder, 'volume'))
  const tree = identify(bufferVolume(bytes))?.openTree?.()
  assert.ok(tree)
  const comparable = (facts: Map<string, PosixFacts>, withModes: boolean): unknown[] =>
    [...facts]
      .map(([path, { kind, size, sha256, modified, mode, target }]) => [
        path,
        kind,
        size,
        sha256,
        kind === 'file' ? modified / 1_000_000_000n : 0n,
        kind === 'file' && withModes ? mode : 0,
        target,
      ])
      .sort(([one], [other]) => (String(one) < String(other) ? -1 : 1))
  const ours = treeFacts(tree)
  assert.deepEqual(comparable(ours, true), comparable(hostFacts(source), true))
  const [inner] = fs.readdirSync(out)
  const theirs = hostFacts(fs.existsSync(join(out, 'README.TXT')) ? out : join(out, inner!))
  const names = (facts: Map<string, PosixFacts>): unknown[] =>
    [...facts].filter(([, { kind }]) => kind === 'file').map(([path, { sha256 }]) => [path.normalize('NFC'), sha256])
  assert.deepEqual(names(ours).sort(), names(theirs).sort())
  assert.ok(ours.size > 300)
  const catalog = bytes.readUInt32BE(1024 + 272 + 16) * bytes.readUInt32BE(1024 + 40)
  fuzz(
    changeableBuffer(bytes),
    [
      [1024, 1536],
      [catalog, catalog + 4096],
      [catalog, Math.min(bytes.length - 8, catalog + 100_000)],
    ],
    80,
  )
})

test('HFS+: two names of one file, and files that are compressed', (t) => {
  if (!haveAll(t, 'xorriso')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(join(source, 'zzzzHFS+ Private Data'), { recursive: true })
  for (let index = 0; index < 100; index++)
    fs.writeFileSync(join(source, `zzzzHFS+ Private Data/iNode${index}`), `content of ${index}`)
  for (const name of ['first name', 'second name', 'packed']) fs.writeFileSync(join(source, name), '')
  const image = join(folder, 'image')
  run('xorriso', '-as', 'mkisofs', '-quiet', '-hfsplus', '-R', '-o', image, source)
  const whole = fs.readFileSync(image)
  const { start = 0, length = 0 } =
    readPartitionTable(bufferVolume(whole)).partitions.find(
      (one) =>
        whole.toString('latin1', one.start + 1024, one.start + 1026) === 'H+' ||
        whole.toString('latin1', one.start + 1024, one.start + 1026) === 'HX',
    ) ?? {}
  const bytes = whole.subarray(start, start + length)
  const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()
  // Names that mkisofs cannot make, and records as macOS writes them for further names.
  for (let at = bytes.indexOf(utf16('zzzzHFS+')); at >= 0; at = bytes.indexOf(utf16('zzzzHFS+')))
    bytes.fill(0, at, at + 8)
  const record = (name: string): number => {
    for (let at = bytes.indexOf(utf16(name)); at >= 0; at = bytes.indexOf(utf16(name), at + 1))
      if (bytes.readUInt16BE(at + name.length * 2) === 2) return at + name.length * 2
    throw new Error(`there is no record of ${name}`)
  }
  for (const name of ['first name', 'second name']) {
    bytes.write('hlnkhfs+', record(name) + 48, 'latin1')
    bytes.writeUInt32BE(77, record(name) + 44)
  }
  bytes.writeUInt32BE(2, record('iNode77') + 44)
  bytes[record('packed') + 41]! |= 0x20
  const tree = identify(bufferVolume(bytes))?.openTree?.()
  assert.ok(tree)
  assert.deepEqual([...tree.entries(tree.root)].map(({ name }) => name).sort(), ['first name', 'packed', 'second name'])
  const [first, second, packed] = ['first name', 'second name', 'packed'].map((name) => tree.find(tree.root, name))
  assert.ok(first !== undefined && second !== undefined && packed !== undefined)
  assert.deepEqual([first.id, first.links, first.size], [second.id, 2, 'content of 77'.length])
  assert.equal(content(tree, second).toString(), 'content of 77')
  assert.throws(() => [...tree.dataRuns(packed)], { code: 'E_FS_FEATURE', message: /compressed/ })
  bytes.writeUInt32BE(4711, record('first name') + 44)
  const other = identify(bufferVolume(bytes))?.openTree?.()
  assert.throws(() => other?.find(other.root, 'first name'), { code: 'E_FS_CORRUPT', message: /file 4711/ })
})
