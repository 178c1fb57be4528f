/** A unified kernel image of damaged bytes is read in bounded memory, and what it says of itself stays inside it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guestFileHead } from '../../src/operations/doctor/guest-file.js'
import { unifiedKernel } from '../../src/operations/doctor/unified-kernel.js'
import type { VolumeFiles } from '../../src/operations/files/volume-files.js'
import { BufferStore } from '../fuzz/buffer-store.js'
import { mutate } from '../fuzz/mutate.js'
import { Random } from '../fuzz/random.js'

const sections = ['.osrel', '.cmdline', '.profile', '.cmdline', '.initrd', '.linux']

/** The headers of a program with sections of 512 bytes (Microsoft's PE format). */
function imageBytes(): Buffer {
  const bytes = Buffer.alloc(1024 + sections.length * 512, 0x41)
  bytes.write('MZ', 0, 'latin1')
  bytes.writeUInt32LE(128, 60)
  bytes.write('PE\0\0', 128, 'latin1')
  bytes.writeUInt16LE(0x8664, 132)
  bytes.writeUInt16LE(sections.length, 134)
  bytes.writeUInt16LE(240, 148)
  for (const [index, name] of sections.entries()) {
    const at = 128 + 24 + 240 + index * 40
    bytes.fill(0, at, at + 40)
    bytes.write(name, at, 'latin1')
    for (const [place, value] of [
      [8, 500],
      [16, 512],
      [20, 1024 + index * 512],
    ] as const)
      bytes.writeUInt32LE(value, at + place)
  }
  return bytes
}

/** Only what the reader asks of a volume. */
function volumeOf(store: BufferStore): VolumeFiles {
  const fill = (_node: unknown, offset: number, target: Uint8Array): boolean => {
    assert.ok(target.length <= 65536)
    store.read(offset, target)
    return true
  }
  return { file: () => ({ kind: 'file', size: store.size }), fill } as unknown as VolumeFiles
}

test('unified kernel images that were changed at random', () => {
  const store = new BufferStore('image', imageBytes())
  const files = volumeOf(store)
  assert.equal(unifiedKernel(files, '/image')?.initrds.length, 1)
  const headers = { position: 128, length: 4 + 20 + 240 + sections.length * 40 }
  const words = Array.from({ length: headers.length / 4 }, (_unused, index) => ({
    position: headers.position + index * 4,
    length: 4,
  }))
  let damaged = 0
  for (let index = 0; index < 2000; index++) {
    mutate('unified', { path: 'image', store, words }, new Random(20261130, index))
    const found = unifiedKernel(files, '/image')
    if (found?.damage !== undefined) damaged++
    for (const file of found === undefined ? [] : [found.kernel, ...found.initrds]) guestFileHead(file, 4096)
    store.restore()
  }
  assert.ok(damaged > 0)
})

test('sections that lie past the end, or are said to be of 4 GiB, are damage', () => {
  for (const [place, value] of [
    [20, 1024 + sections.length * 512],
    [20, 0xffffffff],
    [16, 0xffffffff],
  ] as const) {
    const bytes = imageBytes()
    const at = 128 + 24 + 240 + sections.indexOf('.linux') * 40
    bytes.writeUInt32LE(0xffffffff, at + 8)
    bytes.writeUInt32LE(value, at + place)
    const store = new BufferStore('image', bytes)
    assert.match(unifiedKernel(volumeOf(store), '/image')?.damage ?? '', /^4096 bytes, of \d+$/)
  }
})
