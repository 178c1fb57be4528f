import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { NbdServer, nbdUri, parseNbdUri } from '../../../src/mount/nbd/index.js'
import { readRequest, request as requestLayout } from '../../../src/mount/nbd/structs.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { MemoryDisk, RawClient } from '../../support/nbd.js'

const mebibyte = 1048576
const hello = '4e42444d41474943 49484156454f5054 0003'

async function serve(t: TestContext, ...disks: MemoryDisk[]): Promise<string> {
  const path = join(testFolder(t), 'socket')
  const server = new NbdServer({ disks })
  await server.listen({ kind: 'unix', path })
  t.after(() => server.close())
  return path
}

const request = (
  type: number,
  offset: number | bigint,
  length: number,
  flags = 0,
  cookie = 0x1122334455667788n,
): Buffer => {
  const bytes = Buffer.alloc(28)
  bytes.writeUInt32BE(0x25609513)
  bytes.writeUInt16BE(flags, 4)
  bytes.writeUInt16BE(type, 6)
  bytes.writeBigUInt64BE(cookie, 8)
  bytes.writeBigUInt64BE(BigInt(offset), 16)
  bytes.writeUInt32BE(length, 24)
  return bytes
}
const option = (code: number, data: Uint8Array = Buffer.alloc(0)): Buffer => {
  const header = Buffer.from('49484156454f50540000000000000000', 'hex')
  header.writeUInt32BE(code, 8)
  header.writeUInt32BE(data.length, 12)
  return Buffer.concat([header, data])
}
/** A client in transmission, with structured replies and base:allocation, or with neither. */
async function begin(t: TestContext, path: string, structured: boolean): Promise<RawClient> {
  const client = await RawClient.connect(t, path)
  client.send('00000003')
  await client.receive(18)
  if (structured) {
    client.send(option(8))
    await client.receive(20)
    client.send(
      option(
        10,
        Buffer.from(
          '00000000 00000001 0000000f'.replaceAll(' ', '') + Buffer.from('base:allocation').toString('hex'),
          'hex',
        ),
      ),
    )
    await client.receive(20 + 19 + 20)
  }
  client.send(option(7, Buffer.from('000000000000', 'hex')))
  await client.receive(20 + 12 + 20)
  return client
}
/** The chunks of one structured reply. */
async function chunks(client: RawClient): Promise<{ type: number; payload: Buffer }[]> {
  const found = []
  for (;;) {
    const header = await client.receive(20)
    assert.equal(header.readUInt32BE(0), 0x668e33ef)
    assert.equal(header.readBigUInt64BE(8), 0x1122334455667788n)
    found.push({ type: header.readUInt16BE(6), payload: await client.receive(header.readUInt32BE(16)) })
    if (header.readUInt16BE(4) === 1) return found
  }
}

