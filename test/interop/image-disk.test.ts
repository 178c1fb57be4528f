import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { LinuxDisks } from '../../src/device/linux.js'
import { openFile } from '../../src/formats/open.js'
import { hash } from '../../src/operations/inspect/hash.js'
import { initSet } from '../../src/operations/backup/init.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { imageDisk } from '../../src/operations/imaging/image.js'
import { readImageRecord } from '../../src/operations/imaging/record.js'
import { resumeImage } from '../../src/operations/imaging/resume.js'
import { diskLike, readAll } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { partitionedDisk } from '../support/partitioned-disk.js'
import { assertSchema } from '../support/schemas.js'
import { hostileSftp } from '../support/hostile-sftp.js'
import { run } from '../support/tools.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

/** The disk that an image holds, as far as the source went; what a format added to it must be zero. */
function diskOf(path: string, format: string, size: number): Buffer {
  using image = openFile(path, { from: format })
  const bytes = Buffer.from(readAll(image))
  assert.ok(bytes.subarray(size).every((byte) => byte === 0))
  return bytes.subarray(0, size)
}

for (const sectorSize of [512, 4096] as const) {
  test(
    `a disk with sectors of ${sectorSize} bytes and its partitions, as images of every format`,
    { skip },
    async (t) => {
      const [folder, far] = [testFolder(t), farFolder(t)]
      const { loop, path, content, start, length } = partitionedDisk(t, folder, sectorSize)
      const { digests: own } = await hash(path, { from: 'raw', algorithm: 'tree', perPartition: true })
      const {
        digests: [whole],
      } = await hash(path, { from: 'raw', algorithm: 'tree' })
      const kinds = [
        ['raw', {}],
        ['raw', { preallocation: 'full' }],
        ['vhd', {}],
        ['vhd', { subformat: 'fixed' }],
        ['vhdx', {}],
        ['qcow2', {}],
        ['qcow2', { compress: 'zlib' }],
        ['qcow2', { 'cluster-size': '2M' }],
      ] as const
      for (const [index, [format, options]] of kinds.entries()) {
        const target = join(far, `${index}.${format}`)
        const result = await imageDisk(loop, target, { options, verify: true, ...(index === 0 ? { threads: 0 } : {}) })
        assert.deepEqual(
          [result.consistency.state, result.unreadable.bytes, result.bytesRead, result.verified],
          ['cold', 0, content.length, true],
        )
        assert.ok(diskOf(target, format, content.length).equals(content), format)
        assertSchema('image-record', JSON.parse(fs.readFileSync(`${target}.vdisk.json`, 'utf8')))
        const record = readImageRecord(target)!
        assert.deepEqual(record.digests, result.digests)
        assert.deepEqual(
          [
            record.source.kind,
            record.source.size,
            record.source.logicalSectorSize,
            record.source.table?.scheme,
            record.image.format,
          ],
          ['disk', content.length, sectorSize, 'gpt', format],
        )
        // The digests are those of the disk's own bytes; the second partition is not aligned to their blocks.
        assert.equal(record.digests.disk.digest, whole!.digest)
        assert.deepEqual(
          record.digests.partitions.map(({ number, digest }) => [number, digest]),
          own.map(({ partition, digest }) => [partition, digest]),
        )
        assert.deepEqual(
          fs
            .readdirSync(far)
            .filter((name) => name.startsWith(`${index}.`) || name.startsWith('.'))
            .sort(),
          [`${index}.${format}`, `${index}.${format}.blocks`, `${index}.${format}.vdisk.json`],
        )
      }
      for (const number of [1, 2]) {
        const target = join(far, `part-${number}.vhdx`)
        const { source, digests } = await imageDisk(`${loop}@${number}`, target, { verify: true })
        const bytes = content.subarray(start[number - 1], start[number - 1]! + length[number - 1]!)
        assert.ok(diskOf(target, 'vhdx', bytes.length).equals(bytes), `partition ${number}`)
        const { uuid, ...partition } = source.partition!
        assert.deepEqual(
          [source.kind, partition, uuid?.length],
          ['partition', { number, start: start[number - 1], size: length[number - 1], label: `part${number}` }, 36],
        )
        assert.equal(digests!.disk.digest, own[number - 1]!.digest)
      }
    },
  )
}

