import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { vdisk, type CliResult } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { diskLike } from '../support/content.js'
import { answer, faultServer, type Fault } from '../support/fault-server.js'
import { fixture } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { nginxProgram, startNginx } from '../support/nginx.js'
import { freePort } from '../support/ports.js'
import { have, isInstalled, run } from '../support/tools.js'

const mebibyte = 1048576
const noNginx = fs.existsSync(nginxProgram) ? undefined : skipReason('nginx is not installed')
const noQemu = isInstalled('qemu-img') ? undefined : skipReason('qemu-img is not installed')

/** nginx over a folder: `/whole/` without ranges, `/moved/` by way of a redirection, `/locked/` with a password. */
async function nginx(t: TestContext, folder: string): Promise<string> {
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('passwords'), `ann:{PLAIN}s@cret\n`)
  const { port, child } = await startNginx(
    folder,
    `location /whole/ { max_ranges 0; alias ${folder}/; }
location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }
location /locked/ { auth_basic x; auth_basic_user_file ${at('passwords')}; alias ${folder}/; }`,
  )
  t.after(async () => {
    child.kill('SIGQUIT')
    await new Promise((resolve) => child.once('close', resolve))
  })
  return `http://127.0.0.1:${port}`
}

/** 24 MiB with content, zeros that are stored, and a hole. */
function makeDisk(path: string): Buffer {
  fs.writeFileSync(path, diskLike(7 * mebibyte, 31))
  fs.truncateSync(path, 24 * mebibyte)
  const end = fs.openSync(path, 'r+')
  fs.writeSync(end, diskLike(mebibyte, 32), 0, mebibyte, 23 * mebibyte)
  fs.closeSync(end)
  return fs.readFileSync(path)
}

const digest = ({ code, stdout, stderr }: CliResult): string => {
  assert.equal(code, 0, stderr)
  return stdout.toString().split(' ')[0] ?? ''
}

