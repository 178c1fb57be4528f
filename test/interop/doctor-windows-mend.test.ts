/** What doctor mends in Windows: read back by hivex, reged and ntfs-3g, and started by nothing that was not there. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { doctor } from '../../src/operations/doctor/doctor.js'
import { convertPartitionTable } from '../../src/operations/partition/convert.js'
import { mendGuest, type MendResult } from '../../src/operations/doctor/mending/mend.js'
import { fixTable } from '../../src/operations/partition/fix.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { dirty, hiveBytes, newLog, newLogEntry } from '../support/hive-bytes.js'
import { hivexFacts, type HiveFacts } from '../support/hive-facts.js'
import { have, run, scratch } from '../support/tools.js'
import {
  bcdObject,
  bootManager,
  entryId,
  hivePaths,
  ids,
  markDirty,
  mounted,
  otherGuid,
  otherSignature,
  partitionElement,
  starts,
  systemHive,
  windowsDisk,
  windowsSpec,
  type WindowsSpec,
} from '../support/windows-guest.js'

const MiB = 1048576

function tools(t: TestContext): boolean {
  const programs = [
    'sgdisk',
    'sfdisk',
    'mkfs.ntfs',
    'ntfs-3g',
    'ntfscp',
    'ntfscat',
    'ntfsfix',
    'fusermount3',
    'mkfs.vfat',
  ]
  return [...programs, 'mcopy', 'mtype', 'fsck.fat', 'hivexget', 'hivexregedit', 'reged'].every((tool) => have(t, tool))
}

type Scheme = 'gpt' | 'mbr'

/** A hive of a disk as ntfs-3g and mtools read it, after both filesystems were checked. */
function soundHive(at: (name: string) => string, disk: string, scheme: Scheme, path: string): string {
  const bytes = fs.readFileSync(disk)
  const start = scheme === 'gpt' ? starts.windows : starts.mbr
  fs.writeFileSync(at('own.part'), bytes.subarray(start, start + 16 * MiB))
  run('ntfsfix', '-n', at('own.part'))
  const hive = at('hive')
  if (path === hivePaths.efiStore) {
    fs.writeFileSync(at('esp.part'), bytes.subarray(starts.esp, starts.esp + 8 * MiB))
    run('fsck.fat', '-n', at('esp.part'))
    fs.rmSync(hive, { force: true })
    run('mcopy', '-i', at('esp.part'), `::${path}`, hive)
  } else fs.writeFileSync(hive, spawnSync('ntfscat', [at('own.part'), path]).stdout)
  return hive
}

const said = ({ findings, notLooked }: MendResult): string => JSON.stringify({ findings, notLooked })
const mendedIds = ({ mend }: MendResult): string[] => mend.mended.map(({ id }) => id)

/** Names of values of the services' start, by reged. */
function regedStart(at: (name: string) => string, hive: string, key: string): string {
  fs.rmSync(at('out.reg'), { force: true })
  spawnSync('reged', ['-x', hive, 'HKEY_LOCAL_MACHINE\\SYSTEM', key, at('out.reg')], { encoding: 'utf8' })
  return fs.readFileSync(at('out.reg'), 'latin1')
}

/** Whether two hives differ in nothing but these values. */
function assertOnly(
  before: HiveFacts,
  after: HiveFacts,
  changes: Readonly<Record<string, Readonly<Record<string, string>>>>,
) {
  const wanted = Object.fromEntries(
    Object.entries(before).map(([key, values]) => [key, { ...values, ...changes[key] }] as const),
  )
  assert.deepEqual(after, wanted)
}

