/** Hives that hivex makes, changes and reads: ours is read by it, and its are read here. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { hiveBytes } from '../support/hive-bytes.js'
import { hiveFacts, hivexFacts, openBytes } from '../support/hive-facts.js'
import { have, run, scratch } from '../support/tools.js'
import { bootStore, softwareHive, systemHive, windowsSpec } from '../support/windows-guest.js'

const hasHivex = (t: TestContext): boolean => have(t, 'hivexregedit') && have(t, 'hivexget')

test('hives that are written after the format are read as hivex reads them', (t) => {
  if (!hasHivex(t)) return
  const at = scratch(t)
  const specs = [
    systemHive(windowsSpec('gpt')),
    systemHive(windowsSpec('mbr')),
    softwareHive,
    bootStore(windowsSpec('gpt').store),
  ]
  for (const spec of specs)
    for (const lists of ['li', 'lf', 'lh', 'ri'] as const)
      for (const wide of [false, true]) {
        const bytes = hiveBytes(spec, { lists, wide })
        fs.writeFileSync(at('hive'), bytes)
        const facts = hiveFacts(openBytes(bytes))
        assert.ok(Object.keys(facts).length > 3)
        assert.deepEqual(facts, hivexFacts(at('hive')))
      }
})

test('hives that hivexregedit fills and hivexsh changes are read as hivexget reads them', (t) => {
  if (!hasHivex(t) || !have(t, 'hivexsh')) return
  const at = scratch(t)
  const hive = at('hive')
  fs.writeFileSync(hive, hiveBytes({}))
  const keys = Array.from(
    { length: 700 },
    (_unused, index) => `[\\Services\\driver ${index}]\n"Start"=dword:${(index % 5).toString(16).padStart(8, '0')}\n`,
  )
  const long = Array.from({ length: 20000 }, (_unused, index) => (index % 256).toString(16).padStart(2, '0')).join(',')
  fs.writeFileSync(
    at('values.reg'),
    [
      'Windows Registry Editor Version 5.00\n',
      '[\\Services]\n"text"=str(1):"a text"\n"more"=hex(3):01,02,03,04,05\n',
      ...keys,
      `[\\Long]\n"long"=hex(3):${long}\n`,
    ].join('\n'),
  )
  run('hivexregedit', '--merge', hive, at('values.reg'))
  const { root, state } = openBytes(fs.readFileSync(hive))
  assert.equal(state, 'clean')
  assert.equal(root.at('Services')?.value('text')?.text, 'a text')
  assert.equal(root.at('Long')?.value('long')?.length, 20000)
  for (const index of [0, 3, 99, 699]) {
    const path = `Services\\driver ${index}`
    const value = root.at(path)?.value('start')?.number
    assert.equal(value, BigInt(run('hivexget', hive, path, 'Start').trim()), path)
  }
  assert.equal([...(root.at('Services')?.subkeys() ?? [])].length, 700)
  assert.deepEqual(hiveFacts(openBytes(fs.readFileSync(hive))), hivexFacts(hive))
  const shell = spawnSync('hivexsh', ['-w', hive], {
    input: 'cd \\Services\\driver 3\nsetval 1\nStart\ndword:0\ncommit\n',
    encoding: 'utf8',
  })
  assert.equal(shell.status, 0, shell.stderr)
  const changed = openBytes(fs.readFileSync(hive))
  changed.checkBins()
  assert.equal(changed.root.at('Services\\Driver 3')?.value('START')?.number, 0n)
})
