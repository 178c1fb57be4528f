import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { gzipSync } from 'node:zlib'
// By the package's own name, as any other program has it.
import {
  convert,
  create,
  formats,
  info,
  isImageError,
  openImage,
  struct,
  u32,
  type Progress,
  type ReadableStore,
} from 'vdisk'
import { bootSector } from '../support/own-store.js'
import { fixture, rootFolder } from '../support/fixtures.js'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'

test('another program converts, reads and looks at images', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const disk = diskLike(5 * 1048576, 3)
  fs.writeFileSync(at('a.raw'), disk)
  const seen: Progress[] = []
  const result = await convert(at('a.raw'), at('b.qcow2'), {
    options: { compress: 'zstd' },
    verify: true,
    onProgress: (progress) => seen.push(progress),
  })
  assert.equal(result.verified, true)
  assert.equal(result.target.format, 'qcow2')
  assert.ok(seen.length > 2)
  assert.deepEqual(seen.at(-1), { phase: 'flush', done: 1, total: 1 })
  for (const { done, total } of seen) assert.ok(done <= total)

  using image = await openImage(at('b.qcow2'))
  assert.equal(image.capacity, disk.length)
  assert.equal(sha256(image.read(0, image.capacity)), sha256(disk))
  const runs = [...image.extents()]
  assert.equal(
    runs.reduce((sum, { length }) => sum + length, 0),
    disk.length,
  )
  for (const { offset, length, kind } of runs)
    if (kind === 'zero') assert.ok(disk.subarray(offset, offset + length).every((byte) => byte === 0))
  assert.equal(image.describe().format, 'qcow2')
  assert.throws(() => image.read(disk.length, 1), RangeError)

  await create(at('child.qcow2'), { parent: at('b.qcow2') })
  assert.deepEqual(
    info(at('child.qcow2')).chain.map(({ path }) => path),
    [at('b.qcow2')],
  )
  assert.ok(formats().some(({ id }) => id === 'raw'))
  assert.equal(struct('big', 4, { x: u32(0) }).read(Uint8Array.of(0, 0, 1, 0)).x, 256)
})

test('an AbortSignal stops a conversion, and errors are recognised', async (t) => {
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'a.raw'), diskLike(8 * 1048576, 4))
  const stop = new AbortController()
  await assert.rejects(
    convert(join(folder, 'a.raw'), join(folder, 'b.vhdx'), { signal: stop.signal, onProgress: () => stop.abort() }),
    (error) => isImageError(error) && error.kind === 'aborted',
  )
  await assert.rejects(
    openImage(join(folder, 'missing')),
    (error) => isImageError(error) && error.code === 'E_NOT_FOUND',
  )
  assert.deepEqual(fs.readdirSync(folder), ['a.raw'])
})

test('an image is opened from a store of the program, in any format, compressed or not', async () => {
  const bytes = fs.readFileSync(fixture('partitioned-disk.vhdx'))
  using file = await openImage(fixture('partitioned-disk.vhdx'))
  const expected = sha256(file.read(0, file.capacity))
  assert.deepEqual(await bootSector(bytes), file.read(0, 512))
  for (const content of [bytes, gzipSync(bytes, { level: 1 })]) {
    let closed = 0
    const store = {
      size: content.length,
      read: (position: number, target: Uint8Array) => target.set(content.subarray(position, position + target.length)),
      close: () => closed++,
    }
    const image = await openImage(store)
    assert.equal(image.format, 'vhdx')
    assert.equal(sha256(image.read(0, image.capacity)), expected)
    image.close()
    image.close()
    assert.equal(closed, 1)
  }
})

test('what is wrong with a store is an ImageError, and closes it', async () => {
  let closed = 0
  const store = (size: number, read: (position: number, target: Uint8Array) => void) => ({
    name: 'a\u0007store',
    size,
    read,
    close: () => closed++,
  })
  const cases = [
    [store(4096, () => assert.fail('the server is gone')), 'E_READ', /a\\u0007store.*the server is gone/],
    [store(0, () => undefined), 'E_EMPTY', /./],
  ] as const
  for (const [given, code, message] of cases)
    await assert.rejects(openImage(given), (error) => {
      assert.ok(isImageError(error), String(error))
      assert.match(error.code, new RegExp(`^(?:${code})$`))
      assert.match(error.message, message)
      return true
    })
  assert.equal(closed, 2)
  for (const size of [-1, 1.5, NaN, 2 ** 60])
    await assert.rejects(openImage(store(size, () => undefined)), { code: 'E_SIZE' })
  assert.equal(closed, 6)
})

test('a store that gives fewer bytes than it was asked for, or promises them, cannot be read', async () => {
  const bytes = fs.readFileSync(fixture('partitioned-disk.vhdx'))
  const answers: ((position: number, target: Uint8Array) => unknown)[] = [
    (position, target) => {
      target.set(bytes.subarray(position, position + target.length - 1))
      return target.length - 1
    },
    () => Promise.resolve(),
    () => Promise.reject(new Error('the server is gone')),
  ]
  for (const read of answers)
    await assert.rejects(openImage({ size: bytes.length, read }), {
      code: 'E_READ',
    })
})