test(
  'a disk with bad sectors: all else is right, the map is, and --resume completes it when they can be read again',
  { skip: faultyDiskMissing() ?? skip },
  async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const medium = join(folder, 'medium')
    const content = Buffer.from(diskLike(8 * mebibyte, 21))
    const bad = [
      [mebibyte + 8192, 4096],
      [5 * mebibyte - 4096, 4096],
    ] as const
    for (const [at, length] of bad) content.fill(0xa5, at, at + length)
    fs.writeFileSync(medium, content)
    const holed = Buffer.from(content)
    for (const [at, length] of bad) holed.fill(0, at, at + length)
    for (const [sectorSize, format, options] of [
      [512, 'raw', {}],
      [4096, 'vhdx', {}],
      [512, 'qcow2', { compress: 'zlib' }],
      [512, 'vhd', {}],
    ] as const) {
      const disk = await faultyDisk(t, medium, { read: bad }, sectorSize)
      const target = join(far, `disk.${format}`)
      const first = await imageDisk(disk.path, target, { options, verify: true })
      assert.deepEqual(
        [first.unreadable.bytes, first.unreadable.count, first.unreadable.ranges],
        [8192, 2, bad.map(([offset, length]) => ({ offset, length }))],
        format,
      )
      assert.ok(diskOf(target, format, content.length).equals(holed), format)
      assert.deepEqual(
        fs
          .readFileSync(`${target}.map`, 'utf8')
          .split('\n')
          .filter((line) => !line.startsWith('#')),
        [
          '0x00000000     +               1',
          '0x00000000  0x00102000  +',
          '0x00102000  0x00001000  -',
          '0x00103000  0x003FC000  +',
          '0x004FF000  0x00001000  -',
          '0x00500000  0x00300000  +',
          '',
        ],
      )
      assert.deepEqual(readImageRecord(target)!.unreadable, { bytes: 8192, map: `disk.${format}.map` })

      // One of the two is still bad, but for a sector of it.
      disk.setFaults({ read: [[bad[1][0], sectorSize === 512 ? 512 : 4096]] })
      const planned = await resumeImage(disk.path, target, { dryRun: true })
      const second = await resumeImage(disk.path, target)
      assert.deepEqual(planned.plan, second.plan)
      assert.equal(second.plan.steps.length, 4)
      const stillBad = { offset: bad[1][0], length: sectorSize === 512 ? 512 : 4096 }
      assert.deepEqual([second.unreadable.ranges, second.bytesWritten], [[stillBad], 8192 - stillBad.length])
      const almost = Buffer.from(content).fill(0, stillBad.offset, stillBad.offset + stillBad.length)
      assert.ok(diskOf(target, format, content.length).equals(almost))

      disk.setFaults({})
      const third = await resumeImage(disk.path, target, { verify: true })
      assert.deepEqual([third.unreadable.bytes, second.verified, third.verified], [0, false, true])
      assert.ok(diskOf(target, format, content.length).equals(content))
      assert.deepEqual(fs.readdirSync(far).sort(), [`disk.${format}`, `disk.${format}.vdisk.json`])
      const {
        digests: [whole],
      } = await hash(medium, { from: 'raw', algorithm: 'tree' })
      const record = readImageRecord(target)!
      assert.deepEqual(
        [record.digests.disk.digest, record.unreadable, record.consistency.state],
        [whole!.digest, { bytes: 0 }, 'cold'],
      )
      await assert.rejects(resumeImage(disk.path, target), { code: 'E_NO_MAP' })
      for (const name of fs.readdirSync(far)) fs.rmSync(join(far, name))
    }
  },
)

