import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk, type CliResult } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'

const disk = join(root, 'fixtures/partitioned-disk.vhdx')

interface Inspected {
  readonly image: { readonly part?: string; readonly capacity: number }
  readonly scheme: string
  readonly partitions: readonly {
    readonly number: number
    readonly start: number
    readonly filesystems: readonly { readonly type: string }[]
  }[]
  readonly filesystems: readonly { readonly type: string }[]
  readonly issues: readonly { readonly code: string }[]
  readonly boot: { readonly firmware: string }
}

function json(result: CliResult): Inspected {
  const document = JSON.parse(result.stdout.toString()) as Inspected
  assertSchema('inspect', document)
  return document
}

test('inspect: text for people, and everything in a document', async (t) => {
  const cwd = testFolder(t)
  const people = await vdisk(['inspect', disk], { cwd })
  assert.deepEqual([people.code, people.stderr], [0, ''])
  const text = people.stdout.toString()
  assert.doesNotMatch(text, /\u001b/)
  assert.match(text, /Partition table +GPT\n[^]*Disk id +5eed0003-/)
  assert.match(text, /\[1 ESP [#-]+\]\[2 root =*/)
  assert.match(text, / 1 +12 MiB +EFI System +EFI system +FAT16 /)
  const document = json(await vdisk(['inspect', disk, '--json'], { cwd }))
  assert.deepEqual(
    [document.scheme, document.issues, document.partitions.map(({ number, start }) => [number, start])],
    [
      'gpt',
      [],
      [
        [1, 1048576],
        [2, 13631488],
      ],
    ],
  )
  assert.equal(document.partitions[0]!.filesystems[0]!.type, 'vfat')
  assert.equal(document.boot.firmware, 'both')
  assert.match(text, /Firmware +may start from BIOS and UEFI\n/)
  const part = json(await vdisk(['inspect', `${disk}@label=EFI system`, '--json'], { cwd }))
  assert.deepEqual(
    [part.image.part, part.image.capacity, part.scheme, part.filesystems.map(({ type }) => type)],
    ['partition 1', 12 * 1048576, 'none', ['vfat']],
  )
  const list = await vdisk(['partition', 'list', disk], { cwd })
  assert.match(list.stdout.toString(), /GPT, sectors of 512 bytes\n +no\. [^]*\n +2 +26624 +79871 /)
  json(await vdisk(['partition', 'list', disk, '--json'], { cwd }))
})

test('inspect reports damage, and the command that mends it', async (t) => {
  const cwd = testFolder(t)
  const raw = join(cwd, "it's.raw")
  assert.equal((await vdisk(['convert', disk, raw], { cwd })).code, 0)
  const bytes = fs.openSync(raw, 'r+')
  fs.writeSync(bytes, new Uint8Array(512), 0, 512, 512)
  fs.closeSync(bytes)
  const people = await vdisk(['inspect', raw], { cwd })
  assert.equal(people.code, 0)
  assert.match(
    people.stdout.toString(),
    new RegExp(
      String.raw`Warning: the primary GPT is damaged [^]*\n` +
        String.raw` {2}mend with: vdisk partition fix '[^']*it'\\''s\.raw' --output FIXED\n`,
    ),
  )
  const document = json(await vdisk(['inspect', raw, '--json'], { cwd }))
  assert.deepEqual([document.issues.map(({ code }) => code), document.partitions.length], [['W_GPT_PRIMARY_BAD'], 2])
  assert.equal((await vdisk(['inspect', `${disk}@7`], { cwd })).code, 2)
})
