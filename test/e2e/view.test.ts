import assert from 'node:assert/strict'
import fs from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { skipReason } from '../support/complete.js'
import { listening } from '../support/ports.js'
import { isInstalled, run } from '../support/tools.js'
import { viewing } from '../support/viewing.js'

const disk = join(root, 'fixtures/partitioned-disk.vhdx')

const page = async (url: string): Promise<string> => {
  const answer = await fetch(url)
  assert.equal(answer.status, 200, url)
  return await answer.text()
}

/** The status of an answer to a request with a Host of its own choosing. */
function statusFor(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
      .on('error', reject)
      .end()
  })
}

test('view: pages about an image, files as they are, and an end with Ctrl-C', async (t) => {
  const cwd = testFolder(t)
  fs.copyFileSync(disk, join(cwd, 'server.vhdx'))
  const { url, end } = await viewing(t, cwd, 'server.vhdx')
  const overview = await page(url)
  for (const shown of ['<h1>server.vhdx</h1>', '<h3>Partition 2: root</h3>', 'class="stored level'])
    assert.ok(overview.includes(shown), shown)
  assert.ok(!overview.includes('restore'), 'restoring is not offered')
  assert.match(await page(`${url}1/files`), /files\?part=1&amp;path=\/"[^]*files\?part=2&amp;path=\/"/)
  assert.match(await page(`${url}1/files?part=2&path=/etc`), /file\?part=2&amp;path=\/etc\/fstab" download>fstab</)
  assert.match(await page(`${url}1/check?start=deep`), /Reading everything[^]*clean; everything it stores was read/)
  assert.match(await page(`${url}1/doctor?for=proxmox`), /Will it start on Proxmox/)
  assert.match(await page(`${url}1/chain`), /A single image/)

  const download = await fetch(`${url}1/file?part=2&path=/etc/fstab`)
  const own = await vdisk(['cat', 'server.vhdx@2:/etc/fstab'], { cwd })
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), own.stdout)
  assert.match(download.headers.get('content-disposition') ?? '', /^attachment; /)
  assert.match(download.headers.get('content-security-policy') ?? '', /sandbox/)

  const wrong = await fetch(`${url}1/files?part=7&path=/`)
  assert.equal(wrong.status, 400)
  assert.match(await wrong.text(), /role="alert"[^]*partition 7/)
  for (const missing of ['2/', '1/nothing', '1/files/x', '0/', 'restore/', '1/__proto__', 'constructor'])
    assert.equal((await fetch(url + missing)).status, 404, missing)
  const { code, stderr } = await end()
  assert.deepEqual([code, stderr], [0, ''])
})

test('view: nothing is answered but below its address', async (t) => {
  const cwd = testFolder(t)
  fs.copyFileSync(disk, join(cwd, 'server.vhdx'))
  const { url } = await viewing(t, cwd, 'server.vhdx')
  const { origin, host, pathname } = new URL(url)
  assert.match(pathname, /^\/[0-9a-f]{32}\/$/)
  for (const path of ['/', '/1/', `/${'0'.repeat(32)}/`, `${pathname.slice(0, -2)}/1/`, '//'])
    assert.equal((await fetch(origin + path)).status, 404, path)
  assert.equal(await statusFor(url, 'rebound.example:80'), 404)
  assert.equal(await statusFor(url, host), 303)
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 405)
  for (const path of ['restore/plan', 'restore/confirm', '1/'])
    assert.equal((await fetch(url + path, { method: 'POST', body: 'source=1@&device=/dev/loop0' })).status, 404)
  assert.equal((await fetch(url, { method: 'POST', body: 'x'.repeat(100_000) })).status, 413)
  const { headers } = await fetch(`${url}1/`)
  assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
  assert.equal(headers.get('cache-control'), 'no-store')
})

