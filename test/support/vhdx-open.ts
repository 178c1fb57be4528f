import assert from 'node:assert/strict'
import type { BlockSource, ByteStore } from '../../src/block/types.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import type { DiskImage, OpenContext, OptionValues } from '../../src/formats/driver.js'
import { memoryLocation } from './locations.js'
import { vhdx } from '../../src/formats/vhdx/index.js'

export function contextOf(options: OptionValues = {}): OpenContext {
  return { openReference: () => undefined, self: memoryLocation('test.vhdx'), options }
}

/** Opens an image of bytes or a store with the driver. */
export function open(from: Uint8Array | ByteStore, options: OptionValues = {}): DiskImage {
  return vhdx.open(from instanceof Uint8Array ? new MemoryStore(from, 'test.vhdx') : from, contextOf(options))
}

export function readAll(source: BlockSource, offset = 0, length = source.capacity - offset): Buffer {
  const bytes = Buffer.alloc(length)
  source.read(offset, bytes)
  return bytes
}

/** Asserts that `act` throws an ImageError of this kind and code whose message matches. */
export function refuses(act: () => unknown, kind: string, code: string, message = /test\.vhdx/): void {
  assert.throws(act, (error) => {
    assert.ok(isImageError(error), String(error))
    assert.equal(`${error.kind} ${error.code}`, `${kind} ${code}`, error.message)
    assert.match(error.message, message)
    return true
  })
}

/** Asserts that the extents of a source tile it without gap, and that each is positive and inside. */
export function assertTiles(source: BlockSource): void {
  let offset = 0
  while (offset < source.capacity) {
    const extent = source.extentAt(offset, source.capacity)
    assert.equal(extent.offset, offset)
    assert.ok(extent.length > 0 && offset + extent.length <= source.capacity)
    if (extent.kind === 'data') assert.ok(extent.position >= 0 && extent.position + extent.length <= extent.store.size)
    offset += extent.length
  }
}
