import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { errorAdvice } from '../../../src/cli/advice/index.js'
import { errorDocument, errorText, plainErrorText } from '../../../src/cli/error-text.js'
import { codesOf } from '../../../src/error-codes.js'
import { corrupt, ImageError, usage } from '../../../src/errors.js'
import { rootFolder } from '../../support/fixtures.js'
import { assertSchema } from '../../support/schemas.js'

interface Manifest {
  readonly commands: Readonly<Record<string, { readonly flags: Readonly<Record<string, unknown>> }>>
}

const { commands } = JSON.parse(fs.readFileSync(join(rootFolder, 'oclif.manifest.json'), 'utf8')) as Manifest
const flags = new Set(Object.values(commands).flatMap((command) => Object.keys(command.flags)))

const all = Object.entries(codesOf).flatMap(([kind, codes]) =>
  codes.map((code) => ({ code, advice: errorAdvice(kind as keyof typeof codesOf, code) })),
)

test('every code has a why and a remedy, in whole sentences', () => {
  for (const { code, advice } of all) {
    assert.ok(advice !== undefined, code)
    for (const text of advice) {
      assert.match(text, /^(?:[A-Z]|vdisk |docs\/).*\.$/, code)
      assert.ok(text.length > 9, `${code}: ${text}`)
    }
  }
})

test('the commands and flags that remedies name are there', () => {
  for (const { code, advice = ['', ''] } of all)
    for (const text of advice) {
      for (const [, first = '', second] of text.matchAll(
        /\bvdisk (?!reads|knows|does|stops|recognises|would|or)([a-z]+)(?: ([a-z]+))?/g,
      ))
        assert.ok(
          commands[first] !== undefined || commands[`${first}:${second ?? ''}`] !== undefined,
          `${code}: vdisk ${first} ${second ?? ''}`,
        )
      // `nbdinfo --list` and `losetup --list` are other programs' flags.
      for (const [, flag = ''] of text.replaceAll(/(?:nbdinfo|losetup) --list/g, '').matchAll(/--([a-z-]+)/g))
        assert.ok(flags.has(flag) || flag === 'help', `${code}: --${flag}`)
    }
})

test('an error is printed in three parts, and so is its document', async () => {
  const plain = corrupt('E_TRUNCATED', 'a.vhd: ends at byte 5')
  assert.match(await errorText(plain), /^Error: a\.vhd: ends at byte 5\nWhy: The file ends .*\nWhat to do: Copy .*$/)
  const own = usage('E_EXISTS' as 'E_USAGE', 'a \u001b[31m', { hint: 'First line\nsecond line' })
  assert.equal((await errorText(own)).split('\n').slice(-3).join('\n'), 'What to do:\nFirst line\nsecond line')
  assert.doesNotMatch(await errorText(own), /\u001b/)
  process.env['FORCE_COLOR'] = '1'
  assert.match(await errorText(own), /^\u001b/)
  assert.doesNotMatch(await plainErrorText(own), /\u001b/)
  delete process.env['FORCE_COLOR']
  for (const error of [plain, own, new ImageError('unsupported', 'E_OF_A_PLUGIN', 'x')]) {
    const document = await errorDocument(error)
    assertSchema('error', document)
    assert.equal('why' in document && document['why'] !== undefined, error.code !== 'E_OF_A_PLUGIN')
  }
})