test(
  '--resume --verify finds an image that does not give back what was put in',
  { skip: faultyDiskMissing() ?? skip },
  async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const medium = join(folder, 'medium')
    fs.writeFileSync(medium, diskLike(2 * mebibyte, 5))
    const disk = await faultyDisk(t, medium, { read: [[mebibyte, 4096]] })
    const target = join(far, 'disk.raw')
    await imageDisk(disk.path, target)
    const record = fs.readFileSync(`${target}.vdisk.json`)
    disk.setFaults({})
    await assert.rejects(
      resumeImage(disk.path, target, {
        verify: true,
        onProgress: ({ phase, done, total }) => {
          if (phase !== 'copy' || done !== total) return
          const file = fs.openSync(target, 'r+')
          fs.writeSync(file, Buffer.of(fs.readFileSync(target)[mebibyte + 100]! ^ 1), 0, 1, mebibyte + 100)
          fs.closeSync(file)
        },
      }),
      { kind: 'mismatch', code: 'E_MISMATCH', details: { offset: mebibyte, length: 4096 } },
    )
    assert.ok(fs.existsSync(`${target}.map`))
    assert.deepEqual(fs.readFileSync(`${target}.vdisk.json`), record)
  },
)

test(
  'an image that is aborted at the last moment leaves no map of bad sectors',
  { skip: faultyDiskMissing() ?? skip },
  async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const medium = join(folder, 'medium')
    fs.writeFileSync(medium, diskLike(2 * mebibyte, 3))
    const disk = await faultyDisk(t, medium, { read: [[mebibyte, 512]] })
    const stop = new AbortController()
    const phases: string[] = []
    await assert.rejects(
      imageDisk(disk.path, join(far, 'disk.raw'), {
        signal: stop.signal,
        onProgress: ({ phase }) => {
          phases.push(phase)
          if (phase === 'flush') stop.abort()
        },
      }),
      { code: 'E_ABORTED' },
    )
    assert.ok(phases.includes('copy') && phases.includes('flush'))
    assert.deepEqual(fs.readdirSync(far), [])
  },
)

test(
  '--resume takes no other disk, and no map or record that is not right',
  { skip: faultyDiskMissing() ?? skip },
  async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const { path } = partitionedDisk(t, folder, 512)
    const disk = await faultyDisk(t, path, { read: [[20 * mebibyte, 512]] })
    const target = join(far, 'disk.raw')
    await imageDisk(disk.path, target)
    const image = fs.readFileSync(target)
    const map = fs.readFileSync(`${target}.map`, 'utf8')
    const refuse = async (source: string, code: string): Promise<void> => {
      await assert.rejects(resumeImage(source, target), { code })
      assert.ok(fs.readFileSync(target).equals(image))
    }
    // Another disk of the same size: its table has another id.
    await refuse(partitionedDisk(t, testFolder(t), 512).loop, 'E_OTHER_DISK')
    // One of which the table cannot be read either: by what it holds.
    const blank = join(folder, 'blank')
    fs.writeFileSync(blank, new Uint8Array(fs.statSync(path).size))
    await refuse(loopDevice(t, blank), 'E_OTHER_DISK')
    await refuse(`${disk.path}@1`, 'E_OTHER_DISK')
    for (const wrong of [
      '',
      map.replace('0x00000200  -', '0x00000300  -'),
      map.replace('-', '!'),
      `${map}0x7FFFFFFFFFFFFF  0x00000200  -\n`,
      map.replace(/\n[^\n]*\n$/, '\n'),
    ]) {
      fs.writeFileSync(`${target}.map`, wrong)
      await refuse(disk.path, 'E_MAP')
    }
    fs.writeFileSync(`${target}.map`, map)
    const dry = await resumeImage(disk.path, target, { dryRun: true })
    assert.deepEqual([dry.plan.bytes, dry.dryRun], [512, true])
    fs.rmSync(`${target}.vdisk.json`)
    await refuse(disk.path, 'E_NO_RECORD')
  },
)

