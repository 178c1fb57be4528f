import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { openFile, type OpenOptions } from '../../../src/formats/open.js'
import { parseParentMapping } from '../../../src/location/parent-map.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { testFolder } from '../../support/folder.js'
import { toy, writeToy } from '../../support/toy-format.js'

const registry = new Registry([...builtinDrivers, toy])

/** The first byte of the disk, and the codes of what is noted. */
function look(path: string, options: OpenOptions = {}): { mark: number; notes: string[]; by: (string | undefined)[] } {
  using image = openFile(path, { registry, ...options })
  const byte = new Uint8Array(1)
  image.read(0, byte)
  return { mark: byte[0]!, notes: image.notes.map(({ code }) => code), by: image.layers.map(({ foundBy }) => foundBy) }
}

function refuses(run: () => unknown, code: string, text?: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(isImageError(error), String(error))
    assert.equal(error.code, code, error.message)
    if (text !== undefined) assert.match(`${error.message}\n${error.hint ?? ''}`, text)
    return true
  })
}

/** Images in one folder, two stores of parents beside it. */
function places(t: test.TestContext): { child: string; first: string; second: string; outer: string } {
  const outer = testFolder(t)
  for (const name of ['images', 'first', 'second']) fs.mkdirSync(join(outer, name))
  return { outer, child: join(outer, 'images/c.toy'), first: join(outer, 'first'), second: join(outer, 'second') }
}

test(
  "a parent is looked for by its last part in the folders of --search, after its own name and its child's " + 'folder',
  (t) => {
    const { child, first, second, outer } = places(t)
    writeToy(child, { parent: { paths: ['D:\\vm\\base.toy'], format: 'toy', identity: 'right' } })
    writeToy(join(second, 'base.toy'), { fill: [2], identity: 'right' })
    refuses(() => look(child), 'E_PARENT_MISSING', /--search DIR/)
    refuses(
      () => look(child, { search: [first] }),
      'E_PARENT_MISSING',
      new RegExp(`looked for .*images/base\\.toy, ${first}/base\\.toy`),
    )
    assert.deepEqual(look(child, { search: [first, second] }), { mark: 2, notes: [], by: [undefined, 'search'] })
    // One of the wrong id is passed over, and reported when there is no other.
    writeToy(join(first, 'base.toy'), { fill: [1], identity: 'wrong' })
    assert.equal(look(child, { search: [first, second] }).mark, 2)
    fs.rmSync(join(second, 'base.toy'))
    refuses(
      () => look(child, { search: [first, second] }),
      'E_PARENT_ID',
      new RegExp(`right.*wrong.*tried ${first}/base\\.toy`),
    )
    // What lies beside the child comes first.
    writeToy(join(outer, 'images/base.toy'), { fill: [3], identity: 'right' })
    assert.deepEqual(look(child, { search: [first] }), { mark: 3, notes: [], by: [undefined, 'beside'] })
    refuses(() => look(child, { search: [join(outer, 'nowhere')] }), 'E_SEARCH_FOLDER')
    refuses(() => look(child, { search: [child] }), 'E_SEARCH_FOLDER')
  },
)

test('every wrong parent that was tried is named', (t) => {
  const { child, first, second } = places(t)
  writeToy(child, { parent: { paths: ['base.toy'], format: 'toy', identity: 'right' } })
  writeToy(join(first, 'base.toy'), { identity: 'wrong1' })
  writeToy(join(second, 'base.toy'), { identity: 'wrong2' })
  refuses(
    () => look(child, { search: [first, second] }),
    'E_PARENT_ID',
    new RegExp(`wrong1.*tried ${first}/base\\.toy.*also tried ${second}/base\\.toy.*wrong2`),
  )
})

test('without an id a parent found by --search is noted, and two are refused', (t) => {
  const { child, first, second } = places(t)
  writeToy(child, { parent: { paths: ['/gone/base.toy'], format: 'toy' } })
  writeToy(join(first, 'base.toy'), { fill: [1] })
  assert.deepEqual(look(child, { search: [first, second] }), {
    mark: 1,
    notes: ['W_PARENT_BY_NAME'],
    by: [undefined, 'search'],
  })
  writeToy(join(second, 'base.toy'), { fill: [2] })
  refuses(
    () => look(child, { search: [first, second] }),
    'E_PARENT_AMBIGUOUS',
    new RegExp(`${first}/base\\.toy.*${second}/base\\.toy.*--parent-map`, 's'),
  )
  assert.deepEqual(look(child, { search: [first, second], parentMap: [{ from: '/gone', to: second }] }), {
    mark: 2,
    notes: [],
    by: [undefined, 'map'],
  })
  // The same folder twice is no doubt.
  assert.equal(look(child, { search: [first, first] }).mark, 1)
})

