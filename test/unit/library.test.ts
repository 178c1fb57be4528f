import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
// By the package's own name, as any other program has it.
import { convert, create, formats, info, isImageError, openImage, struct, u32, type Progress } from 'vdisk'
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
