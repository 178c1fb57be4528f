import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { walk } from '../../../src/location/walk.js'
import { testFolder } from '../../support/folder.js'

/** images → pool/images; base.raw in pool/base and in base. */
function linked(t: test.TestContext): string {
  const top = fs.realpathSync(testFolder(t))
  for (const name of ['pool/images', 'pool/base', 'base']) fs.mkdirSync(join(top, name), { recursive: true })
  for (const name of ['pool/base/os.raw', 'base/os.raw', 'pool/images/own.raw']) fs.writeFileSync(join(top, name), name)
  fs.symlinkSync('pool/images', join(top, 'images'))
  return top
}

test('dots behind a link lead where the link leads, as the system does it', (t) => {
  const top = linked(t)
  for (const name of [
    'images/../base/os.raw',
    'images/own.raw',
    'base/../base/os.raw',
    'images/.//./own.raw',
    'pool/../images/../base/os.raw',
  ]) {
    const way = walk(top, name, [top])
    assert.ok(way.kind === 'found', name)
    assert.equal(way.real, fs.realpathSync.native(`${top}/${name}`), name)
    assert.equal(way.stat.ino, fs.statSync(`${top}/${name}`, { bigint: true }).ino, name)
  }
  const absolute = walk('/', `${top}/images/../base/os.raw`, [top])
  assert.equal(absolute.kind === 'found' && absolute.real, join(top, 'pool/base/os.raw'))
})

test('what lies outside is not reached, by dots, links, or a way out and in again', (t) => {
  const top = linked(t)
  const root = join(top, 'pool/images')
  fs.symlinkSync('../base/os.raw', join(root, 'out.raw'))
  fs.symlinkSync('../images/own.raw', join(root, 'in.raw'))
  fs.symlinkSync('loop', join(root, 'loop'))
  for (const [name, kind] of [
    ['own.raw', 'found'],
    ['../images/own.raw', 'found'],
    ['../../images/own.raw', 'outside'],
    ['in.raw', 'found'],
    ['out.raw', 'outside'],
    ['../base/os.raw', 'outside'],
    ['../nothing', 'outside'],
    ['..', 'outside'],
    ['.', 'found'],
    ['own.raw/', 'missing'],
    ['own.raw/..', 'missing'],
    ['own.raw/../own.raw', 'missing'],
    ['none/../own.raw', 'missing'],
    ['loop', 'circle'],
    ['x'.repeat(300), 'missing'],
    ['a\ud800', 'missing'],
  ] as const)
    assert.equal(walk(root, name, [root]).kind, kind, name)
  // The same link, where the user has spelled the folder through it.
  assert.equal(walk(root, '../../images/own.raw', [root], [join(top, 'images')]).kind, 'found')
  const out = walk(root, 'out.raw', [root])
  assert.equal(out.kind === 'outside' && out.link, join(root, 'out.raw'))
})

test('nothing outside is looked at: a folder nobody may enter does not matter', (t) => {
  const top = linked(t)
  const root = join(top, 'pool/images')
  const way = walk(root, '../base/none.raw', [root])
  // Of what is not there, and of what is, the answer is the same.
  assert.deepEqual({ ...way, place: '' }, { ...walk(root, '../base/os.raw', [root]), place: '' })
})
