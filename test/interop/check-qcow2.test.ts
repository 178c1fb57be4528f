import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { Finding } from '../../src/formats/driver.js'
import { repairQcow2 } from '../../src/formats/qcow2/judge/repair.js'
import { diskLike, sha256 } from '../support/content.js'
import { openWith } from '../support/drivers.js'
import { damageAtRandom, Qcow2Places } from '../support/qcow2-places.js'
import { have, run, runIn, scratch } from '../support/tools.js'

interface Answer {
  readonly corruptions: number
  readonly leaks: number
  readonly reported: string
}

/** What qemu-img finds; messages that it gives once for every way to a table are counted once. */
function ask(folder: string, image: string): Answer {
  const { stdout, stderr, status } = spawnSync('qemu-img', ['check', '-f', 'qcow2', '--output', 'json', image], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.ok([0, 1, 2, 3].includes(status ?? -1), stderr)
  const answer = JSON.parse(stdout) as { corruptions?: number; leaks?: number }
  return { corruptions: answer.corruptions ?? 0, leaks: answer.leaks ?? 0, reported: stderr }
}

function find(bytes: Uint8Array): Finding[] {
  using image = openWith('qcow2', new MemoryStore(bytes, 'damaged.qcow2'))
  return [...(image.check?.() ?? [])].filter((item) => 'severity' in item)
}

/** Digests of the disk's pieces; empty where they cannot be read. */
function clustersOf(bytes: Uint8Array): string[] {
  using image = openWith('qcow2', new MemoryStore(bytes))
  return Array.from({ length: Math.floor(image.capacity / 4096) }, (_, index) => {
    const piece = Buffer.alloc(4096)
    try {
      image.read(index * 4096, piece)
      return sha256(piece)
    } catch {
      return ''
    }
  })
}

/**
 * What qemu-img does not look for. An overlap it reports of refcount blocks only, when the refcounts can hold a two.
 */
function isOurs({ code, message }: Finding, refcountBits: number): boolean {
  if (code === 'E_OVERLAP') return refcountBits === 1 || !message.includes('refcount block')
  return code === 'E_L2_ENTRY' && message.includes('zero flag')
}

/** For a refcount that does not fit qemu-img gives one error for each use too many; we give one for the cluster. */
function furtherOverflows(findings: readonly Finding[]): number {
  return findings.reduce((sum, { message }) => {
    const [, uses, maximum] = /is used (\d+) times .* more than the (\d+) that/.exec(message) ?? []
    return sum + (uses === undefined ? 0 : Number(uses) - Number(maximum) - 1)
  }, 0)
}

const content = diskLike(1_400_000, 21)
const create =
  (options: string) =>
  (file: (name: string) => string): void => {
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-o', options, file('in.raw'), file('disk.qcow2'))
  }
const compressed =
  (options: string) =>
  (file: (name: string) => string): void => {
    run('qemu-img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', options, file('in.raw'), file('disk.qcow2'))
  }
const kinds: Readonly<Record<string, (file: (name: string) => string) => void>> = {
  'version 2': create('compat=0.10,cluster_size=4k'),
  ...Object.fromEntries(
    [1, 2, 4, 8, 16, 32, 64].map((bits) => [
      `refcounts of ${bits} bits`,
      create(`refcount_bits=${bits},cluster_size=8k`),
    ]),
  ),
  'clusters of 512 bytes': create('cluster_size=512'),
  'clusters of 64 KiB': create('cluster_size=64k'),
  'extended L2': create('extended_l2=on,cluster_size=16k'),
  compressed: compressed('cluster_size=16k'),
  'compressed, version 2': compressed('compat=0.10,cluster_size=4k'),
  'compressed with zstd, small refcounts': compressed('cluster_size=8k,compression_type=zstd,refcount_bits=4'),
  snapshots: (file) => {
    create('cluster_size=8k')(file)
    run('qemu-img', 'snapshot', '-c', 'one', file('disk.qcow2'))
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 3 100k 300k', '-c', 'write -z 600k 50k', file('disk.qcow2'))
    run('qemu-img', 'snapshot', '-c', 'two', file('disk.qcow2'))
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 4 10k 30k', file('disk.qcow2'))
  },
  bitmaps: (file) => {
    create('cluster_size=8k')(file)
    run('qemu-img', 'bitmap', '--add', '-g', '64k', file('disk.qcow2'), 'b0')
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 3 100k 300k', file('disk.qcow2'))
    run('qemu-img', 'bitmap', '--add', file('disk.qcow2'), 'b1')
  },
}
const rounds = 7

for (const [what, make] of Object.entries(kinds)) {
  test(`check finds what qemu-img check finds, and repair mends it: ${what}`, (t) => {
    if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
    const file = scratch(t)
    fs.writeFileSync(file('in.raw'), content)
    make(file)
    const sound = fs.readFileSync(file('disk.qcow2'))
    const { refcountBits } = new Qcow2Places(sound)
    assert.deepEqual(find(sound), [])
    runIn(file(''), 'qemu-img', 'check', '-f', 'qcow2', 'disk.qcow2')
    let errors = 0
    let repaired = 0
    for (let seed = 1; seed <= rounds; seed++) {
      const bytes = Buffer.from(sound)
      const done = damageAtRandom(bytes, seed * 7919 + what.length)
      fs.writeFileSync(file('damaged.qcow2'), bytes)
      const qemu = ask(file(''), 'damaged.qcow2')
      const found = find(bytes)
      const reported = found.map(({ code, structure, message }) => `${code} ${structure} ${message}`).join('\n')
      const why = `seed ${seed}, ${done}\n${reported}\nqemu-img:\n${qemu.reported}`
      assert.equal(found.filter(({ severity }) => severity === 'leak').length, qemu.leaks, why)
      const alike =
        found.filter((finding) => finding.severity === 'error' && !isOurs(finding, refcountBits)).length +
        furtherOverflows(found)
      assert.equal(alike, qemu.corruptions, why)
      errors += alike
      const before = clustersOf(bytes)
      const store = new MemoryStore(bytes, 'damaged.qcow2')
      assert.ok([...repairQcow2(store)].length > 0)
      fs.writeFileSync(file('repaired.qcow2'), store.contents())
      const left = find(store.contents())
      const after = ask(file(''), 'repaired.qcow2')
      const ours = left.map(({ code, message }) => `${code} ${message}`).join('\n')
      const still = `${why}\nafter the repair:\n${ours}\n${after.reported}`
      assert.equal(left.filter(({ severity }) => severity === 'leak').length, after.leaks, still)
      assert.equal(
        left.filter((finding) => finding.severity === 'error' && !isOurs(finding, refcountBits)).length,
        after.corruptions,
        still,
      )
      // What is left leads nowhere, or lies upon a table: no one can know what it should be. Nothing is written to such
      // a table.
      const leftCodes = new Set(left.map(({ code }) => code))
      if (leftCodes.has('E_OVERLAP')) leftCodes.delete('E_COPIED')
      for (const code of leftCodes)
        assert.ok(['E_L2_ENTRY', 'E_TRUNCATED', 'E_OVERLAP', 'L_REFCOUNT'].includes(code), still)
      if (left.length === 0) repaired++
      assert.deepEqual(
        clustersOf(store.contents()).filter((cluster, index) => cluster !== before[index] && before[index] !== ''),
        [],
        still,
      )
      const { status, stdout } = spawnSync(
        'qemu-img',
        ['compare', '-f', 'qcow2', '-F', 'qcow2', file('damaged.qcow2'), file('repaired.qcow2')],
        { encoding: 'utf8' },
      )
      // 2 and more: what was damaged cannot be read.
      assert.ok(status !== 1, `${stdout}${still}`)
    }
    assert.ok(errors > 0 && repaired > 0)
  })
}
