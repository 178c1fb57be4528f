import assert from 'node:assert/strict'
import nodeFs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { printable } from '../../../src/errors.js'
import { HostLocation } from '../../../src/location/file.js'
import hostFs, { hostBytes, hostName, isPlainText } from '../../../src/sys/host-fs.js'
import { inFolder } from '../../../src/sys/host-path.js'
import { testFolder } from '../../support/folder.js'

test('every name is a string, and the string is that name again', () => {
  for (const bytes of [
    [0x61],
    [0x63, 0x61, 0x66, 0xe9],
    [0x63, 0x61, 0x66, 0xc3, 0xa9],
    [0xef, 0xbf, 0xbd],
    [0xef, 0xbb, 0xbf, 0x61],
    // A surrogate and an overlong slash are no UTF-8: bytes, each for itself.
    [0xed, 0xa0, 0x80],
    [0xc0, 0xaf],
    [0xf0, 0x9f, 0x98, 0x80],
    [0xf0, 0x9f, 0x98],
    [0xf4, 0x90, 0x80, 0x80],
    Array.from({ length: 255 }, (_, index) => index + 1),
  ]) {
    const name = hostName(Buffer.from(bytes))
    assert.deepEqual([...Buffer.from(hostBytes(name))], bytes, printable(name))
  }
  // No two names become one.
  const names = Array.from({ length: 65536 }, (_, word) => hostName(Buffer.of(word >> 8, word & 255)))
  assert.equal(new Set(names).size, 65536)
})

test('random bytes come back, and no string means two names', () => {
  let state = 1
  const next = (): number => (state = (state * 1103515245 + 12345) % 2147483648) >> 16
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(
      Array.from({ length: next() % 12 }, () => [0xc3, 0xa9, 0xed, 0xb3, 0xf0, 0x9f, 0x41, next() & 255][next() % 8]!),
    )
    const name = hostName(bytes)
    assert.deepEqual(Buffer.from(hostBytes(name)), bytes)
    assert.equal(isPlainText(name), name === bytes.toString('utf8'))
  }
})

test('the compiler takes no label for a path', () => {
  const label = printable('label')
  const opening = [
    // @ts-expect-error a label opens nothing
    () => hostFs.openSync(label, 'r'),
    // @ts-expect-error and finds nothing
    () => inFolder(label, 'x'),
    // @ts-expect-error nor is it what a source is
    () => new HostLocation(label),
  ]
  assert.equal(opening.length, 3)
})

test('a string that no name can be is the name of no file', () => {
  assert.throws(() => hostBytes('a\ud800b'), { code: 'EILSEQ' })
  assert.equal(hostFs.existsSync('a\udfffb'), false)
})

test('files are made, listed, renamed and removed under names of any bytes', (t) => {
  const folder = testFolder(t)
  const raw = Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.of(0xe9)])
  const path = inFolder(folder, 'caf\udce9')
  hostFs.writeFileSync(path, 'x')
  assert.equal(nodeFs.readFileSync(raw, 'utf8'), 'x')
  assert.deepEqual(hostFs.readdirSync(folder), ['caf\udce9'])
  assert.equal(hostFs.realpathSync(path), hostFs.realpathSync(folder) + '/caf\udce9')
  hostFs.symlinkSync('caf\udce9', inFolder(folder, 'l\udcff'))
  assert.equal(hostFs.readlinkSync(inFolder(folder, 'l\udcff')), 'caf\udce9')
  hostFs.renameSync(path, inFolder(folder, '\udcc3('))
  assert.deepEqual(hostFs.readdirSync(folder).sort(), ['l\udcff', '\udcc3('].sort())
  hostFs.removeFileSync(inFolder(folder, '\udcc3('))
  hostFs.removeFileSync(join(folder, 'none'))
  assert.deepEqual(hostFs.readdirSync(folder), ['l\udcff'])
})

test('the real path follows a link before the dots behind it', (t) => {
  const folder = hostFs.realpathSync(testFolder(t))
  nodeFs.mkdirSync(join(folder, 'a/b'), { recursive: true })
  nodeFs.symlinkSync('a/b', join(folder, 'link'))
  assert.equal(hostFs.realpathSync(`${folder}/link/..`), join(folder, 'a'))
})

test('what cannot be seen is shown by its number, and a byte as a byte', () => {
  assert.equal(printable('a\tb\u200ec\ufeffd\u200be\u{e0001}f'), 'a\\u0009b\\u200ec\\ufeffd\\u200be\\u{e0001}f')
  assert.equal(printable('caf\udce9 \ud800'), 'caf\\xe9 \\ud800')
  assert.equal(printable('Käse 😀'), 'Käse 😀')
})
