import assert from 'node:assert/strict'
import net from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { ClientConnection } from '../../../src/mount/nbd/client-connection.js'
import { ExportStore } from '../../../src/mount/nbd/export-store.js'
import { NbdServer, type NbdAddress } from '../../../src/mount/nbd/index.js'
import { allocationContext, commandType } from '../../../src/mount/nbd/structs.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { MemoryDisk } from '../../support/nbd.js'

const mebibyte = 1048576
const address = (path: string, name = ''): NbdAddress => ({ endpoint: { kind: 'unix', path }, name, tls: false })

async function serve(t: TestContext, disk: MemoryDisk): Promise<string> {
  const path = join(testFolder(t), 'socket')
  const server = new NbdServer({ disks: [disk] })
  await server.listen({ kind: 'unix', path })
  t.after(() => server.close())
  return path
}

async function open(t: TestContext, path: string, milliseconds = 5000): Promise<ClientConnection> {
  const connection = await ClientConnection.open(address(path), 'the server', milliseconds, allocationContext)
  t.after(() => connection.close())
  return connection
}

test('a connection reads, writes, zeroes, flushes, and knows what is zero', async (t) => {
  const disk = new MemoryDisk(Buffer.from(diskLike(2 * mebibyte, 5)))
  const connection = await open(t, await serve(t, disk))
  assert.deepEqual(
    [
      connection.facts.size,
      connection.facts.structured,
      connection.facts.flags.readOnly,
      connection.facts.flags.multipleConnections,
    ],
    [2 * mebibyte, true, false, true],
  )
  const target = new Uint8Array(2 * mebibyte).fill(0xee)
  await connection.request({ type: commandType.read, offset: 0, length: target.length, target })
  assert.ok(disk.bytes.equals(target))
  await Promise.all([
    connection.request({ type: commandType.write, offset: 5, length: 70_000, payload: new Uint8Array(70_000).fill(7) }),
    connection.request({ type: commandType.writeZeroes, offset: mebibyte, length: 512 * 1024 }),
  ])
  await connection.request({ type: commandType.flush, offset: 0, length: 0 })
  assert.deepEqual(disk.done.at(-1), 'flush')
  const part = new Uint8Array(10)
  await connection.request({ type: commandType.read, offset: 0, length: 10, target: part })
  assert.ok(disk.bytes.subarray(0, 10).equals(part))
  const runs = await connection.request({ type: commandType.blockStatus, offset: mebibyte, length: mebibyte })
  assert.equal(
    runs.reduce((sum, { length }) => sum + length, 0),
    mebibyte,
  )
  assert.ok(runs[0]?.isLeftOut === true && runs[0].length >= 512 * 1024)
  disk.bad.add(100_000)
  await assert.rejects(
    connection.request({ type: commandType.read, offset: 99_000, length: 4096, target: new Uint8Array(4096) }),
    { code: 'E_READ', kind: 'corrupt', message: /offset 100000 cannot be read/ },
  )
  await assert.rejects(
    connection.request({ type: commandType.write, offset: 2 * mebibyte, length: 1, payload: new Uint8Array(1) }),
    { code: 'E_NO_SPACE', kind: 'target' },
  )
})

/** A server that answers the handshake as it should, and then sends what it is reported. */
async function lyingServer(
  t: TestContext,
  answer: (request: Buffer, socket: net.Socket) => void,
  handshake = good(),
): Promise<string> {
  const path = join(testFolder(t), 'socket')
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    let received = Buffer.alloc(0)
    let stage = 0
    socket.write(Buffer.from(handshake[0] ?? '', 'hex'))
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes])
      for (;;) {
        if (stage === 0 && received.length >= 4) received = received.subarray(4)
        else if (
          stage > 0 &&
          stage < handshake.length &&
          received.length >= 16 &&
          received.length >= 16 + received.readUInt32BE(12)
        ) {
          received = received.subarray(16 + received.readUInt32BE(12))
          socket.write(Buffer.from(handshake[stage] ?? '', 'hex'))
        } else if (stage >= handshake.length && received.length >= 28) {
          const request = Buffer.from(received.subarray(0, 28))
          received = received.subarray(28)
          answer(request, socket)
          continue
        } else return
        stage++
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.after(() => server.close())
  return path
}

