import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ByteStore } from '../../src/block/types.js'
import { isImageError } from '../../src/errors.js'
import type { Finding, FormatDriver, OptionValues } from '../../src/formats/driver.js'
import { root } from './cli.js'
import { openContext } from './drivers.js'
import { testFolder } from './folder.js'
import { have, isInstalled } from './tools.js'
import { check, type CheckResult } from '../../src/operations/check/check.js'
import { ProcessorTime } from './processor-time.js'

/**
 * A damaged image, and the right answer: codes of what a check finds, or `refused CODE` when there is nothing to check.
 */
export interface Damaged {
  readonly what: string
  readonly make: () => ByteStore
  readonly answer: readonly string[] | `refused ${string}`
  readonly options?: OptionValues
  /** Without reading what is stored: it is too much. */
  readonly shallow?: boolean
  /** Words that the messages must hold. */
  readonly says?: RegExp
  /** A program that makes the image. */
  readonly needs?: string
}

/** All findings of an image, the notes that none repeats among them. */
export function findingsOf(
  driver: FormatDriver,
  store: ByteStore,
  options: OptionValues = {},
  deep = false,
): Finding[] {
  using image = driver.open(store, { ...openContext, options })
  const findings = [...(image.check?.({ deep }) ?? [])].filter((item) => 'severity' in item)
  for (const { code, message } of image.notes) {
    if (!findings.some((finding) => finding.code.slice(1) === code.slice(1)))
      findings.push({ severity: 'warning', code, structure: 'image', message })
  }
  return findings
}

/** Runs every image through open, describe and check: the right answer, in time, in bounded memory. */
export function testDamaged(driver: FormatDriver, images: readonly Damaged[]): void {
  for (const { what, make, answer, options, says, shallow = false, needs } of images) {
    test(`${driver.id}: ${what}`, (t) => {
      if (needs !== undefined && !have(t, needs)) return
      const store = make()
      // Of the processor, so that others at work do not count.
      const begun = new ProcessorTime()
      let found: readonly string[] | string
      let text: string
      try {
        const findings = findingsOf(driver, store, options, !shallow)
        for (const { message, structure, position, code, severity } of findings) {
          assert.ok(message.length > 10 && structure !== '', `${code} says nothing`)
          assert.ok(
            position === undefined || (position >= 0 && position <= store.size),
            `${code} is at byte ${position}`,
          )
          assert.equal({ E: 'error', W: 'warning', L: 'leak' }[code.charAt(0)], severity)
        }
        found = findings.map(({ code }) => code).sort()
        text = findings.map(({ message }) => message).join('\n')
      } catch (error) {
        assert.ok(isImageError(error), String(error))
        found = `refused ${error.code}`
        text = error.message
      }
      assert.deepEqual(found, typeof answer === 'string' ? answer : [...answer].sort(), text)
      if (says !== undefined) assert.match(text, says)
      begun.atMost(2000)
    })
  }
  test(`${driver.id}: every code is explained in docs/findings.md`, () => {
    const text = fs.readFileSync(join(root, 'docs/findings.md'), 'utf8')
    for (const { answer } of images)
      for (const code of typeof answer === 'string' ? [] : answer) assert.ok(text.includes(`\`${code}\``), code)
  })
  test(`${driver.id}: what is found in memory, \`vdisk check\` finds in a file`, async (t) => {
    const folder = testFolder(t)
    const known = new Set<string>()
    for (const { what, make, answer, options, shallow = false, needs } of images) {
      if (needs !== undefined && !isInstalled(needs)) continue
      if (typeof answer === 'string' || answer.every((code) => known.has(code))) continue
      const path = join(folder, `damaged.${driver.extensions[0] ?? driver.id}`)
      if (!written(make(), path)) continue
      const result = await check(path, {
        from: driver.id,
        fromOptions: options,
        deep: !shallow,
      }).catch((error: unknown) => error)
      // What lies beside a child, or in its parent, is not here: the layer itself is judged in memory.
      if (isImageError(result)) continue
      const found = (result as CheckResult).layers.flatMap(({ groups }) => groups.map(({ code }) => code))
      for (const code of answer) {
        assert.ok(found.includes(code), `${what}: check does not report ${code}: ${found.join(' ')}`)
        known.add(code)
      }
    }
    assert.ok(known.size > 0)
  })
  test(`${driver.id}: ${images.length} damaged images took less than 256 MiB`, () => {
    assert.ok(images.length >= 40)
    assert.ok(process.resourceUsage().maxRSS < 256 * 1024, `${process.resourceUsage().maxRSS} KiB`)
  })
}

/** Writes a store of at most 64 MiB to a file. @returns false for a larger one. */
function written(store: ByteStore, path: string): boolean {
  if (store.size > 64 * 1024 * 1024) return false
  const bytes = new Uint8Array(store.size)
  if (store.size > 0) store.read(0, bytes)
  fs.writeFileSync(path, bytes)
  return true
}
