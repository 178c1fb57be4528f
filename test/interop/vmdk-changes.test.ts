import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { noise } from '../../fixtures/content.js'
import { openWritableImage } from '../../src/formats/open-writable.js'
import { isImageError } from '../../src/errors.js'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576

async function ok(cwd: string, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await vdisk(words, { cwd })
  assert.equal(code, 0, `${words.join(' ')}: ${stderr}`)
  return stdout.toString()
}

for (const subformat of ['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'vmfs'])
  test(`VMDK ${subformat}, made by qemu-img or vdisk and changed in place: QEMU reads the same`, async (t) => {
    if (!have(t, 'qemu-img')) return
    const cwd = testFolder(t)
    const at = (name: string): string => join(cwd, name)
    const content = Buffer.alloc(8 * mebibyte)
    noise(3, mebibyte).copy(content, mebibyte)
    writeFileSync(at('disk.raw'), content)
    const made = ['ours.vmdk']
    await ok(cwd, 'convert', 'disk.raw', 'ours.vmdk', '-o', `subformat=${subformat}`)
    if (subformat !== 'vmfs') {
      run(
        'qemu-img',
        'convert',
        '-f',
        'raw',
        '-O',
        'vmdk',
        '-o',
        `subformat=${subformat}`,
        at('disk.raw'),
        at('theirs.vmdk'),
      )
      made.push('theirs.vmdk')
    }
    for (const name of made) {
      const expected = Buffer.from(content)
      {
        using image = openWritableImage(at(name))
        for (const [offset, length] of [
          [0, 700],
          [3 * mebibyte + 5, 200_000],
          [mebibyte + 100, 40_000],
          [8 * mebibyte - 512, 512],
        ] as const) {
          const bytes = noise(offset + 1, length)
          bytes.copy(expected, offset)
          image.image.write(offset, bytes)
        }
        image.image.discard(mebibyte + 65536, 131072)
        expected.fill(0, mebibyte + 65536, mebibyte + 65536 + 131072)
        image.image.flush()
      }
      writeFileSync(at('expected.raw'), expected)
      run('qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', at('expected.raw'), at(name))
      if (subformat.endsWith('Sparse')) assert.match(run('qemu-img', 'check', at(name)), /No errors/)
      // What a guest gave back is a hole in the file until it is compacted: a leak, and no error.
      const checked = await vdisk(['check', name, '--json'], { cwd })
      assert.doesNotMatch(checked.stdout.toString(), /"severity": "(?:error|warning)"/)
      await ok(cwd, 'compare', 'expected.raw', name)
    }
  })

test('VMDK chains: commit, rebase, relink and flatten; a changed base is not taken for the old one', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  const at = (name: string): string => join(cwd, name)
  const content = noise(9, 4 * mebibyte)
  writeFileSync(at('disk.raw'), content)
  await ok(cwd, 'convert', 'disk.raw', 'base.vmdk', '-o', 'subformat=twoGbMaxExtentSparse')
  await ok(cwd, 'create', 'child.vmdk', '--parent', 'base.vmdk')
  run('qemu-io', '-f', 'vmdk', '-c', 'write -P 7 100k 300k', at('child.vmdk'))
  content.fill(7, 100 * 1024, 400 * 1024)
  writeFileSync(at('expected.raw'), content)
  await ok(cwd, 'compare', 'expected.raw', 'child.vmdk')
  await ok(cwd, 'chain', 'flatten', 'child.vmdk', 'flat.vmdk', '--verify')
  await ok(cwd, 'chain', 'commit', 'child.vmdk', '--verify')
  await ok(cwd, 'compare', 'expected.raw', 'base.vmdk')
  await ok(cwd, 'compare', 'expected.raw', 'child.vmdk')
  run('qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', at('expected.raw'), at('child.vmdk'))
  await ok(cwd, 'convert', 'disk.raw', 'other.vmdk')
  await ok(cwd, 'chain', 'rebase', 'child.vmdk', 'other.vmdk')
  await ok(cwd, 'compare', 'expected.raw', 'child.vmdk')
  run('qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', at('expected.raw'), at('child.vmdk'))
  await ok(cwd, 'chain', 'rebase', 'child.vmdk', '--no-parent')
  await ok(cwd, 'compare', 'expected.raw', 'child.vmdk')
  run('qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', at('expected.raw'), at('child.vmdk'))

  await ok(cwd, 'create', 'late.vmdk', '--parent', 'base.vmdk')
  {
    using image = openWritableImage(at('base.vmdk'))
    image.image.write(0, Uint8Array.of(1))
    image.image.flush()
  }
  assert.throws(
    () => openWritableImage(at('late.vmdk')),
    (error) => isImageError(error) && error.code === 'E_PARENT_ID',
  )
  await ok(cwd, 'chain', 'relink', 'late.vmdk', 'base.vmdk', '--force-identity')
  await ok(cwd, 'info', 'late.vmdk')
  assert.ok(readFileSync(at('late.vmdk')).length > 0)
})

test('VMDK: what cannot be changed in place is refused', async (t) => {
  const cwd = testFolder(t)
  writeFileSync(join(cwd, 'disk.raw'), noise(9, mebibyte))
  await ok(cwd, 'convert', 'disk.raw', 'stream.vmdk', '-o', 'subformat=streamOptimized')
  await ok(cwd, 'convert', 'disk.raw', 'flat.vmdk', '-o', 'subformat=monolithicFlat')
  for (const name of ['stream.vmdk', 'flat-flat.vmdk'])
    assert.throws(
      () => openWritableImage(join(cwd, name)),
      (error) => isImageError(error) && error.code === 'E_NOT_WRITABLE',
      name,
    )
})

test('VMDK: each of its files is guarded, not the descriptor alone', { skip: loopsMissing() }, async (t) => {
  const cwd = testFolder(t)
  writeFileSync(join(cwd, 'disk.raw'), noise(9, 2 * mebibyte))
  await ok(cwd, 'convert', 'disk.raw', 'split.vmdk', '-o', 'subformat=twoGbMaxExtentSparse')
  await ok(cwd, 'convert', 'disk.raw', 'flat.vmdk', '-o', 'subformat=monolithicFlat')
  for (const [image, extent] of [
    ['split.vmdk', 'split-s001.vmdk'],
    ['flat.vmdk', 'flat-flat.vmdk'],
  ] as const) {
    loopDevice(t, join(cwd, extent))
    const before = readFileSync(join(cwd, extent))
    for (const words of [
      ['resize', image, '3M'],
      ['resize', image, '3M', '--dry-run'],
      ['compact', image, '--in-place'],
      ['serve', image, '--write', '--socket', 's'],
    ]) {
      const { code, stderr } = await vdisk(words, { cwd })
      assert.equal(code, 3, `${words.join(' ')}: ${stderr}`)
      assert.match(stderr, new RegExp(extent))
    }
    assert.ok(before.equals(readFileSync(join(cwd, extent))))
    await ok(cwd, 'resize', image, '3M', '--allow-in-use')
  }
})
