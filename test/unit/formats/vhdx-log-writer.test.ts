import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { readHeader } from '../../../src/formats/vhdx/format/header.js'
import { HeaderWriter } from '../../../src/formats/vhdx/format/header-writer.js'
import { Journal } from '../../../src/formats/vhdx/write/journal.js'
import { replayLog } from '../../../src/formats/vhdx/format/log.js'
import { buildLogEntry, logEntryLength, LogWriter } from '../../../src/formats/vhdx/write/log-writer.js'
import { headerBytes, imageBytes, logEntryBytes, logGuid, mib } from '../../support/vhdx-bytes.js'

const sector = (fill: number): Buffer => Buffer.alloc(4096, fill)
const area = { name: 'log', position: mib, length: mib }
const bytesOf = (store: MemoryStore, position: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  store.read(position, bytes)
  return bytes
}
/** What the log in the store changes, by position. */
function replayed(store: MemoryStore): Map<number, number | undefined> {
  const replay = replayLog(store, mib, mib, logGuid)
  assert.ok(replay, 'no active sequence')
  return new Map(replay.patches.map(({ position, bytes }) => [position, bytes?.[0]]))
}

test('an entry without changes is that of the worked example', () => {
  // specification sheet: sequence 7, tail 0, LogGuid of sixteen "L", both sizes 5 MiB.
  const entry = Buffer.from(buildLogEntry({ sequenceNumber: 7n, tail: 0, logGuid, fileSize: 5 * mib }, []))
  assert.equal(entry.length, 4096)
  assert.equal(entry.readUInt32LE(4), 0xf6a5d13d)
})

test('entries are those of a writer made from the specification alone', () => {
  const data = Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 256))
  const wanted = logEntryBytes({
    sequence: 2n ** 32n + 5n,
    tail: 8192,
    changes: [
      { at: 3 * mib, data },
      { at: 4 * mib, data: sector(9) },
    ],
  })
  const fileSize = Number(wanted.readBigUInt64LE(48))
  assert.equal(wanted.readBigUInt64LE(56), BigInt(fileSize))
  const entry = buildLogEntry({ sequenceNumber: 2n ** 32n + 5n, tail: 8192, logGuid, fileSize }, [
    { position: 3 * mib, bytes: data },
    { position: 4 * mib, bytes: sector(9) },
  ])
  assert.deepEqual(Buffer.from(entry), wanted)
})

test('lengths: 126 descriptors in the first sector, 128 in each further one', () => {
  assert.deepEqual(
    [0, 1, 126, 127, 254, 255].map((count) => logEntryLength(count) / 4096 - count),
    [1, 1, 1, 2, 2, 3],
  )
})

test('entries follow each other; after a restart only the new ones count', () => {
  const store = new MemoryStore(new Uint8Array(5 * mib))
  const log = new LogWriter(store, area, logGuid)
  log.start()
  assert.deepEqual([...replayed(store)], [])
  log.append([{ position: 3 * mib, bytes: sector(1) }])
  log.append([
    { position: 3 * mib, bytes: sector(2) },
    { position: 4 * mib, bytes: sector(3) },
  ])
  assert.deepEqual(
    [...replayed(store)],
    [
      [3 * mib, 2],
      [4 * mib, 3],
    ],
  )
  log.restart()
  assert.deepEqual([...replayed(store)], [])
  log.append([{ position: 4 * mib, bytes: sector(4) }])
  assert.deepEqual([...replayed(store)], [[4 * mib, 4]])
})

