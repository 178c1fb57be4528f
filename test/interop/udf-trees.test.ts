import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, fuzz } from '../support/hostile-volumes.js'
import { hostFacts, treeFacts, type PosixFacts } from '../support/posix-trees.js'
import { run } from '../support/tools.js'
import { bufferVolume, haveAll, identify, openVolume } from '../support/volumes.js'

test('a UDF tree is what 7-Zip extracts, and what it was made of; changed bytes break nothing', (t) => {
  if (!haveAll(t, 'genisoimage', '7z')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(join(source, 'A folder/below'), { recursive: true })
  const files: readonly (readonly [name: string, bytes: Uint8Array])[] = [
    ['A folder/below/Ünïcödé 名前.txt', diskLike(1_000_000, 1)],
    ['A folder/small', Buffer.from('small')],
    ['README.TXT', diskLike(5000, 2)],
    ['empty', new Uint8Array(0)],
  ]
  for (const [name, bytes] of files) fs.writeFileSync(join(source, name), bytes)
  fs.mkdirSync(join(source, 'many'))
  for (let index = 0; index < 200; index++)
    fs.writeFileSync(join(source, `many/a name of some length, ${index}`), `content ${index}`)
  fs.utimesSync(join(source, 'README.TXT'), 1_000_000_000, 1_234_567_890)
  const image = join(folder, 'image')
  run('genisoimage', '-quiet', '-udf', '-J', '-input-charset', 'utf-8', '-o', image, source)
  const out = join(folder, 'out')
  run('env', 'LC_ALL=C.UTF-8', '7z', 'x', '-bd', '-tudf', `-o${out}`, image)
  const found = identify(openVolume(t, image))
  assert.deepEqual([found?.type, found?.issues], ['udf', []])
  const tree = found?.openTree?.()
  assert.ok(tree)
  const comparable = (facts: Map<string, PosixFacts>): unknown[] =>
    [...facts]
      .map(([path, { kind, size, sha256, modified }]) => [
        path,
        kind,
        size,
        sha256,
        kind === 'directory' ? 0n : modified / 1_000_000_000n,
      ])
      .sort(([one], [other]) => (String(one) < String(other) ? -1 : 1))
  const ours = comparable(treeFacts(tree))
  assert.deepEqual(ours, comparable(hostFacts(out)))
  assert.deepEqual(ours, comparable(hostFacts(source)))
  const bytes = fs.readFileSync(image)
  const set = bytes.indexOf(Buffer.from([0, 1, 2, 0]), 257 * 2048)
  fuzz(
    changeableBuffer(bytes),
    [
      [32768, 32768 + 2048 * 30],
      [256 * 2048, 256 * 2048 + 512],
      [set, Math.min(bytes.length - 8, set + 600_000)],
    ],
    60,
  )
})

test('UDF in partitions of another kind is refused by its name, never read as a plain one', (t) => {
  if (!haveAll(t, 'mkudffs')) return
  const image = join(testFolder(t), 'image')
  const refused = (bytes: Uint8Array, name: RegExp): void => {
    const found = identify(bufferVolume(bytes))
    assert.equal(found?.type, 'udf')
    assert.throws(() => found.openTree?.(), { code: 'E_FS_FEATURE', message: name })
  }
  for (const [flags, name] of [
    [['--media-type=cdr', '--vat'], /of the kind Virtual Partition/],
    [['--media-type=cdrw', '--spartable=2'], /of the kind Sparable Partition/],
  ] as const) {
    fs.rmSync(image, { force: true })
    fs.writeFileSync(image, '')
    fs.truncateSync(image, 8 * 1048576)
    run('mkudffs', ...flags, image)
    refused(fs.readFileSync(image), name)
  }
  // UDF 2.50: the maps of a volume with a metadata partition, which no tool here writes.
  const bytes = fs.readFileSync(image)
  for (
    let at = bytes.indexOf('*UDF Sparable Partition');
    at >= 0;
    at = bytes.indexOf('*UDF Sparable Partition', at + 1)
  )
    bytes.write('*UDF Metadata Partition', at, 'latin1')
  refused(bytes, /of the kind Metadata Partition/)
})
