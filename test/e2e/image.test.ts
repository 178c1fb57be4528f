import assert from 'node:assert/strict'
import fs from 'node:fs'
import { basename, join } from 'node:path'
import test from 'node:test'
import { vdisk, type CliResult } from '../support/cli.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { partitionedDisk } from '../support/partitioned-disk.js'
import { assertSchema } from '../support/schemas.js'
import { run } from '../support/tools.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false

interface Imaged {
  readonly unreadable: { readonly bytes: number }
  readonly digests: {
    readonly disk: { readonly digest: string }
    readonly partitions: readonly { readonly number: number; readonly digest: string }[]
  }
  readonly consistency: { readonly state: string; readonly why: string }
  readonly notes: readonly { readonly code: string }[]
  readonly plan: { readonly guards: readonly { readonly guard: string; readonly verdict: string }[] }
  readonly bytesRead: number
}

function imaged(result: CliResult, code = 0): Imaged {
  assert.equal(result.code, code, result.stdout.toString() + result.stderr)
  const document = JSON.parse(result.stdout.toString()) as Imaged
  assertSchema('image', document)
  return document
}

function errorCode(result: CliResult): [number | string, string] {
  return [result.code, (JSON.parse(result.stdout.toString()) as { code: string }).code]
}

test('--used-only and --parts: what is left out reads as zero, and is said', { skip }, async (t) => {
  const [folder, cwd] = [testFolder(t), farFolder(t)]
  const { loop, content, start, length } = partitionedDisk(t, folder, 512)
  const used = imaged(await vdisk(['image', loop, 'used.raw', '--used-only', '--json', '--verify'], { cwd }))
  assert.ok(used.bytesRead < content.length - 8 * 1048576, `${used.bytesRead} bytes were read`)
  const bytes = fs.readFileSync(join(cwd, 'used.raw'))
  assert.ok(bytes.subarray(start[1]).equals(content.subarray(start[1])))
  fs.writeFileSync(join(folder, 'first'), bytes.subarray(start[0], start[0]! + length[0]!))
  run('e2fsck', '-fn', join(folder, 'first'))
  const parts = imaged(await vdisk(['image', loop, 'parts.raw', '--parts', '2', '--json'], { cwd }))
  assert.ok(parts.notes.some(({ code }) => code === 'W_PARTS'))
  const expected = Buffer.from(content).fill(0, start[0], start[0]! + length[0]!)
  assert.ok(fs.readFileSync(join(cwd, 'parts.raw')).equals(expected))
  assert.deepEqual(errorCode(await vdisk(['image', loop, 'none.raw', '--parts', '7', '--json'], { cwd })), [
    2,
    'E_NO_PARTITION',
  ])
  assert.deepEqual(
    fs.readdirSync(cwd).filter((name) => name.includes('none')),
    [],
  )
})

test('the guards: the same disk, what exists, what is no disk, and their own overrides', { skip }, async (t) => {
  const [folder, cwd] = [testFolder(t), farFolder(t)]
  const { loop, path, content } = partitionedDisk(t, folder, 512)
  const image = async (...args: string[]): Promise<CliResult> => vdisk(['image', ...args, '--json'], { cwd })
  // A loop over a file of the disk that the target is on.
  const near = join(folder, 'near.raw')
  assert.deepEqual(errorCode(await image(loop, near)), [3, 'E_SAME_DISK'])
  assert.deepEqual(errorCode(await image(loop, near, '--force')), [3, 'E_SAME_DISK'])
  assert.deepEqual(errorCode(await image(`${loop}@1`, near)), [3, 'E_SAME_DISK'])
  assert.ok(!fs.existsSync(near))
  const over = imaged(await image(loop, near, '--allow-same-disk'))
  assert.deepEqual(over.plan.guards.map(({ guard, verdict }) => `${guard} ${verdict}`).slice(0, 1), [
    'same-disk overridden',
  ])
  assert.ok(fs.readFileSync(near).equals(content))

  assert.deepEqual(errorCode(await image(path, 'x.raw')), [2, 'E_NOT_A_DEVICE'])
  assert.match((await vdisk(['image', path, 'x.raw'], { cwd })).stderr, /vdisk convert/)
  assert.deepEqual(errorCode(await image('/dev/null', 'x.raw')), [2, 'E_NOT_A_DEVICE'])
  assert.deepEqual(errorCode(await image('/dev/not-there', 'x.raw')), [2, 'E_NOT_A_DEVICE'])
  const other = loopDevice(t, near)
  assert.deepEqual(errorCode(await image(loop, other, '--to', 'raw', '--allow-same-disk')), [3, 'E_BLOCK_DEVICE'])

  const dry = imaged(await image(loop, 'dry.vhdx', '--dry-run'))
  assert.deepEqual(
    dry.plan.guards.map(({ guard, verdict }) => `${guard} ${verdict}`),
    ['same-disk passed', 'in-use passed', 'space passed'],
  )
  assert.deepEqual(fs.readdirSync(cwd), [])
  imaged(await image(loop, 'a.raw'))
  assert.deepEqual(errorCode(await image(loop, 'a.raw')), [7, 'E_EXISTS'])
  fs.rmSync(join(cwd, 'a.raw'))
  assert.deepEqual(errorCode(await image(loop, 'a.raw')), [7, 'E_EXISTS'], 'a record of another image')
  imaged(await image(loop, 'a.raw', '--force'))
  assert.deepEqual(fs.readdirSync(cwd).sort(), ['a.raw', 'a.raw.blocks', 'a.raw.vdisk.json'])
})

