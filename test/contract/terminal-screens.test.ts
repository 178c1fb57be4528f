import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root } from '../support/cli.js'
import { have } from '../support/tools.js'

const { screens } = (await import(join(root, 'scripts/terminal-screens.js'))) as {
  screens: () => Readonly<Record<string, string>>
}

test('docs/screens show what the program prints, within the width, and colour only adds to it', (t) => {
  if (!have(t, 'script')) return
  const pictures = screens()
  assert.equal(Object.keys(pictures).length, 4)
  const textOf = (picture: string): string =>
    picture
      .replaceAll(/<[^>]*>/g, '')
      .replaceAll('&quot;', '"')
      .replaceAll(/&[a-z]+;/g, '&')
  for (const [name, picture] of Object.entries(pictures)) {
    const kept = fs.readFileSync(join(root, 'docs/screens', name), 'utf8')
    assert.equal(kept, picture, `${name}: run node scripts/terminal-screens.js`)
    const columns = Number(/\d+/.exec(name)?.[0])
    for (const line of textOf(picture).split('\n')) assert.ok(line.length <= columns, `${name}: ${line}`)
    assert.equal(/fill="#(?!ffffff|1e1e1e)/.test(picture), !name.includes('plain'), name)
  }
  // Without colours the same words are there.
  for (const columns of [80, 120])
    assert.equal(textOf(pictures[`terminal-${columns}.svg`]!), textOf(pictures[`terminal-${columns}-plain.svg`]!))
})