test('drivers that are installed start at boot, and nothing else in the hive is another', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const scheme of ['gpt', 'mbr'] as const) {
    const spec = windowsSpec(scheme)
    spec.services['vmbus'] = { start: 3 }
    spec.services['storvsc'] = { start: 3, override: 3 }
    const disk = windowsDisk(at, spec, scheme)
    const platform = scheme === 'gpt' ? 'azure-gen2' : 'azure-gen1'
    assert.equal((await doctor(disk, { for: platform })).verdict, 'mendable')
    const before = hivexFacts(soundHive(at, disk, scheme, hivePaths.system))
    const original = fs.readFileSync(at('hive'))
    const result = await mendGuest(disk, { for: platform, output: at(`${scheme}.raw`) })
    assert.deepEqual(mendedIds(result), ['W-DRIVER-OFF'], said(result))
    assert.equal(result.verdict, 'ready', said(result))
    const hive = soundHive(at, at(`${scheme}.raw`), scheme, hivePaths.system)
    const services = '\\ControlSet001\\Services'
    assertOnly(before, hivexFacts(hive), {
      [`${services}\\vmbus`]: { Start: '4:00000000' },
      [`${services}\\storvsc`]: { Start: '4:00000000' },
      [`${services}\\storvsc\\StartOverride`]: { '0': '4:00000000' },
    })
    for (const name of ['vmbus', 'storvsc']) {
      assert.equal(run('hivexget', hive, `${services}\\${name}`, 'Start').trim(), '0')
      assert.match(regedStart(at, hive, `ControlSet001\\Services\\${name}`), /"Start"=dword:00000000/)
    }
    // The base block, its checksum and its sequence numbers.
    assert.ok(fs.readFileSync(hive).subarray(0, 4096).equals(original.subarray(0, 4096)))
    assert.ok(result.mend.ranges.every(({ old, new: now, length }) => old.length === now.length && length <= 4))
  }
})

test('drivers of further controllers that are installed start at boot too', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const spec = windowsSpec('gpt')
  spec.services['VMTools'] = { start: 2 }
  const disk = windowsDisk(at, spec, 'gpt')
  const result = await mendGuest(disk, { for: 'vmware', inPlace: true })
  assert.deepEqual(mendedIds(result), ['W-CONTROLLER'], said(result))
  assert.deepEqual(result.findings, [])
  const hive = soundHive(at, disk, 'gpt', hivePaths.system)
  assert.equal(run('hivexget', hive, '\\ControlSet001\\Services\\LSI_SAS', 'Start').trim(), '0')
})

/** What a boot store and MountedDevices are to say of a partition. */
interface Names {
  readonly element: Buffer
  readonly manager: Buffer
  readonly letter: Buffer
}

function namesOf(disk: string, scheme: Scheme): Names {
  if (scheme === 'mbr') {
    const signature = fs.readFileSync(disk).readUInt32LE(440).toString(16).padStart(8, '0')
    const element = partitionElement({ signature, start: starts.mbr })
    return { element, manager: element, letter: mounted({ signature, start: starts.mbr }) }
  }
  const guid = (text: string, label: string): string =>
    (new RegExp(`${label}: ([0-9A-F-]{36})`).exec(text)?.[1] ?? '').toLowerCase()
  const whole = guid(run('sgdisk', '-p', disk), 'Disk identifier \\(GUID\\)')
  const part = (number: number): string => guid(run('sgdisk', '-i', String(number), disk), 'Partition unique GUID')
  return {
    element: partitionElement({ partition: part(2), disk: whole }),
    manager: partitionElement({ partition: part(1), disk: whole }),
    letter: mounted(part(2)),
  }
}

const binary = (bytes: Buffer): string => `3:${bytes.toString('hex')}`

