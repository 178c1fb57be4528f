import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MemoryStore } from '../../src/block/memory-store.js'
import { OverlaySource } from '../../src/block/overlay.js'
import type { BlockSource } from '../../src/block/types.js'
import { roundUp, viewOf } from '../../src/binary/integers.js'
import { copy } from '../../src/engine/index.js'
import type { DiskImage, OptionValues } from '../../src/formats/driver.js'
import { decodeRefcount, decodeRefcountTableEntry } from '../../src/formats/qcow2/format/refcount-entries.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { readAll } from '../support/content.js'
import { openWith, shape } from '../support/drivers.js'

interface Stretch {
  readonly at: number
  readonly length: number
  readonly kind: 'text' | 'noise' | 'zero'
}

const stretches = (capacity: number): fc.Arbitrary<Stretch[]> =>
  fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: capacity - 1 }),
      length: fc.integer({ min: 1, max: Math.ceil(capacity / 3) }),
      kind: fc.constantFrom('text', 'noise', 'zero'),
    }),
    { maxLength: 8 },
  )

function contentOf(capacity: number, model: readonly Stretch[], base?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(capacity)
  if (base !== undefined) bytes.set(base.subarray(0, capacity))
  for (const [index, { at, length, kind }] of model.entries()) {
    const end = Math.min(capacity, at + length)
    if (kind === 'noise')
      for (let position = at; position < end; position++)
        bytes[position] = (Math.imul(position + index * 7919, 2654435761) >>> 15) & 255
    else bytes.fill(kind === 'text' ? 65 + index : 0, at, end)
  }
  return bytes
}

/** Options that go together. */
const options: fc.Arbitrary<OptionValues> = fc
  .record({
    'cluster-size': fc.constantFrom(512, 1024, 4096, 16384, 65536),
    'refcount-bits': fc.constantFrom(1, 2, 4, 8, 16, 32, 64),
    compress: fc.constantFrom('none', 'none', 'zlib', 'zstd:1'),
    'extended-l2': fc.boolean(),
    'lazy-refcounts': fc.boolean(),
    compat: fc.constantFrom('1.1', '1.1', '0.10'),
    preallocation: fc.constantFrom('off', 'off', 'off', 'metadata', 'full'),
    'data-file': fc.constantFrom(undefined, undefined, undefined, 'disk.bin'),
  })
  .map((picked) => {
    const old = picked.compat === '0.10'
    const dataFile = old ? undefined : picked['data-file']
    const compress =
      dataFile !== undefined ? 'none' : old && picked.compress.startsWith('zstd') ? 'zlib' : picked.compress
    return {
      ...picked,
      compress,
      'extended-l2': picked['extended-l2'] && !old && picked['cluster-size'] >= 16384,
      'refcount-bits': old ? 16 : picked['refcount-bits'],
      'lazy-refcounts': picked['lazy-refcounts'] && !old,
      preallocation: compress === 'none' ? picked.preallocation : 'off',
      'data-file': dataFile,
    }
  })

interface Made {
  readonly store: MemoryStore
  readonly data: MemoryStore | undefined
  readonly open: () => DiskImage
}

async function make(
  content: Uint8Array,
  chosen: OptionValues,
  parent?: { image: DiskImage; base: BlockSource },
): Promise<Made> {
  const store = new MemoryStore(undefined, 'disk.qcow2')
  let data: MemoryStore | undefined
  const createFile = (name: string): MemoryStore => (data = new MemoryStore(undefined, name))
  const parentShape =
    parent === undefined ? {} : { parent: { image: parent.image, path: '/p', relativePath: 'p', time: 0 } }
  using writer = qcow2.create!(store, shape(content.length, parentShape), chosen, { createFile })
  await copy({
    source: openWith('raw', new MemoryStore(content)),
    target: writer,
    threads: 0,
    base: parent === undefined ? undefined : parent.base,
  })
  writer.finish()
  // Closing an image empties a store in memory: every handle gets its own.
  const again = (from: MemoryStore): MemoryStore => new MemoryStore(from.contents(), from.name)
  return {
    store,
    data,
    open: () =>
      openWith('qcow2', again(store), { openReference: () => (data === undefined ? undefined : again(data)) }),
  }
}

function equalContent(source: BlockSource, content: Uint8Array): void {
  const found = readAll(source)
  assert.equal(Buffer.compare(found.subarray(0, content.length), content), 0)
  assert.ok(found.subarray(content.length).every((byte) => byte === 0))
}

/**
 * Walks the file as the specification says and counts what refers to every host cluster; must agree with the stored
 * refcounts.
 */
