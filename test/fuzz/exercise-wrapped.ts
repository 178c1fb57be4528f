import assert from 'node:assert/strict'
import type { Extent } from '../../src/block/types.js'
import { finish } from '../../src/block/work.js'
import { decodeBzip2Block, bytesOfBlock } from '../../src/codec/stream/bzip2-block.js'
import { scanBzip2 } from '../../src/codec/stream/bzip2-scan.js'
import { CheckpointStore } from '../../src/codec/stream/checkpoint-store.js'
import { streamCodecFor } from '../../src/codec/stream/index.js'
import { Input } from '../../src/codec/stream/input.js'
import type { WrappedFile, WrappedStream, WrapperContext, WrapperDriver } from '../../src/formats/driver.js'
import { blockInflate } from '../../src/sys/libz.js'
import type { BufferStore } from './buffer-store.js'
import { tolerant, type Outcome } from './exercise.js'
import type { Random } from './random.js'

const context: WrapperContext = {
  name: 'file',
  openNamed: () => {
    throw new Error('nothing else is named')
  },
  openBeside: () => undefined,
}
/** Bytes of content that a case decodes at most. */
const mostContent = 16 * 1024 * 1024

/** What can be done with a compressed file or an archive: open it, read and decode every member, check it. */
export function exerciseWrapped(driver: WrapperDriver, store: BufferStore, random: Random): Outcome {
  const { bytes, size } = store
  driver.probe(bytes.subarray(0, 65536), bytes.subarray(Math.max(0, size - 65536)), size)
  let outcome = 'open'
  const refused = (code: string): void => {
    outcome = code
  }
  tolerant(refused, () => {
    const { members, check } = finish(driver.open(store, context))
    for (const member of members.slice(0, 20)) {
      assert.ok(member.parent?.problem?.kind !== 'internal')
      tolerant(refused, () => lookInside(member, store, random))
    }
    let count = 0
    for (const found of check?.({ deep: random.chance(0.5) }) ?? []) {
      if ('message' in found) assert.ok(found.message.length > 0 && found.code.length > 0, 'a finding says nothing')
      if (++count > 5000) break
    }
  })
  if (driver.id === 'bzip2') tolerant(refused, () => blocksOf(store))
  return outcome
}

function lookInside({ source, stream }: WrappedFile, store: BufferStore, random: Random): void {
  if (stream !== undefined) decode(stream, store)
  if (source === undefined) return
  const sector = Buffer.alloc(512)
  for (let offset = 0, steps = 0; offset < source.capacity && steps < 200; steps++) {
    const extent: Extent = source.extentAt(offset, source.capacity - offset)
    assert.equal(extent.offset, offset)
    assert.ok(extent.length > 0 && offset + extent.length <= source.capacity, `extent of ${extent.length}`)
    if (extent.kind === 'data') assert.ok(extent.position >= 0 && extent.position + extent.length <= extent.store.size)
    if (extent.kind === 'packed') assert.ok(extent.position >= 0 && extent.position + extent.storedLength <= store.size)
    tolerant(
      () => undefined,
      () => source.read(offset, sector.subarray(0, Math.min(512, source.capacity - offset))),
    )
    offset = random.chance(0.1) ? Math.max(offset + 1, random.below(source.capacity)) : offset + extent.length
  }
}

function decode({ codec, start, end }: WrappedStream, store: BufferStore): void {
  const read = (position: number, target: Uint8Array): void => store.read(position, target)
  const open = blockInflate()
  if (codec === 'gzip' || codec === 'deflate') {
    if (open === undefined) return
    // It is closed with its store, which the next case uses again.
    const indexed = new CheckpointStore({ name: 'file', store, start, end, codec, open })
    for (const { done } of indexed.index()) if (done > mostContent) break
    if (indexed.size > 0) indexed.read(indexed.size - 1, new Uint8Array(1))
    return
  }
  const pieces = streamCodecFor(codec).decode(new Input('file', read, start, end))
  // Zstandard streams may wait for Node's own decoder, and a case cannot; their frames are read as units.
  if (!(Symbol.iterator in pieces)) return
  let length = 0
  for (const piece of pieces) if ((length += piece.length) > mostContent) break
}

/** The blocks of bzip2 that are found without decoding. */
function blocksOf(store: BufferStore): void {
  const blocks = finish(scanBzip2((position, target) => store.read(position, target), store.size))
  for (const [index, start] of (blocks?.starts ?? new Float64Array(0)).entries()) {
    const { position, length } = bytesOfBlock(start, blocks?.ends[index] ?? 0)
    const stored = new Uint8Array(length)
    store.read(position, stored)
    let decoded = 0
    for (const piece of decodeBzip2Block(stored, blocks?.levels[index] ?? 9)) decoded += piece.length
    assert.ok(decoded > 0)
  }
}