const reply = (option: string, type: string, data = ''): string =>
  `0003e889045565a9${option}${type}${(data.length / 2).toString(16).padStart(8, '0')}${data}`
const ack = '00000001'
/** The greeting, and the answers to STRUCTURED_REPLY, SET_META_CONTEXT and GO: 1 MiB, all flags. */
function good(): string[] {
  return [
    '4e42444d4147494349484156454f50540003',
    reply('00000008', ack),
    reply('0000000a', '00000004', `00000009${Buffer.from('base:allocation').toString('hex')}`) + reply('0000000a', ack),
    reply('00000007', '00000003', '00000000000000100000018d') + reply('00000007', ack),
  ]
}
function withStage(stage: number, text: string): string[] {
  const stages = good()
  stages[stage] = text
  return stages
}
const chunk = (request: Buffer, type: number, payload: string, flags = 1): Buffer => {
  const header = Buffer.alloc(20)
  header.writeUInt32BE(0x668e33ef)
  header.writeUInt16BE(flags, 4)
  header.writeUInt16BE(type, 6)
  request.copy(header, 8, 8, 16)
  header.writeUInt32BE(payload.length / 2, 16)
  return Buffer.concat([header, Buffer.from(payload, 'hex')])
}
const offset = (value: number): string => value.toString(16).padStart(16, '0')
const size = (value: number): string => value.toString(16).padStart(8, '0')

const lies: readonly (readonly [title: string, answer: (request: Buffer, socket: net.Socket) => void])[] = [
  ['another magic', (_request, socket) => socket.write(Buffer.alloc(40))],
  ['a cookie that nobody sent', (_request, socket) => socket.write(chunk(Buffer.alloc(28, 0xaa), 0, ''))],
  [
    'a simple reply to a read',
    (request, socket) =>
      socket.write(
        Buffer.concat([Buffer.from('6744669800000000', 'hex'), request.subarray(8, 16), Buffer.alloc(4096)]),
      ),
  ],
  ['data before the range', (request, socket) => socket.write(chunk(request, 1, offset(0) + '00'.repeat(16)))],
  ['data behind the range', (request, socket) => socket.write(chunk(request, 1, offset(8190) + '00'.repeat(16)))],
  [
    'data at the end of everything',
    (request, socket) => socket.write(chunk(request, 1, `ffffffffffffffff${'00'.repeat(16)}`)),
  ],
  ['data without bytes', (request, socket) => socket.write(chunk(request, 1, offset(4096)))],
  [
    'a chunk of four gigabytes',
    (request, socket) =>
      socket.write(
        Buffer.concat([chunk(request, 1, '').subarray(0, 16), Buffer.from('ffffffff', 'hex'), Buffer.alloc(64)]),
      ),
  ],
  [
    'an error of four gigabytes',
    (request, socket) =>
      socket.write(
        Buffer.concat([chunk(request, 0x8001, '').subarray(0, 16), Buffer.from('ffffffff', 'hex'), Buffer.alloc(64)]),
      ),
  ],
  ['a hole that is too long', (request, socket) => socket.write(chunk(request, 2, offset(4096) + size(8192)))],
  ['a hole of no bytes', (request, socket) => socket.write(chunk(request, 2, offset(4096) + size(0)))],
  ['a part of what was asked for', (request, socket) => socket.write(chunk(request, 2, offset(4096) + size(2048)))],
  [
    'the same bytes twice',
    (request, socket) =>
      socket.write(
        Buffer.concat([
          chunk(request, 2, offset(4096) + size(2048), 0),
          chunk(request, 2, offset(5000) + size(2048), 0),
          chunk(request, 2, offset(7048) + size(1144)),
        ]),
      ),
  ],
  ['a chunk of an unknown type', (request, socket) => socket.write(chunk(request, 77, ''))],
  ['a block status for a read', (request, socket) => socket.write(chunk(request, 5, `00000009${size(512)}${size(0)}`))],
  ['an error without its fields', (request, socket) => socket.write(chunk(request, 0x8001, '0000'))],
]
for (const [title, answer] of lies) {
  test(`a server that answers a read with ${title} is not believed`, async (t) => {
    const connection = await open(t, await lyingServer(t, answer))
    await assert.rejects(
      connection.request({ type: commandType.read, offset: 4096, length: 4096, target: new Uint8Array(4096) }),
      { code: 'E_NBD_PROTOCOL', kind: 'corrupt' },
    )
    await assert.rejects(
      connection.request({ type: commandType.read, offset: 0, length: 1, target: new Uint8Array(1) }),
      {
        code: 'E_NBD_PROTOCOL',
      },
    )
  })
}