test('after new ids the boot store and the drive letters follow, whatever the table', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const scheme of ['gpt', 'mbr'] as const) {
    const spec = windowsSpec(scheme)
    // Another disk's partition, and one of this disk that is gone: nothing is known of them.
    const foreign = scheme === 'gpt' ? mounted(otherGuid) : mounted({ signature: otherSignature, start: starts.mbr })
    spec.mounted['\\DosDevices\\E:'] = foreign
    const disk = windowsDisk(at, spec, scheme)
    assert.equal((await doctor(disk)).verdict, 'ready')
    const store = scheme === 'gpt' ? hivePaths.efiStore : hivePaths.biosStore
    const old = {
      store: hivexFacts(soundHive(at, disk, scheme, store)),
      system: hivexFacts(soundHive(at, disk, scheme, hivePaths.system)),
    }
    const clone = at(`${scheme}-clone.raw`)
    await fixTable(disk, { newIds: true, output: clone })
    assert.notDeepEqual(namesOf(clone, scheme), namesOf(disk, scheme))
    const found = await doctor(clone)
    assert.deepEqual(
      found.findings.map(({ id, severity }) => `${severity} ${id}`),
      ['blocks W-BCD-ABSENT', 'risk W-MOUNTED'],
      JSON.stringify(found.findings),
    )
    assert.equal(found.verdict, 'mendable')
    const result = await mendGuest(clone, { inPlace: true })
    assert.deepEqual(mendedIds(result), ['W-BCD-ABSENT', 'W-MOUNTED'], said(result))
    assert.equal(result.verdict, 'ready', said(result))
    assert.deepEqual(result.findings, [])
    const { element, manager, letter } = namesOf(clone, scheme)
    const entry = `\\Objects\\${entryId}\\Elements`
    assertOnly(old.store, hivexFacts(soundHive(at, clone, scheme, store)), {
      [`\\Objects\\${bootManager}\\Elements\\11000001`]: { Element: binary(manager) },
      [`${entry}\\11000001`]: { Element: binary(element) },
      [`${entry}\\21000001`]: { Element: binary(element) },
    })
    assertOnly(old.system, hivexFacts(soundHive(at, clone, scheme, hivePaths.system)), {
      '\\MountedDevices': Object.fromEntries(
        Object.keys(spec.mounted)
          .filter((name) => name !== '\\DosDevices\\E:')
          .map((name) => [name, binary(letter)]),
      ),
    })
  }
})

test('after another kind of table the boot store and drive letters follow: values move to free cells', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const scheme of ['mbr', 'gpt'] as const) {
    const other = scheme === 'mbr' ? 'gpt' : 'mbr'
    const disk = windowsDisk(at, windowsSpec(scheme), scheme)
    const store = scheme === 'gpt' ? hivePaths.efiStore : hivePaths.biosStore
    const old = {
      store: hivexFacts(soundHive(at, disk, scheme, store)),
      system: hivexFacts(soundHive(at, disk, scheme, hivePaths.system)),
    }
    const converted = at(`${other}.raw`)
    await convertPartitionTable(disk, converted, { table: other })
    const result = await mendGuest(converted, { inPlace: true })
    assert.deepEqual(mendedIds(result), ['W-BCD-ABSENT', 'W-MOUNTED'], said(result))
    // Windows starts by UEFI from both, by BIOS from an MBR alone.
    assert.deepEqual(
      result.findings.map(({ id }) => id),
      scheme === 'gpt' ? [] : ['F-NO-LOADER'],
      said(result),
    )
    const { element, manager, letter } = otherNames(converted, scheme)
    const entry = `\\Objects\\${entryId}\\Elements`
    assertOnly(old.store, hivexFacts(soundHive(at, converted, scheme, store)), {
      [`\\Objects\\${bootManager}\\Elements\\11000001`]: { Element: binary(manager) },
      [`${entry}\\11000001`]: { Element: binary(element) },
      [`${entry}\\21000001`]: { Element: binary(element) },
    })
    const hive = soundHive(at, converted, scheme, hivePaths.system)
    assertOnly(old.system, hivexFacts(hive), {
      '\\MountedDevices': Object.fromEntries(
        Object.keys(windowsSpec(scheme).mounted).map((name) => [name, binary(letter)]),
      ),
    })
    assert.match(regedStart(at, hive, 'MountedDevices'), /DosDevices/)
  }
})

/** What names the partitions of a disk whose table was of the kind `scheme`. */
function otherNames(disk: string, scheme: Scheme): Names {
  if (scheme === 'mbr') {
    const number = (pattern: RegExp, text: string): string => (pattern.exec(text)?.[1] ?? '').toLowerCase()
    const whole = number(/Disk identifier \(GUID\): (\S+)/, run('sgdisk', '-p', disk))
    const partition = number(/Partition unique GUID: (\S+)/, run('sgdisk', '-i', '1', disk))
    const element = partitionElement({ partition, disk: whole })
    return { element, manager: element, letter: mounted(partition) }
  }
  const signature = fs.readFileSync(disk).readUInt32LE(440).toString(16).padStart(8, '0')
  const at = (start: number): Buffer => partitionElement({ signature, start })
  return { element: at(starts.windows), manager: at(starts.esp), letter: mounted({ signature, start: starts.windows }) }
}