test('the captured session of qemu-nbd: the same answers, where the protocol leaves no choice', async (t) => {
  const disk = new MemoryDisk(Buffer.alloc(4 * mebibyte), 'disk', false)
  disk.bytes.fill(0x41, mebibyte, mebibyte + 65536)
  const client = await RawClient.connect(t, await serve(t, disk))
  assert.equal((await client.receive(18)).toString('hex'), hello.replaceAll(' ', ''))
  client.send('00000003', '49484156454f5054 00000008 00000000')
  assert.equal((await client.receive(20)).toString('hex'), '0003e889045565a9000000080000000100000000')
  client.send('49484156454f50540000000a0000001f 00000004 6469736b 00000001 0000000f 626173653a616c6c6f636174696f6e')
  const context = await client.receive(20 + 19)
  assert.equal(context.subarray(0, 20).toString('hex'), '0003e889045565a90000000a0000000400000013')
  assert.equal(context.subarray(24).toString(), 'base:allocation')
  const id = context.readUInt32BE(20)
  assert.equal((await client.receive(20)).toString('hex'), '0003e889045565a90000000a0000000100000000')
  client.send('49484156454f5054 00000063 00000000')
  const unknown = await client.receive(20)
  assert.equal(unknown.subarray(0, 16).toString('hex'), '0003e889045565a90000006380000001')
  await client.receive(unknown.readUInt32BE(16))
  client.send('49484156454f5054000000070000000c 00000004 6469736b 0001 0003')
  assert.equal((await client.receive(34)).toString('hex').slice(40), '0003000000010000100002000000')
  // Besides qemu's flags: SEND_FLUSH (no-op) is qemu's too, MULTI_CONN and DF and CACHE as there.
  const info = await client.receive(32)
  assert.equal(info.toString('hex').slice(40, 60), '00000000000000400000')
  assert.equal(info.readUInt16BE(30) & 0x018f, 0x0187)
  await client.receive(20)
  client.send(request(7, 0, 0x400000))
  const status = await client.receive(20 + 4 + 24)
  assert.equal(
    status.toString('hex'),
    (
      `668e33ef0001000511223344556677880000001c${id.toString(16).padStart(8, '0')}001000000000000300010000 ` +
      '00000000 002f000000000003'
    ).replaceAll(' ', ''),
  )
  client.send(request(0, 0xfe000, 0x4000))
  assert.deepEqual(
    (await chunks(client)).map(({ type, payload }) => [type, payload.subarray(0, 12).toString('hex'), payload.length]),
    [
      [2, '00000000000fe00000002000', 12],
      [1, '000000000010000041414141', 8 + 0x2000],
    ],
  )
  client.send(request(0, 8 * mebibyte, 512))
  const [failed] = await chunks(client)
  assert.equal(failed?.type, 0x8001)
  assert.equal(failed.payload.readUInt32BE(0), 22)
})

for (const structured of [true, false]) {
  test(`what is written is read, ${structured ? 'in chunks' : 'in simple replies'}`, async (t) => {
    const disk = new MemoryDisk(Buffer.alloc(3 * mebibyte))
    const client = await begin(t, await serve(t, disk), structured)
    const content = Buffer.from(diskLike(2 * mebibyte, 3))
    const replied = async (error = 0): Promise<void> => {
      if (structured && error === 0)
        assert.deepEqual(
          (await chunks(client)).map(({ type }) => type),
          [0],
        )
      else
        assert.equal(
          (await client.receive(16)).toString('hex'),
          `67446698${error.toString(16).padStart(8, '0')}1122334455667788`,
        )
    }
    // In odd pieces: the payload comes as the network likes.
    const write = Buffer.concat([request(1, 777, content.length, 1), content])
    for (let at = 0; at < write.length; at += 99_991) client.send(write.subarray(at, at + 99_991))
    await replied()
    assert.ok(disk.bytes.subarray(777, 777 + content.length).equals(content))
    assert.equal(disk.done.at(-1), 'flush')
    client.send(request(0, 0, 3 * mebibyte))
    const read = Buffer.alloc(3 * mebibyte, 0xee)
    if (structured) {
      for (const { type, payload } of await chunks(client)) {
        const offset = Number(payload.readBigUInt64BE(0))
        if (type === 1) payload.copy(read, offset, 8)
        else read.fill(0, offset, offset + payload.readUInt32BE(8))
      }
    } else {
      await replied()
      ;(await client.receive(read.length)).copy(read)
    }
    assert.ok(read.equals(disk.bytes))
    client.send(
      request(4, 0, 4096),
      request(6, 4096, 4096),
      request(6, 8192, 4096, 2),
      request(3, 0, 0),
      request(5, 0, 4096),
    )
    for (let replies = 0; replies < 5; replies++) await replied()
    assert.deepEqual(disk.done.slice(-4), ['zero 0 4096', 'zero 4096 4096', 'write 8192 4096', 'flush'])
    // Allocated zeros are never fast.
    client.send(request(6, 0, 4096, 2 + 16))
    await replied(95)
    client.send(request(1, 3 * mebibyte - 4, 8), Buffer.alloc(8))
    await replied(28)
    client.send(request(9, 0, 0))
    await replied(22)
    client.send(request(3, 0, 0, 8))
    await replied(22)
    client.send(request(4, 2n ** 64n - 1n, 4096))
    await replied(22)
    client.send(request(2, 0, 0))
    assert.ok(await client.closed())
  })
}

