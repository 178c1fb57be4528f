import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  clone,
  convert,
  isImageError,
  restore,
  writeImageRecord,
  type ConfirmationQuestion,
  type DiskPlatform,
  type FoundDevice,
  type Progress,
  type RestoreOptions,
} from '../../src/index.js'
import { LinuxDisks } from '../../src/device/linux.js'
import { root, vdisk } from '../support/cli.js'
import { fixture } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'
import { emptyFile } from '../support/volumes.js'

const skip = loopsMissing()
const mebibyte = 1048576

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    assert.ok(isImageError(error), String(error))
    return `${error.kind} ${error.code}`
  }
  return 'done'
}

/** Loop devices have no serial: this machine's disks, changed. */
function changed(change: (found: FoundDevice, asked: number) => FoundDevice): DiskPlatform {
  const platform = new LinuxDisks()
  let asked = 0
  return {
    list: () => platform.list(),
    place: (path) => platform.place(path),
    find: (path) => change(platform.find(path), asked++),
  }
}

const withSerial = (found: FoundDevice, serial: string): FoundDevice => ({ ...found, disk: { ...found.disk, serial } })

test(
  'a disk is cloned: same size, same bytes; both ends guarded; a source in use only with --live',
  { skip },
  async (t) => {
    if (!['sgdisk', 'mke2fs', 'e2fsck'].every((program) => have(t, program))) return
    const mounts: string[] = []
    t.after(() => mounts.forEach((point) => spawnSync('umount', [point])))
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    const source = loopDevice(t, emptyFile(at('source'), 64 * mebibyte))
    run('mke2fs', '-q', '-t', 'ext4', source)
    const target = loopDevice(t, emptyFile(at('target'), 64 * mebibyte))
    const options = { yes: true, confirm: '64M', allowNoTable: true }
    const phases: string[] = []
    const onProgress = ({ phase }: Progress): void => {
      if (phases.at(-1) !== phase) phases.push(phase)
    }
    const result = await clone(source, target, { ...options, onProgress })
    assert.deepEqual(
      [result.verified, result.live, result.source.path, result.target.path],
      [true, false, source, target],
    )
    assert.deepEqual(phases, ['write', 'flush', 'verify', 'flush'])
    assert.ok(fs.readFileSync(at('target')).equals(fs.readFileSync(at('source'))))
    assert.equal(await codeOf(clone(source, source, options)), 'refused E_SAME_DEVICE')
    assert.equal(await codeOf(clone(at('source'), target, options)), 'usage E_NOT_A_DEVICE')

    const point = at('mounted')
    fs.mkdirSync(point)
    run('mount', source, point)
    mounts.push(point)
    fs.writeFileSync(join(point, 'file'), 'x'.repeat(mebibyte))
    run('sync', '-f', point)
    assert.equal(await codeOf(clone(source, target, options)), 'refused E_SOURCE_IN_USE')
    assert.equal(
      await codeOf(
        clone(source, target, {
          ...options,
          unmount: true,
          allowHeld: true,
          allowSwap: true,
          allowSystemDisk: true,
          allowSourceOnTarget: true,
          fit: true,
        }),
      ),
      'refused E_SOURCE_IN_USE',
    )
    // It changes while it is read: what was read is what is compared.
    let written = 0
    const live = await clone(source, target, {
      ...options,
      live: true,
      onProgress: ({ phase }) => {
        if (phase === 'verify' || written++ > 3) return
        fs.writeFileSync(join(point, `meanwhile-${written}`), 'y'.repeat(mebibyte))
        run('sync', '-f', point)
      },
    })
    assert.deepEqual([live.verified, live.live], [true, true])
    assert.ok(live.notes.some(({ code, message }) => code === 'W_CRASH_CONSISTENT' && /crash-consistent/.test(message)))
    assert.ok(written > 0)
    // The mounted one is never the target of a clone.
    assert.equal(await codeOf(clone(target, source, options)), 'refused E_MOUNTED')
    run('mount', '-o', 'remount,ro', source, point)
    const still = await clone(source, target, { ...options, live: true })
    assert.deepEqual([still.live, still.verified], [false, true])
    assert.ok(fs.readFileSync(at('target')).equals(fs.readFileSync(at('source'))))
  },
)

