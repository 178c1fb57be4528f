import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { SocketReader } from '../../../src/mount/nbd/socket-reader.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import type { Ending } from '../../support/ports.js'

/** A reader, and the peer that it hears. */
async function connected(t: Ending & Parameters<typeof testFolder>[0]) {
  const path = join(testFolder(t), 'socket')
  const server = net.createServer().listen(path)
  await once(server, 'listening')
  const reader = new SocketReader((onread) => net.connect({ path, onread }))
  const [peer] = (await once(server, 'connection')) as [net.Socket]
  t.after(() => {
    peer.destroy()
    reader.socket.destroy()
    server.close()
  })
  return { reader, peer }
}

test('a reader of a socket: heads and long pieces come as they were sent, however they come', async (t) => {
  const { reader, peer } = await connected(t)
  const sent = diskLike(5 * 1048576 + 77, 9)
  // In pieces that fit to nothing, with pauses now and then.
  const sending = (async () => {
    for (let at = 0, count = 1; at < sent.length; at += count, count = ((count * 7919) % 300_007) + 1) {
      peer.write(sent.subarray(at, at + count))
      if (count % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    peer.end()
  })()
  const got = Buffer.alloc(sent.length)
  let at = 0
  for (const length of [4, 1, 262144, 9, 3_000_000, 0, 13, 524288, 16, 20_000]) {
    if (length % 2 === 0) await reader.into(got.subarray(at, at + length))
    else got.set(await reader.take(length), at)
    at += length
  }
  await reader.into(got.subarray(at))
  await sending
  assert.ok(got.equals(sent))
  await assert.rejects(reader.take(1), /closed the connection/)
})

test('a reader of a socket: a peer that sends more than is taken is held back', async (t) => {
  const { reader, peer } = await connected(t)
  const sent = diskLike(16 * 1048576, 10)
  const isOut = new Promise((resolve) => peer.end(sent, () => resolve(true)))
  const first = await reader.take(10)
  assert.ok(first.equals(sent.subarray(0, 10)))
  // All that can come without being taken has come when two looks show the same.
  for (let before = -1; before !== reader.waiting;) {
    before = reader.waiting
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.ok(reader.waiting < 4 * 1048576, `${reader.waiting} bytes wait`)
  const rest = Buffer.alloc(sent.length - 10)
  await reader.into(rest)
  assert.ok(rest.equals(sent.subarray(10)))
  assert.equal(await isOut, true)
})

test('a reader of a socket: nothing is written into memory that nobody waits for any more', async (t) => {
  const { reader, peer } = await connected(t)
  const target = new Uint8Array(1048576)
  const filled = reader.into(target)
  peer.write(Buffer.alloc(1000, 1))
  while (target[999] === 0) await new Promise((resolve) => setImmediate(resolve))
  reader.fail(new Error('enough'))
  await assert.rejects(filled, /enough/)
  peer.on('error', () => undefined)
  peer.write(Buffer.alloc(500_000, 2))
  await new Promise((resolve) => peer.on('close', resolve))
  assert.ok(!target.includes(2))
  await assert.rejects(reader.take(1), /enough/)
})
