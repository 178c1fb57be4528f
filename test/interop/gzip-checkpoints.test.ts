import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { FileStore } from '../../src/block/file-store.js'
import { finish } from '../../src/block/work.js'
import { CheckpointStore } from '../../src/codec/stream/checkpoint-store.js'
import { check, info, openImage } from '../../src/index.js'
import { blockInflate } from '../../src/sys/libz.js'
import { vdisk } from '../support/cli.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

const mebibyte = 1024 * 1024
const missing = blockInflate() === undefined ? "the system's libz is not there, or not used" : false
const content = Buffer.concat([
  diskLike(5 * mebibyte + 77, 1),
  Buffer.alloc(9 * mebibyte),
  Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) >>> 3)),
  diskLike(6 * mebibyte, 2),
])

/** gzip streams of every shape: levels, stored blocks, one fixed block, flushes, many members. */
const shapes: Readonly<Record<string, () => Buffer>> = {
  'gzip -1': () => by('gzip', ['-1c'], content),
  'gzip -9': () => by('gzip', ['-9c'], content),
  rsyncable: () => by('gzip', ['-c', '--rsyncable'], content),
  stored: () => zlib.gzipSync(content, { level: 0 }),
  'fixed codes': () => zlib.gzipSync(content, { strategy: zlib.constants.Z_FIXED }),
  'many members, padded': () =>
    Buffer.concat([
      ...Array.from({ length: 40 }, (_, index) => {
        const length = Math.ceil(content.length / 40)
        return zlib.gzipSync(content.subarray(index * length, (index + 1) * length))
      }),
      zlib.gzipSync(''),
      Buffer.alloc(3000),
    ]),
}

for (const [name, make] of Object.entries(shapes)) {
  test(`${name}: any place is read from a checkpoint before it`, { skip: missing }, (t) => {
    if (!have(t, 'gzip')) return
    const path = join(testFolder(t), 'disk.gz')
    fs.writeFileSync(path, make())
    const open = blockInflate()
    assert.ok(open !== undefined)
    const below = FileStore.openRead(path)
    using store = new CheckpointStore({ name: 'disk', store: below, start: 0, end: below.size, codec: 'gzip', open })
    finish(store.index())
    assert.equal(store.size, content.length)
    const agrees = (position: number, length: number): void => {
      const bytes = new Uint8Array(length)
      store.read(position, bytes)
      assert.equal(Buffer.compare(bytes, content.subarray(position, position + length)), 0, `${position}+${length}`)
    }
    agrees(content.length - 1, 1)
    agrees(0, 1)
    let seed = 7
    for (let index = 0; index < 200; index++) {
      seed = (seed * 1103515245 + 12345) % 2147483648
      const position = seed % content.length
      agrees(position, Math.min(1 + (seed % 400_000), content.length - position))
    }
    agrees(0, content.length)
    assert.throws(() => store.read(content.length - 1, new Uint8Array(2)), RangeError)
  })
}

test('info, inspect, ls, cat, map and check read a gzip file without a scratch file', { skip: missing }, async (t) => {
  if (!have(t, 'gzip') || !have(t, 'mke2fs')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.mkdirSync(at('files'))
  fs.writeFileSync(at('files/hello.txt'), 'hello from inside')
  fs.writeFileSync(at('files/large.bin'), diskLike(12 * mebibyte, 3))
  fs.writeFileSync(at('fs.raw'), Buffer.alloc(0))
  by('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', at('files'), at('fs.raw'), '24M'], Buffer.alloc(0))
  fs.writeFileSync(at('fs.raw.gz'), by('gzip', ['-c'], fs.readFileSync(at('fs.raw'))))
  // A scratch file has no place there.
  const env = { TMPDIR: at('not-there') }
  const ls = await vdisk(['ls', `${at('fs.raw.gz')}:/`], { cwd: folder, env })
  assert.equal(ls.code, 0, ls.stderr)
  assert.match(String(ls.stdout), /hello\.txt/)
  const cat = await vdisk(['cat', `${at('fs.raw.gz')}:/hello.txt`], { cwd: folder, env })
  assert.equal(String(cat.stdout), 'hello from inside')
  assert.match(
    String((await vdisk(['info', at('fs.raw.gz')], { cwd: folder, env })).stdout),
    /from checkpoints in the stream/,
  )
  for (const command of [['inspect'], ['map'], ['check'], ['check', '--deep']]) {
    const { code, stderr } = await vdisk([...command, at('fs.raw.gz')], { cwd: folder, env })
    assert.equal(code, 0, `${command.join(' ')}: ${stderr}`)
  }
  assert.match(accessText(at('fs.raw.gz')), /checkpoints/)
})

test(
  'a QCOW2 in a gzip file, and a member of a zip archive, are read from checkpoints',
  { skip: missing },
  async (t) => {
    if (!have(t, 'gzip') || !have(t, 'zip') || !have(t, 'qemu-img')) return
    const folder = testFolder(t)
    const at = (file: string): string => join(folder, file)
    fs.writeFileSync(at('disk.raw'), content.subarray(0, 12 * mebibyte))
    by('qemu-img', ['convert', '-O', 'qcow2', at('disk.raw'), at('disk.qcow2')], Buffer.alloc(0))
    fs.writeFileSync(at('disk.qcow2.gz'), by('gzip', ['-c'], fs.readFileSync(at('disk.qcow2'))))
    by('zip', ['-qj', at('disk.zip'), at('disk.qcow2')], Buffer.alloc(0))
    for (const name of ['disk.qcow2.gz', 'disk.zip']) {
      using image = await openImage(at(name))
      assert.equal(image.format, 'qcow2')
      const bytes = image.read(5 * mebibyte - 10, 100_000)
      assert.equal(Buffer.compare(bytes, content.subarray(5 * mebibyte - 10, 5 * mebibyte + 99_990)), 0, name)
      assert.match(accessText(at(name)), /checkpoints/)
    }
    assert.equal((await check(at('disk.qcow2.gz'), { deep: true })).clean, true)
  },
)

/** How `info` says that the content is reached. */
function accessText(path: string): string {
  const inside = info(path).sections.find(({ title }) => title === 'Inside')
  return String(inside?.facts.find(({ name }) => name === 'access')?.value)
}
