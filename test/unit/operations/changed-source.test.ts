import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { HostHoles } from '../../../src/engine/holes.js'
import { FileStore } from '../../../src/block/file-store.js'
import { check, compare, convert, hash, injectPartition, map, measure, readFile } from '../../../src/index.js'
import { commitChain } from '../../../src/operations/chain/commit.js'
import { rebaseChain } from '../../../src/operations/chain/rebase.js'
import { openExposed } from '../../../src/operations/serve/exposed-disk.js'
import { create } from '../../../src/operations/transfer/create.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { fixture } from '../../support/fixtures.js'

const size = 12 * 1048576

/** A source whose second half is a hole; what is done to it happens once, when the work has begun. */
function source(folder: string): { path: string; bytes: Buffer } {
  const path = join(folder, 'a.raw')
  const bytes = Buffer.concat([diskLike(size / 2, 4), Buffer.alloc(size / 2)])
  fs.writeFileSync(path, bytes.subarray(0, size / 2))
  fs.truncateSync(path, size)
  // A change within the clock's tick would not be seen.
  fs.utimesSync(path, 1, 1)
  return { path, bytes }
}

const changes: Readonly<Record<string, (path: string) => void>> = {
  'it is cut': (path) => fs.truncateSync(path, size / 2),
  'it is cut to nothing': (path) => fs.truncateSync(path, 0),
  'it grows': (path) => fs.truncateSync(path, size + 512),
  'it is written to': (path) => {
    const descriptor = fs.openSync(path, 'r+')
    fs.writeSync(descriptor, Buffer.from('changed'), 0, 7, 100)
    fs.closeSync(descriptor)
  },
  'another file takes its name': (path) => {
    fs.writeFileSync(`${path}.new`, fs.readFileSync(path))
    fs.renameSync(`${path}.new`, path)
  },
}

/** Calls it once, at the first progress. */
function once(change: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    change()
  }
}

type Work = (path: string, folder: string, onProgress: () => void) => Promise<unknown>

const operations: Readonly<Record<string, Work>> = {
  convert: (path, folder, onProgress) => convert(path, join(folder, 'b.qcow2'), { onProgress }),
  'convert raw': (path, folder, onProgress) => convert(path, join(folder, 'b.raw'), { onProgress }),
  'convert compressed': (path, folder, onProgress) =>
    convert(path, join(folder, 'b.qcow2'), { onProgress, threads: 0, options: { compress: 'zlib' } }),
  'convert --verify': (path, folder, onProgress) =>
    convert(path, join(folder, 'b.vhdx'), {
      verify: true,
      onProgress: (...event: unknown[]) => {
        if ((event[0] as { phase: string }).phase !== 'copy') onProgress()
      },
    }),
  'convert to a stream': (path, _folder, onProgress) =>
    convert(path, { output: () => Promise.resolve().then(onProgress) }, { to: 'raw' }),
  hash: (path, _folder, onProgress) => hash(path, { onProgress }),
  compare: (path, folder, onProgress) => {
    fs.copyFileSync(path, join(folder, 'twin.raw'))
    return compare(path, join(folder, 'twin.raw'), { onProgress }).finally(() => fs.rmSync(join(folder, 'twin.raw')))
  },
  measure: (path, _folder, onProgress) => measure(path, { to: 'qcow2', onProgress }),
  'check --deep': (path, _folder, onProgress) => check(path, { deep: true, onProgress }),
  map: async (path, _folder, onProgress) => {
    using found = map(path)
    const walk = found.extents()
    onProgress()
    return await Promise.resolve([...walk])
  },
}

for (const [name, work] of Object.entries(operations)) {
  test(`${name}: a source that changes meanwhile is exit 4 and leaves no target`, async (t) => {
    for (const [what, change] of Object.entries(changes)) {
      const folder = testFolder(t)
      const { path } = source(folder)
      let changed = false
      const onProgress = once(() => {
        changed = true
        change(path)
      })
      const failure: unknown = await work(path, folder, onProgress).then(
        () => undefined,
        (error: unknown) => error,
      )
      assert.ok(changed, `${what}: nothing was changed`)
      assert.ok(isImageError(failure), `${what}: ${String(failure)}`)
      assert.equal(failure.kind, 'corrupt', `${what}: ${failure.message}`)
      assert.match(failure.code, /^E_(?:SOURCE_CHANGED|TRUNCATED)$/, what)
      assert.doesNotMatch(`${failure.message} ${failure.hint ?? ''}`, /memory/i)
      assert.deepEqual(fs.readdirSync(folder), ['a.raw'], what)
    }
  })
}

test('a hole that reaches the end of a file that was cut is no hole', (t) => {
  const { path } = source(testFolder(t))
  using store = FileStore.openRead(path)
  const holes = new HostHoles(store)
  assert.deepEqual(holes.runAt(size / 2, size / 2), { hole: true, length: size / 2 })
  fs.truncateSync(path, size / 2)
  assert.throws(() => new HostHoles(store).runAt(size / 2, size / 2), { code: 'E_SOURCE_CHANGED' })
})