test('a request read field by field is the one that its layout gives', () => {
  for (let round = 0; round < 100; round++) {
    const bytes = diskLike(64, round)
    assert.deepEqual(readRequest(bytes.subarray(round % 8, 28 + (round % 8))), requestLayout.read(bytes, round % 8))
  }
  assert.deepEqual(readRequest(request(1, 4096, 512, 3)), {
    magic: 0x25609513,
    flags: 3,
    type: 1,
    cookie: 0x1122334455667788n,
    offset: 4096n,
    length: 512,
  })
})

test('DF: one chunk, or EOVERFLOW; REQ_ONE: one run', async (t) => {
  const disk = new MemoryDisk(Buffer.from(diskLike(2 * mebibyte, 9)))
  const client = await begin(t, await serve(t, disk), true)
  client.send(request(0, 512, 65536, 4))
  const [whole, ...more] = await chunks(client)
  assert.equal(more.length, 0)
  assert.ok(whole?.payload.subarray(8).equals(disk.bytes.subarray(512, 512 + 65536)))
  client.send(request(0, 0, mebibyte, 4))
  assert.equal((await chunks(client))[0]?.payload.readUInt32BE(0), 75)
  client.send(request(7, 0, mebibyte, 8))
  const [one] = await chunks(client)
  assert.equal(one?.payload.length, 4 + 8)
})

test('what cannot be read is reported, with its offset, and the rest of the disk still is', async (t) => {
  const disk = new MemoryDisk(Buffer.from(diskLike(2 * mebibyte, 9).map((byte) => byte | 1)))
  disk.bad.add(mebibyte + 5)
  const path = await serve(t, disk)
  const client = await begin(t, path, true)
  client.send(request(0, 0, 2 * mebibyte))
  const reply = await chunks(client)
  const error = reply.find(({ type }) => type === 0x8002)
  assert.equal(error?.payload.readUInt32BE(0), 5)
  assert.equal(
    reply.filter(({ type }) => type === 1).reduce((sum, { payload }) => sum + payload.length - 8, 0),
    mebibyte,
  )
  client.send(request(0, 4096, 512))
  assert.deepEqual(
    (await chunks(client)).map(({ type }) => type),
    [1],
  )
  const simple = await begin(t, path, false)
  simple.send(request(0, mebibyte, 4096))
  assert.equal((await simple.receive(16)).readUInt32BE(4), 5)
  simple.send(request(0, mebibyte - 262144, mebibyte))
  // The header is out when the bad piece is met: only closing can report it.
  assert.ok((await simple.receive(mebibyte + 16)).length < mebibyte)
  assert.ok(await simple.closed())
})

test('a read-only export takes no change, and EXPORT_NAME begins with and without padding', async (t) => {
  const disk = new MemoryDisk(Buffer.alloc(mebibyte), 'x', false)
  const path = await serve(t, disk)
  for (const [flags, padding] of [
    ['00000003', 0],
    ['00000001', 124],
  ] as const) {
    const client = await RawClient.connect(t, path)
    client.send(flags, option(1, Buffer.from('x')))
    const answer = (await client.receive(18 + 10 + padding)).subarray(18)
    assert.equal(answer.readBigUInt64BE(0), BigInt(mebibyte))
    assert.equal(answer.readUInt16BE(8) & 3, 3)
    client.send(request(1, 0, 4096), Buffer.alloc(4096), request(4, 0, 512), request(6, 0, 512), request(3, 0, 0))
    for (const error of [1, 1, 1, 0]) assert.equal((await client.receive(16)).readUInt32BE(4), error)
  }
  const wrong = await RawClient.connect(t, path)
  wrong.send('00000003', option(1, Buffer.from('y')))
  await wrong.receive(18)
  assert.ok(await wrong.closed())
  assert.deepEqual(disk.done, ['flush', 'flush'])
})

