import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { contentRange, retryAfter, sizeOfUnsatisfied, versionOf } from '../../../src/remote/http/answer.js'
import { parseHttpAddress } from '../../../src/remote/http/address.js'
import { optionsOf } from '../../../src/remote/http/environment.js'
import { proxiesOf } from '../../../src/remote/http/proxies.js'
import { testFolder } from '../../support/folder.js'
import { withoutSecrets } from '../../../src/sys/secrets.js'

test('Content-Range: what it says, and what says nothing', () => {
  assert.deepEqual(contentRange('bytes 0-99/1000'), { start: 0, end: 100, size: 1000 })
  assert.deepEqual(contentRange(' Bytes 5-5/* '), { start: 5, end: 6, size: undefined })
  for (const wrong of [
    undefined,
    '',
    'bytes */10',
    'bytes 5-4/10',
    'bytes 0-10/10',
    'bytes 0-9/99999999999999999999',
    'bytes 0-9/9999999999999999',
    'lines 0-9/10',
    'bytes -1-9/10',
    'bytes 0x0-9/10',
  ])
    assert.equal(contentRange(wrong), undefined, wrong)
  assert.equal(sizeOfUnsatisfied('bytes */0'), 0)
  assert.equal(sizeOfUnsatisfied('bytes 0-0/1'), undefined)
})

test('what names one version of a file: a strong tag, or a time that is old enough', () => {
  const date = 'Mon, 30 Nov 2026 10:00:00 GMT'
  assert.deepEqual(versionOf({ etag: '"a"', 'last-modified': date }), { header: 'If-Match', value: '"a"' })
  const old = 'Mon, 30 Nov 2026 09:59:58 GMT'
  assert.deepEqual(versionOf({ etag: 'W/"a"', 'last-modified': old, date }), { header: 'If-Range', value: old })
  assert.equal(versionOf({ etag: 'a', 'last-modified': 'Mon, 30 Nov 2026 09:59:59 GMT', date }), undefined)
  assert.equal(versionOf({ 'last-modified': old }), undefined)
  assert.equal(versionOf({ 'last-modified': 'yesterday', date }), undefined)
})

test('Retry-After: seconds, or a time', () => {
  const now = Date.parse('Mon, 30 Nov 2026 10:00:00 GMT')
  assert.equal(retryAfter('3', now), 3000)
  assert.equal(retryAfter('Mon, 30 Nov 2026 10:00:02 GMT', now), 2000)
  assert.equal(retryAfter('Mon, 30 Nov 2026 09:00:00 GMT', now), 0)
  assert.equal(retryAfter('soon', now), undefined)
  assert.equal(retryAfter(undefined, now), undefined)
})

test('an address is shown without what opens it', () => {
  const address = parseHttpAddress('https://ann:s%40cret@host.example:8443/a/disk.qcow2?X-Signature=abcdef#top')
  assert.equal(address.label, 'https://host.example:8443/a/disk.qcow2?…')
  assert.equal(address.url, 'https://host.example:8443/a/disk.qcow2?X-Signature=abcdef')
  assert.equal(address.authorization, `Basic ${Buffer.from('ann:s@cret').toString('base64')}`)
  const typed = 'https://ann:s%40cret@host.example:8443/a/disk.qcow2?X-Signature=abcdef#top'
  assert.equal(withoutSecrets(`from ${typed}@2, or ${address.url}`), `from ${address.label}@2, or ${address.label}`)
  for (const wrong of ['http://', 'ftp://host/x', 'https://a%zz:b@host/x', 'https://\udcff/x'])
    assert.throws(() => parseHttpAddress(wrong), { code: 'E_HTTP_URL' }, wrong)
})

test('headers of a file: lines that are headers', (t) => {
  const file = join(testFolder(t), 'headers')
  fs.writeFileSync(file, 'Authorization: Bearer abcdefgh\r\n\nX-Odd_1: a: b \n')
  const { headers } = optionsOf({ VDISK_HTTP_HEADERS: file })
  assert.deepEqual(headers, { Authorization: 'Bearer abcdefgh', 'X-Odd_1': 'a: b' })
  assert.equal(withoutSecrets('with Bearer abcdefgh'), 'with …')
  for (const line of ['no header', ': value', 'a b: c', 'x: a\u0001b', 'x: \u20ac', 'x(: 1']) {
    fs.writeFileSync(file, `A: 1\n${line}\n`)
    assert.throws(() => optionsOf({ VDISK_HTTP_HEADERS: file }), { code: 'E_OPTION', message: /, line 2: / }, line)
  }
})

test('settings of the environment', () => {
  const proxies = proxiesOf({})
  assert.deepEqual(optionsOf({}), { milliseconds: 60_000, connections: 8, headers: undefined, proxies })
  assert.deepEqual(optionsOf({ VDISK_HTTP_TIMEOUT: '5', VDISK_HTTP_CONNECTIONS: '16' }), {
    milliseconds: 5000,
    connections: 16,
    headers: undefined,
    proxies,
  })
  for (const [name, value] of [
    ['VDISK_HTTP_TIMEOUT', '0'],
    ['VDISK_HTTP_TIMEOUT', '1.5'],
    ['VDISK_HTTP_CONNECTIONS', '17'],
    ['VDISK_HTTP_CONNECTIONS', 'many'],
    ['VDISK_HTTP_HEADERS', '/nothing/here'],
    ['VDISK_HTTP_HEADERS', '/proc/self/status-of-nobody'],
  ] as const)
    assert.throws(() => optionsOf({ [name]: value }), { code: 'E_OPTION' }, `${name}=${value}`)
})
