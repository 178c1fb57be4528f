import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

interface Damage {
  readonly what: string
  readonly code: string
  readonly change: (bytes: Buffer) => void
  /** Snapshots that are left after the repair. */
  readonly left: number
}

function snapshotTable(bytes: Buffer): number {
  return Number(bytes.readBigUInt64BE(64))
}

function secondSnapshot(bytes: Buffer): number {
  const at = snapshotTable(bytes)
  const length = 40 + bytes.readUInt32BE(at + 36) + bytes.readUInt16BE(at + 12) + bytes.readUInt16BE(at + 14)
  return at + Math.ceil(length / 8) * 8
}

/** Where the header extensions end: the first of type 0. */
function extensionsEnd(bytes: Buffer): number {
  let at = bytes.readUInt32BE(100)
  while (bytes.readUInt32BE(at) !== 0) at += 8 + Math.ceil(bytes.readUInt32BE(at + 4) / 8) * 8
  return at
}

const damages: readonly Damage[] = [
  {
    what: 'a snapshot table past the end of the file',
    code: 'E_TRUNCATED',
    change: (bytes) => bytes.writeBigUInt64BE(2n ** 40n, 64),
    left: 0,
  },
  {
    what: 'a snapshot table at no place that can be',
    code: 'E_TRUNCATED',
    change: (bytes) => bytes.writeBigUInt64BE(2n ** 64n - 65536n, 64),
    left: 0,
  },
  {
    what: 'a snapshot table that begins no cluster',
    code: 'E_SNAPSHOT_TABLE',
    change: (bytes) => bytes.writeBigUInt64BE(4097n, 64),
    left: 0,
  },
  {
    what: 'more snapshots than can be',
    code: 'E_SNAPSHOT_TABLE',
    change: (bytes) => bytes.writeUInt32BE(70000, 60),
    left: 0,
  },
  {
    what: 'the second snapshot has too much extra data',
    code: 'E_SNAPSHOT_TABLE',
    change: (bytes) => bytes.writeUInt32BE(5000, secondSnapshot(bytes) + 36),
    left: 1,
  },
  {
    what: 'the L1 table of the first snapshot is past the end of the file',
    code: 'E_TRUNCATED',
    change: (bytes) => bytes.writeBigUInt64BE(2n ** 40n, snapshotTable(bytes)),
    left: 1,
  },
  {
    what: 'the L1 table of the first snapshot is at no place that can be',
    code: 'E_TRUNCATED',
    change: (bytes) => bytes.writeBigUInt64BE(2n ** 64n - 65536n, snapshotTable(bytes)),
    left: 1,
  },
  {
    what: 'the L1 table of the first snapshot begins no cluster',
    code: 'E_SNAPSHOT_TABLE',
    change: (bytes) => bytes.writeBigUInt64BE(65537n, snapshotTable(bytes)),
    left: 1,
  },
  {
    what: 'the first snapshot has no place for its L1 table',
    code: 'E_SNAPSHOT_TABLE',
    change: (bytes) => bytes.writeBigUInt64BE(0n, snapshotTable(bytes)),
    left: 1,
  },
  {
    what: 'the L1 table of the first snapshot has more entries than can be',
    code: 'E_SNAPSHOT_TABLE',
    change: (bytes) => bytes.writeUInt32BE(0xffffffff, snapshotTable(bytes) + 8),
    left: 1,
  },
  {
    what: 'the L1 table of the second snapshot lies nowhere',
    code: 'E_TRUNCATED',
    change: (bytes) => bytes.writeBigUInt64BE(2n ** 40n, secondSnapshot(bytes)),
    left: 1,
  },
  {
    what: 'the L1 tables of both snapshots lie nowhere',
    code: 'E_TRUNCATED',
    change: (bytes) => {
      bytes.writeBigUInt64BE(2n ** 40n, snapshotTable(bytes))
      bytes.writeBigUInt64BE(2n ** 41n, secondSnapshot(bytes))
    },
    left: 0,
  },
  {
    what: 'a header extension without end',
    code: 'E_HEADER_EXTENSION',
    change: (bytes) => {
      const at = extensionsEnd(bytes)
      bytes.writeUInt32BE(0x12345678, at)
      bytes.writeUInt32BE(0x7fffffff, at + 4)
    },
    left: 2,
  },
  {
    what: 'bitmaps at no place',
    code: 'E_BITMAPS',
    change: (bytes) => {
      const at = extensionsEnd(bytes)
      bytes.writeUInt32BE(0x23852875, at)
      bytes.writeUInt32BE(24, at + 4)
      bytes.writeUInt32BE(1, at + 8)
      bytes.writeBigUInt64BE(24n, at + 16)
      bytes.writeBigUInt64BE(2n ** 60n, at + 24)
      bytes.fill(0, at + 32, at + 40)
      bytes.writeBigUInt64BE(1n, 88)
    },
    left: 2,
  },
]