test('a store is closed once, also where nothing came to be opened', async (t) => {
  const folder = testFolder(t)
  const plain = fs.readFileSync(fixture('partitioned-disk.vhdx'))
  for (const bytes of [plain, gzipSync(plain, { level: 1 })]) {
    const interruption = new AbortController()
    const cases: readonly ((store: ReadableStore) => Promise<unknown>)[] = [
      (store) => convert(store, join(folder, 'no.such')),
      (store) => convert(store, join(folder, 'missing/a.vhd')),
      (store) => convert(store, join(folder, 'a.vhd'), { signal: AbortSignal.abort() }),
      (store) => openImage(store, { signal: AbortSignal.abort() }),
      (store) => convert(store, join(folder, 'a.vhd'), { from: 'vmdk' }),
      (store) => openImage(store, { from: 'vmdk' }),
      ...(bytes === plain
        ? []
        : [
            (store: ReadableStore) =>
              openImage(store, { signal: interruption.signal, onProgress: () => interruption.abort() }),
          ]),
    ]
    for (const [index, run] of cases.entries()) {
      let closed = 0
      const store: ReadableStore = {
        size: bytes.length,
        read: (at, target) => target.set(bytes.subarray(at, at + target.length)),
        close: () => closed++,
      }
      await assert.rejects(run(store), (error) => isImageError(error), `case ${index}`)
      assert.equal(closed, 1, `case ${index}`)
    }
  }
  assert.deepEqual(fs.readdirSync(folder), [])
})

test('reading what is no part of the disk, or is closed, is refused by name', async () => {
  const image = await openImage(fixture('partitioned-disk.vhdx'))
  const { capacity } = image
  for (const [offset, length] of [
    [0, NaN],
    [NaN, 1],
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [0, 1.5],
    [2 ** 53, 1],
    [0, 2 ** 53],
    [capacity, 1],
    [0, capacity + 1],
    [Infinity, 0],
  ] as const)
    assert.throws(() => image.read(offset, length), { name: 'RangeError', message: /leave the disk of \d+ bytes/ })
  assert.throws(() => [...image.extents(2, 1)], RangeError)
  assert.equal(image.read(capacity, 0).length, 0)
  const runs = image.extents()
  const chunks = image.chunks()
  await chunks.next()
  runs.next()
  image.close()
  const closed = (error: unknown): boolean => isImageError(error) && error.code === 'E_CLOSED'
  assert.throws(() => image.read(0, 1), closed)
  assert.throws(() => [...image.extents()], closed)
  assert.throws(() => [...runs], closed)
  assert.throws(() => image.describe(), closed)
  await assert.rejects(async () => await chunks.next(), closed)
  await assert.rejects(async () => await image.chunks().next(), closed)
})

test('a store whose close fails says so, and that the image which was made of it is whole', async (t) => {
  const disk = diskLike(3 * 1048576, 5)
  const target = join(testFolder(t), 'a.raw')
  const store: ReadableStore = {
    size: disk.length,
    name: 'mine',
    read: (position, bytes) => bytes.set(disk.subarray(position, position + bytes.length)),
    close: () => assert.fail('the connection is gone'),
  }
  await assert.rejects(convert(store, target, { from: 'raw' }), (error) => {
    assert.ok(isImageError(error), String(error))
    assert.equal(error.code, 'E_READ')
    assert.match(error.message, /mine: cannot be closed: the connection is gone/)
    assert.match(error.hint ?? '', /The new image is complete and in place/)
    return true
  })
  assert.ok(fs.readFileSync(target).equals(disk))
  // What failed before is what is reported.
  await assert.rejects(convert(store, target, { from: 'raw' }), { code: 'E_EXISTS' })
})

test('a stream that is not read to its end is let go', async (t) => {
  const folder = testFolder(t)
  const interruption = new AbortController()
  let left = 0
  const endless: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        interruption.abort()
        return Promise.resolve({ done: false, value: new Uint8Array(512) })
      },
      return: () => {
        left++
        return Promise.resolve({ done: true, value: undefined })
      },
    }),
  }
  await assert.rejects(convert({ input: endless }, join(folder, 'a.vhd'), { signal: interruption.signal }), {
    code: 'E_ABORTED',
  })
  assert.equal(left, 1)
  assert.deepEqual(fs.readdirSync(folder), [])
})

test('the example of a store in docs/programs.md is the one that is compiled and run', () => {
  const example = fs.readFileSync(join(rootFolder, 'test/support/own-store.ts'), 'utf8')
  assert.ok(fs.readFileSync(join(rootFolder, 'docs/programs.md'), 'utf8').includes(`\`\`\`ts\n${example}\`\`\``))
})