test('a connection that ends or breaks is lost, whatever was asked for', async (t) => {
  const ways: readonly ((socket: net.Socket) => void)[] = [
    (socket) => void socket.end(),
    (socket) => void socket.destroy(),
    (socket) => {
      socket.write('6744')
      socket.end()
    },
  ]
  for (const way of ways) {
    const path = await lyingServer(t, (_request, socket) => way(socket))
    for (const [type, code] of [
      [commandType.read, 'E_CONNECTION_LOST'],
      [commandType.blockStatus, 'E_CONNECTION_LOST'],
      [commandType.write, 'E_TARGET_LOST'],
      [commandType.flush, 'E_TARGET_LOST'],
    ] as const) {
      const connection = await open(t, path)
      const ask = { type, offset: 0, length: 512, target: new Uint8Array(512) }
      await assert.rejects(connection.request(ask), { code, message: /the connection was lost: / })
      // And of all that is asked later.
      await assert.rejects(connection.request(ask), { code })
    }
  }
})

const wrongStatus = [
  '',
  '00000009',
  `00000008${size(512)}${size(0)}`,
  `00000009${size(0)}${size(0)}`,
  `00000009${size(512)}`,
]
for (const payload of wrongStatus) {
  test(`a block status of "${payload}" is not believed`, async (t) => {
    const connection = await open(
      t,
      await lyingServer(t, (request, socket) => socket.write(chunk(request, 5, payload))),
    )
    await assert.rejects(connection.request({ type: commandType.blockStatus, offset: 0, length: 4096 }), {
      code: 'E_NBD_PROTOCOL',
    })
  })
}

test('a block status that reaches further than was asked is cut', async (t) => {
  const connection = await open(
    t,
    await lyingServer(t, (request, socket) =>
      socket.write(chunk(request, 5, `00000009${size(512)}${size(0)}ffffffff00000003`)),
    ),
  )
  assert.deepEqual(await connection.request({ type: commandType.blockStatus, offset: 0, length: 4096 }), [
    { length: 512, isLeftOut: false },
    { length: 3584, isLeftOut: true },
  ])
})

const handshakes: readonly (readonly [title: string, stages: string[], code: string])[] = [
  ['no NBD server', withStage(0, '00'.repeat(18)), 'E_NBD_PROTOCOL'],
  ['the oldest protocol', withStage(0, '4e42444d4147494300420281861253000000'), 'E_NBD_OLD'],
  ["another option's reply", withStage(1, reply('00000007', ack)), 'E_NBD_PROTOCOL'],
  ['a reply of four gigabytes', withStage(1, '0003e889045565a90000000800000001ffffffff'), 'E_NBD_PROTOCOL'],
  ['replies without end', withStage(2, reply('0000000a', '00000004', '00000009').repeat(1001)), 'E_NBD_PROTOCOL'],
  ['no size', withStage(3, reply('00000007', ack)), 'E_NBD_PROTOCOL'],
  [
    'a size beyond numbers',
    withStage(3, reply('00000007', '00000003', '0000ffffffffffffffff018d') + reply('00000007', ack)),
    'E_TOO_LARGE',
  ],
  [
    'blocks of three bytes',
    withStage(
      3,
      reply('00000007', '00000003', '0003000000030000100002000000') +
        reply('00000007', '00000003', '00000000000000100000018d') +
        reply('00000007', ack),
    ),
    'E_NBD_PROTOCOL',
  ],
  [
    'no such export',
    withStage(3, reply('00000007', '80000006', Buffer.from('nothing \u001b[2J here').toString('hex'))),
    'E_NBD_EXPORT',
  ],
  ['TLS wanted', withStage(3, reply('00000007', '80000005')), 'E_NBD_TLS'],
]
for (const [title, stages, code] of handshakes) {
  test(`a handshake with ${title}: ${code}`, async (t) => {
    const path = await lyingServer(t, () => undefined, stages)
    await assert.rejects(
      open(t, path),
      (error: Error & { code: string }) => error.code === code && !error.message.includes('\u001b'),
    )
  })
}

