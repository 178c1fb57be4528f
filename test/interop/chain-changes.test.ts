import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { OptionValues } from '../../src/formats/driver.js'
import { openFile } from '../../src/formats/open.js'
import { flattenChain } from '../../src/operations/chain/show.js'
import { commitChain } from '../../src/operations/chain/commit.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { vdisk } from '../support/cli.js'
import { diskLike, readAll } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { have, run, runIn } from '../support/tools.js'

const mebibyte = 1048576
const qemuNames: Readonly<Record<string, string>> = {
  vhd: 'vpc',
  vhdx: 'vhdx',
  qcow2: 'qcow2',
  raw: 'raw',
  vdi: 'vdi',
  vmdk: 'vmdk',
}

async function json(schema: string, args: readonly string[], cwd: string): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await vdisk([...args, '--json'], { cwd })
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}${stdout.toString()}`)
  const document = JSON.parse(stdout.toString()) as Record<string, unknown>
  assertSchema(schema, document)
  return document
}

async function error(
  args: readonly string[],
  cwd: string,
): Promise<{ code: number | string; document: { code: string; message: string; hint?: string } }> {
  const { code, stdout } = await vdisk([...args, '--json'], { cwd })
  return { code, document: JSON.parse(stdout.toString()) as { code: string; message: string; hint?: string } }
}

/** Writes a disk, and makes an image of it, over a parent. */
async function image(
  cwd: string,
  name: string,
  disk: Uint8Array,
  parent?: string,
  options: OptionValues = {},
): Promise<void> {
  fs.writeFileSync(join(cwd, 'source.raw'), disk)
  await convert(join(cwd, 'source.raw'), join(cwd, name), {
    from: 'raw',
    flush: false,
    options,
    parent: parent === undefined ? undefined : join(cwd, parent),
  })
}

function changed(base: Uint8Array, seed: number): Buffer {
  const disk = Buffer.from(base)
  disk.set(diskLike(300_000, seed), 1_000_000 * seed)
  disk.fill(0, 5_000_000, 5_100_000)
  return disk
}

function reads(cwd: string, name: string, disk: Uint8Array): void {
  using opened = openFile(join(cwd, name))
  assert.ok(Buffer.from(readAll(opened)).equals(disk), `${name} reads otherwise`)
}

for (const format of ['vhd', 'vhdx', 'qcow2', 'vdi', 'vmdk']) {
  test(`${format}: a committed parent reads the same in qemu-img, alone`, async (t) => {
    if (!have(t, 'qemu-img')) return
    const cwd = testFolder(t)
    const base = diskLike(8 * mebibyte, 1)
    const disk = changed(base, 2)
    await image(cwd, `base.${format}`, base)
    await image(cwd, `child.${format}`, disk, `base.${format}`)
    const dry = await json('chain-commit', ['chain', 'commit', `child.${format}`, '--dry-run'], cwd)
    reads(cwd, `base.${format}`, base)
    const result = await json('chain-commit', ['chain', 'commit', `child.${format}`, '--verify'], cwd)
    assert.deepEqual(result['written'], dry['written'])
    reads(cwd, `child.${format}`, disk)
    fs.writeFileSync(join(cwd, 'expected.raw'), disk)
    assert.match(
      run(
        'qemu-img',
        'compare',
        '-f',
        'raw',
        '-F',
        qemuNames[format]!,
        join(cwd, 'expected.raw'),
        join(cwd, `base.${format}`),
      ),
      /identical/,
    )
    if (format !== 'vhd') assert.match(run('qemu-img', 'check', join(cwd, `base.${format}`)), /No errors/)
    for (const name of ['base', 'child']) assert.equal((await vdisk(['check', `${name}.${format}`], { cwd })).code, 0)
  })
}

test('qcow2: commit gives what qemu-img commit gives, also where the child is longer, over every format', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  const base = diskLike(8 * mebibyte, 1)
  for (const format of ['qcow2', 'raw', 'vhdx']) {
    await image(cwd, `base.${format}`, base)
    runIn(
      cwd,
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qcow2',
      '-b',
      `base.${format}`,
      '-F',
      qemuNames[format]!,
      'child.qcow2',
      '10M',
    )
    runIn(
      cwd,
      'qemu-io',
      '-c',
      'write -P 7 1000k 3M',
      '-c',
      'write -z 5M 1M',
      '-c',
      'write -P 9 9500k 300k',
      '-c',
      'write -c -P 3 0 64k',
      'child.qcow2',
    )
    fs.copyFileSync(join(cwd, `base.${format}`), join(cwd, `ours.${format}`))
    fs.copyFileSync(join(cwd, 'child.qcow2'), join(cwd, 'ours.qcow2x'))
    runIn(cwd, 'qemu-img', 'convert', '-O', 'raw', 'child.qcow2', 'all.raw')
    assert.equal((await vdisk(['chain', 'relink', 'ours.qcow2x', `ours.${format}`], { cwd })).code, 0)
    await json('chain-commit', ['chain', 'commit', 'ours.qcow2x'], cwd)
    assert.match(
      runIn(cwd, 'qemu-img', 'compare', '-f', qemuNames[format]!, '-F', 'raw', `ours.${format}`, 'all.raw'),
      /identical/,
    )
    if (format !== 'vhdx') {
      // qemu cannot make a VHDX longer.
      runIn(cwd, 'qemu-img', 'commit', '-q', 'child.qcow2')
      assert.match(
        runIn(
          cwd,
          'qemu-img',
          'compare',
          '-f',
          qemuNames[format]!,
          '-F',
          qemuNames[format]!,
          `ours.${format}`,
          `base.${format}`,
        ),
        /identical/,
      )
    }
    assert.match(runIn(cwd, 'qemu-img', 'check', '-f', 'qcow2', 'ours.qcow2x'), /No errors/)
    await json('chain-commit', ['chain', 'commit', 'ours.qcow2x', '--delete-child'], cwd)
    assert.ok(!fs.existsSync(join(cwd, 'ours.qcow2x')))
    for (const name of [`base.${format}`, 'child.qcow2', `ours.${format}`]) fs.rmSync(join(cwd, name), { force: true })
  }
})

test('qcow2: a rebased child reads the same in qemu-img, and qemu-img rebase finds nothing to do', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  const base = diskLike(8 * mebibyte, 1)
  const middle = changed(base, 2)
  const disk = changed(middle, 3)
  await image(cwd, 'base.qcow2', base)
  await image(cwd, 'middle.qcow2', middle, 'base.qcow2')
  await image(cwd, 'child.qcow2', disk, 'middle.qcow2')
  await image(cwd, 'other.vhdx', changed(base, 4))
  fs.writeFileSync(join(cwd, 'all.raw'), disk)
  for (const [target, format] of [
    ['base.qcow2', 'qcow2'],
    ['other.vhdx', 'vhdx'],
    ['middle.qcow2', 'qcow2'],
  ] as const) {
    await json('chain-rebase', ['chain', 'rebase', 'child.qcow2', target], cwd)
    const info = JSON.parse(runIn(cwd, 'qemu-img', 'info', '--output=json', 'child.qcow2')) as Record<string, unknown>
    assert.deepEqual([info['backing-filename'], info['backing-filename-format']], [target, format])
    assert.match(runIn(cwd, 'qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', 'child.qcow2', 'all.raw'), /identical/)
    assert.match(runIn(cwd, 'qemu-img', 'check', 'child.qcow2'), /No errors/)
  }
  await json('chain-rebase', ['chain', 'rebase', 'child.qcow2', '--no-parent'], cwd)
  for (const name of ['base.qcow2', 'middle.qcow2', 'other.vhdx']) fs.rmSync(join(cwd, name))
  assert.match(runIn(cwd, 'qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', 'child.qcow2', 'all.raw'), /identical/)
  assert.equal((await vdisk(['check', 'child.qcow2'], { cwd })).code, 0)
})

test('relink: a parent that was moved is found without flags, another is refused with both ids', async (t) => {
  const cwd = testFolder(t)
  const base = diskLike(6 * mebibyte, 1)
  for (const format of ['vhd', 'vhdx', 'qcow2']) {
    const [parent, child, moved] = [`base.${format}`, `child.${format}`, `parents/where it is now/b.${format}`]
    const disk = changed(base, 2)
    await image(cwd, parent, base)
    await image(cwd, child, disk, parent)
    await image(cwd, `stranger.${format}`, changed(base, 3))
    fs.mkdirSync(join(cwd, 'parents/where it is now'), { recursive: true })
    fs.renameSync(join(cwd, parent), join(cwd, moved))
    assert.equal((await vdisk(['chain', 'show', child], { cwd })).code, 1)
    const before = fs.readFileSync(join(cwd, child))
    if (format !== 'qcow2') {
      const refused = await error(['chain', 'relink', child, `stranger.${format}`], cwd)
      assert.deepEqual([refused.code, refused.document.code], [6, 'E_PARENT_ID'])
      const ids = new Set(refused.document.message.match(/[0-9a-f]{8}-[0-9a-f-]{27}/g))
      assert.equal(ids.size, 2, refused.document.message)
      assert.match(refused.document.hint ?? '', /--force-identity[^]*rebase/)
      assert.ok(fs.readFileSync(join(cwd, child)).equals(before))
    }
    const dry = await json('chain-relink', ['chain', 'relink', child, moved, '--dry-run'], cwd)
    assert.ok(fs.readFileSync(join(cwd, child)).equals(before))
    const result = (await json('chain-relink', ['chain', 'relink', child, moved], cwd)) as {
      after: { names: string[] }
    }
    assert.deepEqual(result.after, dry['after'])
    const separator = format === 'qcow2' ? '/' : '\\'
    assert.ok(
      result.after.names[0]!.endsWith(`parents${separator}where it is now${separator}b.${format}`) &&
        !result.after.names[0]!.startsWith(separator),
      'the relative name is first',
    )
    assert.equal((await vdisk(['chain', 'show', child], { cwd })).code, 0)
    assert.equal((await vdisk(['check', child], { cwd })).code, 0)
    reads(cwd, child, disk)
    // The whole folder may move.
    fs.mkdirSync(join(cwd, 'elsewhere'))
    fs.renameSync(join(cwd, child), join(cwd, 'elsewhere', child))
    fs.renameSync(join(cwd, 'parents'), join(cwd, 'elsewhere/parents'))
    reads(cwd, `elsewhere/${child}`, disk)
    if (format === 'vhdx') {
      // A copy whose id has changed, with the content that it had.
      fs.copyFileSync(join(cwd, 'elsewhere', moved), join(cwd, 'elsewhere/copy.vhdx'))
      assert.equal((await vdisk(['resize', 'elsewhere/copy.vhdx', '7M'], { cwd })).code, 0)
      assert.equal((await vdisk(['resize', 'elsewhere/copy.vhdx', '6M'], { cwd })).code, 0)
      assert.equal((await error(['chain', 'relink', 'elsewhere/child.vhdx', 'elsewhere/copy.vhdx'], cwd)).code, 6)
      const forced = await json(
        'chain-relink',
        ['chain', 'relink', 'elsewhere/child.vhdx', 'elsewhere/copy.vhdx', '--force-identity'],
        cwd,
      )
      assert.equal(forced['forced'], true)
      reads(cwd, 'elsewhere/child.vhdx', disk)
    }
    fs.rmSync(join(cwd, 'elsewhere'), { recursive: true })
  }
})

test('what is refused: other children, circles, images without parents, formats that do not go together', async (t) => {
  const cwd = testFolder(t)
  const base = diskLike(6 * mebibyte, 1)
  for (const format of ['vhd', 'vhdx', 'qcow2', 'vdi', 'vmdk']) {
    await image(cwd, `base.${format}`, base)
    await image(cwd, `child.${format}`, changed(base, 2), `base.${format}`)
    fs.mkdirSync(join(cwd, 'away'), { recursive: true })
    await image(cwd, `second.${format}`, changed(base, 3), `base.${format}`)
    await image(cwd, `grandchild.${format}`, changed(base, 4), `child.${format}`)
    const parent = fs.readFileSync(join(cwd, `base.${format}`))
    const others = await error(['chain', 'commit', `child.${format}`], cwd)
    assert.deepEqual([others.code, others.document.code], [3, 'E_OTHER_CHILDREN'])
    assert.match(others.document.message, new RegExp(`second\\.${format}`))
    assert.ok(fs.readFileSync(join(cwd, `base.${format}`)).equals(parent))
    const kept = await error(['chain', 'commit', `child.${format}`, '--delete-child', '--allow-other-children'], cwd)
    assert.deepEqual([kept.code, kept.document.code], [3, 'E_OTHER_CHILDREN'])
    assert.match(kept.document.message, new RegExp(`cannot be deleted[^]*grandchild\\.${format}`))
    const result = (await json(
      'chain-commit',
      ['chain', 'commit', `child.${format}`, '--allow-other-children'],
      cwd,
    )) as { otherChildren: string[] }
    assert.equal(result.otherChildren.length, 1)
    reads(cwd, `grandchild.${format}`, changed(base, 4))
    const circle = await error(['chain', 'rebase', `child.${format}`, `grandchild.${format}`], cwd)
    assert.deepEqual([circle.code, circle.document.code], [6, 'E_PARENT_LOOP'])
    for (const args of [
      ['commit', `base.${format}`],
      ['rebase', `base.${format}`, `child.${format}`],
      ['rebase', `base.${format}`, '--no-parent'],
      ['relink', `base.${format}`, `child.${format}`],
    ]) {
      const none = await error(['chain', ...args], cwd)
      assert.deepEqual([none.code, none.document.code], [2, 'E_NOT_A_CHILD'], args.join(' '))
    }
  }
  for (const [child, parent] of [
    ['child.vhd', 'base.vhdx'],
    ['child.vhdx', 'base.vhd'],
    ['child.vhdx', 'base.qcow2'],
  ]) {
    const other = await error(['chain', 'rebase', child!, parent!], cwd)
    assert.deepEqual([other.code, other.document.code], [2, 'E_PARENT_FORMAT'])
  }
  assert.equal((await error(['chain', 'rebase', 'child.vhd'], cwd)).code, 2)
})

for (const format of ['vhd', 'vhdx', 'qcow2'])
  test(
    `${format}: a child is rebased and relinked to a parent that is larger or smaller, and made over ` + `one`,
    async (t) => {
      const cwd = testFolder(t)
      const base = diskLike(8 * mebibyte, 1)
      const disk = changed(base, 2)
      await image(cwd, `base.${format}`, base)
      await image(cwd, `child.${format}`, disk, `base.${format}`)
      const notes = (document: Record<string, unknown>): string[] =>
        (document['notes'] as { code: string }[]).map(({ code }) => code)
      for (const [name, length] of [
        ['larger', 10 * mebibyte],
        ['smaller', 3 * mebibyte + 4096],
      ] as const) {
        await image(cwd, `${name}.${format}`, diskLike(length, 5))
        const rebased = await json('chain-rebase', ['chain', 'rebase', `child.${format}`, `${name}.${format}`], cwd)
        reads(cwd, `child.${format}`, disk)
        // Windows may refuse the chain; QCOW2 children have any size.
        assert.deepEqual(notes(rebased), format === 'qcow2' ? [] : ['W_PARENT_CAPACITY'])
        const { code, stdout } = await vdisk(['check', `child.${format}`], { cwd })
        assert.equal(code, format === 'qcow2' ? 0 : 1)
        assert.match(stdout.toString(), format === 'qcow2' ? /clean/ : /: 1 warning[^]*W_PARENT_CAPACITY/)
        // The same with a child that is made over such a parent.
        const made = await json(
          'convert',
          ['convert', `child.${format}`, `made-${name}.${format}`, '--parent', `${name}.${format}`, '--verify'],
          cwd,
        )
        assert.deepEqual(notes(made), format === 'qcow2' ? [] : ['W_PARENT_CAPACITY'])
        reads(cwd, `made-${name}.${format}`, disk)
        fs.mkdirSync(join(cwd, name))
        fs.renameSync(join(cwd, `${name}.${format}`), join(cwd, name, `moved.${format}`))
        const relinked = await json(
          'chain-relink',
          ['chain', 'relink', `made-${name}.${format}`, `${name}/moved.${format}`],
          cwd,
        )
        assert.deepEqual(notes(relinked), format === 'qcow2' ? [] : ['W_PARENT_CAPACITY'])
        reads(cwd, `made-${name}.${format}`, disk)
        fs.renameSync(join(cwd, name, `moved.${format}`), join(cwd, `${name}.${format}`))
      }
    },
  )

test('thirty VHDX layers: flattened, and the newest committed one into the other', async (t) => {
  const cwd = testFolder(t)
  let disk = Buffer.from(diskLike(4 * mebibyte, 1))
  const at = (layer: number): string => join(cwd, `${layer}.vhdx`)
  await image(cwd, '0.vhdx', disk, undefined, { 'block-size': mebibyte })
  for (let layer = 1; layer < 30; layer++) {
    disk = Buffer.from(disk)
    disk.fill(layer, layer * 100_000, layer * 100_000 + 20_000)
    await image(cwd, `${layer}.vhdx`, disk, `${layer - 1}.vhdx`, { 'block-size': mebibyte })
  }
  const { flattened } = await flattenChain(at(29), join(cwd, 'flat.vhdx'), { verify: true })
  assert.equal(flattened.length, 30)
  reads(cwd, 'flat.vhdx', disk)
  // The newest seven into the one below them, from the top.
  for (let layer = 29; layer > 22; layer--)
    assert.equal((await commitChain(at(layer), { deleteChild: true })).childDeleted, true, String(layer))
  assert.equal(fs.readdirSync(cwd).filter((name) => name.endsWith('.vhdx')).length, 24)
  reads(cwd, '22.vhdx', disk)
  assert.equal((await vdisk(['check', '22.vhdx'], { cwd })).code, 0)
})

test('what changes no content leaves the children of an image fitting it; a resize is refused', async (t) => {
  if (!have(t, 'qemu-io')) return
  const cwd = testFolder(t)
  const base = diskLike(6 * mebibyte, 1)
  base.fill(0, 2 * mebibyte, 4 * mebibyte)
  const other = changed(base, 5)
  for (const format of ['vhdx', 'vmdk', 'vhd', 'vdi', 'qcow2']) {
    const options = format === 'vhdx' ? { 'block-size': mebibyte } : undefined
    await image(cwd, `base.${format}`, diskLike(6 * mebibyte, 1), undefined, options)
    // Zeros that are stored, as a guest writes them.
    runIn(cwd, 'qemu-io', '-f', qemuNames[format]!, '-c', 'write -P 0 2M 2M', `base.${format}`)
    await image(cwd, `other.${format}`, other)
    await image(cwd, `child.${format}`, changed(base, 2), `base.${format}`)
    await image(cwd, `grandchild.${format}`, changed(base, 4), `child.${format}`)

    const compacted = await json('compact', ['compact', `base.${format}`, '--in-place'], cwd)
    assert.ok(Number(compacted['zeros']) >= mebibyte, `${format}: nothing was given back`)
    reads(cwd, `child.${format}`, changed(base, 2))
    const rebased = await json('chain-rebase', ['chain', 'rebase', `child.${format}`, `other.${format}`], cwd)
    assert.ok((rebased['taken'] as { data: number }).data > 0, format)
    reads(cwd, `child.${format}`, changed(base, 2))
    reads(cwd, `grandchild.${format}`, changed(base, 4))

    // Of a child that records no id, only content that is cut off is lost.
    const size = format === 'qcow2' ? ['5M', '--shrink'] : ['7M']
    if (format === 'vmdk') continue
    const before = fs.readFileSync(join(cwd, `child.${format}`))
    for (const dry of [[], ['--dry-run']]) {
      const refused = await error(['resize', `child.${format}`, ...size, ...dry], cwd)
      assert.deepEqual([refused.code, refused.document.code], [3, 'E_OTHER_CHILDREN'], format)
      assert.match(refused.document.message, new RegExp(`grandchild\\.${format}`))
    }
    assert.ok(fs.readFileSync(join(cwd, `child.${format}`)).equals(before), format)
    const forced = await vdisk(['resize', `child.${format}`, ...size, '--allow-other-children'], { cwd })
    assert.equal(forced.code, 0, forced.stderr)
  }
  await image(cwd, 'lone.qcow2', base, 'other.qcow2')
  const grown = await vdisk(['resize', 'other.qcow2', '7M'], { cwd })
  assert.equal(grown.code, 0, `a QCOW2 records no id, and a larger parent shows all that it did: ${grown.stderr}`)
  reads(cwd, 'lone.qcow2', base)
})