test('http: images of every kind on a real server give what the files give', { skip: noNginx ?? noQemu }, async (t) => {
  const cwd = testFolder(t)
  const www = join(cwd, 'www')
  fs.mkdirSync(www)
  makeDisk(join(www, 'disk.raw'))
  const url = await nginx(t, www)
  const expected = digest(await vdisk(['hash', join(www, 'disk.raw')], { cwd }))
  const names = ['disk.raw', 'disk.raw.gz']
  fs.writeFileSync(join(www, 'disk.raw.gz'), gzipSync(fs.readFileSync(join(www, 'disk.raw')), { level: 1 }))
  for (const [name, ...options] of [
    ['disk.qcow2', '-O', 'qcow2'],
    ['compressed.qcow2', '-c', '-O', 'qcow2'],
    ['disk.vhdx', '-O', 'vhdx'],
    ['disk.vhd', '-O', 'vpc', '-o', 'force_size'],
    ['disk.vmdk', '-O', 'vmdk'],
    ['stream.vmdk', '-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    ['disk.vdi', '-O', 'vdi'],
  ] as const) {
    run('qemu-img', 'convert', '-f', 'raw', ...options, join(www, 'disk.raw'), join(www, name))
    names.push(name)
  }
  for (const name of names) {
    const hashed = await vdisk(['hash', `${url}/${name}`], { cwd })
    assert.equal(digest(hashed), expected, name)
    assert.equal(hashed.stderr, '', name)
  }
  const compared = await vdisk(['compare', `${url}/disk.vhdx`, `${url}/moved/compressed.qcow2`], { cwd })
  assert.equal(compared.code, 0, compared.stderr)
  const converted = await vdisk(['convert', `${url}/compressed.qcow2`, 'out.vhdx', '--verify'], { cwd })
  assert.equal(converted.code, 0, converted.stderr)
  run('qemu-img', 'compare', join(cwd, 'out.vhdx'), join(www, 'disk.raw'))

  // Without ranges all of it is copied first, and that is said.
  const whole = await vdisk(['hash', `${url}/whole/disk.qcow2`], { cwd })
  assert.equal(digest(whole), expected)
  assert.match(whole.stderr, /^Warning: .*\/whole\/disk\.qcow2: the server does not give out parts of files/)

  // A password in the address opens it, and is shown nowhere.
  const { host } = new URL(url)
  const secret = `http://ann:s%40cret@${host}/locked/disk.qcow2?token=hidden`
  for (const args of [
    ['info', secret],
    ['info', secret, '--json'],
    ['info', `http://ann:wr0ng@${host}/locked/disk.qcow2`],
  ]) {
    const { stdout, stderr } = await vdisk(args, { cwd })
    assert.doesNotMatch(stdout.toString() + stderr, /s%40cret|s@cret|hidden|wr0ng|YW5u/)
    assert.match(stdout.toString() + stderr, /\/locked\/disk\.qcow2/)
  }
  assert.equal((await vdisk(['info', secret], { cwd })).code, 0)
  assert.equal((await vdisk(['info', `${url}/locked/disk.qcow2`], { cwd })).code, 2)
  fs.writeFileSync(join(cwd, 'headers'), `Authorization: Basic ${Buffer.from('ann:s@cret').toString('base64')}\n`)
  const byHeader = await vdisk(['info', `${url}/locked/disk.qcow2`], { cwd, env: { VDISK_HTTP_HEADERS: 'headers' } })
  assert.equal(byHeader.code, 0, byHeader.stderr)

  for (const [address, code, message] of [
    [`${url}/nothing.qcow2`, 2, /no such file \(404\)/],
    [`http://127.0.0.1:${await freePort()}/x.qcow2`, 2, /cannot be reached/],
    ['http://', 2, /no http or https address/],
  ] as const) {
    const { code: found, stderr } = await vdisk(['info', address], { cwd })
    assert.equal(found, code, address)
    assert.match(stderr, message)
  }
})

test('http: files in an image, and a partition of it', async (t) => {
  const cwd = testFolder(t)
  const content = fs.readFileSync(fixture('partitioned-disk.vhdx'))
  const { url } = await faultServer(t, () => content)
  const address = `${url}/server.vhdx`
  const [there, here] = await Promise.all(
    [address, fixture('partitioned-disk.vhdx')].map(
      async (image) => await vdisk(['cat', `${image}@2:/etc/fstab`], { cwd }),
    ),
  )
  assert.deepEqual(there?.stdout, here?.stdout)
  assert.equal(there?.code, 0)
  const inspected = await vdisk(['inspect', address], { cwd })
  assert.equal(inspected.code, 0, inspected.stderr)
  assert.equal((await vdisk(['convert', `${address}@2`, 'root.qcow2', '--verify'], { cwd })).code, 0)
  assert.equal((await vdisk(['compare', 'root.qcow2', `${fixture('partitioned-disk.vhdx')}@2`], { cwd })).code, 0)
})

test('http: what is named in an image is not looked for on the network', { skip: noQemu }, async (t) => {
  const cwd = testFolder(t)
  const { url, served } = await faultServer(t, () => fs.readFileSync(join(cwd, 'child.qcow2')))
  run(
    'qemu-img',
    'create',
    '-q',
    '-f',
    'qcow2',
    '-u',
    '-F',
    'qcow2',
    '-b',
    `${url}/base.qcow2`,
    join(cwd, 'child.qcow2'),
    '1M',
  )
  const local = await vdisk(['hash', 'child.qcow2'], { cwd })
  assert.equal(local.code, 6, local.stderr)
  const remote = await vdisk(['hash', `${url}/child.qcow2`], { cwd })
  assert.equal(remote.code, 6, remote.stderr)
  assert.ok(served.every(({ headers }) => headers.host !== undefined))
  const asked = served.length
  assert.equal((await vdisk(['info', `${url}/child.qcow2`], { cwd })).code, 0)
  assert.ok(served.length > asked)
})

test('http: info asks at most four times, and convert for what is stored', { skip: noQemu }, async (t) => {
  const cwd = testFolder(t)
  makeDisk(join(cwd, 'disk.raw'))
  for (const [name, ...options] of [
    ['a.qcow2', '-O', 'qcow2'],
    ['b.qcow2', '-c', '-O', 'qcow2'],
    ['c.vhdx', '-O', 'vhdx'],
  ] as const) {
    run('qemu-img', 'convert', '-f', 'raw', ...options, join(cwd, 'disk.raw'), join(cwd, name))
    const content = fs.readFileSync(join(cwd, name))
    const { url, served } = await faultServer(t, () => content)
    assert.equal((await vdisk(['info', `${url}/${name}`], { cwd })).code, 0)
    assert.ok(served.length <= 4, `${name}: ${served.length} requests`)
    const before = served.length
    assert.equal((await vdisk(['convert', `${url}/${name}`, 'out.raw', '--force'], { cwd })).code, 0)
    assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(fs.readFileSync(join(cwd, 'disk.raw'))), name)
    const bytes = served.slice(before).reduce((sum, one) => sum + one.bytes, 0)
    assert.ok(bytes <= content.length * 1.01, `${name}: ${bytes} of ${content.length} bytes`)
  }
})

