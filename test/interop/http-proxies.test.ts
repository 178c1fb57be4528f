import assert from 'node:assert/strict'
import fs from 'node:fs'
import https from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { diskLike } from '../support/content.js'
import { answer, faultServer } from '../support/fault-server.js'
import { testFolder } from '../support/folder.js'
import { listening } from '../support/ports.js'
import { proxyServer } from '../support/proxy.js'
import { isInstalled, run } from '../support/tools.js'

const noOpenssl = isInstalled('openssl') ? undefined : skipReason('openssl is not installed')

test('http: requests go through the proxies of the environment', { skip: noOpenssl }, async (t) => {
  const cwd = testFolder(t)
  const disk = Buffer.from(diskLike(3 * 1048576, 61))
  const { url, served } = await faultServer(t, () => disk)
  const [key, certificate] = [join(cwd, 'key.pem'), join(cwd, 'certificate.pem')]
  run(
    'openssl',
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...[
      '-subj',
      '/CN=images.example',
      '-addext',
      'subjectAltName=DNS:images.example,DNS:localhost',
      '-keyout',
      key,
      '-out',
      certificate,
    ],
  )
  const identity = { key: fs.readFileSync(key), cert: fs.readFileSync(certificate) }
  const secure = https.createServer(identity, (request, response) => void answer(request, response, disk))
  const proxy = await proxyServer(t)
  const { port } = new URL(url)
  const securePort = await listening(t, secure)
  const through = `http://ann:s%40cret@127.0.0.1:${proxy.port}`
  const env = { http_proxy: through, https_proxy: through, NODE_EXTRA_CA_CERTS: certificate }
  for (const [address, asked] of [
    [`http://images.example:${port}/disk.raw`, `GET http://images.example:${port}/disk.raw`],
    [`https://images.example:${securePort}/disk.raw`, `CONNECT images.example:${securePort}`],
  ] as const) {
    const made = await vdisk(['convert', address, 'out.raw', '--from', 'raw', '--force'], { cwd, env })
    assert.equal(made.code, 0, made.stderr)
    assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(disk))
    assert.ok(proxy.asked.includes(asked), proxy.asked.join('\n'))

    // A password that is wrong is said to be so, and shown nowhere.
    const wrong = through.replace('s%40cret', 'wr0ng-one')
    const refused = await vdisk(['info', address], { cwd, env: { ...env, http_proxy: wrong, https_proxy: wrong } })
    assert.equal(refused.code, 2, refused.stderr)
    assert.match(refused.stderr, /proxy[^]* 407|proxy[^]*\(407\)/)
    assert.doesNotMatch(refused.stderr, /wr0ng/)
  }
  // To a proxy by TLS, whose certificate has its own name.
  const secureProxy = await proxyServer(t, identity)
  const byTls = `https://ann:s%40cret@localhost:${secureProxy.port}`
  for (const address of [
    `http://elsewhere.example:${port}/disk.raw`,
    `https://images.example:${securePort}/disk.raw`,
  ]) {
    const secureEnv = { ...env, http_proxy: byTls, https_proxy: byTls }
    const made = await vdisk(['convert', address, 'out.raw', '--from', 'raw', '--force'], { cwd, env: secureEnv })
    assert.equal(made.code, 0, made.stderr)
    assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(disk))
  }
  assert.ok(secureProxy.asked.length >= 2)

  // A server that is not shown to be the one that was named is not asked again, and what is to be done is said.
  for (const [host, why] of [
    ['localhost', /not trusted: self.signed certificate/],
    ['127.0.0.1', /not trusted: .*does not match certificate/],
  ] as const) {
    const trusted = host === 'localhost' ? {} : { NODE_EXTRA_CA_CERTS: certificate }
    const refused = await vdisk(['info', `https://${host}:${securePort}/disk.raw`], { cwd, env: trusted })
    assert.equal(refused.code, 2, refused.stderr)
    assert.match(refused.stderr, why)
    assert.match(refused.stderr, /NODE_EXTRA_CA_CERTS/)
  }
  assert.ok(served.every(({ headers }) => headers['proxy-authorization'] === undefined))
  const before = proxy.asked.length
  const direct = await vdisk(['info', `${url}/disk.raw`, '--from', 'raw'], {
    cwd,
    env: { ...env, no_proxy: '127.0.0.0/8' },
  })
  assert.equal(direct.code, 0, direct.stderr)
  assert.equal(proxy.asked.length, before)
})
