import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { noise } from '../../fixtures/content.js'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'

/** Chains of VMDK and VDI whose parents were moved, or have another size than their child. */

const mebibyte = 1048576

async function run(
  cwd: string,
  ...words: string[]
): Promise<{ readonly code: number | string; readonly text: string }> {
  const { code, stdout, stderr } = await vdisk(words, { cwd })
  return { code, text: `${words.join(' ')}: ${stdout.toString()}${stderr}` }
}

async function ok(cwd: string, ...words: string[]): Promise<void> {
  const { code, text } = await run(cwd, ...words)
  assert.equal(code, 0, text)
}

for (const format of ['vmdk', 'vdi'] as const) {
  test(`${format}: a parent that was moved is found where it is said, and recorded anew`, async (t) => {
    const cwd = testFolder(t)
    const content = noise(1, 3 * mebibyte)
    writeFileSync(join(cwd, 'disk.raw'), content)
    await ok(cwd, 'convert', 'disk.raw', `base.${format}`)
    content.fill(9, mebibyte, 2 * mebibyte)
    writeFileSync(join(cwd, 'expected.raw'), content)
    await ok(cwd, 'convert', 'expected.raw', `child.${format}`, '--parent', `base.${format}`)
    for (const folder of ['far', 'wrong']) mkdirSync(join(cwd, folder))
    renameSync(join(cwd, `base.${format}`), join(cwd, 'far', `moved.${format}`))
    // Of the same name, and another image.
    await ok(cwd, 'convert', 'disk.raw', `wrong/base.${format}`)
    const missing = await run(cwd, 'compare', 'expected.raw', `child.${format}`)
    assert.equal(missing.code, 6, missing.text)
    assert.equal((await run(cwd, 'convert', `child.${format}`, 'x.raw', '--search', 'wrong')).code, 6)
    const found =
      format === 'vdi' ? ['--search', 'far'] : ['--parent-map', `base.${format}=${join(cwd, 'far', `moved.${format}`)}`]
    await ok(cwd, 'compare', 'expected.raw', `child.${format}`, ...found)
    await ok(cwd, 'chain', 'relink', `child.${format}`, `far/moved.${format}`)
    const where = format === 'vdi' ? ['--search', 'far'] : []
    await ok(cwd, 'compare', 'expected.raw', `child.${format}`, ...where)
    await ok(cwd, 'chain', 'flatten', `child.${format}`, `flat.${format}`, ...where)
    await ok(cwd, 'compare', 'expected.raw', `flat.${format}`)
    await ok(cwd, 'check', `flat.${format}`)
  })

  test(`${format}: a parent of another size: read, rebased, committed and flattened`, async (t) => {
    const cwd = testFolder(t)
    const content = noise(2, 3 * mebibyte)
    writeFileSync(join(cwd, 'disk.raw'), content)
    await ok(cwd, 'convert', 'disk.raw', `base.${format}`)
    await ok(cwd, 'create', `child.${format}`, '--parent', `base.${format}`)
    // Longer than its parent: zero behind it.
    await ok(cwd, 'resize', `child.${format}`, '5M')
    writeFileSync(join(cwd, 'expected.raw'), Buffer.concat([content, Buffer.alloc(2 * mebibyte)]))
    await ok(cwd, 'compare', 'expected.raw', `child.${format}`)
    await ok(cwd, 'chain', 'flatten', `child.${format}`, `flat.${format}`)
    await ok(cwd, 'compare', 'expected.raw', `flat.${format}`)
    // Over a longer one: what that has behind the child's end is not seen, and comes not with another size.
    writeFileSync(join(cwd, 'long.raw'), noise(3, 8 * mebibyte))
    await ok(cwd, 'convert', 'long.raw', `long.${format}`)
    await ok(cwd, 'chain', 'rebase', `child.${format}`, `long.${format}`)
    await ok(cwd, 'compare', 'expected.raw', `child.${format}`)
    await ok(cwd, 'resize', `child.${format}`, '7M')
    writeFileSync(join(cwd, 'expected.raw'), Buffer.concat([content, Buffer.alloc(4 * mebibyte)]))
    await ok(cwd, 'compare', 'expected.raw', `child.${format}`)
    // Over a shorter one.
    writeFileSync(join(cwd, 'short.raw'), noise(4, mebibyte))
    await ok(cwd, 'convert', 'short.raw', `short.${format}`)
    await ok(cwd, 'chain', 'rebase', `child.${format}`, `short.${format}`)
    await ok(cwd, 'compare', 'expected.raw', `child.${format}`)
    const checked = await run(cwd, 'check', `child.${format}`)
    assert.match(checked.text, /1 warning\n.*\n.*W_PARENT_CAPACITY/)
    // A commit makes the parent as long, or is refused and changes nothing.
    const before = readFileSync(join(cwd, `short.${format}`))
    const committed = await run(cwd, 'chain', 'commit', `child.${format}`)
    if (committed.code === 0) await ok(cwd, 'compare', 'expected.raw', `short.${format}`)
    else assert.ok(before.equals(readFileSync(join(cwd, `short.${format}`))), committed.text)
    await ok(cwd, 'compare', 'expected.raw', `child.${format}`)
    assert.ok(statSync(join(cwd, `child.${format}`)).size > 0)
  })
}