test('a torn entry counts for nothing, those before it do: whichever of its sectors is missing', () => {
  const make = (): [MemoryStore, LogWriter] => {
    const store = new MemoryStore(new Uint8Array(5 * mib))
    const log = new LogWriter(store, area, logGuid)
    log.start()
    log.append([{ position: 3 * mib, bytes: sector(1) }])
    return [store, log]
  }
  const [whole, log] = make()
  log.append([
    { position: 3 * mib, bytes: sector(2) },
    { position: 4 * mib, bytes: sector(3) },
  ])
  const start = 3 * 4096
  for (let torn = 0; torn < 3; torn++) {
    const store = new MemoryStore(whole.contents())
    store.write(
      mib + start + torn * 4096,
      make()[0]
        .contents()
        .subarray(mib + start + torn * 4096, mib + start + (torn + 1) * 4096),
    )
    assert.deepEqual([...replayed(store)], [[3 * mib, 1]], `sector ${torn}`)
  }
})

test('the log runs full many times: at every moment what is in the log and in place is the newest', () => {
  const store = new MemoryStore(new Uint8Array(8 * mib))
  const log = new LogWriter(store, area, logGuid)
  const journal = new Journal(store)
  log.start()
  journal.start(log)
  const wanted = new Map<number, number>()
  for (let round = 1; round < 60; round++) {
    for (let index = 0; index < 40; index++) {
      const position = 4 * mib + ((round * 7 + index * 3) % 200) * 4096
      journal.write(position, sector(round))
      wanted.set(position, round)
    }
    journal.commit()
    const inLog = replayed(store)
    for (const [position, fill] of wanted) {
      assert.equal(
        bytesOf(store, position, 1)[0] === fill || inLog.get(position) === fill,
        true,
        `round ${round}, ${position}`,
      )
      if (inLog.has(position)) assert.equal(inLog.get(position), fill, 'an older version would be replayed')
      const seen = Buffer.alloc(1)
      journal.read(position, seen)
      assert.equal(seen[0], fill)
    }
  }
})

test('the journal: seen at once, in its place only after it is in the log', () => {
  const store = new MemoryStore(new Uint8Array(5 * mib))
  const log = new LogWriter(store, area, logGuid)
  const journal = new Journal(store)
  assert.throws(() => journal.write(3 * mib, sector(1)))
  log.start()
  journal.start(log)
  journal.write(3 * mib + 4090, Buffer.alloc(12, 7))
  assert.equal(journal.pendingSectors, 2)
  const seen = Buffer.alloc(16)
  journal.read(3 * mib + 4088, seen)
  assert.deepEqual([...seen], [0, 0, ...Array<number>(12).fill(7), 0, 0])
  journal.commit()
  assert.equal(journal.pendingSectors, 0)
  assert.deepEqual(bytesOf(store, 3 * mib, 8192), Buffer.alloc(8192))
  journal.write(3 * mib + 4095, Uint8Array.of(8))
  journal.checkpoint()
  assert.deepEqual([...bytesOf(store, 3 * mib + 4088, 16)], [0, 0, 7, 7, 7, 7, 7, 8, 7, 7, 7, 7, 7, 7, 0, 0])
  journal.write(3 * mib + 4095, Uint8Array.of(8))
  assert.equal(journal.pendingSectors, 0, 'what changes nothing is not logged')
})

test('headers: the one that is not current first, both in the end', () => {
  const store = new MemoryStore(imageBytes({ capacity: BigInt(mib) }), 'test.vhdx')
  const before = readHeader(store, [])
  const writes: number[] = []
  const write = store.write.bind(store)
  store.flush = () => {
    writes.push(-1)
  }
  store.write = (position, bytes) => {
    writes.push(position)
    write(position, bytes)
    assert.ok(readHeader(store, []).values.sequenceNumber > before.values.sequenceNumber)
  }
  const other = before.position === 65536 ? 131072 : 65536
  new HeaderWriter(store, before).update({ logGuid })
  assert.deepEqual(writes, [other, -1, before.position, -1])
  const notes: never[] = []
  const after = readHeader(store, notes)
  assert.deepEqual(notes, [])
  assert.equal(after.values.sequenceNumber, before.values.sequenceNumber + 2n)
  assert.equal(after.values.logGuid, logGuid)
  assert.deepEqual(after.bytes, new Uint8Array(headerBytes({ sequence: after.values.sequenceNumber, logGuid })))
})
