import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ConcatenatedSource } from '../../../src/block/concatenated.js'
import { piecesInFiles, rangeInFile } from '../../../src/block/file-range.js'
import { FileStore } from '../../../src/block/file-store.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { RangeSource } from '../../../src/block/range-source.js'
import { SourceStore } from '../../../src/block/source-store.js'
import type { ByteStore } from '../../../src/block/types.js'
import { DecodeThread } from '../../../src/codec/stream/thread.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'

function joined(stores: readonly ByteStore[]): ByteStore {
  const whole = new ConcatenatedSource(
    stores.map((store) => new RangeSource(store)),
    512,
  )
  return new SourceStore('all', whole, { [Symbol.dispose]: () => undefined })
}

test('a stream in several files is found in them, and decoded where it lies', (t) => {
  const folder = testFolder(t)
  const content = Buffer.from(diskLike(3_000_000, 5))
  const stream = gzipSync(content)
  const stores: FileStore[] = []
  for (let at = 0, index = 0; at < stream.length; at += 77_777, index++) {
    const path = join(folder, `piece${index}`)
    fs.writeFileSync(path, stream.subarray(at, at + 77_777))
    stores.push(FileStore.openRead(path))
  }
  t.after(() => {
    for (const store of stores) store[Symbol.dispose]()
  })
  assert.ok(stores.length > 3)
  const all = joined(stores)
  assert.equal(rangeInFile(all, { start: 0, end: stream.length }), undefined)
  assert.deepEqual(rangeInFile(all, { start: 77_800, end: 78_000 }), {
    descriptor: stores[1]?.fd,
    start: 23,
    end: 223,
  })
  const pieces = piecesInFiles(all, { start: 0, end: stream.length })
  assert.deepEqual(
    pieces?.map(({ at, start, descriptor }) => [at, start, descriptor]),
    stores.map(({ fd }, index) => [index * 77_777, 0, fd]),
  )
  using thread = new DecodeThread({
    descriptor: stores[0]?.fd ?? -1,
    start: 0,
    end: stream.length,
    pieces,
    name: 'all',
    codec: 'gzip',
  })
  const found: Buffer[] = []
  for (let bytes = thread.next(); bytes !== undefined; bytes = thread.next()) found.push(Buffer.from(bytes))
  assert.ok(Buffer.concat(found).equals(content))
  assert.equal(thread.position, stream.length)
})

test('what lies in memory lies in no file', (t) => {
  const path = join(testFolder(t), 'piece')
  fs.writeFileSync(path, 'something')
  using file = FileStore.openRead(path)
  const all = joined([file, new MemoryStore(Buffer.from('else'), 'memory')])
  assert.equal(piecesInFiles(all, { start: 0, end: 13 }), undefined)
  assert.equal(piecesInFiles(all, { start: 2, end: 9 })?.length, 1)
})
