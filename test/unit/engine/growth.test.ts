import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { FileStore } from '../../../src/block/file-store.js'
import { Growth } from '../../../src/engine/growth.js'
import { syscalls } from '../../../src/sys/syscalls.js'
import { skipReason } from '../../support/complete.js'
import { testFolder } from '../../support/folder.js'

const mebibyte = 1024 * 1024
const needsCalls = skipReason(syscalls() === undefined ? 'needs koffi, to reserve space' : undefined)

function allocated(store: FileStore): number {
  return fs.fstatSync(store.fd).blocks * 512
}

test('a file that has its size keeps the holes in what was reserved for it', { skip: needsCalls }, (t) => {
  using store = FileStore.create(join(testFolder(t), 'a'))
  store.truncate(256 * mebibyte)
  const growth = new Growth()
  const bytes = Buffer.alloc(mebibyte, 1)
  // The source stores 40 MiB in one run, of which the third and all from the tenth on are zeros.
  for (let at = 0; at < 10; at++) {
    if (at === 2) continue
    growth.before(store, at * mebibyte, mebibyte, (40 - at - 1) * mebibyte)
    store.write(at * mebibyte, bytes)
  }
  growth.before(store, 100 * mebibyte, mebibyte, 0)
  store.write(100 * mebibyte, bytes)
  growth.finish()
  assert.equal(store.size, 256 * mebibyte)
  assert.equal(fs.fstatSync(store.fd).size, 256 * mebibyte)
  assert.ok(allocated(store) >= 10 * mebibyte && allocated(store) < 11 * mebibyte, `${allocated(store)} bytes`)
  const read = Buffer.alloc(mebibyte)
  for (const [at, value] of [
    [1, 1],
    [2, 0],
    [3, 1],
    [10, 0],
    [100, 1],
  ] as const) {
    store.read(at * mebibyte, read)
    assert.ok(
      read.every((byte) => byte === value),
      `mebibyte ${at}`,
    )
  }
})

test('a file that grows ends where it was asked to', { skip: needsCalls }, (t) => {
  using store = FileStore.create(join(testFolder(t), 'a'))
  const growth = new Growth()
  const bytes = Buffer.alloc(mebibyte, 1)
  for (let at = 0; at < 5; at++) {
    growth.before(store, at * mebibyte, mebibyte, 64 * mebibyte)
    fs.writeSync(store.fd, bytes, 0, mebibyte, at * mebibyte)
    void store.written(at * mebibyte, mebibyte, 0.1)
  }
  growth.finish()
  assert.equal(fs.fstatSync(store.fd).size, 5 * mebibyte)
  assert.ok(allocated(store) < 6 * mebibyte, `${allocated(store)} bytes`)
})
