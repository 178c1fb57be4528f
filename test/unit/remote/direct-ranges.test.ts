import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { usualOptions } from '../../../src/remote/http/reader-options.js'
import { RangeReader } from '../../../src/remote/http/range-reader.js'
import { printable } from '../../../src/errors.js'
import { diskLike } from '../../support/content.js'
import { listening } from '../../support/ports.js'

const mebibyte = 1048576
const content = Buffer.from(diskLike(20 * mebibyte, 71))

interface Request {
  readonly start: number
  readonly end: number
  /** Whether it came past Node's http. */
  readonly isDirect: boolean
  /** Counts direct requests, from 1. */
  readonly count: number
  readonly socket: Socket
}

function headOf(
  { start, end }: Request,
  more: readonly string[] = [],
  status = 'HTTP/1.1 206 Partial Content',
): string {
  const range = `Content-Range: bytes ${start}-${end - 1}/${content.length}`
  return [status, 'ETag: "one"', range, `Content-Length: ${end - start}`, ...more, '', ''].join('\r\n')
}

function answer(request: Request, more?: readonly string[], status?: string): void {
  request.socket.write(headOf(request, more, status))
  request.socket.write(content.subarray(request.start, request.end))
}

/** A server that is not Node's, and answers direct requests as it likes; a reader of it, over so many connections. */
async function opened(
  t: TestContext,
  direct: (request: Request) => void,
  { connections = 4, mostAtOnce = 100 } = {},
): Promise<{ readonly reader: RangeReader; readonly direct: () => number }> {
  let count = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    if (sockets.size >= mostAtOnce) return void socket.destroy()
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    let said = ''
    socket.on('data', (bytes) => {
      said += bytes.toString('latin1')
      for (let end = said.indexOf('\r\n\r\n'); end >= 0; end = said.indexOf('\r\n\r\n')) {
        const head = said.slice(0, end)
        said = said.slice(end + 4)
        const [, first = '0', last = '0'] = /^range: bytes=(\d+)-(\d+)/im.exec(head) ?? []
        // Node's http sends Host last.
        const isDirect = /^GET \S+ HTTP\/1\.1\r\nHost: /.test(head)
        if (isDirect) count++
        const range = { start: Number(first), end: Math.min(Number(last) + 1, content.length) }
        const request = { ...range, isDirect, count, socket }
        if (isDirect) direct(request)
        else answer(request)
      }
    })
  })
  const port = await listening(t, server)
  t.after(() => sockets.forEach((socket) => socket.destroy()))
  const address = { url: `http://127.0.0.1:${port}/disk`, label: printable('the disk') }
  const reader = await RangeReader.open(address, new Uint8Array(mebibyte), { ...usualOptions, connections })
  t.after(() => reader[Symbol.dispose]())
  return { reader, direct: () => count }
}

async function readAll(reader: RangeReader): Promise<void> {
  const target = new Uint8Array(new SharedArrayBuffer(content.length))
  await reader.read(0, target)
  assert.ok(content.equals(target))
}

test('direct ranges: what comes in one packet or in many is the same', async (t) => {
  const turns = new WeakMap<Socket, Promise<void>>()
  const { reader, direct } = await opened(t, (request) => {
    const { socket, start, end } = request
    const head = headOf(request)
    const bytes = Buffer.concat([Buffer.from(head), content.subarray(start, end)])
    // Nagle's algorithm would put them together.
    socket.setNoDelay()
    const send = async (): Promise<void> => {
      let from = 0
      for (const to of [1, 17, head.length - 1, head.length + 1, 70_000, bytes.length]) {
        await new Promise((resolve) => socket.write(bytes.subarray(from, to), resolve))
        from = to
      }
    }
    // A second question may come before the first is answered.
    turns.set(socket, (turns.get(socket) ?? Promise.resolve()).then(send))
  })
  await readAll(reader)
  assert.ok(direct() >= 5, `${direct()} direct requests`)
  await readAll(reader)
  assert.ok(direct() >= 10, `${direct()} direct requests`)
})

const oddAnswers: Readonly<Record<string, (request: Request) => void>> = {
  'HTTP/1.0': (request) => {
    answer(request, [], 'HTTP/1.0 206 Partial Content')
    request.socket.end()
  },
  'a connection that is closed': (request) => {
    answer(request, ['Connection: close'])
    request.socket.end()
  },
  chunks: ({ socket, start, end }) => {
    const size = (end - start).toString(16)
    socket.write('HTTP/1.1 206 Partial Content\r\nETag: "one"\r\nTransfer-Encoding: chunked\r\n')
    socket.write(`Content-Range: bytes ${start}-${end - 1}/${content.length}\r\n\r\n${size}\r\n`)
    socket.write(Buffer.concat([content.subarray(start, end), Buffer.from('\r\n0\r\n\r\n')]))
  },
  'two lengths': (request) => answer(request, ['Content-Length: 5']),
  'another range': (request) => answer({ ...request, start: request.start + 512, end: request.end + 512 }),
  'another version': ({ socket, start, end }) =>
    socket.write(
      `HTTP/1.1 206 Partial\r\nETag: "two"\r\nContent-Range: bytes ${start}-${end - 1}/${content.length}\r\n` +
        `Content-Length: ${end - start}\r\n\r\n`,
    ),
  'no HTTP': ({ socket }) => socket.write('SSH-2.0-OpenSSH\r\n\r\n'),
  'a head without an end': ({ socket }) => socket.write(`HTTP/1.1 206 Partial\r\nX: ${'y'.repeat(100_000)}`),
  '429': ({ socket }) => socket.write('HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n'),
  'a reset': ({ socket }) => socket.resetAndDestroy(),
  'the end': ({ socket }) => socket.end(),
}

for (const [name, odd] of Object.entries(oddAnswers))
  test(`direct ranges: ${name} is left to Node's http`, async (t) => {
    const { reader, direct } = await opened(t, odd)
    await readAll(reader)
    const met = direct()
    assert.ok(met >= 1)
    // Not every request is made twice: the next ones are left to Node's http at once.
    await readAll(reader)
    assert.equal(direct(), met)
  })

test('direct ranges: what breaks within an answer, and what follows an answer, is asked for again', async (t) => {
  const { reader, direct } = await opened(t, (request) => {
    const { count, socket, start, end } = request
    if (count === 1) {
      socket.write(headOf(request))
      socket.end(content.subarray(start, end - 5))
    } else if (count === 2) {
      answer(request)
      socket.write('and more that nobody asked for')
    } else answer(request)
  })
  await readAll(reader)
  await readAll(reader)
  assert.ok(direct() >= 3)
})

test('direct ranges: a server that takes one connection at once is read over one', async (t) => {
  const { reader } = await opened(t, answer, { connections: 8, mostAtOnce: 1 })
  const target = new Uint8Array(new SharedArrayBuffer(4 * mebibyte))
  const pieces = [0, 1, 2, 3].map((index) => index * mebibyte)
  await Promise.all(pieces.map((at) => reader.read(at, target.subarray(at, at + mebibyte))))
  assert.ok(content.subarray(0, target.length).equals(target))
})