test('a stored path that lies in a folder of --search needs no further word', (t) => {
  const { child, first } = places(t)
  writeToy(join(first, 'base.toy'), { fill: [1] })
  writeToy(child, { parent: { paths: [join(first, 'base.toy')], format: 'toy' } })
  refuses(() => look(child), 'E_REFERENCE_NOT_ALLOWED')
  assert.equal(look(child, { search: [first] }).mark, 1)
  // The parent's own parent is found in the same way; the folder is no free pass for other files, nor a link out of it.
  fs.writeFileSync(join(first, 'private.raw'), Buffer.alloc(4096, 9))
  writeToy(child, { data: join(first, 'private.raw') })
  refuses(() => look(child, { search: [first] }), 'E_REFERENCE_NOT_ALLOWED')
  fs.symlinkSync('/etc/passwd', join(first, 'link.raw'))
  writeToy(child, { parent: { paths: ['C:\\link.raw'], format: 'raw' } })
  refuses(() => look(child, { search: [first] }), 'E_REFERENCE_NOT_ALLOWED', /symbolic link/)
})

test('--parent-map says where a parent is now: by its whole name, the beginning of it, or its last part', (t) => {
  const { child, first, outer } = places(t)
  fs.mkdirSync(join(first, 'sub'))
  writeToy(join(first, 'sub/base.toy'), { fill: [5] })
  for (const [stored, from, to] of [
    ['C:\\VMs\\sub\\base.toy', 'C:\\VMs', first],
    ['C:\\VMs\\sub\\base.toy', 'c:/vms/', first],
    ['C:\\VMs\\sub\\base.toy', 'C:\\VMs\\sub\\base.toy', join(first, 'sub/base.toy')],
    ['C:\\VMs\\sub\\base.toy', 'C:\\VMs\\sub\\base.toy', join(first, 'sub')],
    ['C:\\VMs\\sub\\base.toy', 'base.toy', join(first, 'sub/base.toy')],
    ['\\\\server\\share\\sub\\base.toy', '\\\\server\\share', first],
    ['/vms/sub/base.toy', '/vms', first],
    ['/first/sub/base.toy', '/', outer],
    ['..\\old\\sub\\base.toy', join(outer, 'old'), first],
    ['file:///vms/sub/base.toy', '/vms', first],
  ] as const) {
    writeToy(child, { parent: { paths: [stored], format: 'toy' } })
    const parentMap = [parseParentMapping(`${from}=${to}`)]
    assert.deepEqual(look(child, { parentMap }), { mark: 5, notes: [], by: [undefined, 'map'] }, `${stored} by ${from}`)
  }
  // What is mapped is not looked for where the image says.
  writeToy(join(outer, 'images/base.toy'), { fill: [6] })
  writeToy(child, { parent: { paths: ['base.toy'], format: 'toy' } })
  assert.equal(look(child).mark, 6)
  refuses(
    () => look(child, { parentMap: [{ from: 'base.toy', to: join(first, 'base.toy') }] }),
    'E_PARENT_MISSING',
    new RegExp(`${first}/base\\.toy`),
  )
  assert.equal(look(child, { parentMap: [{ from: 'other.toy', to: first }] }).mark, 6)
})

test('what an image stores behind a mapped folder leads nowhere else', (t) => {
  const { child, first, outer } = places(t)
  fs.writeFileSync(join(outer, 'secret.raw'), Buffer.alloc(4096, 7))
  writeToy(child, { parent: { paths: ['/vms/../secret.raw', 'C:\\vms\\..\\secret.raw'], format: 'raw' } })
  refuses(
    () =>
      look(child, {
        parentMap: [
          { from: '/vms', to: first },
          { from: 'C:\\vms', to: first },
        ],
      }),
    'E_REFERENCE_NOT_ALLOWED',
  )
  fs.symlinkSync(join(outer, 'secret.raw'), join(first, 'link.raw'))
  writeToy(child, { parent: { paths: ['/vms/link.raw'], format: 'raw' } })
  refuses(() => look(child, { parentMap: [{ from: '/vms', to: first }] }), 'E_REFERENCE_NOT_ALLOWED', /symbolic link/)
})

test('a mapping has two sides', () => {
  for (const text of ['', '=', 'a', 'a=', '=b', 'a\0=b']) refuses(() => parseParentMapping(text), 'E_PARENT_MAP')
  assert.deepEqual(parseParentMapping('C:\\a=/b=c'), { from: 'C:\\a', to: '/b=c' })
})
