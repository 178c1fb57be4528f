import assert from 'node:assert/strict'
import http, { type RequestListener } from 'node:http'
import { createServer, type Server } from 'node:net'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { parseHttpAddress } from '../../../src/remote/http/address.js'
import { usualOptions } from '../../../src/remote/http/reader-options.js'
import { RangeReader } from '../../../src/remote/http/range-reader.js'
import { isImageError, type ImageError } from '../../../src/errors.js'
import { diskLike } from '../../support/content.js'
import { answer } from '../../support/fault-server.js'
import { listening } from '../../support/ports.js'

const mebibyte = 1048576
const content = Buffer.from(diskLike(5 * mebibyte, 72))

async function openAt(t: TestContext, url: string): Promise<RangeReader> {
  const reader = await RangeReader.open(parseHttpAddress(url), new Uint8Array(mebibyte), usualOptions)
  t.after(() => reader[Symbol.dispose]())
  return reader
}

async function opened(t: TestContext, answering: RequestListener, path = '/disk.raw'): Promise<RangeReader> {
  return await openAt(t, `http://127.0.0.1:${await listening(t, http.createServer(answering))}${path}`)
}

async function contentOf(reader: RangeReader): Promise<Buffer> {
  const target = new Uint8Array(new SharedArrayBuffer(reader.facts.size))
  await reader.read(0, target)
  return Buffer.from(target)
}

async function failure(work: Promise<unknown>): Promise<ImageError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(isImageError(error), `it is ${String(error)}`)
  return error
}

/** A server that is not Node's: `head` and then all of the file, after each question; the connection ends then. */
function plainServer(head: (range: readonly [number, number]) => string, sends = content): Server {
  return createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (bytes) => {
      const [, first = '0', last = String(sends.length - 1)] =
        /^range: bytes=(\d+)-(\d+)/im.exec(bytes.toString('latin1')) ?? []
      const [start, end] = [Number(first), Math.min(Number(last) + 1, sends.length)]
      const text = head([start, end])
      socket.write(`${text}\r\n\r\n`, 'latin1')
      socket.end(text.includes(' 206') ? sends.subarray(start, end) : sends)
    })
  })
}

const date = (year: number): string => new Date(Date.UTC(year, 0, 1)).toUTCString()

/** Answers of a file that has changed, by a server that looks at no condition: the bytes would be a mixture. */
const unnoticed: Readonly<
  Record<string, readonly [before: http.OutgoingHttpHeaders, after: http.OutgoingHttpHeaders]>
> = {
  'a strong tag': [{ ETag: '"one"' }, { ETag: '"two"' }],
  'a weak tag': [{ ETag: 'W/"one"' }, { ETag: 'W/"two"' }],
  'a time': [{ 'Last-Modified': date(2020) }, { 'Last-Modified': date(2021) }],
  'a time, and the same weak tag': [
    { ETag: 'W/"one"', 'Last-Modified': date(2020) },
    { ETag: 'W/"one"', 'Last-Modified': date(2021) },
  ],
  'a time that is too new to be relied on': [
    { 'Last-Modified': date(2020), Date: date(2020) },
    { 'Last-Modified': date(2021), Date: date(2021) },
  ],
}

for (const [name, [before, after]] of Object.entries(unnoticed))
  test(`odd servers: a change that shows in ${name} alone is an error`, async (t) => {
    let isChanged = false
    const reader = await opened(t, ({ headers }, response) => {
      const [, first = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
      const end = Math.min(Number(last) + 1, content.length)
      const range = { 'Content-Range': `bytes ${first}-${end - 1}/${content.length}` }
      const length = { 'Content-Length': end - Number(first) }
      response.writeHead(206, { ...range, ...length, ...(isChanged ? after : before) })
      response.end(content.subarray(Number(first), end))
    })
    assert.ok(content.equals(await contentOf(reader)))
    isChanged = true
    // By Node's http, and past it.
    for (const length of [4096, 4 * mebibyte]) {
      const { code } = await failure(reader.read(mebibyte, new Uint8Array(new SharedArrayBuffer(length))))
      assert.equal(code, 'E_SOURCE_CHANGED')
    }
  })

for (const header of ['Content-Encoding', 'Transfer-Encoding'])
  test(`odd servers: bytes that come with ${header}: gzip are not taken for those of the file`, async (t) => {
    let isEncoded = false
    const server = plainServer(([start, end]) => {
      const range = `ETag: "one"\r\nContent-Range: bytes ${start}-${end - 1}/${content.length}`
      return `HTTP/1.1 206 Partial Content\r\n${range}\r\nConnection: close${isEncoded ? `\r\n${header}: gzip` : ''}`
    })
    const url = `http://127.0.0.1:${await listening(t, server)}/disk.raw`
    const reader = await openAt(t, url)
    isEncoded = true
    for (const length of [4096, 4 * mebibyte]) {
      const { code } = await failure(reader.read(mebibyte, new Uint8Array(new SharedArrayBuffer(length))))
      assert.equal(code, 'E_HTTP_ENCODING')
    }
    assert.equal((await failure(openAt(t, url))).code, 'E_HTTP_ENCODING')
  })

test('odd servers: all of a file that comes encoded is refused', async (t) => {
  const work = opened(t, (_request, response) => {
    response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(content))
  })
  assert.equal((await failure(work)).code, 'E_HTTP_ENCODING')
})