for (const { what, code, change, left } of damages)
  test(`QCOW2: the disk is read, check finds it, repair mends it: ${what}`, async (t) => {
    if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
    const cwd = testFolder(t)
    runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'a.qcow2', '4M')
    for (const byte of [1, 2, 3]) {
      runIn(cwd, 'qemu-io', '-f', 'qcow2', '-c', `write -q -P ${byte} ${byte * 65536} 128k`, 'a.qcow2')
      if (byte < 3) runIn(cwd, 'qemu-img', 'snapshot', '-c', `s${byte}`, 'a.qcow2')
    }
    runIn(cwd, 'qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', 'a.qcow2', 'a.raw')
    const bytes = fs.readFileSync(join(cwd, 'a.qcow2'))
    fs.writeFileSync(join(cwd, 'sound.qcow2'), bytes)
    change(bytes)
    fs.writeFileSync(join(cwd, 'a.qcow2'), bytes)
    const compared = await vdisk(['compare', 'a.qcow2', 'a.raw'], { cwd })
    assert.equal(compared.code, 0, compared.stderr)
    assert.match(compared.stderr, /`vdisk check` lists all damage/)
    const info = await vdisk(['info', 'a.qcow2'], { cwd })
    assert.equal(info.code, 0, info.stderr)
    const checked = await vdisk(['check', 'a.qcow2'], { cwd })
    assert.equal(checked.code, 1, checked.stderr)
    assert.match(checked.stdout.toString(), new RegExp(code))
    const repaired = await vdisk(['repair', 'a.qcow2', '--output', 'b.qcow2'], { cwd })
    assert.equal(repaired.code, 0, repaired.stdout.toString() + repaired.stderr)
    runIn(cwd, 'qemu-img', 'check', '-q', 'b.qcow2')
    runIn(cwd, 'qemu-img', 'compare', '-q', 'b.qcow2', 'a.raw')
    const { snapshots = [] } = JSON.parse(runIn(cwd, 'qemu-img', 'info', '--output=json', 'b.qcow2')) as {
      snapshots?: { readonly name: string }[]
    }
    assert.equal(snapshots.length, left)
    const mended = await vdisk(['check', 'b.qcow2'], { cwd })
    assert.equal(mended.code, 0, mended.stdout.toString())
    if (left < 2) assert.match(repaired.stdout.toString(), /leave out/)
    // What is left of the snapshots reads as it did.
    for (const { name } of snapshots) {
      runIn(cwd, 'qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', '-l', name, 'sound.qcow2', 'was.raw')
      runIn(cwd, 'qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', '-l', name, 'b.qcow2', 'is.raw')
      runIn(cwd, 'cmp', 'was.raw', 'is.raw')
    }
    if (left < 2 || code === 'E_HEADER_EXTENSION') {
      const changed = await vdisk(['resize', 'a.qcow2', '8M'], { cwd })
      assert.notEqual(changed.code, 0)
      assert.match(changed.stderr, /vdisk repair/)
    }
  })