test('http: as much is on its way as a long line holds', async (t) => {
  const cwd = testFolder(t)
  const disk = Buffer.from(diskLike(40 * mebibyte, 34))
  const wanted = 16 * mebibyte
  let [waiting, most] = [0, 0]
  const held: (() => void)[] = []
  const release = (): void => {
    waiting = 0
    for (const each of held.splice(0)) each()
  }
  const { url } = await faultServer(t, () => disk, {
    far: (request, response, count) => {
      const [, first = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
      // Nothing is answered before enough has been asked for; at the disk's end there is less to ask for.
      if (count < 3 || Number(last) > disk.length - wanted || most >= wanted) return undefined
      waiting += Number(last) + 1 - Number(first)
      most = Math.max(most, waiting)
      held.push(() => void answer(request, response, disk))
      if (waiting >= wanted) release()
      return true
    },
  })
  // A reader that asks for less would wait for ever.
  const rescue = setTimeout(release, 300_000)
  const { code, stderr } = await vdisk(['convert', `${url}/far/disk.raw`, 'out.raw', '--from', 'raw'], { cwd })
  clearTimeout(rescue)
  assert.equal(code, 0, stderr)
  assert.ok(most >= wanted, `${most} bytes were asked for at once`)
  assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(disk))
})

/** A fault of every request behind the first when it is made for the first time: all of them pass with their second. */
function firstTries(fault: Fault): Fault {
  const ends = new Set<string>()
  return (request, response, count) => {
    // What is left of a range ends where it did.
    const end = /\d+$/.exec(request.headers.range ?? '')?.[0] ?? ''
    if (count === 1 || ends.has(end)) return undefined
    ends.add(end)
    return fault(request, response, count)
  }
}

const content = Buffer.from(diskLike(9 * mebibyte, 33))