test('odd servers: HTTP/1.0, with ranges, and without', async (t) => {
  const ranges = plainServer(
    ([start, end]) =>
      `HTTP/1.0 206 Partial\r\nETag: "one"\r\nContent-Range: bytes ${start}-${end - 1}/${content.length}`,
  )
  assert.ok(content.equals(await contentOf(await openAt(t, `http://127.0.0.1:${await listening(t, ranges)}/a`))))
  const lengths = plainServer(() => `HTTP/1.0 200 OK\r\nContent-Length: ${content.length}`)
  const known = await openAt(t, `http://127.0.0.1:${await listening(t, lengths)}/b`)
  assert.ok(content.equals(await contentOf(known)))
  assert.deepEqual(
    known.facts.notes.map(({ code }) => code),
    ['W_HTTP_NO_RANGES'],
  )
  // Nobody knows whether that is all of it.
  const endless = plainServer(() => 'HTTP/1.0 200 OK')
  const reader = await openAt(t, `http://127.0.0.1:${await listening(t, endless)}/c`)
  assert.ok(content.equals(await contentOf(reader)))
  assert.deepEqual(
    reader.facts.notes.map(({ code }) => code),
    ['W_HTTP_NO_RANGES', 'W_HTTP_NO_LENGTH'],
  )
})

test('odd servers: a body in chunks ends where it says so', async (t) => {
  const reader = await opened(t, (_request, response) => {
    response.writeHead(200)
    response.write(content.subarray(0, mebibyte))
    response.end(content.subarray(mebibyte))
  })
  assert.ok(content.equals(await contentOf(reader)))
  assert.deepEqual(
    reader.facts.notes.map(({ code }) => code),
    ['W_HTTP_NO_RANGES'],
  )
})

test('odd servers: several ranges in one answer are none of the file', async (t) => {
  const { code } = await failure(
    opened(t, (_request, response) => {
      response.writeHead(206, { 'Content-Type': 'multipart/byteranges; boundary=x' })
      response.end('--x\r\nContent-Range: bytes 0-3/4\r\n\r\nabcd\r\n--x--\r\n')
    }),
  )
  assert.equal(code, 'E_HTTP_PROTOCOL')
})

test('odd servers: files of no byte, and of one', async (t) => {
  // Of no byte there is no range; some servers do not say why.
  for (const isSaid of [true, false]) {
    const reader = await opened(t, ({ headers }, response) => {
      if (headers.range === undefined) response.writeHead(200, { 'Content-Length': '0' }).end()
      else response.writeHead(416, isSaid ? { 'Content-Range': 'bytes */0' } : {}).end('no such range')
    })
    assert.equal(reader.facts.size, 0)
    assert.equal((await contentOf(reader)).length, 0)
  }
  const one = Buffer.of(7)
  assert.deepEqual(await contentOf(await opened(t, (request, response) => void answer(request, response, one))), one)
})

test('odd servers: names with all that an address may have, and where they lead to', async (t) => {
  const asked: string[] = []
  const server = http.createServer((request, response) => {
    asked.push(request.url ?? '')
    // As bytes of UTF-8: RFC 9110 knows no such address, and servers send it.
    if (request.url?.startsWith('/to') === true)
      response.writeHead(302, { Location: Buffer.from('/disk ü.raw?a=b&c=%2F').toString('latin1') }).end()
    else answer(request, response, content)
  })
  const origin = `http://127.0.0.1:${await listening(t, server)}`
  for (const [path, wanted] of [
    ['/a%20b%23c%3Fd%25e.raw', '/a%20b%23c%3Fd%25e.raw'],
    ['/a%2Fb+c;d=e.raw?x=%26&y', '/a%2Fb+c;d=e.raw?x=%26&y'],
    ['/folder/', '/folder/'],
    ['/ü x.raw#part', '/%C3%BC%20x.raw'],
    ['/to', '/disk%20%C3%BC.raw?a=b&c=%2F'],
  ] as const) {
    asked.length = 0
    assert.ok(content.equals(await contentOf(await openAt(t, `${origin}${path}`))))
    assert.deepEqual([...new Set(asked)].slice(path === '/to' ? 1 : 0), [wanted])
  }
})

test('odd servers: IPv6 literals', async (t) => {
  const hosts: (string | undefined)[] = []
  const server = http.createServer((request, response) => {
    hosts.push(request.headers.host)
    answer(request, response, content)
  })
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve))
  t.after(() => (server.closeAllConnections(), server.close()))
  const { port } = server.address() as { readonly port: number }
  assert.ok(content.equals(await contentOf(await openAt(t, `http://[::1]:${port}/disk.raw`))))
  assert.deepEqual([...new Set(hosts)], [`[::1]:${port}`])
})

test('odd servers: credentials of one server are sent to no other, nor its headers', async (t) => {
  const seen: http.IncomingHttpHeaders[] = []
  const other = http.createServer((request, response) => {
    seen.push(request.headers)
    answer(request, response, content)
  })
  const otherPort = await listening(t, other)
  for (const host of ['127.0.0.1', 'localhost', 'ann:secret@127.0.0.1']) {
    seen.length = 0
    const first = http.createServer((_request, response) => {
      response.writeHead(307, { Location: `http://${host}:${otherPort}/disk.raw`, 'Set-Cookie': 'a=b' }).end()
    })
    const url = `http://bob:hidden@127.0.0.1:${await listening(t, first)}/disk.raw`
    const headers = { 'X-Token': 'hidden' }
    const reader = await RangeReader.open(parseHttpAddress(url), new Uint8Array(mebibyte), { ...usualOptions, headers })
    t.after(() => reader[Symbol.dispose]())
    assert.ok(content.equals(await contentOf(reader)))
    assert.ok(seen.length > 1)
    // A server may name credentials of its own in the address that it leads to.
    const own = host.startsWith('ann') ? `Basic ${Buffer.from('ann:secret').toString('base64')}` : undefined
    for (const { authorization, cookie, 'x-token': token } of seen)
      assert.deepEqual([authorization, cookie, token], [own, undefined, undefined])
  }
})
