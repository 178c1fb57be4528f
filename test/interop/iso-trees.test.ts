import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, fuzz, timed } from '../support/hostile-volumes.js'
import { assertSameFacts, fillPosix, hostFacts, treeFacts, type PosixFacts } from '../support/posix-trees.js'
import { run } from '../support/tools.js'
import { bufferVolume, haveAll, identify, openVolume } from '../support/volumes.js'

/** Rock Ridge has whole seconds, and no slash at the end of a target. */
function wholeSeconds(facts: PosixFacts): unknown {
  return { ...facts, modified: facts.modified / 1_000_000_000n, target: facts.target?.replace(/(?<=.)\/+$/, '') }
}

test('an ISO 9660 tree with Rock Ridge is what xorriso extracts, and what it was made of', (t) => {
  if (!haveAll(t, 'genisoimage', 'xorriso')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(source)
  fillPosix(source, (at) => {
    // Deeper than eight folders: they are moved, and shown where they were.
    fs.mkdirSync(at('a/b/c/d/e/f/g/h/i/j/k'), { recursive: true })
    fs.writeFileSync(at('a/b/c/d/e/f/g/h/i/j/k/deepest'), 'deepest')
    fs.symlinkSync('/absolute/../and/./relative/', at('absolute'))
    // genisoimage never ends with links of very many parts, and writes long parts wrong.
    for (const length of [255, 1000]) fs.rmSync(at(`a/link of ${length}`))
    fs.symlinkSync('part-of-it/'.repeat(24), at('a/long link'))
    fs.symlinkSync('..', at('parent'))
    fs.symlinkSync('/', at('slash'))
  })
  const truth = hostFacts(source)
  for (const [name, make] of [
    ['genisoimage', ['genisoimage', '-quiet', '-R', '-cache-inodes']],
    ['xorriso', ['xorriso', '-as', 'mkisofs', '-quiet', '-R', '--hardlinks']],
  ] as const) {
    const image = join(folder, `${name}.iso`)
    const [program, ...options] = make
    run(program, ...options, '-o', image, source)
    const found = identify(openVolume(t, image))
    assert.deepEqual(found?.issues, [])
    const tree = found.openTree?.()
    assert.ok(tree)
    const ours = treeFacts(tree)
    ours.delete('rr_moved')
    assertSameFacts(ours, truth, name, (facts, path) => {
      // genisoimage counts no second names, and gives folders that it moved other times.
      const odd = name === 'genisoimage' && (facts.links ?? 1) > 1 ? { links: 2 } : {}
      return { ...(wholeSeconds(facts) as object), ...odd, ...(/h\/i/.test(path) ? { modified: 0n } : {}) }
    })
    const out = join(folder, `${name}.out`)
    run('xorriso', '-osirrox', 'on', '-indev', image, '-extract', '/', out)
    const theirs = hostFacts(out)
    theirs.delete('rr_moved')
    // xorriso extracts no devices.
    ours.delete('a/device')
    theirs.delete('a/device')
    assertSameFacts(ours, theirs, name, (facts, path) => ({
      kind: facts.kind,
      sha256: facts.sha256,
      target: facts.target,
      mode: facts.kind === 'link' ? undefined : facts.mode,
      modified: facts.kind === 'link' || /h\/i/.test(path) ? undefined : facts.modified / 1_000_000_000n,
    }))
  }
})

test('ISO 9660 with Joliet, and with plain names only', (t) => {
  if (!haveAll(t, 'genisoimage', 'bsdtar')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(join(source, 'A folder/below'), { recursive: true })
  const files: readonly (readonly [name: string, bytes: Uint8Array])[] = [
    ['A folder/below/Ünïcödé 名前.txt', diskLike(100_000, 1)],
    ['A folder/Capital', Buffer.from('capital')],
    ['README.TXT', diskLike(5000, 2)],
    ['NODOT', Buffer.from('no dot')],
  ]
  for (const [name, bytes] of files) fs.writeFileSync(join(source, name), bytes)
  for (const [kind, options] of [
    ['joliet', ['-J', '-input-charset', 'utf-8']],
    ['plain', ['-input-charset', 'utf-8']],
  ] as const) {
    const image = join(folder, `${kind}.iso`)
    run('genisoimage', '-quiet', ...options, '-o', image, source)
    const out = join(folder, kind)
    fs.mkdirSync(out)
    run('env', 'LC_ALL=C.UTF-8', 'bsdtar', '-xf', image, '-C', out)
    const theirs = [...hostFacts(out)].map(([path, { kind: type, sha256: sum, modified }]) => [
      path.replace(/;1$/, '').replace(/\.$/, ''),
      type,
      sum,
      modified / 1_000_000_000n,
    ])
    const tree = identify(openVolume(t, image))?.openTree?.()
    assert.ok(tree)
    const ours = [...treeFacts(tree)].map(([path, { kind: type, sha256: sum, modified }]) => [
      path,
      type,
      sum,
      modified / 1_000_000_000n,
    ])
    assert.deepEqual(ours.sort(), theirs.sort(), kind)
    assert.equal(ours.length, 6)
    assert.equal(tree.ignoresCase, true)
    assert.equal(tree.find(tree.root, 'readme.txt')?.size, 5000)
    assert.ok(kind === 'plain' || ours.some(([path]) => path === files[0]![0]))
  }
})

test('files of several parts are one file; changed bytes in ISO 9660 break nothing', (t) => {
  if (!haveAll(t, 'genisoimage')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(join(source, 'below'), { recursive: true })
  const content = Buffer.from(diskLike(9000, 3))
  fs.writeFileSync(join(source, 'below/big'), content)
  fs.symlinkSync('part-of-it/'.repeat(24), join(source, 'link'))
  for (let index = 0; index < 60; index++) fs.writeFileSync(join(source, `number ${index}`), `content ${index}`)
  for (const options of [['-R'], ['-J'], []]) {
    const image = join(folder, 'image.iso')
    run('genisoimage', '-quiet', ...options, '-o', image, source)
    const bytes = fs.readFileSync(image)
    fuzz(
      changeableBuffer(bytes),
      [
        [32768, 32768 + 2048 * 3],
        [32768 + 2048 * 3, Math.min(bytes.length - 8, 32768 + 2048 * 30)],
        [18 * 2048, 60 * 2048],
      ],
      60,
    )
  }
  // The record of `big` is made to two, of which the first has a block less.
  const image = join(folder, 'plain.iso')
  run('genisoimage', '-quiet', '-o', image, join(source, 'below'))
  const bytes = fs.readFileSync(image)
  const at = bytes.indexOf('BIG.;1') - 33
  const length = bytes[at]!
  const both = (target: Buffer, offset: number, value: number): void => {
    target.writeUInt32LE(value, offset)
    target.writeUInt32BE(value, offset + 4)
  }
  const start = bytes.readUInt32LE(at + 2)
  bytes.copy(bytes, at + length, at, at + length)
  both(bytes, at + 10, 4096)
  bytes[at + 25]! |= 0x80
  both(bytes, at + length + 2, start + 2)
  both(bytes, at + length + 10, 9000 - 4096)
  const tree = identify(bufferVolume(bytes))?.openTree?.()
  assert.ok(tree)
  const facts = treeFacts(tree)
  assert.deepEqual(
    [...facts].map(([path, { size, sha256: sum }]) => [path, size, sum]),
    [['BIG', 9000, sha256(content)]],
  )
  // The last part is missing.
  bytes.fill(0, at + length, at + length * 2)
  assert.throws(() => treeFacts(identify(bufferVolume(bytes))!.openTree!()), {
    code: 'E_FS_CORRUPT',
    message: /last part/,
  })
  // A folder that holds itself: each step is bounded.
  const circle = fs.readFileSync(join(folder, 'image.iso'))
  const below = circle.indexOf('\x05BELOW') - 32
  const root = circle.readUInt32LE(32768 + 158)
  both(circle, below + 2, root)
  timed(circle, 'a folder in itself')
})