test('what is left out has the digest of zeros; only what is used is read', { skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const { loop } = partitionedDisk(t, folder, 512)
  for (const [name, options] of [
    ['used', { usedOnly: {} }],
    ['parts', { parts: [2] }],
    ['both', { parts: [1], usedOnly: {} }],
  ] as const) {
    const target = join(far, `${name}.qcow2`)
    const result = await imageDisk(loop, target, { ...options, verify: true })
    const { digests: own } = await hash(target, { algorithm: 'tree', perPartition: true })
    const {
      digests: [whole],
    } = await hash(target, { algorithm: 'tree' })
    assert.deepEqual(
      result.digests!.partitions.map(({ digest }) => digest),
      own.map(({ digest }) => digest),
      name,
    )
    assert.equal(result.digests!.disk.digest, whole!.digest, name)
    assert.equal(result.plan.bytes, result.bytesRead > 0 ? result.plan.bytes : 0)
    const record = readImageRecord(target)!
    assert.deepEqual(
      [record.usedOnly, record.parts],
      ['usedOnly' in options, 'parts' in options ? options.parts : undefined],
    )
    // Partitions that are not wanted are not looked into, and nothing is said of what they hold.
    assert.ok(
      result.notes.every(
        ({ code, message }) => code !== 'W_FS_WHOLE' || (name === 'used' && message.includes('partition 2')),
      ),
      JSON.stringify(result.notes),
    )
  }
})

/** A loop device whose partitions the system knows: this kernel may read no tables itself. */
function withPartitions(t: TestContext, path: string): string {
  for (let tries = 0; tries < 8; tries++) {
    const loop = loopDevice(t, path)
    run('partx', '--add', loop)
    t.after(() => spawnSync('partx', ['--delete', loop]))
    // A file that somebody wrote where a node was before keeps the node from coming back.
    if ([1, 2].every((number) => fs.statSync(`${loop}p${number}`, { throwIfNoEntry: false })?.isBlockDevice() === true))
      return loop
  }
  throw new Error('no loop device gets nodes for its partitions')
}

test(
  'a partition that the system knows is the same by its device and by its number, and is cold while another is mounted',
  { skip },
  async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const { path, content, start, length } = partitionedDisk(t, folder, 512)
    const loop = withPartitions(t, path)
    const second = content.subarray(start[1], start[1]! + length[1]!)
    const point = join(folder, 'mounted')
    fs.mkdirSync(point)
    run('mount', `${loop}p1`, point)
    try {
      for (const [index, argument] of [`${loop}p2`, `${loop}@2`, `${loop}@label=part2`].entries()) {
        const target = join(far, `${index}.raw`)
        const { source, consistency } = await imageDisk(argument, target)
        assert.ok(fs.readFileSync(target).equals(second), argument)
        assert.deepEqual(
          [source.kind, source.path, source.partition?.label, consistency.state],
          ['partition', `${loop}p2`, 'part2', 'cold'],
        )
      }
      const whole = await imageDisk(loop, join(far, 'whole.raw'))
      assert.deepEqual([whole.consistency.state, whole.notes.map(({ code }) => code)], ['crash-consistent', ['W_HOT']])
      assert.match(whole.consistency.why, new RegExp(`${loop}p1 is mounted at ${point}`))
      const first = await imageDisk(`${loop}@1`, join(far, 'first.raw'), { dryRun: true })
      assert.equal(first.consistency.state, 'crash-consistent')
      await assert.rejects(imageDisk(`${loop}p1@1`, join(far, 'x.raw')), { code: 'E_NOT_A_DISK' })
      run('mount', '-o', 'remount,ro', point)
      const quiet = await imageDisk(`${loop}p1`, join(far, 'quiet.raw'))
      assert.deepEqual(quiet.consistency, { state: 'cold', why: `it was mounted for reading only (${point})` })
    } finally {
      run('umount', point)
    }
  },
)