function checkRefcounts(store: MemoryStore, dataFile: boolean): void {
  const bytes = store.contents()
  const view = viewOf(bytes)
  const version = view.getUint32(4)
  const clusterBits = view.getUint32(20)
  const clusterSize = 2 ** clusterBits
  const order = version === 2 ? 4 : view.getUint32(96)
  const extended = version === 3 && (view.getUint32(76) & 16) !== 0
  const offset = (at: number): number => Number(view.getBigUint64(at) & 0x00fffffffffffe00n)
  assert.equal(bytes.length % clusterSize, 0)
  const counts = new Uint32Array(bytes.length / clusterSize)
  const use = (position: number, length: number): void => {
    for (let cluster = Math.floor(position / clusterSize); cluster * clusterSize < position + length; cluster++)
      counts[cluster]!++
  }
  use(0, clusterSize)
  const l1Size = view.getUint32(36)
  const l1 = Number(view.getBigUint64(40))
  use(l1, roundUp(l1Size * 8, clusterSize))
  const table = Number(view.getBigUint64(48))
  const tableLength = view.getUint32(56) * clusterSize
  use(table, tableLength)
  for (let index = 0; index < l1Size; index++) {
    const l2 = offset(l1 + index * 8)
    if (l2 === 0) continue
    assert.equal(view.getBigUint64(l1 + index * 8) >> 63n, 1n, 'COPIED')
    use(l2, clusterSize)
    for (let at = l2; at < l2 + clusterSize; at += extended ? 16 : 8) {
      const word = view.getBigUint64(at)
      if ((word >> 62n) & 1n) {
        const x = BigInt(62 - (clusterBits - 8))
        const position = Number(word & ((1n << x) - 1n))
        const sectors = Number((word >> x) & ((1n << (62n - x)) - 1n)) + 1
        use(position - (position % 512), sectors * 512)
      } else if (offset(at) !== 0 && !dataFile) {
        assert.equal(word >> 63n, 1n, 'COPIED')
        use(offset(at), clusterSize)
      }
    }
  }
  const entriesPerBlock = (clusterSize * 8) / 2 ** order
  for (let index = 0; index < tableLength / 8; index++) {
    const block = decodeRefcountTableEntry(view, table / 8 + index)
    if (block !== 0) use(block, clusterSize)
  }
  for (const [cluster, count] of counts.entries()) {
    const block = decodeRefcountTableEntry(view, table / 8 + Math.floor(cluster / entriesPerBlock))
    assert.notEqual(block, 0)
    assert.equal(
      decodeRefcount(viewOf(bytes.subarray(block, block + clusterSize)), cluster % entriesPerBlock, order),
      count,
      `refcount of cluster ${cluster}`,
    )
  }
}

test('create and open is identity; refcounts count what refers; extents tile the disk', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 600_000 }).chain((capacity) => fc.tuple(fc.constant(capacity), stretches(capacity))),
      options,
      async ([capacity, model], chosen) => {
        const content = contentOf(capacity, model)
        const made = await make(content, chosen)
        checkRefcounts(made.store, made.data !== undefined)
        using image = made.open()
        assert.equal(image.capacity, roundUp(capacity, 512))
        equalContent(image, content)
        assert.deepEqual(image.notes, [])
        for (let offset = 0; offset < image.capacity;) {
          const extent = image.extentAt(offset, 70_000)
          assert.ok(extent.offset === offset && extent.length > 0 && extent.length <= 70_000)
          offset += extent.length
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('a chain of three layers, each with options of its own', async () => {
  const sizes = fc.integer({ min: 512, max: 200_000 })
  await fc.assert(
    fc.asyncProperty(
      fc
        .tuple(sizes, sizes, sizes)
        .chain((capacities) =>
          fc.tuple(
            fc.constant(capacities),
            ...(capacities.map((capacity) => stretches(capacity)) as [
              fc.Arbitrary<Stretch[]>,
              fc.Arbitrary<Stretch[]>,
              fc.Arbitrary<Stretch[]>,
            ]),
          ),
        ),
      fc.tuple(options, options, options),
      async ([capacities, ...models], chosen) => {
        let below: Uint8Array | undefined
        let stack: (() => BlockSource) | undefined
        let layer: Made | undefined
        for (const [index, capacity] of capacities.entries()) {
          const content = contentOf(capacity, models[index]!, below)
          // A parent's disk may be a little longer than its content: rounded up to the sector.
          if (stack === undefined || layer === undefined) {
            layer = await make(content, chosen[index]!)
            stack = layer.open
          } else {
            using base = stack()
            using image = layer.open()
            const under: () => BlockSource = stack
            const child = await make(content, { ...chosen[index]!, preallocation: 'off' }, { image, base })
            checkRefcounts(child.store, child.data !== undefined)
            layer = child
            stack = () => new OverlaySource(child.open(), under())
          }
          using whole = stack()
          equalContent(whole, content)
          below = content
        }
      },
    ),
    { numRuns: 25 },
  )
})