/** Faults that pass: the answer is right. */
const passing: Readonly<Record<string, Fault>> = {
  cut: firstTries((request, response) => {
    const [, first = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const end = Math.min(Number(last) + 1, content.length)
    response.writeHead(206, {
      ETag: '"one"',
      'Content-Range': `bytes ${first}-${end - 1}/${content.length}`,
      'Content-Length': end - Number(first),
    })
    response.write(content.subarray(Number(first), Number(first) + 1000))
    setTimeout(() => response.destroy(), 5)
    return true
  }),
  broken: firstTries((_request, response) => {
    response.destroy()
    return true
  }),
  error: firstTries((_request, response) => {
    response.writeHead(500).end('oh')
    return true
  }),
  busy: firstTries((_request, response) => {
    response.writeHead(429, { 'Retry-After': '0' }).end()
    return true
  }),
  slow: (request, response) => {
    setTimeout(() => answer(request, response, content), 30)
    return true
  },
  chunked: firstTries((request, response) => {
    const [, first = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const end = Math.min(Number(last) + 1, content.length)
    response.writeHead(206, { ETag: '"one"', 'Content-Range': `bytes ${first}-${end - 1}/${content.length}` })
    response.write(content.subarray(Number(first), end))
    response.end()
    return true
  }),
}

/** Faults that do not: the error is right, and no target is left. */
const lasting: Readonly<Record<string, readonly [fault: Fault, exitCode: number, message: RegExp]>> = {
  changed: [
    (_request, response, count) => {
      if (count > 2) response.setHeader('ETag', '"two"')
      return undefined
    },
    4,
    /has changed on its server/,
  ],
  'changed-unnoticed': [
    (request, response, count) => {
      // A server that ignores If-Match.
      if (count <= 2) return undefined
      delete request.headers['if-match']
      response.setHeader('ETag', '"two"')
      return undefined
    },
    4,
    /has changed on its server/,
  ],
  size: [
    (request, response, count) => {
      if (count <= 2) return undefined
      answer(request, response, Buffer.concat([content, Buffer.of(0)]))
      return true
    },
    4,
    /has changed on its server/,
  ],
  range: [
    (_request, response, count) => {
      if (count > 2) response.setHeader('Content-Range', `bytes 0-9/${content.length}`)
      return undefined
    },
    4,
    /the server sends others/,
  ],
  whole: [
    (request, _response, count) => {
      if (count > 2) delete request.headers.range
      return undefined
    },
    4,
    /has changed on its server/,
  ],
  encoded: [
    (_request, response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(content))
      return true
    },
    5,
    /sends it encoded \(gzip\)/,
  ],
  'no-size': [
    (_request, response) => {
      response.setHeader('Content-Range', 'bytes 0-1048575/*')
      return undefined
    },
    4,
    /does not say which part/,
  ],
  silent: [
    ({ headers }) => (/^bytes=0-/.test(headers.range ?? '') ? undefined : true),
    4,
    /does not answer \(5 tries\)/,
  ],
  circle: [
    (_request, response) => {
      response.writeHead(302, { Location: '/circle/disk.raw' }).end()
      return true
    },
    2,
    /without an end/,
  ],
  file: [
    (_request, response) => {
      response.writeHead(302, { Location: 'file:///etc/passwd' }).end()
      return true
    },
    2,
    /an address of another kind, file:/,
  ],
  gone: [
    (_request, response, count) => {
      if (count <= 2) return undefined
      response.writeHead(403).end()
      return true
    },
    2,
    /does not give it out \(403\)/,
  ],
}

test('http: what goes wrong and passes is tried again', { concurrency: 4 }, async (t) => {
  await Promise.all(
    Object.keys(passing).map((name) =>
      t.test(name, async (subtest) => {
        const cwd = testFolder(subtest)
        const { url } = await faultServer(subtest, () => content, passing)
        const { code, stderr } = await vdisk(['convert', `${url}/${name}/disk.raw`, 'out.raw', '--from', 'raw'], {
          cwd,
        })
        assert.equal(code, 0, stderr)
        assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(content))
      }),
    ),
  )
})

test('http: what goes wrong and stays wrong is an error that says so', { concurrency: 4 }, async (t) => {
  const faults = Object.fromEntries(Object.entries(lasting).map(([name, [fault]]) => [name, fault]))
  await Promise.all(
    Object.entries(lasting).map(([name, [, exitCode, message]]) =>
      t.test(name, async (subtest) => {
        const cwd = testFolder(subtest)
        const { url } = await faultServer(subtest, () => content, faults)
        const { code, stderr } = await vdisk(['convert', `${url}/${name}/disk.raw`, 'out.raw', '--from', 'raw'], {
          cwd,
          env: { VDISK_HTTP_TIMEOUT: name === 'silent' ? '1' : undefined },
        })
        assert.equal(code, exitCode, stderr)
        assert.match(stderr, message)
        assert.deepEqual(fs.readdirSync(cwd), [])
      }),
    ),
  )
})

