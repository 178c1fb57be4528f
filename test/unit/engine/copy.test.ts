import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { FileStore } from '../../../src/block/file-store.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import type { BlockSource } from '../../../src/block/types.js'
import { compareSources, copy, stream, type Progress } from '../../../src/engine/index.js'
import { isImageError } from '../../../src/errors.js'
import { diskLike, readAll } from '../../support/content.js'
import { ToyImage } from '../../support/toy-image.js'

const mebibyte = 1024 * 1024

function scratch(t: { after(callback: () => void): void }): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vdisk-engine-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  return folder
}

/** A disk with the given content in memory (no descriptor) or in a file. */
function disk(content: Uint8Array, store = new MemoryStore()): ToyImage & BlockSource {
  const image = new ToyImage(store, content.length, { grain: 512 })
  if (content.length > 0) {
    const { store: target, position } = image.place(0, content.length)
    target.write(position, content)
  }
  return image
}

for (const threads of [0, 2]) {
  for (const packing of [undefined, 'deflate', 'zstd']) {
    test(
      `copies every byte, ${threads} threads, ${packing ?? 'no compression'}, from and to files and ` + 'memory',
      async (t) => {
        const folder = scratch(t)
        const content = diskLike(9 * mebibyte + 70_000, 7)
        const packedUnit = packing === undefined ? {} : { packedUnit: { length: 65536, codec: packing } }
        using file = FileStore.create(path.join(folder, 'a'))
        file.write(0, content)
        using reopened = FileStore.openRead(path.join(folder, 'a'))
        const sources = [disk(content), new ToyImage(reopened, content.length, { grain: 512 })]
        sources[1]?.place(0, content.length)
        for (const source of sources) {
          using store = FileStore.create(path.join(folder, `b${sources.indexOf(source)}`))
          const target = new ToyImage(store, content.length, { grain: 65536, longest: 700_001, ...packedUnit })
          await copy({ source, target, threads })
          assert.deepEqual(Buffer.compare(readAll(target), content), 0)
          // And back: packed extents are decoded in the workers.
          const back = new ToyImage(new MemoryStore(), content.length)
          await copy({ source: target, target: back, threads })
          assert.equal(Buffer.compare(readAll(back), content), 0)
        }
      },
    )
  }
}

test('the same input gives the same file, whatever the number of threads', async () => {
  const content = diskLike(12 * mebibyte, 3)
  const results: Uint8Array[] = []
  for (const threads of [0, 1, 3]) {
    const store = new MemoryStore()
    await copy({
      source: disk(content),
      target: new ToyImage(store, content.length, { packedUnit: { length: 65536, codec: 'deflate' }, grain: 65536 }),
      threads,
    })
    results.push(store.contents())
  }
  for (const result of results) assert.equal(Buffer.compare(result, results[0]!), 0)
})

test('zeros are left out at the unit asked for, and written when asked to', async () => {
  const content = new Uint8Array(4 * mebibyte)
  content.fill(1, mebibyte, mebibyte + 4096)
  content.fill(1, mebibyte + 12288, mebibyte + 16384)
  const runs = async (sparse: number): Promise<[number, number][]> => {
    const target = new ToyImage(new MemoryStore(), content.length)
    await copy({ source: disk(content), target, sparse })
    assert.equal(Buffer.compare(readAll(target), content), 0)
    return target.calls.map(({ offset, length }) => [offset, length])
  }
  assert.deepEqual(await runs(4096), [
    [mebibyte, 4096],
    [mebibyte + 12288, 4096],
  ])
  assert.deepEqual(await runs(65536), [[mebibyte, 65536]])
  assert.equal(
    (await runs(0)).reduce((sum, [, length]) => sum + length, 0),
    content.length,
  )
})

test('against a parent only what differs is kept, zeros over data included', async () => {
  const parentContent = diskLike(5 * mebibyte, 11)
  const content = Uint8Array.from(parentContent)
  content.fill(0, 100 * 512, 200 * 512)
  content.fill(9, 2 * mebibyte + 512, 2 * mebibyte + 1024)
  const parent = disk(parentContent)
  const target = new ToyImage(new MemoryStore(), content.length, { grain: 512 })
  await copy({ source: disk(content), target, base: parent })
  const result = Uint8Array.from(parentContent)
  for (const { kind, offset, length } of target.calls) {
    if (kind === 'zero') result.fill(0, offset, offset + length)
    else target.read(offset, result.subarray(offset, offset + length))
  }
  assert.equal(Buffer.compare(result, content), 0)
  const kept = target.calls.filter(({ kind }) => kind === 'place').reduce((sum, { length }) => sum + length, 0)
  assert.ok(kept <= 1024, `${kept} bytes kept`)
})

test('a disk that is rounded up is padded with zeros, one of odd length keeps its last byte', async () => {
  for (const length of [1, 511, 513, 65537, mebibyte + 1]) {
    const content = diskLike(length, length).fill(7, length - 1)
    const target = new ToyImage(new MemoryStore(), Math.ceil(length / 512) * 512, { grain: 65536 })
    await copy({ source: disk(content), target })
    const all = readAll(target)
    assert.equal(Buffer.compare(all.subarray(0, length), content), 0)
    assert.ok(all.subarray(length).every((byte) => byte === 0))
  }
})

