import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { vdisk } from '../support/cli.js'
import { scratch } from '../support/tools.js'

const mebibyte = 1048576
/** What no command may pass, whatever the image. */
const promise = 256 * mebibyte

/** Prints the peak of the process's memory, in KiB, as the last line of standard error. */
const peakReporter = "process.on('exit', () => process.stderr.write(`\\npeak ${process.resourceUsage().maxRSS}\\n`))"

test('compressed images are read within 256 MiB, with any number of threads', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  fs.writeFileSync(at('peak.mjs'), peakReporter)
  const env = { NODE_OPTIONS: `--import=${pathToFileURL(at('peak.mjs')).href}` }
  // Text that compresses to a third: every cluster is a unit of its own.
  const piece = Buffer.alloc(mebibyte)
  const file = fs.openSync(at('a.raw'), 'w')
  for (let index = 0; index < 192; index++) {
    for (let place = 0; place < mebibyte; place += 64)
      piece.write(`${index} ${place} ${((index * 7919 + place) % 65521).toString(36).padEnd(9, 'vdisk')}`, place)
    fs.writeSync(file, piece)
  }
  fs.closeSync(file)
  for (const codec of ['zlib', 'zstd']) {
    const made = await vdisk(['convert', 'a.raw', `${codec}.qcow2`, '--compress', codec], { cwd })
    assert.equal(made.code, 0, made.stderr)
    for (const command of [
      ['hash', `${codec}.qcow2`],
      ['hash', `${codec}.qcow2`, '--threads', '0'],
      ['hash', `${codec}.qcow2`, '--threads', '1'],
      ['convert', `${codec}.qcow2`, `${codec}.raw`, '--threads', '1', '--force'],
    ]) {
      const { code, stderr } = await vdisk(command, { cwd, env })
      assert.equal(code, 0, stderr)
      const peak = Number(/peak (\d+)/.exec(stderr)?.[1]) * 1024
      assert.ok(peak > 0 && peak < promise, `${command.join(' ')}: ${Math.round(peak / mebibyte)} MiB`)
    }
  }
})