test('a target that became another disk after it was judged is not written', { skip }, async (t) => {
  const folder = testFolder(t)
  const file = emptyFile(join(folder, 'disk'), 48 * mebibyte)
  const device = loopDevice(t, file)
  const image = fixture('partitioned-disk.vhdx')
  const options: RestoreOptions = { yes: true, confirm: '48M' }
  const changes: readonly [string, (found: FoundDevice) => FoundDevice][] = [
    ['serial', (found) => withSerial(found, 'ANOTHER')],
    ['sequence', (found) => ({ ...found, disk: { ...found.disk, sequence: 1 } })],
    ['size', (found) => ({ ...found, disk: { ...found.disk, size: 47 * mebibyte } })],
    ['number', (found) => ({ ...found, disk: { ...found.disk, deviceNumber: '8:0' } })],
  ]
  for (const [what, change] of changes) {
    // As it is judged, and as it is when it was opened; the record of the image is not asked for.
    assert.equal(
      await codeOf(
        restore(image, device, {
          ...options,
          platform: changed((found, asked) => (asked === 0 ? found : change(found))),
        }),
      ),
      'refused E_TARGET_CHANGED',
      what,
    )
  }
  // What was opened is not what the system speaks of.
  assert.equal(
    await codeOf(
      restore(image, device, {
        ...options,
        platform: changed((found) => ({ ...found, disk: { ...found.disk, deviceNumber: '8:0' } })),
      }),
    ),
    'refused E_TARGET_CHANGED',
  )
  assert.ok(fs.readFileSync(file).every((byte) => byte === 0))
})

test('confirmation: the name of a disk, the serial of a system disk, and nothing else', { skip }, async (t) => {
  const folder = testFolder(t)
  const file = emptyFile(join(folder, 'disk'), 48 * mebibyte)
  const device = loopDevice(t, file)
  const image = fixture('partitioned-disk.vhdx')
  const name = device.slice('/dev/'.length)
  const plain = changed((found) => withSerial(found, 'S6PX'))
  const system = changed((found) => ({
    ...withSerial(found, 'S6PX'),
    disk: { ...found.disk, serial: 'S6PX', system: ['holds /home'] },
  }))
  let asked: ConfirmationQuestion | undefined
  const ask =
    (answer: string | undefined) =>
    (question: ConfirmationQuestion): Promise<string | undefined> => {
      asked = question
      return Promise.resolve(answer)
    }
  for (const answer of [undefined, '', 'yes', 'y', 'S6PX', '48M', `${name}1`, name.toUpperCase()]) {
    assert.equal(
      await codeOf(restore(image, device, { platform: plain, ask: ask(answer) })),
      'refused E_NOT_CONFIRMED',
      String(answer),
    )
  }
  for (const answer of [undefined, name, device, 'yes', '48M', 's6px']) {
    assert.equal(
      await codeOf(restore(image, device, { platform: system, allowSystemDisk: true, ask: ask(answer) })),
      'refused E_NOT_CONFIRMED',
      String(answer),
    )
  }
  assert.deepEqual([asked?.expected, asked?.what], ['S6PX', 'serial'])
  for (const [platform, confirm] of [
    [plain, 'S6PY'],
    [plain, name],
    [plain, '47M'],
    [system, '48M'],
    [system, String(48 * mebibyte)],
    [system, name],
  ] as const) {
    assert.equal(
      await codeOf(restore(image, device, { platform, allowSystemDisk: true, yes: true, confirm })),
      'refused E_WRONG_CONFIRMATION',
      confirm,
    )
  }
  // The flag for the system disk does not confirm it, and the serial is not the flag.
  assert.equal(
    await codeOf(restore(image, device, { platform: system, yes: true, confirm: 'S6PX' })),
    'refused E_SYSTEM_DISK',
  )
  assert.ok(fs.readFileSync(file).every((byte) => byte === 0))
  assert.equal(await codeOf(restore(image, device, { platform: plain, ask: ask(` ${name}\n`) })), 'done')
  assert.equal(await codeOf(restore(image, device, { platform: plain, yes: true, confirm: 'S6PX' })), 'done')
  assert.equal(
    await codeOf(restore(image, device, { platform: system, allowSystemDisk: true, yes: true, confirm: 'S6PX' })),
    'done',
  )
  assert.equal(
    await codeOf(restore(image, device, { platform: system, allowSystemDisk: true, ask: ask('S6PX') })),
    'done',
  )
})

