import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { convert, openImage } from '../../src/index.js'
import { fixture, fixtureRecord } from '../support/fixtures.js'
import { guestSha256 } from '../support/guest-hash.js'
import { subtypes, type Subtype } from '../support/subtypes.js'
import { have, run, scratch } from '../support/tools.js'

const disk = 'partitioned-disk.vhdx'
const expected = fixtureRecord(disk)
/** The same id and time for all: what differs between two outputs then comes from their sources. No power fails. */
const identity = { uuid: '5eed0300-0000-4000-8000-000000000000', time: 1_700_000_000, flush: false }

async function fileSha256(...paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer)
  return hash.digest('hex')
}

/** The files of an image: it stands in a folder of its own. */
function filesOf(path: string): string[] {
  return readdirSync(dirname(path))
    .sort()
    .map((name) => join(dirname(path), name))
}

/** Judges images by qemu-img and by reading them back; bytes that were judged before are not judged again. */
class Judge {
  readonly #raw: string
  readonly #judged = new Set<string>()

  constructor(raw: string) {
    this.#raw = raw
  }

  async judge(path: string, subtype: Subtype): Promise<void> {
    const key = `${subtype.name} ${await fileSha256(...filesOf(path))}`
    if (this.#judged.has(key)) return
    {
      using image = await openImage(path)
      assert.equal(image.format, subtype.options.to)
      assert.equal(image.capacity, expected.capacity)
      assert.equal(guestSha256(image), expected.guestSha256)
    }
    if (subtype.checks) run('qemu-img', 'check', '-q', '-f', subtype.qemuFormat, path)
    run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', subtype.qemuFormat, this.#raw, path)
    const seen = JSON.parse(run('qemu-img', 'info', '--output=json', '-f', subtype.qemuFormat, path)) as {
      'virtual-size': number
    }
    assert.equal(seen['virtual-size'], expected.capacity, 'qemu-img sees the same size')
    this.#judged.add(key)
  }
}

test('every subtype into every other', async (t) => {
  if (!have(t, 'qemu-img')) return
  const at = scratch(t)
  const raw = at('disk.raw')
  run('qemu-img', 'convert', '-f', 'vhdx', '-O', 'raw', fixture(disk), raw)
  assert.equal(await fileSha256(raw), expected.guestSha256, 'qemu-img reads the fixture as it was made')
  const judge = new Judge(raw)

  for (const [index, source] of subtypes.entries()) {
    mkdirSync(at(`ours/${index}`), { recursive: true })
    mkdirSync(at(`theirs/${index}`), { recursive: true })
    const ours = at(`ours/${index}/disk.${source.extension}`)
    const theirs = at(`theirs/${index}/disk.${source.extension}`)
    await t.test(`${source.name}, made by vdisk`, async () => {
      await convert(raw, ours, { ...source.options, ...identity, from: 'raw' })
      await judge.judge(ours, source)
    })
    await t.test(`${source.name}, made by qemu-img`, async () => {
      run('qemu-img', 'convert', '-f', 'raw', '-O', source.qemuFormat, ...source.qemuArguments, raw, theirs)
      using image = await openImage(theirs)
      assert.equal(image.format, source.options.to)
      assert.equal(image.capacity, expected.capacity)
      assert.equal(guestSha256(image), expected.guestSha256)
    })
    for (const target of subtypes) {
      await t.test(`${source.name} → ${target.name}`, async () => {
        for (const from of [ours, theirs]) {
          const result = at(`result/disk.${target.extension}`)
          mkdirSync(at('result'))
          try {
            await convert(from, result, { ...target.options, ...identity })
            await judge.judge(result, target)
          } finally {
            rmSync(at('result'), { recursive: true })
          }
        }
      })
    }
  }
})
