import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nbdUri, parseNbdUri, type NbdAddress } from '../../../src/mount/nbd/uri.js'

/** The parts of URIs as the proposal for NBD URIs and RFC 3986 have them. */
const read: readonly (readonly [string, Partial<NbdAddress>])[] = [
  ['nbd+unix:///disk?socket=/run/a+b.sock', { endpoint: { kind: 'unix', path: '/run/a+b.sock' }, name: 'disk' }],
  ['nbd+unix:///a+b?socket=/s', { endpoint: { kind: 'unix', path: '/s' }, name: 'a+b' }],
  ['nbd+unix:///?socket=/run/a%2Bb%20c.sock', { endpoint: { kind: 'unix', path: '/run/a+b c.sock' }, name: '' }],
  ['nbd+unix:///?socket=/a&tls-certificates=/x+y', { certificates: '/x+y' }],
  ['nbd://host/a/../b', { name: 'a/../b' }],
  ['nbd://host/..', { name: '..' }],
  ['nbd://host/%2e%2e/x', { name: '../x' }],
  ['nbd://host/./x', { name: './x' }],
  ['nbd://host//x', { name: '/x' }],
  ['nbd://host/100%25', { name: '100%' }],
  ['nbd://host', { name: '', endpoint: { kind: 'tcp', host: 'host', port: 10809 } }],
  ['nbd://[::1]:10810/x', { name: 'x', endpoint: { kind: 'tcp', host: '::1', port: 10810 } }],
]

for (const [uri, parts] of read)
  test(`read: ${uri}`, () => {
    const address = parseNbdUri(uri)
    for (const [key, value] of Object.entries(parts)) assert.deepEqual(address[key as keyof NbdAddress], value)
  })

test('what is printed is read as the same export', () => {
  for (const name of ['', 'disk', 'a b', 'a+b', '..', 'a/../b', '.', '/x', '100%', 'é', 'x?y#z', "it's", 'a\\b'])
    for (const path of ['/run/s', '/run/a+b c', '/run/é', '/run/x?y#z&w=1;v', '/run/100%'])
      assert.deepEqual(parseNbdUri(nbdUri({ endpoint: { kind: 'unix', path }, name, tls: false })), {
        endpoint: { kind: 'unix', path },
        name,
        tls: false,
      })
})