test('the same disk is found through loops in loops, and through a file in memory', { skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const platform = new LinuxDisks()
  // A filesystem on a loop over a file, and a loop over a file on that.
  const below = platform.place(folder)
  const mounted = (file: string, point: string): string => {
    fs.writeFileSync(file, new Uint8Array(24 * mebibyte))
    run('mke2fs', '-q', '-F', file)
    const loop = loopDevice(t, file)
    fs.mkdirSync(point)
    run('mount', loop, point)
    return loop
  }
  const [outer, inner, memory] = [join(folder, 'outer'), join(folder, 'inner'), join(far, 'memory')]
  const undo: (() => void)[] = []
  try {
    const first = mounted(join(folder, 'a'), outer)
    undo.unshift(() => run('umount', outer))
    fs.writeFileSync(join(outer, 'b'), new Uint8Array(8 * mebibyte))
    run('mke2fs', '-q', '-F', join(outer, 'b'))
    const second = run('losetup', '--find', '--show', join(outer, 'b')).trim()
    undo.unshift(() => run('losetup', '--detach', second))
    fs.mkdirSync(inner)
    run('mount', second, inner)
    undo.unshift(() => run('umount', inner))
    for (const path of [first, second, join(outer, 'x.raw'), join(inner, 'new', 'x.raw')])
      assert.deepEqual(platform.place(path).disks, below.disks, path)
    const third = mounted(join(far, 'c'), memory)
    undo.unshift(() => run('umount', memory))
    assert.deepEqual(platform.place(third).disks, [])
    // A loop over memory lies on no disk, but an image on its own filesystem is on itself.
    await assert.rejects(imageDisk(third, join(memory, 'x.raw')), { code: 'E_SAME_DISK' })
    if (below.disks.length > 0) {
      for (const source of [first, second])
        for (const target of [join(folder, 'x.raw'), join(inner, 'x.raw')])
          await assert.rejects(imageDisk(source, target), { code: 'E_SAME_DISK', kind: 'refused' })
    }
    const dry = await imageDisk(second, join(far, 'x.raw'), { dryRun: true })
    assert.equal(dry.plan.guards[0]?.verdict, 'passed')
  } finally {
    for (const step of undo) step()
  }
})

test('an image for which there is no room is refused where that is certain, and else said', { skip }, async (t) => {
  const folder = testFolder(t)
  const { loop, content } = partitionedDisk(t, folder, 512)
  const small = join(folder, 'small')
  fs.mkdirSync(small)
  run('mount', '-t', 'tmpfs', '-o', 'size=16M', 'small', small)
  try {
    await assert.rejects(imageDisk(loop, join(small, 'disk.raw'), { options: { preallocation: 'full' } }), {
      code: 'E_NO_SPACE',
      kind: 'target',
    })
    assert.deepEqual(fs.readdirSync(small), [])
    const { notes, target } = await imageDisk(loop, join(small, 'disk.raw'), { parts: [2] })
    assert.deepEqual(
      notes.map(({ code }) => code),
      ['W_PARTS'],
    )
    assert.equal(target.size, content.length)
    const reported = await imageDisk(loop, join(small, 'other.raw'), { dryRun: true })
    assert.deepEqual(
      reported.notes.map(({ code }) => code),
      ['W_SPACE'],
    )
  } finally {
    run('umount', small)
  }
})

test(
  'an export as the target of an image, and an address as that of a set, are refused by name',
  { skip },
  async (t) => {
    const folder = testFolder(t)
    const content = diskLike(2 * mebibyte, 71)
    fs.writeFileSync(join(folder, 'disk.raw'), content)
    const device = loopDevice(t, join(folder, 'disk.raw'))
    const other = 'nbd://127.0.0.1:1/disk'
    for (const resume of [false, true])
      await assert.rejects(imageDisk(device, other, { resume }), (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, 'E_TARGET')
        assert.ok(error.hint.includes(`vdisk convert ${device} ADDRESS`), error.hint)
        return true
      })
    await assert.rejects(initSet(`sftp://honest${folder}/set`, device), { code: 'E_TARGET' })
    process.env['VDISK_SSH'] = hostileSftp(folder)
    await convert(device, `sftp://honest${folder}/there.raw`)
    assert.ok(fs.readFileSync(join(folder, 'there.raw')).equals(content))
  },
)
