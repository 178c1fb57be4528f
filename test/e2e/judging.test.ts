import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk, type CliResult } from '../support/cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { allTestsMustRun } from '../support/complete.js'

const disk = diskLike(3 * 1048576, 9)

function json(name: string, result: CliResult): Record<string, unknown> {
  const document = JSON.parse(result.stdout.toString()) as Record<string, unknown>
  assertSchema(name, document)
  return document
}

test('compare: 0 for the same, 1 for different, and what differs', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  await vdisk(['convert', 'a.raw', 'b.qcow2'], { cwd })
  const same = await vdisk(['compare', 'a.raw', 'b.qcow2'], { cwd })
  assert.deepEqual([same.code, same.stderr], [0, ''])
  assert.match(same.stdout.toString(), /^The disks are the same\n/)
  const bytes = Uint8Array.from(disk)
  for (const at of [1000, 1_000_000, 2_000_000]) bytes[at]! ^= 1
  fs.writeFileSync(join(cwd, 'c.raw'), bytes)
  const people = await vdisk(['compare', 'b.qcow2', 'c.raw', '--ranges', '2'], { cwd })
  assert.equal(people.code, 1, people.stderr)
  assert.match(
    people.stdout.toString(),
    new RegExp(
      String.raw`^The disks differ\n[^]*first difference +at offset 1000\n[^]*3 ranges, [^]*` +
        String.raw`\n +1 +512 +512\n +2 +999936 +512\n +and 1 more`,
    ),
  )
  for (const flags of [[], ['--first'], ['--strict'], ['--strict', '--ranges', '0']]) {
    const program = await vdisk(['compare', 'b.qcow2', 'c.raw', '--json', ...flags], { cwd })
    assert.equal(program.code, 1, program.stderr)
    assert.equal(json('compare', program)['firstDifference'], 1000)
  }
  const progress = await vdisk(['compare', 'a.raw', 'b.qcow2', '--progress', 'json', '--json'], { cwd })
  const lines = progress.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { done: number; total: number })
  for (const line of lines) assertSchema('progress', line)
  assert.deepEqual(
    lines.filter(({ done, total }) => done === total),
    [lines.at(-1)],
  )
  assert.equal((await vdisk(['compare', 'a.raw', 'missing.raw'], { cwd })).code, 2)
  assert.equal((await vdisk(['compare', 'a.raw', 'b.qcow2', '--first', '--ranges', '2'], { cwd })).code, 2)
})

test('hash: what sha256sum says of the raw image, or the digest of docs/tree-hash.md', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  await vdisk(['convert', 'a.raw', 'b.vhdx'], { cwd })
  const plain = await vdisk(['hash', 'b.vhdx'], { cwd })
  assert.deepEqual([plain.code, plain.stderr, plain.stdout.toString()], [0, '', `${sha256(disk)}  b.vhdx\n`])
  const tree = await vdisk(['hash', 'b.vhdx', '--algorithm', 'tree'], { cwd })
  assert.match(tree.stdout.toString(), /^tree1:[0-9a-f]{64} {2}b\.vhdx\n$/)
  const program = await vdisk(
    ['hash', 'a.raw', '--algorithm', 'tree', '--range', '0:1M', '--range', '0:3M', '--json', '--progress', 'json'],
    { cwd },
  )
  const document = json('hash', program) as { digests: { digest: string }[] }
  assert.equal(`tree1:${document.digests[1]!.digest}  b.vhdx\n`, tree.stdout.toString())
  assert.equal((await vdisk(['hash', 'a.raw', '--range', '1M'], { cwd })).code, 2)
  assert.equal((await vdisk(['hash', 'a.raw', '--range', '1M:3M'], { cwd })).code, 2)
  // The documentation's own program agrees.
  const [, script] = /```python\n([^]*?)```/.exec(fs.readFileSync(join(root, 'docs/tree-hash.md'), 'utf8')) ?? []
  const python = spawnSync('python3', ['-', 'a.raw'], { cwd, input: script ?? '', encoding: 'utf8' })
  if (python.error !== undefined && !allTestsMustRun) t.diagnostic('python3 is not installed')
  else assert.equal(`${python.stdout.trim()}  b.vhdx\n`, tree.stdout.toString(), python.stderr)
})