test('QCOW2: the extra data that version 3 asks for is added to snapshots that lack it', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'a.qcow2', '4M')
  for (const name of ['one', 'two', 'three']) runIn(cwd, 'qemu-img', 'snapshot', '-c', name, 'a.qcow2')
  const bytes = fs.readFileSync(join(cwd, 'a.qcow2'))
  const start = snapshotTable(bytes)
  // The table without the extra data of the second entry.
  const entries: Buffer[] = []
  let at = start
  for (let index = 0; index < 3; index++) {
    const extra = bytes.readUInt32BE(at + 36)
    const end = at + 40 + extra + bytes.readUInt16BE(at + 12) + bytes.readUInt16BE(at + 14)
    const entry = Buffer.from(bytes.subarray(at, end))
    if (index === 1) entry.writeUInt32BE(0, 36)
    const kept = index === 1 ? Buffer.concat([entry.subarray(0, 40), entry.subarray(40 + extra)]) : entry
    entries.push(kept, Buffer.alloc((8 - (kept.length % 8)) % 8))
    at = start + Math.ceil((end - start) / 8) * 8
  }
  bytes.fill(0, start)
  Buffer.concat(entries).copy(bytes, start)
  fs.writeFileSync(join(cwd, 'a.qcow2'), bytes)
  const checked = await vdisk(['check', 'a.qcow2'], { cwd })
  assert.match(checked.stdout.toString(), /E_SNAPSHOT_TABLE/)
  const repaired = await vdisk(['repair', 'a.qcow2', '--in-place'], { cwd })
  assert.equal(repaired.code, 0, repaired.stdout.toString() + repaired.stderr)
  assert.equal((await vdisk(['check', 'a.qcow2'], { cwd })).code, 0)
  runIn(cwd, 'qemu-img', 'check', '-q', 'a.qcow2')
  const { snapshots } = JSON.parse(runIn(cwd, 'qemu-img', 'info', '--output=json', 'a.qcow2')) as {
    snapshots: { readonly name: string; readonly id: string }[]
  }
  assert.deepEqual(
    snapshots.map(({ id: number, name: text }) => `${number} ${text}`),
    ['1 one', '2 two', '3 three'],
  )
})

test('QCOW2: a data file whose name is not recorded is an error to check, as reading refuses it', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(1024 * 1024, 7))
  runIn(cwd, 'qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-o', 'data_file=d.raw', 'a.raw', 'a.qcow2')
  assert.equal((await vdisk(['check', 'a.qcow2'], { cwd })).code, 0)
  const bytes = fs.readFileSync(join(cwd, 'a.qcow2'))
  const name = bytes.indexOf(Buffer.from([0x44, 0x41, 0x54, 0x41]))
  assert.ok(name > 0)
  // The extension becomes one that nobody knows.
  bytes.writeUInt32BE(0x12345678, name)
  fs.writeFileSync(join(cwd, 'a.qcow2'), bytes)
  assert.equal((await vdisk(['hash', 'a.qcow2'], { cwd })).code, 6)
  const { code, stdout } = await vdisk(['check', 'a.qcow2'], { cwd })
  assert.equal(code, 1)
  assert.match(stdout.toString(), /E_DATA_FILE .*not recorded/)
})

test('VHD: an option for reading is for the parents too, and the hint that names it helps', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(4 * 1024 * 1024, 7))
  for (const args of [
    ['convert', 'a.raw', 'p.vhd'],
    ['create', 'c.vhd', '--parent', 'p.vhd'],
    ['create', 'q.qcow2', '--parent', 'p.vhd'],
  ])
    assert.equal((await vdisk(args, { cwd })).code, 0, args.join(' '))
  const wanted = (await vdisk(['hash', 'a.raw'], { cwd })).stdout.toString().slice(0, 64)
  // Of the parent, then of the child as well.
  for (const file of ['p.vhd', 'c.vhd']) {
    const bytes = fs.readFileSync(join(cwd, file))
    bytes[512 + 36] = (bytes[512 + 36] ?? 0) ^ 1
    fs.writeFileSync(join(cwd, file), bytes)
    for (const child of ['c.vhd', 'q.qcow2']) {
      const refused = await vdisk(['hash', child], { cwd })
      assert.equal(refused.code, 4, refused.stderr)
      const [, option] = /--from-option (\S+=true)/.exec(refused.stderr) ?? []
      assert.ok(option !== undefined, refused.stderr)
      const read = await vdisk(['hash', child, '--from-option', option], { cwd })
      assert.equal(read.stdout.toString().slice(0, 64), wanted, read.stderr)
      assert.match(read.stderr, /checksum/)
    }
  }
  const unused = await vdisk(['hash', 'a.raw', '--from-option', 'ignore-checksums=true'], { cwd })
  assert.equal(unused.code, 2)
  assert.match(unused.stderr, /no option ignore-checksums/)
})
