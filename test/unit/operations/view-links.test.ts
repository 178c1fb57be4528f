import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { fromQuery, link, queryValues, toQuery } from '../../../src/operations/view/links.js'

test('every name comes back from a link, also one that is not Unicode', () => {
  const units = fc
    .array(fc.integer({ min: 1, max: 0xffff }), { maxLength: 12 })
    .map((codes) => String.fromCharCode(...codes))
  fc.assert(
    fc.property(units, units, (part, path) => {
      assert.equal(fromQuery(toQuery(path)), path)
      assert.match(toQuery(path), /^[A-Za-z0-9\-_.!~*'()%/]*$/)
      const [, query = ''] = link('files', { part, path }).split('?')
      const values = queryValues(query)
      assert.deepEqual([values.get('part'), values.get('path')], [part, path])
    }),
  )
})

test('names that look like our own escapes, and signs of queries, are names', () => {
  for (const name of ['%uDC80', '%25', 'a+b', 'a&path=/etc', 'a=b', 'a b', '\udcff', '\ud800', '😀', '#x', '?']) {
    const [, query = ''] = link('files', { path: name }).split('?')
    assert.equal(queryValues(query).get('path'), name)
  }
})

test('what is no link of ours is left out', () => {
  assert.equal(fromQuery('%zz'), undefined)
  assert.deepEqual(
    [...queryValues('path=%ff&part=2&&=x&__proto__=1')],
    [
      ['part', '2'],
      ['__proto__', '1'],
    ],
  )
})
