/** An initramfs of damaged bytes is read in bounded memory and time, and never throws. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { readInitramfs } from '../../src/operations/doctor/initramfs.js'
import type { GuestFile } from '../../src/operations/doctor/guest-file.js'
import { BufferStore } from '../fuzz/buffer-store.js'
import { mutate } from '../fuzz/mutate.js'
import { Random } from '../fuzz/random.js'
import { cloudModules, cpio } from '../support/linux-guest.js'
import { ProcessorTime } from '../support/processor-time.js'
import { isInstalled } from '../support/tools.js'

const plain = cpio(cloudModules)
const seeds: Readonly<Record<string, Buffer>> = {
  plain,
  gzip: zlib.gzipSync(plain),
  'early and gzip': Buffer.concat([
    cpio(['kernel/x86/microcode/GenuineIntel.bin']),
    Buffer.alloc(512),
    zlib.gzipSync(plain),
  ]),
  'two archives': Buffer.concat([plain, Buffer.alloc(100), plain]),
  ...(isInstalled('lzop') ? { lzop: spawnSync('lzop', ['-c'], { input: plain }).stdout } : {}),
}

function fileOf(path: string, store: BufferStore): GuestFile {
  const fill = (_node: unknown, offset: number, target: Uint8Array): boolean => {
    store.read(offset, target)
    return true
  }
  // Only what the reader asks of a file.
  return { path, node: { size: store.size }, files: { fill } } as unknown as GuestFile
}

test('initramfs archives that were changed at random', async () => {
  for (const [name, bytes] of Object.entries(seeds)) {
    const store = new BufferStore(name, bytes)
    const words = Array.from({ length: Math.floor(bytes.length / 4) }, (_unused, index) => ({
      position: index * 4,
      length: 4,
    }))
    const whole = await readInitramfs(fileOf(name, store))
    assert.equal(whole.fault, undefined, name)
    for (let index = 0; index < 150; index++) {
      mutate('initramfs', { path: name, store, words }, new Random(20261130, index))
      const start = new ProcessorTime()
      const { names } = await readInitramfs(fileOf(name, store))
      assert.ok(names.size <= 200_000)
      start.atMost(2000, `${name}, case ${index}`)
      store.restore()
    }
  }
})

test('an archive that is not compressed counts only where the kernel reads it: at a multiple of 4', async () => {
  const packed = zlib.gzipSync(plain)
  const padding = (more: number): Buffer => Buffer.alloc(((4 - (packed.length % 4)) % 4) + more)
  const read = async (more: number): Promise<string | undefined> => {
    const store = new BufferStore('two', Buffer.concat([packed, padding(more), cpio(['more'])]))
    return (await readInitramfs(fileOf('two', store))).fault?.kind
  }
  assert.deepEqual(
    [await read(0), await read(4), await read(1), await read(2)],
    [undefined, undefined, 'damaged', 'damaged'],
  )
})
