import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { OverlaySource } from '../../src/block/overlay.js'
import type { BlockSource } from '../../src/block/types.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { openWritableQcow2 } from '../../src/formats/qcow2/write/writable.js'
import type { WritableQcow2 } from '../../src/formats/qcow2/write/writable.js'
import { readAll } from '../support/content.js'
import { openContext } from '../support/drivers.js'
import { CutStore, randomOf } from '../support/power-cut.js'
import { startOf, variants } from '../support/qcow2-make.js'
import { have, run, scratch } from '../support/tools.js'

const mib = 1024 * 1024
const capacity = 6 * mib

/** Writes and discards here and there, in the image and in `model`. */
function change(image: WritableQcow2, model: Buffer, seed: number, steps: number): void {
  const random = randomOf(seed)
  for (let step = 0; step < steps; step++) {
    const offset = random(model.length)
    const length = 1 + random(Math.min(random(3) === 0 ? 700_000 : 9000, model.length - offset))
    if (random(4) === 0) {
      image.discard(offset, length)
      model.fill(0, offset, offset + length)
    } else {
      const bytes = Buffer.alloc(length, `step ${seed} ${step} `)
      image.write(offset, bytes)
      model.set(bytes, offset)
    }
    if (random(5) === 0) image.flush()
  }
}

/** What qemu-img check finds: 0 nothing, 3 leaks only; anything else fails. */
function checked(image: string, what: string): number {
  const { status, stdout, stderr } = spawnSync('qemu-img', ['check', '-f', 'qcow2', image], { encoding: 'utf8' })
  assert.ok(status === 0 || status === 3, `${what}: qemu-img check gives ${status}\n${stdout}${stderr}`)
  return status
}

/** The guest's bytes as qemu-img reads them. */
function throughQemu(at: (name: string) => string, image: string): Buffer {
  run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', image, at('qemu.raw'))
  return fs.readFileSync(at('qemu.raw'))
}

const kinds = [
  'cluster_size=65536',
  'cluster_size=512,refcount_bits=64',
  'cluster_size=4096,refcount_bits=1',
  'cluster_size=2M,refcount_bits=2,preallocation=metadata',
  'cluster_size=65536,compat=0.10',
  'cluster_size=65536,extended_l2=on',
  'cluster_size=8192,lazy_refcounts=on,refcount_bits=8',
  'cluster_size=65536,preallocation=full',
]

test(
  'images of qemu-img are changed here, and qemu-img finds no fault in them and reads the ' + 'same',
  (t: TestContext) => {
    if (!have(t, 'qemu-img')) return
    const at = scratch(t)
    for (const [index, options] of kinds.entries()) {
      const image = at(`${index}.qcow2`)
      run('qemu-img', 'create', '-f', 'qcow2', '-o', options, image, String(capacity))
      const model = Buffer.alloc(capacity)
      for (let round = 0; round < 2; round++) {
        const store = new CutStore(fs.readFileSync(image))
        const writable = openWritableQcow2(store, openContext)
        change(writable, model, index * 10 + round, 25)
        writable[Symbol.dispose]()
        fs.writeFileSync(image, store.contents())
        assert.equal(checked(image, options), 0, `${options}: leaks`)
        assert.ok(throughQemu(at, image).equals(model), options)
        // What qemu does with the image in between is kept as well.
        const written = Buffer.alloc(200_000, 0x5a)
        run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x5a 1000000 200000', '-c', 'discard 3M 1M', image)
        model.set(written, 1_000_000)
        fs.writeFileSync(at('model.raw'), model)
        assert.equal(checked(image, options), 0)
        throughQemu(at, image).copy(model, 3 * mib, 3 * mib, 4 * mib)
      }
    }
  },
)

test('snapshots of qemu-img stay as they are while the disk is changed here', (t: TestContext) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  const image = at('image.qcow2')
  for (const options of ['cluster_size=4096', 'cluster_size=65536,extended_l2=on', 'cluster_size=65536,compat=0.10']) {
    run('qemu-img', 'create', '-f', 'qcow2', '-o', options, image, String(capacity))
    const model = Buffer.alloc(capacity)
    const kept: Buffer[] = []
    for (let round = 0; round < 3; round++) {
      const store = new CutStore(fs.readFileSync(image))
      const writable = openWritableQcow2(store, openContext)
      change(writable, model, round + 50, 15)
      writable[Symbol.dispose]()
      fs.writeFileSync(image, store.contents())
      assert.equal(checked(image, options), 0)
      kept.push(Buffer.from(model))
      run('qemu-img', 'snapshot', '-c', `s${round}`, image)
    }
    for (const [round, before] of kept.entries()) {
      run('qemu-img', 'convert', '-l', `snapshot.name=s${round}`, '-O', 'raw', image, at('snapshot.raw'))
      assert.ok(fs.readFileSync(at('snapshot.raw')).equals(before), `${options}: snapshot ${round}`)
    }
    run('qemu-img', 'snapshot', '-d', 's0', image)
    run('qemu-img', 'snapshot', '-a', 's1', image)
    assert.equal(checked(image, options), 0)
    assert.ok(throughQemu(at, image).equals(kept[1]!))
  }
})

test('the power is cut: qemu-img finds no fault but leaks, and reads what is read here', async (t: TestContext) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  const chance = randomOf(8)
  let leaks = 0
  for (const variant of variants) {
    const { bytes, parent } = await startOf(variant)
    if (parent !== undefined) fs.writeFileSync(at('parent.raw'), readAll(parent))
    const store = new CutStore(bytes)
    const image = at('cut.qcow2')
    let count = 0
    store.onChange = () => {
      if (count++ % 37 !== 5) return
      const left = store.cut(chance)
      fs.writeFileSync(image, left.contents())
      if (checked(image, `${variant.title}, cut ${count}`) === 3) leaks++
      const layer = qcow2.open(left, openContext)
      const disk: BlockSource = parent === undefined ? layer : new OverlaySource(layer, parent)
      fs.writeFileSync(at('ours.raw'), readAll(disk))
      // A parent of no whole sector is cut off by qemu-img; the sizes here are whole.
      run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', image, at('ours.raw'))
    }
    const writable = openWritableQcow2(store, openContext, parent)
    change(writable, Buffer.alloc(variant.capacity), 9, 25)
    writable[Symbol.dispose]()
    assert.ok(count > 30, `${variant.title}: ${count} changes`)
  }
  assert.ok(leaks > 3, `only ${leaks} cuts left leaks: the cuts show nothing`)
})