test('http: an address that expires is asked for again, and passwords go to their own server alone', async (t) => {
  const cwd = testFolder(t)
  // Each signature is good for three answers.
  let answers = 0
  const there = await faultServer(t, () => content, {
    signed: (request, response) => {
      const signature = Number(new URL(request.url ?? '', 'http://x').searchParams.get('s'))
      if (signature === Math.floor(answers / 3)) {
        answers++
        return undefined
      }
      response.writeHead(403).end()
      return true
    },
  })
  const here = await faultServer(t, () => content, {
    images: (_request, response) => {
      response.writeHead(302, { Location: `${there.url}/signed/disk.raw?s=${Math.floor(answers / 3)}` }).end()
      return true
    },
  })
  const address = `${here.url.replace('//', '//ann:secret@')}/images/disk.raw`
  const { code, stderr } = await vdisk(['convert', address, 'out.raw', '--from', 'raw'], {
    cwd,
    env: { VDISK_HTTP_CONNECTIONS: '1' },
  })
  assert.equal(code, 0, stderr)
  assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(content))
  assert.ok(here.served.length > 1, 'it was resolved again')
  assert.ok(here.served.every(({ headers }) => headers.authorization !== undefined))
  assert.ok(there.served.every(({ headers }) => headers.authorization === undefined))
})

test('http: an image is restored to a disk from where it lies', { skip: loopsMissing() }, async (t) => {
  const cwd = testFolder(t)
  const image = fixture('partitioned-disk.vhdx')
  const bytes = fs.readFileSync(image)
  const { url } = await faultServer(t, () => bytes)
  const file = join(cwd, 'target.raw')
  fs.writeFileSync(file, '')
  fs.truncateSync(file, 64 * mebibyte)
  const device = loopDevice(t, file)
  const restored = await vdisk(['restore', `${url}/server.vhdx`, device, '--yes', '--confirm', '64M'], { cwd })
  assert.equal(restored.code, 0, restored.stderr)
  assert.equal((await vdisk(['compare', `${device}@2`, `${image}@2`], { cwd })).code, 0)
})

test('http: commands that change an image, or mount it, name what to do instead', async (t) => {
  const cwd = testFolder(t)
  const bytes = fs.readFileSync(fixture('partitioned-disk.vhdx'))
  const { url } = await faultServer(t, () => bytes)
  for (const args of [
    ['resize', `${url}/server.vhdx`, '1G'],
    ['mount', `${url}/server.vhdx@2`, '.'],
    ['create', 'child.vhdx', '--parent', `${url}/server.vhdx`],
  ]) {
    const { code, stderr } = await vdisk(args, { cwd })
    assert.equal(code, 2, stderr)
    assert.match(stderr, /is a file of a web server, [^]*vdisk convert http:/)
  }
  const { code, stderr } = await vdisk(['convert', fixture('partitioned-disk.vhdx'), `${url}/new.vhdx`], { cwd })
  assert.equal(code, 2)
  assert.match(stderr, /which is only read\n.*\n.*Give the name of a file/)
})

test('http: what vdisk does not write is sent by what the error names', { skip: noNginx }, async (t) => {
  if (!have(t, 'curl')) return
  const cwd = testFolder(t)
  const { port, child } = await startNginx(
    cwd,
    'location /put/ { dav_methods PUT; create_full_put_path on; client_max_body_size 0; }',
  )
  t.after(() => child.kill('SIGKILL'))
  const address = `http://127.0.0.1:${port}/put/new.qcow2`
  const refused = await vdisk(['convert', fixture('partitioned-disk.vhdx'), address], { cwd })
  assert.equal(refused.code, 2, refused.stderr)
  assert.match(refused.stderr, /which is only read[^]*Give the name of a file[^]*curl --upload-file FILE ADDRESS/)
  const made = await vdisk(['convert', fixture('partitioned-disk.vhdx'), 'new.qcow2'], { cwd })
  assert.equal(made.code, 0, made.stderr)
  run('curl', '--silent', '--fail', '--upload-file', join(cwd, 'new.qcow2'), address)
  const there = await vdisk(['compare', address, fixture('partitioned-disk.vhdx')], { cwd })
  assert.equal(there.code, 0, there.stderr)
})