test('on a terminal the disk is shown, and its name typed', { skip }, (t) => {
  if (!have(t, 'script')) return
  const folder = testFolder(t)
  const file = emptyFile(join(folder, 'disk'), 48 * mebibyte)
  const device = loopDevice(t, file)
  const image = fixture('partitioned-disk.vhdx')
  const name = device.slice('/dev/'.length)
  const typing = (text: string): { status: number | null; stdout: string } => {
    const command = [process.execPath, join(root, 'bin/run.js'), 'restore', image, device, '--progress', 'none']
      .map((word) => `'${word}'`)
      .join(' ')
    // What is typed before the question is thrown away, and a line that comes at once is a paste: neither is an answer.
    const [shown, until] = [
      join(folder, `${text}.txt`),
      (what: string) => `until grep -q '${what}' '${shown}'; do sleep 0.1; done`,
    ]
    const keys = `${until('to go on:')}; printf ${text}; ${until(`to go on: ${text}`)}; echo; sleep 1`
    fs.writeFileSync(shown, '')
    return spawnSync('sh', ['-c', `(${keys}) | timeout 300 script -qfec "${command}" '${shown}'`], {
      encoding: 'utf8',
      env: { ...process.env, TERM: 'dumb' },
    })
  }
  const wrong = typing('sda')
  assert.equal(wrong.status, 3, wrong.stdout)
  for (const shown of [
    device,
    file,
    '48 MiB (50,331,648',
    'everything on this disk will be lost',
    'source (only read)',
    '(the whole disk, 40 MiB)',
    `target (overwritten)  disk ${device}`,
    `Type the name ${name}`,
    `sda is not the name of ${device}`,
  ])
    assert.ok(wrong.stdout.includes(shown), `${shown}: ${wrong.stdout}`)
  assert.ok(fs.readFileSync(file).every((byte) => byte === 0))
  const right = typing(name)
  assert.equal(right.status, 0, right.stdout)
  assert.match(right.stdout, /Restored/)
})

test('the record of an image reports whether the target is the disk it was made of', { skip }, async (t) => {
  const folder = testFolder(t)
  const device = loopDevice(t, emptyFile(join(folder, 'disk'), 48 * mebibyte))
  const image = join(folder, 'disk.vhdx')
  await convert(fixture('partitioned-disk.vhdx'), image)
  const platform = changed((found) => withSerial(found, 'S6PX'))
  const options: RestoreOptions = { platform, dryRun: true }
  assert.equal((await restore(image, device, options)).origin, undefined)
  const record = (serial: string | undefined, size: number): void => {
    writeImageRecord(image, {
      tool: { name: 'vdisk', version: '0.1.0' },
      started: '2026-11-22T10:00:00.000Z',
      ended: '2026-11-22T10:05:00.000Z',
      source: {
        kind: 'disk',
        path: '/dev/sdq',
        size,
        logicalSectorSize: 512,
        physicalSectorSize: 512,
        serial,
      },
      consistency: { state: 'cold', why: 'nothing used it' },
      image: { name: 'disk.vhdx', format: 'vhdx', subformat: 'dynamic', capacity: size },
      digests: { algorithm: 'tree1', disk: { start: 0, length: size, digest: '00'.repeat(32) }, partitions: [] },
      usedOnly: false,
      unreadable: { bytes: 0 },
    })
  }
  record('S6PX', 48 * mebibyte)
  const same = await restore(image, device, options)
  assert.deepEqual(
    [same.origin?.verdict, same.origin?.message],
    ['same', 'this is the disk the image was made of (/dev/sdq, 2026-11-22)'],
  )
  record('OTHER', 48 * mebibyte)
  const other = await restore(image, device, options)
  assert.deepEqual(
    [other.origin?.verdict, other.origin?.differences],
    ['other', ['its serial number is S6PX, and was OTHER']],
  )
  record(undefined, 48 * mebibyte)
  assert.equal((await restore(image, device, options)).origin?.verdict, 'unknown')
  record(undefined, 40 * mebibyte)
  assert.equal((await restore(image, device, options)).origin?.verdict, 'other')
  // The program that is asked reads it too; a broken record is reported, and stops nothing.
  let reported: string | undefined
  record('S6PX', 48 * mebibyte)
  await codeOf(
    restore(image, device, { platform, ask: (question) => Promise.resolve(((reported = question.origin), 'no')) }),
  )
  assert.match(reported ?? '', /^this is the disk/)
  fs.writeFileSync(`${image}.vdisk.json`, '{"schema":"vdisk.image-record"')
  const broken = await restore(image, device, options)
  assert.ok(broken.notes.some(({ code }) => code === 'W_RECORD'))
  assert.equal((await vdisk(['restore', image, device, '--yes', '--confirm', '48M'], { cwd: folder })).code, 0)
})