test(
  'a disk with bad sectors ends with 9, and says where; an interrupted run leaves nothing',
  { skip: faultyDiskMissing() ?? skip },
  async (t) => {
    const [folder, cwd] = [testFolder(t), farFolder(t)]
    const { path } = partitionedDisk(t, folder, 512)
    const disk = await faultyDisk(t, path, {
      read: [
        [16 * 1048576, 4096],
        [20 * 1048576, 4096],
      ],
    })
    const text = await vdisk(['image', disk.path, 'disk.vhdx'], { cwd })
    assert.equal(text.code, 9, text.stderr)
    assert.match(
      text.stderr,
      /Warning: 8 KiB of the source cannot be read.*4096 bytes at offset 16777216, 4096 bytes at offset 20971520/,
    )
    assert.match(text.stdout.toString(), /^Imaged in part$[\s\S]*--resume/m)
    const again = imaged(await vdisk(['image', disk.path, 'disk.vhdx', '--resume', '--json'], { cwd }), 9)
    assert.equal(again.unreadable.bytes, 8192)
    disk.setFaults({})
    assert.equal(
      imaged(await vdisk(['image', disk.path, 'disk.vhdx', '--resume', '--json'], { cwd })).unreadable.bytes,
      0,
    )
    assert.equal((await vdisk(['compare', 'disk.vhdx', path], { cwd })).code, 0)

    const before = fs.readFileSync(join(cwd, 'disk.vhdx'))
    const names = fs.readdirSync(cwd)
    const stopped = await interrupted(cwd, ['image', disk.path, 'disk.vhdx', '--force'], {
      when: /"phase":"copy"/,
      act: (child) => child.kill('SIGINT'),
      again: () => {
        for (const name of fs.readdirSync(cwd)) if (!names.includes(name)) fs.rmSync(join(cwd, name))
        fs.writeFileSync(join(cwd, 'disk.vhdx'), before)
      },
      rate: 8,
    })
    assert.equal(stopped.code, 130, stopped.stderr)
    assert.deepEqual(fs.readdirSync(cwd).sort(), ['disk.vhdx', 'disk.vhdx.vdisk.json'])
    assert.ok(fs.readFileSync(join(cwd, 'disk.vhdx')).equals(before))
  },
)

test('disks lists a loop device with what it holds', { skip }, async (t) => {
  const folder = testFolder(t)
  const { loop, path } = partitionedDisk(t, folder, 4096)
  const result = await vdisk(['disks', '--all', '--json'], { cwd: folder })
  assert.equal(result.code, 0, result.stderr)
  const document = JSON.parse(result.stdout.toString()) as {
    disks: readonly {
      name: string
      logicalSectorSize: number
      backingFile: string
      table: object
      writable: { allowed: boolean }
      partitions: readonly { path: string; device: boolean; label: string; filesystems: readonly { title: string }[] }[]
    }[]
  }
  assertSchema('disks', document)
  const found = document.disks.find(({ name }) => name === basename(loop))!
  assert.deepEqual([found.logicalSectorSize, found.backingFile, found.writable.allowed], [4096, path, true])
  assert.deepEqual(
    found.partitions.map(({ path: own, label, filesystems }) => [
      own.replace(/p?\d+$|@\d+$/, ''),
      label,
      filesystems.map(({ title }) => title),
    ]),
    [
      [loop, 'part1', ['ext4']],
      [loop, 'part2', []],
    ],
  )
  const text = await vdisk(['disks', '--all'], { cwd: folder })
  assert.match(text.stdout.toString(), new RegExp(`^${loop}: loop device, .*over ${path}$`, 'm'))
})
