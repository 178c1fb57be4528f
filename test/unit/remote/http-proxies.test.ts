import assert from 'node:assert/strict'
import test from 'node:test'
import { proxiesOf, proxyFor } from '../../../src/remote/http/proxies.js'
import { withoutSecrets } from '../../../src/sys/secrets.js'

const portFor = (address: string, variables: Readonly<Record<string, string>>): number | undefined =>
  proxyFor(new URL(address), proxiesOf(variables))?.port

test('proxies are named as curl names them', () => {
  const named = { http_proxy: 'one:1', HTTPS_PROXY: 'http://two:2/' }
  assert.equal(portFor('http://a.example/', named), 1)
  assert.equal(portFor('https://a.example/', named), 2)
  // A web server sets it from a header of a request.
  assert.equal(portFor('http://a.example/', { HTTP_PROXY: 'one:1' }), undefined)
  assert.equal(portFor('https://a.example/', { https_proxy: 'a:1', HTTPS_PROXY: 'b:2' }), 1)
  assert.equal(portFor('https://a.example/', { ALL_PROXY: 'http://[::1]:3' }), 3)
  assert.equal(portFor('https://a.example/', { all_proxy: 'host' }), 1080)
  assert.equal(portFor('https://a.example/', { all_proxy: 'http://host:80' }), 80)
  for (const wrong of ['socks5://host:1', 'http://', 'host:99999'])
    assert.throws(() => proxiesOf({ https_proxy: wrong }), { code: 'E_HTTP_PROXY' }, wrong)
})

test('what no_proxy names is reached without a proxy', () => {
  for (const [without, address, goes] of [
    ['*', 'http://a.example/', false],
    ['example', 'http://a.example/', false],
    ['.a.example, b', 'http://a.example:8080/', false],
    ['A.EXAMPLE', 'http://a.example./', false],
    ['a.example', 'http://ba.example/', true],
    ['10.0.0.0/8', 'http://10.1.2.3/', false],
    ['10.0.0.0/8', 'http://11.1.2.3/', true],
    ['127.0.0.1', 'http://127.0.0.1:99/', false],
    ['0.1', 'http://10.0.0.1/', true],
    ['::1', 'http://[::1]/', false],
    ['', 'http://a.example/', true],
  ] as const)
    assert.equal(
      portFor(address, { http_proxy: 'p:1', no_proxy: without }),
      goes ? 1 : undefined,
      `${without} ${address}`,
    )
})

test('passwords of proxies are secrets', () => {
  const { http } = proxiesOf({ http_proxy: 'http://ann:s%40cret@host:1' })
  assert.equal(http?.authorization, `Basic ${Buffer.from('ann:s@cret').toString('base64')}`)
  assert.equal(withoutSecrets('by http://ann:s%40cret@host:1'), 'by http://host:1')
})
