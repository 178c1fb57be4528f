import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../src/errors.js'
import { check } from '../../src/operations/check/check.js'
import { hash } from '../../src/operations/inspect/hash.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

/** Text compresses, and differs in every cluster. */
function content(): Buffer {
  return Buffer.from(Array.from({ length: 40000 }, (_, line) => `line ${line} of text\n`).join('')).subarray(0, 524288)
}

const kinds: readonly (readonly [string, ...string[]])[] = [
  ['qcow'],
  ['qcow', '-c'],
  ['qcow2'],
  ['qcow2', '-c'],
  ['qcow2', '-c', '-o', 'compression_type=zstd'],
  ['qcow2', '-o', 'extended_l2=on,cluster_size=32k'],
  ['qcow2', '-o', 'compat=0.10,cluster_size=4k'],
  ['qcow2', '-o', 'data_file=data.raw'],
  ['vpc'],
  ['vhdx', '-o', 'block_size=1M'],
  ['vdi'],
  ['vdi', '-o', 'static=on'],
]

test('what cannot be read of a file that was cut, and what reads as zero, check finds without --deep', async (t) => {
  if (!have(t, 'qemu-img')) return
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'disk.raw'), content())
  const missed: string[] = []
  const counts = { refused: 0, noted: 0, whole: 0 }
  for (const [format, ...options] of kinds) {
    const kind = [format, ...options].join(' ')
    // qemu-img makes a whole compressed QCOW 1, and ends with 1 without a word.
    spawnSync('qemu-img', ['convert', '-f', 'raw', '-O', format, ...options, 'disk.raw', 'image'], { cwd: folder })
    runIn(folder, 'qemu-img', 'compare', '-q', '-f', 'raw', '-F', format, 'disk.raw', 'image')
    const cutFile = join(folder, options.includes('data_file=data.raw') ? 'data.raw' : 'image')
    const whole = fs.readFileSync(cutFile)
    for (const lost of [
      1, 100, 200, 511, 512, 513, 1000, 4000, 4096, 5000, 30000, 65024, 65536, 70000, 140000, 600000,
    ]) {
      if (lost >= whole.length) continue
      fs.writeFileSync(cutFile, whole.subarray(0, whole.length - lost))
      const what = `${kind}, ${lost} bytes lost`
      const from = { from: format === 'vpc' ? 'vhd' : format }
      let found: { readonly clean: boolean } | string
      try {
        found = await check(join(folder, 'image'), from)
      } catch (error) {
        if (!isImageError(error)) throw error
        found = error.code
      }
      try {
        const { notes } = await hash(join(folder, 'image'), { ...from, threads: 0 })
        if (notes.length > 0) counts.noted++
        else counts.whole++
        if (typeof found === 'string') missed.push(`${what}: check is refused with ${found}, hash is not`)
        else if (found.clean && notes.length > 0) missed.push(`${what}: hash notes ${notes[0]?.code}, check says clean`)
      } catch (error) {
        if (!isImageError(error)) throw error
        counts.refused++
        if (typeof found !== 'string' && found.clean)
          missed.push(`${what}: hash is refused with ${error.code}, check says clean`)
      }
    }
  }
  assert.deepEqual(missed, [])
  assert.ok(counts.refused > 20 && counts.noted > 10 && counts.whole > 0, JSON.stringify(counts))
})