test('a hundred clients that make no sense, and one that does', async (t) => {
  const disk = new MemoryDisk(Buffer.from(diskLike(mebibyte, 4)), 'disk', false)
  const path = await serve(t, disk)
  let seed = 1
  const random = (below: number): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % below
  const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random(256)))
  const good = await begin(t, path, true)
  const kinds: readonly (() => (string | Uint8Array)[])[] = [
    () => [noise(64)],
    () => ['ffffffff'],
    () => ['00000003', '49484156454f5054 00000007 ffffffff', noise(1000)],
    () => ['00000003', '49484156454f5054 00000001 ffffffff'],
    () => ['00000003', option(10, noise(40))],
    () => ['00000003', option(7, Buffer.from('ffffffff00000000', 'hex')), option(6, noise(3))],
    () => ['00000003', ...Array.from({ length: 1100 }, () => option(99))],
    () => ['00000003', option(5), noise(200)],
    () => ['00000003', option(7, Buffer.from('000000000000', 'hex')), noise(28)],
    () => ['00000003', option(7, Buffer.from('000000000000', 'hex')), request(1, 0, 0xffffffff), noise(64)],
    () => [
      '00000003',
      option(7, Buffer.from('000000000000', 'hex')),
      request(0, 0, 0xffffffff),
      request(0, 2n ** 64n - 1n, 1),
      request(7, 0, 0),
      request(random(65536), random(65536), random(65536), random(65536)),
    ],
    () => [
      '00000003',
      option(7, Buffer.from('000000000000', 'hex')),
      ...Array.from({ length: 200 }, () => request(0, 0, mebibyte)),
    ],
  ]
  for (let client = 0; client < 100; client++) {
    const bad = await RawClient.connect(t, path)
    bad.send(...(kinds[client % kinds.length] ?? (() => []))())
    // Some wait for an answer, some go away in the middle of it.
    if (random(2) === 0) await bad.receive(random(100))
    if (random(4) > 0) bad.close()
  }
  good.send(request(0, 0, mebibyte))
  const read = Buffer.alloc(mebibyte)
  for (const { type, payload } of await chunks(good))
    if (type === 1) payload.copy(read, Number(payload.readBigUInt64BE(0)), 8)
  assert.ok(read.equals(disk.bytes))
  assert.deepEqual(disk.done, [])
})

test("a socket that is in use is left alone, one that is dead is replaced; it is the user's alone", async (t) => {
  const path = await serve(t, new MemoryDisk(Buffer.alloc(512)))
  assert.equal(fs.statSync(path).mode & 0o777, 0o600)
  const other = new NbdServer({ disks: [new MemoryDisk(Buffer.alloc(512))] })
  await assert.rejects(other.listen({ kind: 'unix', path }), { code: 'E_SOCKET_IN_USE', kind: 'refused' })
  const file = `${path}.file`
  fs.writeFileSync(file, 'mine')
  await assert.rejects(other.listen({ kind: 'unix', path: file }), { code: 'E_EXISTS', kind: 'target' })
  assert.equal(fs.readFileSync(file, 'utf8'), 'mine')
})

test('NBD URIs', () => {
  for (const uri of [
    'nbd://localhost/',
    'nbd://host:1234/a%20b',
    'nbds://[::1]:99/x',
    'nbd+unix:///?socket=/run/x.sock',
    'nbds+unix:///disk%402?socket=/a%20b',
  ]) {
    assert.equal(nbdUri(parseNbdUri(uri)), uri)
  }
  assert.deepEqual(parseNbdUri('nbd://host').endpoint, { kind: 'tcp', host: 'host', port: 10809 })
  for (const uri of ['nbd+unix:///x', 'nbd+unix://host/x?socket=/a', 'nbd://host:99999/', 'nbd://h/%ff'])
    assert.throws(() => parseNbdUri(uri), { code: 'E_NBD_URI' })
})