test("map: text, a document, and qemu-img's own array; a reader that goes away is no failure", async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  await vdisk(['convert', 'a.raw', 'base.qcow2', '--compress', 'zlib'], { cwd })
  await vdisk(['create', 'child.qcow2', '--parent', 'base.qcow2'], { cwd })
  const people = await vdisk(['map', 'child.qcow2'], { cwd })
  assert.deepEqual([people.code, people.stderr], [0, ''])
  assert.match(
    people.stdout.toString(),
    new RegExp(
      String.raw`^ *offset +length +kind +depth +position +file\n[^]* compressed +1 +\d+ +\S+base\.qcow2 ` +
        String.raw`\(\d+ bytes\)\n[^]*\n +runs +\d+\n`,
    ),
  )
  const document = json('map', await vdisk(['map', 'child.qcow2', '--json'], { cwd })) as {
    extents: { length: number }[]
    totals: { extents: number }
  }
  assert.equal(
    document.extents.reduce((sum, { length }) => sum + length, 0),
    disk.length,
  )
  assert.equal(document.totals.extents, document.extents.length)
  const qemu = await vdisk(['map', 'child.qcow2', '--output', 'qemu'], { cwd })
  const entries = JSON.parse(qemu.stdout.toString()) as { start: number; length: number; depth: number }[]
  assert.equal(
    entries.reduce((sum, { length }) => sum + length, 0),
    disk.length,
  )
  assert.deepEqual(Object.keys(entries[0]!), ['start', 'length', 'depth', 'present', 'zero', 'data', 'compressed'])
  assert.equal((await vdisk(['map', 'child.qcow2', '--output', 'qemu', '--json'], { cwd })).code, 2)
  const empty = await vdisk(['map', 'child.qcow2', '--range', '0:0', '--output', 'qemu'], { cwd })
  assert.equal(empty.stdout.toString(), '[]\n')
  json('map', await vdisk(['map', 'child.qcow2', '--range', '0:0', '--json'], { cwd }))
  // Damage ends the document, which stays one.
  const bytes = fs.readFileSync(join(cwd, 'base.qcow2'))
  const l1 = Number(bytes.readBigUInt64BE(40))
  bytes.writeBigUInt64BE(0x8000_0000_7fff_0000n, Number(bytes.readBigUInt64BE(l1) & 0x00fffffffffffe00n) + 8 * 40)
  fs.writeFileSync(join(cwd, 'base.qcow2'), bytes)
  const damaged = await vdisk(['map', 'child.qcow2', '--json'], { cwd })
  assert.equal(damaged.code, 4)
  assert.equal((json('map', damaged)['error'] as { kind: string }).kind, 'corrupt')
  assert.equal((await vdisk(['map', 'child.qcow2'], { cwd })).code, 4)
})

test('measure: the size that convert then writes', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  const document = json(
    'measure',
    await vdisk(['measure', 'a.raw', '--to', 'qcow2', '--compress', 'zlib', '--json'], { cwd }),
  )
  await vdisk(['convert', 'a.raw', 'b.qcow2', '--compress', 'zlib'], { cwd })
  assert.equal(document['required'], fs.statSync(join(cwd, 'b.qcow2')).size)
  const people = await vdisk(['measure', 'a.raw', '--to', 'vhd', '--subformat', 'fixed'], { cwd })
  assert.deepEqual([people.code, people.stderr], [0, ''])
  assert.match(
    people.stdout.toString(),
    /required +≈ 3 MiB \(3,146,240 bytes\)\n +fully allocated +≈ 3 MiB \(3,146,240 bytes\)/,
  )
  assert.equal(
    json('measure', await vdisk(['measure', '--to', 'raw', '--size', '1G', '--json'], { cwd }))['fully-allocated'],
    2 ** 30,
  )
  for (const args of [
    ['measure', 'a.raw'],
    ['measure', '--to', 'raw'],
    ['measure', '-', '--to', 'raw'],
  ])
    assert.equal((await vdisk(args, { cwd })).code, 2)
  assert.deepEqual(fs.readdirSync(cwd).sort(), ['a.raw', 'b.qcow2'])
})

test('chain show: 0 when it is complete, 1 when it is broken; chain flatten makes one image of it', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  await vdisk(['convert', 'a.raw', 'base.vhdx'], { cwd })
  await vdisk(['create', 'child.vhdx', '--parent', 'base.vhdx'], { cwd })
  const people = await vdisk(['chain', 'show', 'child.vhdx', '--verbose'], { cwd })
  assert.equal(people.code, 0, people.stderr)
  assert.match(
    people.stdout.toString(),
    /^0 {2}child\.vhdx\n[^]*state +linked\n[^]*\n1 {2}\S+base\.vhdx\n[^]*state +base\n$/,
  )
  const flat = await vdisk(['chain', 'flatten', 'child.vhdx', 'flat.qcow2', '--verify', '--json'], { cwd })
  assert.equal(flat.code, 0, flat.stderr)
  assert.equal((json('chain-flatten', flat)['flattened'] as string[]).length, 2)
  assert.equal((await vdisk(['compare', 'a.raw', 'flat.qcow2'], { cwd })).code, 0)
  fs.mkdirSync(join(cwd, 'moved'))
  fs.renameSync(join(cwd, 'base.vhdx'), join(cwd, 'moved/base.vhdx'))
  const broken = await vdisk(['chain', 'show', 'child.vhdx'], { cwd })
  assert.equal(broken.code, 1)
  assert.match(broken.stdout.toString(), /; broken\n[^]*Looked for:\n[^]*base\.vhdx\n[^]*--search/)
  const document = json('chain-show', await vdisk(['chain', 'show', 'child.vhdx', '--json'], { cwd }))
  assert.equal(document['complete'], false)
  for (const flags of [
    ['--search', 'moved'],
    ['--parent-map', 'base.vhdx=moved'],
    ['--parent-map', 'base.vhdx=moved/base.vhdx'],
    ['--allow-reference', 'moved/base.vhdx'],
  ]) {
    assert.equal(
      json('chain-show', await vdisk(['chain', 'show', 'child.vhdx', '--json', ...flags], { cwd }))['complete'],
      true,
      flags.join(' '),
    )
  }
  for (const args of [
    ['info', 'child.vhdx'],
    ['hash', 'child.vhdx'],
    ['map', 'child.vhdx'],
    ['measure', 'child.vhdx', '--to', 'raw'],
    ['convert', 'child.vhdx', '-', '--to', 'raw'],
    ['compare', 'child.vhdx', 'a.raw'],
  ]) {
    const result = await vdisk([...args, '--search', 'moved'], { cwd })
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`)
  }
  assert.equal((await vdisk(['chain', 'show', 'child.vhdx', '--parent-map', 'x'], { cwd })).code, 2)
  assert.equal((await vdisk(['chain', 'show', 'child.vhdx', '--search', 'nowhere'], { cwd })).code, 2)
})
