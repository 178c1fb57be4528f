import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'

const mebibyte = 1024 * 1024

function sum(bytes: Buffer, from: number, length: number, field: number): number {
  let total = 0
  for (let at = 0; at < length; at++) if (at < field || at >= field + 4) total += bytes[from + at] ?? 0
  return ~total >>> 0
}

interface Vhd {
  readonly size: number
  readonly id: number
  readonly parent?: number
  /** The bytes of the name field. */
  readonly name?: Buffer
  readonly mac?: string
  readonly blocks: ReadonlyMap<number, number>
}

/** A dynamic or differencing VHD with blocks of 2 MiB, each of one byte, by the published description of the format. */
function vhd({ size, id, parent, name, mac, blocks }: Vhd): Buffer {
  const entries = Math.ceil(size / (2 * mebibyte))
  const blockLength = 512 + 2 * mebibyte
  const file = Buffer.alloc(4096 + blocks.size * blockLength + 512, 0)
  const footer = Buffer.alloc(512)
  footer.write('conectix')
  footer.writeUInt32BE(2, 8)
  footer.writeUInt32BE(0x10000, 12)
  footer.writeBigUInt64BE(512n, 16)
  footer.write('win ', 28)
  footer.writeUInt32BE(0x60001, 32)
  footer.write('Wi2k', 36)
  footer.writeBigUInt64BE(BigInt(size), 40)
  footer.writeBigUInt64BE(BigInt(size), 48)
  footer.writeUInt32BE(parent === undefined ? 3 : 4, 60)
  footer.fill(id, 68, 84)
  footer.writeUInt32BE(sum(footer, 0, 512, 64), 64)
  file.write('cxsparse', 512)
  file.writeBigUInt64BE(2n ** 64n - 1n, 520)
  file.writeBigUInt64BE(2048n, 528)
  file.writeUInt32BE(0x10000, 536)
  file.writeUInt32BE(entries, 540)
  file.writeUInt32BE(2 * mebibyte, 544)
  if (parent !== undefined) file.fill(parent, 552, 568)
  name?.copy(file, 576)
  if (mac !== undefined) {
    file.write('MacX', 1088)
    file.writeUInt32BE(512, 1092)
    file.writeUInt32BE(mac.length, 1096)
    file.writeBigUInt64BE(3072n, 1104)
    file.write(mac, 3072)
  }
  file.writeUInt32BE(sum(file, 512, 1024, 36), 548)
  file.fill(0xff, 2048, 2048 + Math.ceil(entries / 128) * 512)
  let at = 4096
  for (const [block, byte] of blocks) {
    file.writeUInt32BE(at / 512, 2048 + block * 4)
    file.fill(0xff, at, at + 512)
    file.fill(byte, at + 512, at + blockLength)
    at += blockLength
  }
  footer.copy(file, 0)
  footer.copy(file, at)
  return file
}

function disk(...blocks: number[]): Buffer {
  return Buffer.concat(blocks.map((byte) => Buffer.alloc(2 * mebibyte, byte)))
}

function utf16be(name: string): Buffer {
  return Buffer.from(name, 'utf16le').swap16()
}

const parent: Vhd = {
  size: 4 * mebibyte,
  id: 7,
  blocks: new Map([
    [0, 1],
    [1, 2],
  ]),
}
const child: Vhd = { size: 4 * mebibyte, id: 8, parent: 7, blocks: new Map([[1, 3]]) }

interface Case {
  readonly what: string
  readonly child: Vhd
  readonly file?: string
  readonly args?: readonly string[]
  readonly reads: Buffer
}

const cases: readonly Case[] = [
  { what: 'the name as the specification has it', child: { ...child, name: utf16be('p.vhd') }, reads: disk(1, 3) },
  {
    what: 'a name with the low byte first',
    child: { ...child, name: Buffer.from('p.vhd', 'utf16le') },
    reads: disk(1, 3),
  },
  {
    what: 'the same, searched for',
    child: { ...child, name: Buffer.from('p.vhd', 'utf16le') },
    args: ['--search', '.'],
    reads: disk(1, 3),
  },
  { what: 'no name, and the file allowed', child, args: ['--allow-reference', 'p.vhd'], reads: disk(1, 3) },
  { what: 'the locator of a Mac', child: { ...child, mac: 'file://./p.vhd' }, reads: disk(1, 3) },
  {
    what: 'the same, with escapes',
    child: { ...child, mac: 'file://./my%20p.vhd' },
    file: 'my p.vhd',
    reads: disk(1, 3),
  },
  { what: 'letters of another case', child: { ...child, name: utf16be('P.VHD') }, reads: disk(1, 3) },
  {
    what: 'letters of another case, behind a path of Windows',
    child: { ...child, name: utf16be('C:\\Disks\\P.Vhd') },
    reads: disk(1, 3),
  },
  {
    what: 'a child that is larger than its parent',
    child: { ...child, size: 8 * mebibyte, name: utf16be('p.vhd') },
    reads: disk(1, 3, 0, 0),
  },
  {
    what: 'a child that is smaller than its parent',
    child: { ...child, size: 2 * mebibyte, name: utf16be('p.vhd'), blocks: new Map() },
    reads: disk(1),
  },
]

for (const { what, child: made, file = 'p.vhd', args = [], reads } of cases)
  test(`VHD parents: ${what}`, async (t) => {
    const cwd = testFolder(t)
    fs.writeFileSync(join(cwd, file), vhd(parent))
    fs.writeFileSync(join(cwd, 'c.vhd'), vhd(made))
    const { code, stdout, stderr } = await vdisk(['hash', 'c.vhd', ...args], { cwd })
    assert.equal(code, 0, stderr)
    assert.equal(stdout.toString().slice(0, 64), createHash('sha256').update(reads).digest('hex'))
    if (made.size !== parent.size)
      assert.match((await vdisk(['check', 'c.vhd'], { cwd })).stdout.toString(), /W_PARENT_CAPACITY/)
  })

test('VHD parents: each hint for a parent that is missing helps', async (t) => {
  const cwd = testFolder(t)
  fs.mkdirSync(join(cwd, 'far'))
  fs.mkdirSync(join(cwd, 'near'))
  fs.writeFileSync(join(cwd, 'far/p.vhd'), vhd(parent))
  fs.writeFileSync(join(cwd, 'near/c.vhd'), vhd({ ...child, name: utf16be('p.vhd') }))
  const missing = await vdisk(['hash', 'near/c.vhd'], { cwd })
  assert.equal(missing.code, 6)
  assert.match(missing.stderr, /--allow-reference FILE.*--search DIR.*--parent-map OLD=NEW/s)
  for (const args of [
    ['--allow-reference', 'far/p.vhd'],
    ['--search', 'far'],
    ['--parent-map', 'p.vhd=far/p.vhd', '--allow-reference', 'far'],
  ]) {
    const { code, stderr } = await vdisk(['hash', 'near/c.vhd', ...args], { cwd })
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  }
})