test(
  'a partition of a disk is a source by its number, which the system need not show: bytes, clashes, and who uses it',
  { skip },
  async (t) => {
    if (!have(t, 'sfdisk') || !have(t, 'mke2fs')) return
    const mounts: string[] = []
    t.after(() => mounts.forEach((each) => spawnSync('umount', [each])))
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    const file = emptyFile(at('disk'), 32 * mebibyte)
    const made = spawnSync('sfdisk', ['-q', file], {
      input: 'label: gpt\nstart=2048,size=16384,name=one\nstart=20480,size=16384,name=two\n',
      encoding: 'utf8',
    })
    assert.equal(made.status, 0, made.stderr)
    const [one, two] = [mebibyte, 10 * mebibyte]
    run('mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-E', `offset=${one}`, file, '8M')
    run('mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-E', `offset=${two}`, file, '8M')
    const content = fs.readFileSync(file)
    const disk = loopDevice(t, file)
    const slice = (start: number): string =>
      loopDevice(t, file, 512, '--offset', String(start), '--sizelimit', String(8 * mebibyte))
    const options = { yes: true, confirm: '8M', allowHeld: true, allowNoTable: true } as const

    // The bytes of the partition, whichever way it is named, onto a device that has nothing to do with it.
    for (const name of ['@1', '@label=one']) {
      const target = loopDevice(t, emptyFile(at(`target${name}`), 8 * mebibyte))
      const result = await clone(`${disk}${name}`, target, options)
      assert.deepEqual([result.verified, result.source.path], [true, `${disk}${name}`])
      assert.ok(fs.readFileSync(at(`target${name}`)).equals(content.subarray(one, one + 8 * mebibyte)), name)
    }
    // Its own bytes under another name, and the disk that it is on, are no target; the other partition is one.
    const [first, second] = [slice(one), slice(two)]
    for (const target of [first, disk])
      assert.match(
        await codeOf(clone(`${disk}@1`, target, { ...options, confirm: undefined, dryRun: true })),
        /^refused E_(SOURCE_ON_TARGET|SAME_DEVICE)$/,
        target,
      )
    assert.equal(await codeOf(clone(`${disk}@1`, second, { ...options, dryRun: true })), 'done')
    assert.equal(await codeOf(clone(`${disk}@2`, first, { ...options, dryRun: true })), 'done')
    assert.ok(fs.readFileSync(file).equals(content))
    // Mounted under another name it is in use; its neighbour is not.
    const point = at('point')
    fs.mkdirSync(point)
    run('mount', first, point)
    mounts.push(point)
    const free = loopDevice(t, emptyFile(at('free'), 8 * mebibyte))
    assert.equal(await codeOf(clone(`${disk}@1`, free, options)), 'refused E_SOURCE_IN_USE')
    assert.equal(await codeOf(clone(`${disk}@2`, free, options)), 'done')
    assert.equal(await codeOf(clone(`${disk}@2`, first, { ...options, dryRun: true })), 'refused E_MOUNTED')
    assert.equal(await codeOf(clone(`${disk}@3`, free, options)), 'usage E_NO_PARTITION')
    const live = await clone(`${disk}@1`, free, { ...options, live: true })
    assert.ok(live.live)
  },
)
