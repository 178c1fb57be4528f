import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { unfilteringOf } from '../../src/codec/stream/branch-filters.js'
import { Input } from '../../src/codec/stream/input.js'
import { decodeXz } from '../../src/codec/stream/xz.js'
import { have } from '../support/tools.js'

/** Bytes of which many are opcodes of branches, or the bytes by which those are known. */
function likeCode(length: number): Buffer {
  const likely = [0xe8, 0xe9, 0x00, 0xff, 0xeb, 0x48, 0x94, 0x90, 0x40, 0x7f, 0xf0, 0xf8, 0x01, 0xd0, 0x10, 0x11]
  const bytes = Buffer.alloc(length)
  let state = 1
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[at] = state >>> 31 === 0 ? (likely[(state >>> 20) & 15] ?? 0) : (state >>> 16) & 255
  }
  // Bundles of Itanium with branches in each slot.
  for (let at = 4096; at < 65536; at += 16) {
    bytes[at] = ((bytes[at] ?? 0) & 0xe0) | [16, 18, 22, 28][(at >> 4) & 3]!
    if ((at & 32) === 0) bytes.writeUInt32LE(0x0a000000, at + 12)
  }
  return bytes
}

function decoded(bytes: Uint8Array): Buffer {
  const input = new Input('a.xz', (at, target) => target.set(bytes.subarray(at, at + target.length)), 0, bytes.length)
  return Buffer.concat([...decodeXz(input, null)].map((piece) => Uint8Array.from(piece)))
}

const chains: readonly (readonly string[])[] = [
  ...['x86', 'arm', 'armthumb', 'arm64', 'powerpc', 'sparc', 'ia64'].map((name) => [`--${name}`]),
  ...[1, 2, 4, 255, 256].map((distance) => [`--delta=dist=${distance}`]),
  ['--x86=start=4096'],
  ['--arm64=start=4294963200'],
  ['--delta=dist=4', '--x86'],
  ['--x86', '--delta=dist=3', '--arm'],
]

test('filters of xz are undone as xz undoes them, without a library of the system', (t) => {
  if (!have(t, 'xz')) return
  const code = likeCode(200 * 1024 + 3)
  const program = fs.readFileSync(process.execPath).subarray(4 * 1024 * 1024, 4 * 1024 * 1024 + 131072)
  for (const id of [3, 4, 5, 6, 7, 8, 9, 10]) {
    const unfilter = unfilteringOf(id, id === 3 ? Uint8Array.of(0) : new Uint8Array(0))
    assert.ok(typeof unfilter === 'function')
    assert.ok(!Buffer.concat([...unfilter([code])]).equals(code), `filter ${id} changes what it is tried with`)
  }
  for (const chain of chains)
    for (const content of [code, program, code.subarray(0, 3), code.subarray(0, 21)]) {
      const packed = spawnSync('xz', ['-c', '-T1', ...chain, '--lzma2=preset=0'], {
        input: content,
        maxBuffer: 2 ** 26,
      })
      assert.equal(packed.status, 0, `${chain.join(' ')}: ${packed.stderr.toString()}`)
      assert.ok(decoded(packed.stdout).equals(content), `${chain.join(' ')}: ${content.length} bytes`)
    }
})

/** The header of the first block: how long it is, its flags, the filters, padding, and their checksum. */
function withHeader(bytes: Buffer, change: (header: Buffer) => void): Buffer {
  const changed = Buffer.from(bytes)
  const length = ((changed[12] ?? 0) + 1) * 4
  const header = changed.subarray(12, 12 + length)
  change(header)
  header.writeUInt32LE(crc32(header.subarray(0, length - 4)), length - 4)
  return changed
}

test('filters that are not known are named; impossible ones are damage', (t) => {
  if (!have(t, 'xz')) return
  const packed = spawnSync('xz', ['-c', '-T1', '--arm', '--lzma2=preset=0'], {
    input: Buffer.alloc(4096, 'code'),
  }).stdout
  const as = (id: number) => withHeader(packed, (header) => header.writeUInt8(id, 2))
  assert.equal(packed[14], 7)
  assert.throws(() => decoded(as(11)), { code: 'E_CODEC', kind: 'unsupported', message: /RISC-V/, hint: /xz -d/ })
  assert.throws(() => decoded(as(12)), { code: 'E_CODEC', message: /filter 12/ })
  assert.throws(() => decoded(as(3)), { kind: 'corrupt', message: /impossible properties/ })
  assert.throws(() => decoded(as(0x21)), { kind: 'corrupt', message: /not the last/ })
})