test('holes of a host file are skipped without being read', async (t) => {
  const folder = scratch(t)
  const name = path.join(folder, 'sparse')
  const capacity = 2 ** 40
  fs.writeFileSync(name, '')
  fs.truncateSync(name, capacity)
  const descriptor = fs.openSync(name, 'r+')
  fs.writeSync(descriptor, Buffer.alloc(4096, 1), 0, 4096, 2 ** 39)
  fs.closeSync(descriptor)
  using store = FileStore.openRead(name)
  const source = new ToyImage(store, capacity)
  source.place(0, capacity)
  const { syscalls } = await import('../../../src/sys/syscalls.js')
  if (syscalls() === undefined) {
    t.skip('no system calls on this machine: holes are not known')
    return
  }
  const target = new ToyImage(new MemoryStore(), capacity)
  const result = await copy({ source, target })
  assert.ok(result.bytesRead <= mebibyte, `${result.bytesRead} bytes read`)
  assert.deepEqual(
    target.calls.map(({ offset }) => offset),
    [2 ** 39],
  )
})

test('progress only goes up and ends at the capacity', async () => {
  const content = diskLike(6 * mebibyte, 5)
  const seen: Progress[] = []
  await copy({
    source: disk(content),
    target: new ToyImage(new MemoryStore(), content.length),
    onProgress: (progress) => seen.push(progress),
  })
  assert.ok(seen.length > 2)
  for (let index = 1; index < seen.length; index++) assert.ok(seen[index]!.done > seen[index - 1]!.done)
  assert.equal(seen.at(-1)?.done, content.length)
})

test('an abort stops between chunks with its own kind of error', async () => {
  const content = diskLike(20 * mebibyte, 5)
  const controller = new AbortController()
  const target = new ToyImage(new MemoryStore(), content.length)
  await assert.rejects(
    copy({
      source: disk(content),
      target,
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done > 4 * mebibyte) controller.abort()
      },
    }),
    (error) => isImageError(error) && error.kind === 'aborted',
  )
  assert.ok(target.calls.length < 20)
})

test('a read that fails is reported with its place, in every thread', async (t) => {
  const folder = scratch(t)
  const name = path.join(folder, 'short')
  fs.writeFileSync(name, diskLike(3 * mebibyte, 2))
  using store = FileStore.openRead(name)
  for (const packedUnit of [undefined, { length: 65536, codec: 'deflate' }]) {
    const source = new ToyImage(store, 8 * mebibyte)
    source.place(0, 8 * mebibyte)
    const target = new ToyImage(
      new MemoryStore(),
      8 * mebibyte,
      packedUnit === undefined ? {} : { packedUnit, grain: 65536 },
    )
    await assert.rejects(
      copy({ source, target, threads: 2 }),
      (error) => isImageError(error) && error.code === 'E_TRUNCATED' && error.message.includes(name),
    )
  }
})

test('compare finds the first difference, and zeros beyond the shorter disk count as equal', async () => {
  const content = diskLike(5 * mebibyte, 9)
  const other = Uint8Array.from(content)
  assert.deepEqual(await compareSources(disk(content), disk(other)), { equal: true })
  other[4 * mebibyte + 77]! ^= 1
  other[3 * mebibyte + 5]! ^= 1
  assert.deepEqual(await compareSources(disk(content), disk(other)), { equal: false, offset: 3 * mebibyte + 5 })
  const longer = new Uint8Array(6 * mebibyte)
  longer.set(content)
  assert.deepEqual(await compareSources(disk(content), disk(longer)), { equal: true })
  longer[6 * mebibyte - 1] = 1
  assert.deepEqual(await compareSources(disk(longer), disk(content)), { equal: false, offset: 6 * mebibyte - 1 })
})

for (const packing of [undefined, 'deflate', 'zstd']) {
  test(`a stream has the bytes of the file, ${packing ?? 'no compression'}`, async () => {
    const content = diskLike(7 * mebibyte + 512, 21)
    const shape = {
      grain: 65536,
      start: 1000,
      packedUnit: packing === undefined ? undefined : { length: 65536, codec: packing },
    }
    const file = new MemoryStore()
    await copy({ source: disk(content), target: new ToyImage(file, content.length, shape) })
    file.write(10, Buffer.from('the tables'))
    const pieces: Uint8Array[] = []
    await stream({
      source: disk(content),
      layout: (store) =>
        Object.assign(new ToyImage(store, content.length, shape), {
          finish: () => store.write(10, Buffer.from('the tables')),
        }),
      output: async (bytes) => {
        pieces.push(await Promise.resolve(Uint8Array.from(bytes)))
      },
    })
    assert.equal(Buffer.compare(Buffer.concat(pieces), file.contents()), 0)
  })
}