test('a server that falls silent, before or after the handshake, is not waited for long', async (t) => {
  const silent = await lyingServer(t, () => undefined, [''])
  // Long enough for what answers, on a busy machine too.
  const patience = 2000
  await assert.rejects(open(t, silent, patience), { code: 'E_NBD_TIMEOUT' })
  const asleep = await open(t, await lyingServer(t, () => undefined), patience)
  await assert.rejects(
    asleep.request({ type: commandType.read, offset: 0, length: 512, target: new Uint8Array(512) }),
    {
      code: 'E_NBD_TIMEOUT',
    },
  )
  await assert.rejects(open(t, join(testFolder(t), 'nothing')), { code: 'E_NBD_CONNECT', kind: 'usage' })
})

/** A server in a thread of its own: the store makes this one wait. */
async function serveInThread(t: TestContext, length: number, writable: boolean): Promise<NbdAddress> {
  const worker = new Worker(
    `
    const { parentPort, workerData } = require('node:worker_threads')
    const { server: serverModule, support, content, length, writable } = workerData
    const modules = [import(serverModule), import(support), import(content)]
    Promise.all(modules).then(async ([{ NbdServer }, { MemoryDisk }, { diskLike }]) => {
      const disk = new MemoryDisk(Buffer.from(diskLike(length, 3)), '', writable)
      const server = new NbdServer({ disks: [disk] })
      parentPort.postMessage(await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }))
    })`,
    {
      eval: true,
      workerData: {
        server: new URL('../../../src/mount/nbd/index.js', import.meta.url).href,
        support: new URL('../../support/nbd.js', import.meta.url).href,
        content: new URL('../../support/content.js', import.meta.url).href,
        length,
        writable,
      },
    },
  )
  t.after(() => worker.terminate())
  const endpoint = await new Promise<NbdAddress['endpoint']>((resolve, reject) =>
    worker.once('message', resolve).once('error', reject),
  )
  return { endpoint, name: '', tls: false }
}

test('an export as a store: read and written, waited for and not', async (t) => {
  const length = 3 * mebibyte + 512
  const expected = Buffer.from(diskLike(length, 3))
  using store = new ExportStore(await serveInThread(t, length, true))
  assert.equal(store.size, length)
  const whole = new Uint8Array(length)
  store.read(0, whole)
  assert.ok(expected.equals(whole))
  const shared = new Uint8Array(new SharedArrayBuffer(length))
  await Promise.all([store.fetch(0, shared.subarray(0, mebibyte)), store.fetch(mebibyte, shared.subarray(mebibyte))])
  assert.ok(expected.equals(shared))
  store.write(1000, new Uint8Array(2 * mebibyte).fill(9))
  expected.fill(9, 1000, 1000 + 2 * mebibyte)
  await store.send(7, shared.subarray(0, 100))
  expected.set(shared.subarray(0, 100), 7)
  await store.clear(mebibyte + 3, mebibyte)
  expected.fill(0, mebibyte + 3, 2 * mebibyte + 3)
  store.flush()
  await store.flushed()
  store.read(0, whole)
  assert.ok(expected.equals(whole))
  let position = 0
  let zero = 0
  while (position < length) {
    const run = store.holeAt(position, length - position)
    if (run.hole) {
      assert.ok(expected.subarray(position, position + run.length).every((byte) => byte === 0))
      zero += run.length
    }
    position += run.length
  }
  assert.ok(zero >= mebibyte - 1024)
  assert.throws(() => store.read(length, new Uint8Array(1)), { code: 'E_TRUNCATED' })
  assert.throws(() => store.truncate(5), { code: 'E_WRITE' })
})

test('a store of a read-only export takes nothing', async (t) => {
  using store = new ExportStore(await serveInThread(t, mebibyte, false))
  assert.throws(() => store.write(0, new Uint8Array(512)), { code: 'E_WRITE_PERMISSION', kind: 'target' })
  await assert.rejects(store.clear(0, 512), { code: 'E_WRITE_PERMISSION' })
})
