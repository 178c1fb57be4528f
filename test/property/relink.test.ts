import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { OverlaySource } from '../../src/block/overlay.js'
import type { ByteStore } from '../../src/block/types.js'
import { copy } from '../../src/engine/index.js'
import type { DiskImage, OptionValues, ParentShape } from '../../src/formats/driver.js'
import { readAll } from '../support/content.js'
import { createContext, driver, openContext, openWith, shape } from '../support/drivers.js'
import { CutStore, randomOf } from '../support/power-cut.js'

interface Kind {
  readonly title: string
  readonly format: string
  readonly options: OptionValues
  readonly parents: readonly string[]
  readonly allowed?: readonly string[]
}

const kinds: readonly Kind[] = [
  {
    title: 'VHD',
    format: 'vhd',
    options: { 'block-size': 65536 },
    parents: ['vhd', 'vhd', 'vhd'],
    allowed: ['E_FOOTERS_DIFFER'],
  },
  { title: 'VHDX', format: 'vhdx', options: { 'block-size': 1048576 }, parents: ['vhdx', 'vhdx', 'vhdx'] },
  { title: 'QCOW2', format: 'qcow2', options: { 'cluster-size': 4096 }, parents: ['qcow2', 'raw', 'vhdx'] },
  { title: 'VDI', format: 'vdi', options: { 'block-size': 65536 }, parents: ['vdi', 'vdi', 'vdi'] },
  {
    title: 'QCOW2 of one sector a cluster',
    format: 'qcow2',
    options: { 'cluster-size': 512 },
    parents: ['qcow2', 'raw', 'vhdx'],
  },
  {
    title: 'QCOW2 of two sectors a cluster',
    format: 'qcow2',
    options: { 'cluster-size': 1024 },
    parents: ['qcow2', 'raw', 'vhdx'],
  },
  {
    title: 'QCOW2 v2',
    format: 'qcow2',
    options: { 'cluster-size': 4096, compat: '0.10' },
    parents: ['qcow2', 'raw', 'vhdx'],
  },
  {
    title: 'QCOW2 with subclusters',
    format: 'qcow2',
    options: { 'cluster-size': 16384, 'extended-l2': true },
    parents: ['raw', 'qcow2', 'vhdx'],
  },
]
const capacity = 3 * 1048576

function memoryImage(format: string, id: string): DiskImage {
  const store = new MemoryStore(undefined, `${id}.${format}`)
  const identity = {
    uuid: `${id.repeat(8)}-2222-4333-8444-555555555555`,
    derive: (name: string) =>
      `${id.repeat(8)}-2222-4333-8444-${Buffer.from(name.padEnd(6, 'x')).toString('hex').slice(0, 12)}`,
    time: 1_700_000_000,
  }
  using writer = driver(format).create!(store, shape(capacity, { identity }), {}, createContext)
  writer.finish()
  return driver(format).open(store, openContext)
}

const linkTo = (image: DiskImage, name: string): ParentShape => ({
  image,
  path: `/images/${name}`,
  relativePath: name,

  time: 1_650_000_000,
})

async function child({ format, options }: Kind, parent: ParentShape): Promise<Uint8Array> {
  const store = new MemoryStore(undefined, `child.${format}`)
  using writer = driver(format).create!(store, shape(capacity, { parent }), options, createContext)
  using source = openWith('raw', new MemoryStore(new Uint8Array(capacity)))
  await copy({ source, target: writer, threads: 0, base: parent.image })
  writer.finish()
  return store.contents()
}

/** What a record of a parent says, to be compared. */
function record(store: ByteStore, format: string): string {
  const { parentReference } = driver(format).open(store, openContext)
  return parentReference === undefined
    ? 'none'
    : [...parentReference.paths, parentReference.format, parentReference.identity].join(' ')
}

for (const kind of kinds) {
  test(`${kind.title}: another parent, and none, with the power cut at every write`, async () => {
    const { format, parents: formats, allowed = [] } = kind
    const images = formats.map((parent, index) => memoryImage(parent, 'abc'[index]!))
    const names = [
      'parent.x',
      `a longer name ` +
        'which goes on '.repeat(format === 'qcow2' && Number(kind.options['cluster-size']) <= 1024 ? 3 : 12),
      'p',
    ]
    const chance = randomOf(4)
    const random = randomOf(9)
    const store = new CutStore(await child(kind, linkTo(images[0]!, names[0]!)), `child.${format}`)
    // Parents are empty: that nothing is lost shows in what the child itself has.
    const empty = openWith('raw', new MemoryStore(new Uint8Array(capacity)))
    const content = (from: ByteStore): Buffer =>
      Buffer.from(readAll(new OverlaySource(driver(format).open(from, openContext), empty)))
    let cuts = 0
    for (const [round, target] of [1, 2, 0, 1, undefined].entries()) {
      const image = driver(format).openWritable!(store, openContext, empty)
      for (let step = 0; step < 6; step++)
        image.write(random(capacity - 9000), Buffer.alloc(1 + random(9000), 1 + random(255)))
      image.flush()
      const before = content(store)
      const parent = target === undefined ? undefined : linkTo(images[target]!, names[target]!)
      const act = image.relink!(parent)
      const records = [record(store, format)]
      const found = new Set<string>()
      store.onChange = () => {
        if (cuts++ > 60 && chance(3) > 0) return
        const left = store.cut(chance)
        assert.ok(content(left).equals(before), `round ${round}, cut ${cuts}: what is read`)
        found.add(record(left, format))
        for (const finding of driver(format).open(left, openContext).check!()) {
          if ('severity' in finding && finding.severity === 'error' && !allowed.includes(finding.code))
            assert.fail(`round ${round}, cut ${cuts}: ${finding.code} ${finding.structure}: ${finding.message}`)
        }
        // It can be changed on.
        const again = driver(format).openWritable!(new CutStore(left.contents(), left.name), openContext, empty)
        again.write(0, Uint8Array.of(1))
        again[Symbol.dispose]()
      }
      act()
      image[Symbol.dispose]()
      store.onChange = () => undefined
      records.push(record(store, format))
      for (const one of found) assert.ok(records.includes(one), `${one} is neither of ${records.join(' | ')}`)
      assert.notEqual(records[0], records[1])
      if (parent === undefined) assert.equal(records[1], 'none')
      else driver(format).open(store, openContext).parentReference!.verify(parent.image)
      assert.ok(content(store).equals(before))
      const closed = driver(format).open(store, openContext)
      // Sector bitmaps of a VHDX, which a disk without a parent has none of, leave their space behind.
      assert.deepEqual(
        [...closed.check!()].filter(
          (item) => 'severity' in item && !(parent === undefined && item.code === 'L_UNREFERENCED'),
        ),
        [],
        `round ${round}`,
      )
      if (parent === undefined)
        assert.throws(
          () =>
            driver(format).openWritable!(new CutStore(store.contents(), store.name), openContext).relink!(
              linkTo(images[0]!, 'x'),
            ),
          { code: 'E_NOT_A_CHILD' },
        )
    }
    assert.ok(cuts > 8, `${cuts} cuts`)
    // Without a parent the file stands alone.
    const alone = driver(format).open(store, openContext)
    assert.ok(Buffer.from(readAll(alone)).equals(content(store)))
  })
}
