import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk, type CliResult } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'

const disk = join(root, 'fixtures/partitioned-disk.vhdx')

function json(name: string, result: CliResult): Record<string, unknown> {
  const document = JSON.parse(result.stdout.toString()) as Record<string, unknown>
  assertSchema(name, document)
  return document
}

test('partition extract and inject: the same bytes come back, in a copy and in place', async (t) => {
  const cwd = testFolder(t)
  const taken = json(
    'partition-extract',
    await vdisk(['partition', 'extract', `${disk}@2`, 'root.qcow2', '--verify', '--json'], { cwd }),
  )
  assert.equal((taken['source'] as { part: string }).part, 'partition 2')
  const copy = await vdisk(
    ['partition', 'inject', `${disk}@2`, 'root.qcow2', '--output', 'copy.vhdx', '--json', '--verify'],
    { cwd },
  )
  assert.deepEqual([copy.code, copy.stderr], [0, ''])
  assert.deepEqual((json('partition-inject', copy)['slack'] as { behindImage: number }).behindImage, 0)
  assert.equal((await vdisk(['compare', disk, 'copy.vhdx'], { cwd })).code, 0)

  const smaller = await vdisk(['create', 'empty.raw', '5M'], { cwd })
  assert.equal(smaller.code, 0)
  const own = await vdisk(['partition', 'inject', 'copy.vhdx@label=root', 'empty.raw', '--in-place'], { cwd })
  assert.equal(own.code, 0, own.stderr)
  assert.match(own.stdout.toString(), /changed +copy\.vhdx, in place/)
  assert.match(own.stderr, /last 22020096 bytes of partition 2 are zero/)
  // Standard output takes a partition as well.
  const stream = await vdisk(['partition', 'extract', `${disk}@1`, '-'], { cwd })
  assert.equal(stream.stdout.length, 12 * 1048576)
})

test('partition extract --wrap: a disk around the partition, of whose formats the size is what counts', async (t) => {
  const cwd = testFolder(t)
  for (const [target, ...flags] of [
    ['m.qcow2', '--wrap', 'mbr'],
    ['big.vhdx', '--wrap', 'gpt', '--sector-size', '4096'],
  ] as const) {
    const made = await vdisk(['partition', 'extract', `${disk}@2`, target, ...flags, '--json', '--verify'], { cwd })
    assert.equal(made.code, 0, made.stderr)
    json('partition-extract', made)
    const found = json('inspect', await vdisk(['inspect', target, '--json'], { cwd })) as unknown as {
      issues: unknown[]
      partitions: { start: number; length: number; label?: string }[]
    }
    assert.deepEqual(found.issues, [])
    assert.deepEqual(
      found.partitions.map(({ start, length }) => [start, length]),
      [[1048576, 26 * 1048576]],
    )
    assert.equal((await vdisk(['compare', `${disk}@2`, `${target}@1`], { cwd })).code, 0)
  }
})

test('partition fix: what would be done, done in a copy, done in place, and the ids', async (t) => {
  const cwd = testFolder(t)
  const at = (name: string): string => join(cwd, name)
  await vdisk(['convert', disk, 'a.raw'], { cwd })
  const whole = fs.readFileSync(at('a.raw'))
  const broken = Buffer.from(whole)
  broken.fill(0, 0, 17408)
  fs.writeFileSync(at('broken.raw'), broken)
  const dry = json('partition-fix', await vdisk(['partition', 'fix', 'broken.raw', '--dry-run', '--json'], { cwd }))
  assert.deepEqual(
    (dry['mends'] as { code: string }[]).map(({ code }) => code),
    ['W_GPT_PRIMARY_BAD', 'W_PMBR_MISSING'],
  )
  assert.ok(fs.readFileSync(at('broken.raw')).equals(broken))
  json('partition-fix', await vdisk(['partition', 'fix', 'broken.raw', '--output', 'copy.raw', '--json'], { cwd }))
  // The first sector has lost its boot code, and the geometry that nobody reads.
  assert.ok(fs.readFileSync(at('copy.raw')).subarray(512).equals(whole.subarray(512)))
  assert.ok(fs.readFileSync(at('broken.raw')).equals(broken))
  const people = await vdisk(['partition', 'fix', 'broken.raw', '--in-place'], { cwd })
  assert.deepEqual([people.code, people.stderr], [0, ''])
  assert.match(people.stdout.toString(), /rebuild the primary GPT from its backup\n +write the protective MBR/)
  assert.ok(fs.readFileSync(at('broken.raw')).equals(fs.readFileSync(at('copy.raw'))))
  assert.match(
    (await vdisk(['partition', 'fix', 'broken.raw', '--in-place'], { cwd })).stdout.toString(),
    /^Nothing to mend\.\n$/,
  )
  const ids = json(
    'partition-fix',
    await vdisk(
      [
        'partition',
        'fix',
        disk,
        '--new-ids',
        '--output',
        'clone.vhdx',
        '--json',
        '--uuid',
        '6f1c4e2a-91d3-4b7e-8a55-0c2d3e4f5a6b',
      ],
      { cwd },
    ),
  ) as unknown as { ids: { before: string; after: string }[]; mayRefer: string[] }
  assert.deepEqual(
    ids.ids.map(({ before }) => before),
    [
      '5eed0003-0000-4000-8000-000000000000',
      '5eed0003-0000-4000-8000-000000000001',
      '5eed0003-0000-4000-8000-000000000002',
    ],
  )
  assert.ok(ids.mayRefer.some((line) => line.includes('fstab')))
  const clone = json('inspect', await vdisk(['inspect', 'clone.vhdx', '--json'], { cwd })) as unknown as {
    diskId: string
    partitions: { uuid: string }[]
    issues: unknown[]
  }
  assert.deepEqual(
    [[clone.diskId, ...clone.partitions.map(({ uuid }) => uuid)], clone.issues],
    [ids.ids.map(({ after }) => after), []],
  )
  assert.equal((await vdisk(['compare', `${disk}@2`, 'clone.vhdx@2'], { cwd })).code, 0)
})

test('partition convert: a document, and warnings for people', async (t) => {
  const cwd = testFolder(t)
  const people = await vdisk(['partition', 'convert', disk, 'k.vhdx', '--sector-size', '4096', '--verify'], { cwd })
  assert.equal(people.code, 0, people.stderr)
  assert.match(
    people.stdout.toString(),
    /table before +GPT, sectors of 512 bytes\n +table now +GPT, sectors of 4096 bytes/,
  )
  assert.match(people.stderr, /Warning: the FAT16 in partition 1 counts in sectors of 512 bytes/)
  const program = await vdisk(['partition', 'convert', 'k.vhdx', 'm.vhdx', '--table', 'mbr', '--json'], { cwd })
  assert.equal(program.code, 0, program.stdout.toString())
  json('partition-convert', program)
  assert.equal((await vdisk(['compare', `${disk}@2`, 'm.vhdx@2'], { cwd })).code, 0)
})

test('a failure has its code, and changes nothing', async (t) => {
  const cwd = testFolder(t)
  const failed = await vdisk(['partition', 'fix', disk, '--json'], { cwd })
  assert.deepEqual([failed.code, json('error', failed)['code']], [2, 'E_TARGET'])
  const both = await vdisk(['partition', 'inject', `${disk}@2`, 'p.raw', '--in-place', '--output', 'x.raw', '--json'], {
    cwd,
  })
  assert.deepEqual([both.code, json('error', both)['code']], [2, 'E_USAGE'])
  assert.deepEqual(fs.readdirSync(cwd), [])
})