test('view: several images, a chain and its snapshots, and one that is damaged meanwhile', async (t) => {
  const cwd = testFolder(t)
  for (const args of [
    ['convert', disk, 'base.qcow2'],
    ['snapshot', 'create', 'base.qcow2', 'before <b>update</b>'],
    ['create', 'child.qcow2', '--parent', 'base.qcow2'],
  ])
    assert.equal((await vdisk(args, { cwd })).code, 0)
  const { url } = await viewing(t, cwd, 'base.qcow2', 'child.qcow2')
  assert.match(await page(url), /href="\/[0-9a-f]+\/1\/">base\.qcow2<[^]*\/2\/">child\.qcow2</)
  const base = await page(`${url}1/chain`)
  assert.match(base, /before &lt;b&gt;update&lt;\/b&gt;/)
  assert.doesNotMatch(base, /<b>update/)
  assert.match(await page(`${url}2/chain`), /<h3>child\.qcow2<[^]*<h3>base\.qcow2</)
  fs.truncateSync(join(cwd, 'base.qcow2'), 100)
  const broken = await fetch(`${url}1/`)
  assert.equal(broken.status, 422)
  assert.match(await broken.text(), /role="alert"/)
  // What ends a page that has begun is on it.
  assert.match(await page(`${url}1/check?start=structures`), /role="alert"[^]*<\/html>/)
})

const mke2fs = isInstalled('mke2fs') ? undefined : skipReason('mke2fs is not installed')

test('view: names of files are names, whatever bytes they have', { skip: mke2fs }, async (t) => {
  const cwd = testFolder(t)
  const files = join(cwd, 'files')
  fs.mkdirSync(files)
  const names = ['<script>alert(1)</script>', '"quoted" & more', 'a+b %41?#', '\u202egpj.exe']
  for (const name of names) fs.writeFileSync(join(files, name.replaceAll('/', '∕')), `of ${name}`)
  const bytes = Buffer.concat([Buffer.from(`${files}/`), Buffer.of(0x66, 0xfc, 0x72)])
  fs.writeFileSync(bytes, 'Latin-1')
  run('mke2fs', '-q', '-t', 'ext4', '-d', files, join(cwd, 'names.img'), '8M')
  const { url } = await viewing(t, cwd, 'names.img')
  const shown = await page(`${url}1/files`)
  assert.ok(!shown.includes('<script>alert'))
  assert.ok(!shown.includes('\u202e'))
  const links = [...shown.matchAll(/href="(file\?[^"]*)"/g)].map(([, href = '']) => href.replaceAll('&amp;', '&'))
  const contents = await Promise.all(links.map(async (href) => await page(`${url}1/${href}`)))
  assert.deepEqual(contents.sort(), ['Latin-1', ...names.map((name) => `of ${name}`)].sort())
})

test('view: what it prints, and what keeps it from starting', async (t) => {
  const cwd = testFolder(t)
  fs.copyFileSync(disk, join(cwd, 'server.vhdx'))
  const missing = await vdisk(['view', 'nothing.vhdx'], { cwd })
  assert.equal(missing.code, 2)
  const taken = await listening(t, createServer())
  const busy = await vdisk(['view', 'server.vhdx', '--port', String(taken)], { cwd })
  assert.equal(busy.code, 7)
  assert.match(busy.stderr, /^Error: vdisk cannot listen at port \d+: another program listens there\n.*\n.*--port/)
  const { code: noPort, stderr } = await vdisk(['view', 'server.vhdx', '--port', '70000'], { cwd })
  assert.equal(noPort, 2)
  assert.match(stderr, /^Error: --port: 70000 is no port; [^\n]*\nWhy: .*\nWhat to do: .*\n$/)
  let text = ''
  const { code } = await vdisk(['view', 'server.vhdx', '--json', '--restore'], {
    cwd,
    onOutput: (bytes, child) => {
      text += bytes.toString()
      if (text.endsWith('}\n')) child.kill('SIGTERM')
    },
  })
  assert.equal(code, 0)
  assertSchema('view', JSON.parse(text))
})
