import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

/** A disk with a file "hello" in its one partition. */
function makeDisk(cwd: string): void {
  fs.writeFileSync(join(cwd, 'hello.txt'), 'hello')
  runIn(cwd, 'truncate', '-s', '15M', 'fs.raw')
  runIn(cwd, 'mke2fs', '-q', '-t', 'ext4', '-F', 'fs.raw')
  runIn(cwd, 'debugfs', '-w', '-R', 'write hello.txt hello', 'fs.raw')
  const filesystem = fs.readFileSync(join(cwd, 'fs.raw'))
  const disk = Buffer.alloc(24 * 1024 * 1024, 0x41)
  disk.fill(0, 0, 1024 * 1024)
  disk.set(Buffer.from([0, 0, 2, 0, 0x83, 0, 0, 0]), 446)
  disk.writeUInt32LE(2048, 446 + 8)
  disk.writeUInt32LE(filesystem.length / 512, 446 + 12)
  disk.writeUInt16LE(0xaa55, 510)
  filesystem.copy(disk, 1024 * 1024)
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
}

interface Damage {
  readonly what: string
  readonly format: readonly string[]
  readonly code: string
  readonly change: (bytes: Buffer) => void
}

/** The entries of the first L2 table of a QCOW2, as qemu-img makes it. */
function l2Of(bytes: Buffer): number {
  const l1 = Number(bytes.readBigUInt64BE(40))
  return Number(bytes.readBigUInt64BE(l1) & 0x00fffffffffffe00n)
}

const damages: readonly Damage[] = [
  {
    what: 'VHD: data that a sector bitmap hides',
    format: ['vpc', '-o', 'subformat=dynamic'],
    code: 'E_BITMAP_CLEAR_DATA',
    change: (bytes) =>
      bytes.fill(0, bytes.readUInt32BE(1536 + 11 * 4) * 512, bytes.readUInt32BE(1536 + 11 * 4) * 512 + 512),
  },
  {
    what: 'VHD: blocks that overlap',
    format: ['vpc', '-o', 'subformat=dynamic'],
    code: 'E_OVERLAP',
    change: (bytes) => bytes.writeUInt32BE(bytes.readUInt32BE(1536 + 10 * 4), 1536 + 11 * 4),
  },
  {
    what: 'QCOW2: two entries that lead to one cluster',
    format: ['qcow2'],
    code: 'E_REFCOUNT',
    change: (bytes) => bytes.copy(bytes, l2Of(bytes) + 383 * 8, l2Of(bytes) + 382 * 8, l2Of(bytes) + 383 * 8),
  },
  {
    what: 'QCOW 1: two entries that lead to one cluster',
    format: ['qcow'],
    code: 'E_OVERLAP',
    change: (bytes) => {
      const l1 = Number(bytes.readBigUInt64BE(40))
      const l2 = Number(bytes.readBigUInt64BE(l1 + 11 * 8))
      bytes.copy(bytes, l2 + 511 * 8, l2 + 510 * 8, l2 + 511 * 8)
    },
  },
]

const commands: readonly (readonly string[])[] = [
  ['check', 'image'],
  ['info', 'image'],
  ['hash', 'image'],
  ['convert', 'image', 'copy.raw', '--force'],
  ['convert', 'image', '-', '--to', 'raw'],
  ['compare', 'image', 'disk.raw'],
  ['map', 'image'],
  ['measure', 'image', '--to', 'qcow2'],
  ['inspect', 'image'],
  ['chain', 'show', 'image'],
  ['chain', 'flatten', 'image', 'copy.qcow2', '--force'],
  ['partition', 'list', 'image'],
  ['partition', 'extract', 'image@1', 'part.raw', '--force'],
  ['ls', 'image@1:/'],
  ['cat', 'image@1:/hello'],
  ['cp', 'image@1:/hello', 'out', '--force'],
]

for (const { what, format, code, change } of damages)
  test(`what check calls an error, every reading command says: ${what}`, async (t) => {
    if (!have(t, 'qemu-img') || !have(t, 'debugfs')) return
    const cwd = testFolder(t)
    makeDisk(cwd)
    runIn(cwd, 'qemu-img', 'convert', '-f', 'raw', '-O', ...format, 'disk.raw', 'image')
    assert.equal((await vdisk(['hash', 'image'], { cwd })).stderr, '')
    const bytes = fs.readFileSync(join(cwd, 'image'))
    change(bytes)
    fs.writeFileSync(join(cwd, 'image'), bytes)
    assert.match((await vdisk(['check', 'image'], { cwd })).stdout.toString(), new RegExp(code))
    for (const args of commands.slice(1)) {
      const { stdout, stderr } = await vdisk(args, { cwd })
      const shown = args.includes('-') ? stderr : `${stdout.toString()}${stderr}`
      assert.match(shown, /`vdisk check` lists all damage/, `${args.join(' ')}\n${shown.slice(0, 2000)}`)
    }
    const { stdout } = await vdisk(['hash', 'image', '--json'], { cwd })
    const { notes } = JSON.parse(stdout.toString()) as { notes: { code: string }[] }
    assert.deepEqual(
      notes.map((note) => note.code),
      [code],
    )
  })

test('VHDX: blocks that overlap are refused by every reader', async (t) => {
  if (!have(t, 'qemu-img') || !have(t, 'debugfs')) return
  const cwd = testFolder(t)
  makeDisk(cwd)
  runIn(cwd, 'qemu-img', 'convert', '-f', 'raw', '-O', 'vhdx', '-o', 'block_size=1M', 'disk.raw', 'image')
  const bytes = fs.readFileSync(join(cwd, 'image'))
  const bat = 2 * 1024 * 1024
  bytes.copy(bytes, bat + 20 * 8, bat + 19 * 8, bat + 20 * 8)
  fs.writeFileSync(join(cwd, 'image'), bytes)
  assert.match((await vdisk(['check', 'image'], { cwd })).stdout.toString(), /E_OVERLAP/)
  const { code, stderr } = await vdisk(['hash', 'image'], { cwd })
  assert.equal(code, 4)
  assert.match(stderr, /another block lies too/)
  // What reads no block of them says so nevertheless.
  assert.match((await vdisk(['ls', 'image@1:/'], { cwd })).stderr, /`vdisk check` lists all damage/)
})