test('a VHDX is mended in place; what is not certain about other disks stays', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const spec = windowsSpec('gpt')
  const lost = partitionElement({ partition: otherGuid, disk: otherGuid })
  spec.store = {
    ...spec.store,
    device: lost,
    osDevice: lost,
    others: {
      '{b0000000-0000-4000-8000-00000000000b}': bcdObject(0x10200003, {
        '21000001': [3, partitionElement({ signature: otherSignature, start: 4096 })],
      }),
    },
  }
  const image = at('server.vhdx')
  await convert(windowsDisk(at, spec, 'gpt'), image, { to: 'vhdx' })
  const before = fs.readFileSync(image)
  const draft = await mendGuest(image, { inPlace: true, dryRun: true })
  assert.deepEqual(mendedIds(draft), ['W-BCD-ABSENT'], said(draft))
  assert.ok(fs.readFileSync(image).equals(before))
  const result = await mendGuest(image, { inPlace: true })
  assert.equal(result.verdict, 'ready')
  assert.deepEqual(
    result.findings.map(({ id, severity }) => `${severity} ${id}`),
    ['note W-BCD-ABSENT'],
  )
  await convert(image, at('read.raw'), { to: 'raw' })
  const facts = hivexFacts(soundHive(at, at('read.raw'), 'gpt', hivePaths.efiStore))
  assert.equal(
    facts[`\\Objects\\${entryId}\\Elements\\21000001`]?.['Element'],
    binary(partitionElement({ partition: ids.windows, disk: ids.disk })),
  )
})

test('a registry that is dirty or damaged, and a volume that is dirty or asleep, are left as they are', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const off = (spec: WindowsSpec): void => {
    spec.services['storvsc'] = { start: 3 }
  }
  const cases: readonly (readonly [string, (spec: WindowsSpec) => void, ((disk: string) => void)?])[] = [
    [
      'a dirty hive with its log',
      (spec) => {
        const before = hiveBytes(systemHive(spec))
        const after = hiveBytes(systemHive({ ...spec, cpu: 'ARM64' }))
        spec.files[hivePaths.system] = dirty(before)
        spec.files[`${hivePaths.system}.LOG1`] = newLog(before, 2, [newLogEntry(before, after, 2)])
      },
    ],
    ['a dirty hive', (spec) => void (spec.files[hivePaths.system] = dirty(hiveBytes(systemHive(spec))))],
    [
      'a hive with a damaged bin',
      (spec) => {
        const bytes = hiveBytes(systemHive(spec))
        const last = bytes.lastIndexOf('hbin', bytes.length, 'latin1')
        assert.ok(last > 4096)
        bytes.writeUInt32LE(12345, last + 8)
        spec.files[hivePaths.system] = bytes
      },
    ],
    ['a system that sleeps', (spec) => void (spec.files['/hiberfil.sys'] = Buffer.from('HIBR'.padEnd(4096, '\0')))],
    ['a dirty volume', () => undefined, markDirty],
  ]
  for (const [name, change, spoil] of cases) {
    const spec = windowsSpec('gpt')
    off(spec)
    change(spec)
    const disk = windowsDisk(at, spec, 'gpt')
    spoil?.(disk)
    const result = await mendGuest(disk, { for: 'azure-gen2', output: at('mended.raw') })
    assert.deepEqual(mendedIds(result), [], `${name}: ${said(result)}`)
    assert.equal(result.verdict, 'blocked', name)
    assert.equal(result.findings.find(({ id }) => id === 'W-DRIVER-OFF')?.remedy.kind, 'inside-guest', name)
    assert.equal(fs.existsSync(at('mended.raw')), false, name)
  }
})