test('a source that is only removed, renamed or read by others is still whole', async (t) => {
  const folder = testFolder(t)
  for (const change of [
    (path: string) => fs.rmSync(path),
    (path: string) => fs.renameSync(path, `${path}.old`),
    (path: string) => fs.chmodSync(path, 0o400),
    (path: string) => fs.linkSync(path, `${path}.link${String(Math.random())}`),
  ]) {
    const { path, bytes } = source(folder)
    await convert(path, join(folder, 'b.raw'), { force: true, onProgress: once(() => change(path)) })
    assert.ok(fs.readFileSync(join(folder, 'b.raw')).equals(bytes))
    fs.rmSync(path, { force: true })
  }
})

test('rebase: a parent that changes meanwhile leaves the child over it', async (t) => {
  const folder = testFolder(t)
  const { path } = source(folder)
  const child = join(folder, 'child.qcow2')
  await create(child, { parent: path, parentFormat: 'raw' })
  const before = fs.readFileSync(child)
  await assert.rejects(
    rebaseChain(child, undefined, { parentFormat: 'raw', onProgress: once(() => changes['it is written to']?.(path)) }),
    { code: 'E_SOURCE_CHANGED' },
  )
  const { source: found } = await hash(child, { parentFormat: 'raw' })
  assert.equal(found.capacity, size)
  assert.ok(fs.readFileSync(child).subarray(0, 512).equals(before.subarray(0, 512)), 'the header names the parent')
})

test('commit: a child, or what is below the parent, that changes meanwhile is exit 4', async (t) => {
  for (const what of ['child.qcow2', 'a.raw'])
    for (const options of [{}, { deleteChild: true }, { dryRun: true }]) {
      const folder = testFolder(t)
      const { path } = source(folder)
      const [parent, child] = [join(folder, 'parent.qcow2'), join(folder, 'child.qcow2')]
      await create(parent, { parent: path, parentFormat: 'raw' })
      await create(child, { parent })
      {
        using exposed = openExposed(child, { mode: 'write', parentFormat: 'raw' })
        exposed.disk.write(4096, Buffer.alloc(200_000, 'child '))
      }
      const before = fs.readFileSync(parent)
      fs.utimesSync(child, 1, 1)
      await assert.rejects(
        commitChain(child, {
          ...options,
          parentFormat: 'raw',
          onProgress: once(() => fs.utimesSync(join(folder, what), 2, 2)),
        }),
        (error) =>
          isImageError(error) &&
          error.code === 'E_SOURCE_CHANGED' &&
          error.message.includes(what) &&
          /The child shows what it did/.test(error.hint ?? ''),
        `${what} ${JSON.stringify(options)}`,
      )
      assert.ok(fs.existsSync(child))
      if ('dryRun' in options) assert.ok(fs.readFileSync(parent).equals(before))
      await commitChain(child, { verify: true, parentFormat: 'raw' })
    }
})

test('inject: content that changes meanwhile is exit 4, and the state is said', async (t) => {
  for (const inPlace of [true, false]) {
    const folder = testFolder(t)
    const { path } = source(folder)
    const disk = join(folder, 'disk.raw')
    const table = Buffer.alloc(512)
    // One partition of all but the first MiB.
    table.writeUInt8(0x83, 450)
    table.writeUInt32LE(2048, 454)
    table.writeUInt32LE(size / 512, 458)
    table.writeUInt16LE(0xaa55, 510)
    fs.writeFileSync(disk, table)
    fs.truncateSync(disk, size + 1048576)
    const where = inPlace ? { inPlace } : { output: join(folder, 'new.raw') }
    const onProgress = once(() => changes['it is written to']?.(path))
    await assert.rejects(
      injectPartition(`${disk}@1`, path, { ...where, onProgress, content: { from: 'raw' } }),
      (error) =>
        isImageError(error) &&
        error.code === 'E_SOURCE_CHANGED' &&
        (!inPlace || /may hold a part of the new content/.test(error.hint ?? '')),
    )
    assert.deepEqual(fs.readdirSync(folder).sort(), ['a.raw', 'disk.raw'])
  }
})

test('a file in an image that changes while it is printed', async (t) => {
  const folder = testFolder(t)
  const path = join(folder, 'fat.img')
  fs.copyFileSync(fixture('raw/fat12.img'), path)
  fs.utimesSync(path, 1, 1)
  const list = await import('../../../src/index.js').then(({ listFiles }) => listFiles(path, '/'))
  const file = list.files.find(({ kind, size: bytes }) => kind === 'file' && bytes > 0)
  assert.ok(file !== undefined)
  const touch = once(() => fs.utimesSync(path, 2, 2))
  await assert.rejects(
    readFile(path, file.path, () => Promise.resolve().then(touch)),
    { code: 'E_SOURCE_CHANGED' },
  )
})
