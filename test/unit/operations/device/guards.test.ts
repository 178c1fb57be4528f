import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Disk, DiskPartition } from '../../../../src/device/types.js'
import { isImageError } from '../../../../src/errors.js'
import { guardTarget, overrideFlags } from '../../../../src/operations/device/guards.js'
import type {
  ContentFacts,
  GuardName,
  TargetFacts,
  TargetOverrides,
} from '../../../../src/operations/device/target-facts.js'
import { recordedLinux } from '../../../support/recording.js'

const gibibyte = 1073741824

const first: DiskPartition = {
  name: 'sdx1',
  path: '/dev/sdx1',
  deviceNumber: '8:161',
  number: 1,
  start: 1048576,
  size: gibibyte,
  readOnly: false,
  uses: [],
}
const second: DiskPartition = {
  ...first,
  name: 'sdx2',
  path: '/dev/sdx2',
  deviceNumber: '8:162',
  number: 2,
  start: gibibyte + 1048576,
}
const disk: Disk = {
  kind: 'disk',
  name: 'sdx',
  path: '/dev/sdx',
  deviceNumber: '8:160',
  sequence: 7,
  size: 8 * gibibyte,
  serial: 'S1',
  removable: false,
  readOnly: false,
  rotational: false,
  discards: true,
  logicalSectorSize: 512,
  physicalSectorSize: 4096,
  slaves: [],
  uses: [],
  partitions: [first, second],
  system: [],
}
const content: ContentFacts = {
  name: 'server.vhdx',
  capacity: 4 * gibibyte,
  scheme: 'gpt',
  tableSectorSize: 512,
  isPartition: false,
}
const good: TargetFacts = {
  disk,
  place: { disks: ['sdx'], through: ['sdx'], elsewhere: [], unknown: [] },
  sourcePlace: { disks: ['sda'], through: ['dm-0', 'sda'], elsewhere: [], unknown: [] },
  sourceDevices: ['8:1'],
  content,
}

const everything: Required<TargetOverrides> = {
  allowSystemDisk: true,
  unmount: true,
  allowHeld: true,
  allowSwap: true,
  clearReadOnly: true,
  allowSourceOnTarget: true,
  fit: true,
  allowSectorSize: true,
  allowNoTable: true,
  allowTableLoss: true,
  allowMisplacedMetadata: true,
}
const all = Object.keys(everything) as (keyof TargetOverrides)[]

interface Case {
  readonly title: string
  readonly facts: TargetFacts
  readonly guard: GuardName
  readonly code: string
  readonly override?: keyof TargetOverrides
  readonly says: RegExp
  readonly codeWithAll?: string
}
const on = (changes: Partial<Disk>): TargetFacts => ({ ...good, disk: { ...disk, ...changes } })
const held = (role: 'LVM' | 'LUKS' | 'RAID' | 'loop'): TargetFacts =>
  on({ partitions: [first, { ...second, uses: [{ kind: 'holder', name: 'dm-3', title: 'above', role }] }] })
const volume = { ...content, scheme: 'none' as const, isPartition: true, capacity: gibibyte }

const cases: readonly Case[] = [
  {
    title: 'a disk of the running system',
    facts: on({ system: ['holds /home'] }),
    guard: 'system',
    code: 'E_SYSTEM_DISK',
    override: 'allowSystemDisk',
    says: /sdx holds \/home/,
  },
  {
    title: 'a mounted disk',
    facts: on({ uses: [{ kind: 'mount', point: '/mnt', filesystem: 'ext4', readOnly: false }] }),
    guard: 'mounted',
    code: 'E_MOUNTED',
    override: 'unmount',
    says: /sdx is mounted at \/mnt/,
  },
  {
    title: 'a disk with a mounted partition',
    facts: on({
      partitions: [{ ...first, uses: [{ kind: 'mount', point: '/mnt', filesystem: 'ext4', readOnly: true }] }],
    }),
    guard: 'mounted',
    code: 'E_MOUNTED',
    override: 'unmount',
    says: /sdx1 is mounted at \/mnt \(ext4, read-only\)/,
  },
  ...(['LVM', 'LUKS', 'RAID', 'loop'] as const).map((role): Case => ({
    title: `a disk held by ${role}`,
    facts: held(role),
    guard: 'held',
    code: 'E_HELD',
    override: 'allowHeld',
    says: new RegExp(`sdx2 is held by above \\(${role}, dm-3\\)`),
  })),
  {
    title: 'swap space in use',
    facts: on({ partitions: [first, { ...second, uses: [{ kind: 'swap' }] }] }),
    guard: 'swap',
    code: 'E_SWAP',
    override: 'allowSwap',
    says: /sdx2 is swap space in use/,
  },
  {
    title: 'a read-only disk',
    facts: on({ readOnly: true }),
    guard: 'read-only',
    code: 'E_READ_ONLY_DISK',
    override: 'clearReadOnly',
    says: /sdx is read-only/,
  },
  {
    title: 'a read-only partition',
    facts: { ...good, partition: { ...first, readOnly: true }, content: volume },
    guard: 'read-only',
    code: 'E_READ_ONLY_DISK',
    override: 'clearReadOnly',
    says: /sdx1 is read-only/,
  },
  {
    title: 'what is read lies on the disk',
    facts: {
      ...good,
      sourcePlace: { disks: ['sdx'], through: ['sdx'], elsewhere: [], unknown: [] },
      sourceDevices: ['8:161'],
    },
    guard: 'source',
    code: 'E_SOURCE_ON_TARGET',
    override: 'allowSourceOnTarget',
    says: /server\.vhdx, which is read, lies on \/dev\/sdx/,
  },
  {
    title: 'what is read lies on a volume of the disk',
    facts: {
      ...good,
      sourcePlace: { disks: ['sda', 'sdx'], through: ['dm-0', 'sda', 'sdx'], elsewhere: [], unknown: [] },
      sourceDevices: ['253:0'],
    },
    guard: 'source',
    code: 'E_SOURCE_ON_TARGET',
    override: 'allowSourceOnTarget',
    says: /lies on \/dev\/sdx/,
  },
  {
    title: 'the volume lies on the disk that is read',
    facts: {
      ...good,
      disk: { ...disk, kind: 'mapped', name: 'dm-0', path: '/dev/dm-0', deviceNumber: '253:0', partitions: [] },
      place: { disks: ['sdb'], through: ['dm-0', 'sdb'], elsewhere: [], unknown: [] },
      sourceDisk: 'sdb',
      sourcePlace: { disks: ['sdb'], through: ['sdb'], elsewhere: [], unknown: [] },
      sourceDevices: ['8:16'],
    },
    guard: 'source',
    code: 'E_SOURCE_ON_TARGET',
    override: 'allowSourceOnTarget',
    says: /\/dev\/dm-0 lies on sdb, which is read/,
  },
  {
    title: 'the file behind the loop device is read',
    facts: { ...good, targetIsSource: true },
    guard: 'source',
    code: 'E_SAME_DEVICE',
    says: /read from \/dev\/sdx itself/,
  },
  {
    title: 'the disk itself is read',
    facts: { ...good, sourceDevices: ['8:160'], sourceDisk: 'sdx' },
    guard: 'source',
    code: 'E_SAME_DEVICE',
    says: /read from \/dev\/sdx itself/,
  },
  {
    title: 'too small, and can be fitted',
    facts: { ...good, content: { ...content, capacity: 9 * gibibyte, fitting: { fits: true } } },
    guard: 'size',
    code: 'E_TARGET_TOO_SMALL',
    override: 'fit',
    says: /1073741824 too few/,
  },
  {
    title: 'too small',
    facts: {
      ...good,
      content: {
        ...content,
        capacity: 9 * gibibyte,
        fitting: { fits: false, why: 'partition 2 ends at byte 9000000000' },
      },
    },
    guard: 'size',
    code: 'E_TARGET_TOO_SMALL',
    codeWithAll: 'E_DOES_NOT_FIT',
    says: /partition 2 ends at byte 9000000000/,
  },
  {
    title: 'a table of other sectors',
    facts: on({ logicalSectorSize: 4096 }),
    guard: 'sector-size',
    code: 'E_SECTOR_MISFIT',
    override: 'allowSectorSize',
    says: /sectors of 512 bytes, and \/dev\/sdx has sectors of 4096/,
  },
  {
    title: 'a partition to a disk',
    facts: { ...good, content: volume },
    guard: 'shape',
    code: 'E_PARTITION_TO_DISK',
    override: 'allowNoTable',
    says: /is a partition, and \/dev\/sdx is a whole disk/,
  },
  {
    title: 'a RAID member with its superblock at the end, and a larger target',
    facts: { ...good, content: { ...content, atEnd: 'Linux RAID 1.0' } },
    guard: 'metadata',
    code: 'E_MISPLACED_METADATA',
    override: 'allowMisplacedMetadata',
    says: /Linux RAID 1\.0, whose metadata is found from its end/,
  },
  {
    title: 'a part of the partition table inside the target',
    facts: {
      ...good,
      partition: first,
      content: { ...volume, capacity: 1 },
      tableInside: ['the extended boot record of partition 6 (byte 4096)'],
    },
    guard: 'table',
    code: 'E_TABLE_IN_PARTITION',
    override: 'allowTableLoss',
    says: /boot record of partition 6 .* lies inside \/dev\/sdx1/,
  },
  {
    title: 'a filesystem to a disk',
    facts: { ...good, content: { ...volume, isPartition: false } },
    guard: 'shape',
    code: 'E_PARTITION_TO_DISK',
    override: 'allowNoTable',
    says: /no disk with a partition table/,
  },
  {
    title: 'a disk to a partition',
    facts: { ...good, partition: first, content: { ...content, capacity: gibibyte } },
    guard: 'shape',
    code: 'E_DISK_TO_PARTITION',
    says: /is a whole disk with a partition table, and \/dev\/sdx1 is a partition/,
  },
  {
    title: 'no medium',
    facts: on({ size: 0, partitions: [] }),
    guard: 'medium',
    code: 'E_NO_MEDIUM',
    says: /has no medium/,
  },
  { title: 'memory', facts: on({ kind: 'ram' }), guard: 'kind', code: 'E_DEVICE_KIND', says: /memory/ },
  { title: 'an optical disc', facts: on({ kind: 'optical' }), guard: 'kind', code: 'E_DEVICE_KIND', says: /optical/ },
]

function refusal(
  facts: TargetFacts,
  overrides: TargetOverrides,
): { code: string; message: string; guards: unknown; hint: string } {
  try {
    guardTarget(facts, overrides)
  } catch (error) {
    assert.ok(isImageError(error))
    assert.equal(error.kind, 'refused')
    return { code: error.code, message: error.message, guards: error.details['guards'], hint: error.hint ?? '' }
  }
  assert.fail('no guard refused')
}

describe('each guard refuses, and only its own override passes it', () => {
  for (const { title, facts, guard, code, override, says, codeWithAll } of cases) {
    test(title, () => {
      const plain = refusal(facts, {})
      assert.deepEqual([plain.code, plain.guards], [code, guard])
      assert.match(plain.message, says)
      // All the others together do not help.
      const others = Object.fromEntries(all.filter((name) => name !== override).map((name) => [name, true]))
      assert.equal(refusal(facts, others).code, codeWithAll ?? code)
      if (override === undefined) {
        assert.match(plain.hint, /No flag overrides this/)
        return
      }
      assert.ok(plain.hint.includes(overrideFlags[override]), plain.hint)
      const { passed } = guardTarget(facts, { [override]: true })
      assert.deepEqual(
        passed.filter(({ overridden }) => overridden).map((pass) => pass.guard),
        [guard],
      )
    })
  }
})

test('every override belongs to exactly one guard', () => {
  const guards = new Map<string, Set<string>>()
  for (const { guard, override } of cases)
    if (override !== undefined) guards.set(override, (guards.get(override) ?? new Set()).add(guard))
  assert.deepEqual([...guards.keys()].sort(), [...all].sort())
  for (const [override, names] of guards) assert.equal(names.size, 1, override)
})

test('a RAID member whose superblock is found from the end keeps its size', () => {
  const facts: TargetFacts = { ...good, content: { ...content, atEnd: 'Linux RAID 1.0' } }
  const found = refusal(facts, {})
  assert.equal(found.code, 'E_MISPLACED_METADATA')
  assert.match(found.message, /Linux RAID 1\.0/)
  const same = { ...facts, content: { ...facts.content, capacity: disk.size } }
  assert.ok(guardTarget(same).passed.every(({ overridden }) => !overridden))
})

test('a target is refused for its bytes: under another name, locked, or kept by the system', () => {
  const piece = (of: string, how: 'exact' | 'mapped' | 'filed', start = 0, end = 100) => ({ of, how, start, end })
  const trail = (...pieces: ReturnType<typeof piece>[]) => ({ pieces, through: new Set<string>(), unknown: [] })
  const target = trail(piece('device 8:160', 'exact'))
  const of = (more: Partial<TargetFacts>): string => refusal({ ...good, trail: target, ...more }, {}).code
  for (const how of ['exact', 'mapped', 'filed'] as const)
    assert.equal(of({ sourceTrail: trail(piece('device 8:160', how, 50, 60)) }), 'E_SOURCE_ON_TARGET', how)
  assert.doesNotThrow(() =>
    guardTarget({ ...good, trail: target, sourceTrail: trail(piece('device 8:160', 'exact', 100, 200)) }),
  )
  const at = { point: '/m', filesystem: 'ext4', readOnly: false }
  assert.equal(
    of({ holders: [{ kind: 'mount', reason: 'loop3 is mounted', device: 'loop3', mount: at }] }),
    'E_MOUNTED',
  )
  assert.equal(of({ holders: [{ kind: 'device', reason: 'loop3 is attached', device: 'loop3' }] }), 'E_HELD')
  assert.equal(of({ holders: [{ kind: 'lock', reason: 'locked' }] }), 'E_LOCKED')
  assert.equal(of({ busy: true }), 'E_DEVICE_BUSY')
})

test('a good target passes every guard, and none was overridden', () => {
  const { passed, notes } = guardTarget(good)
  assert.deepEqual(
    passed.map(({ guard }) => guard),
    [
      'medium',
      'kind',
      'read-only',
      'system',
      'source',
      'mounted',
      'held',
      'swap',
      'locked',
      'shape',
      'size',
      'sector-size',
      'table',
      'metadata',
      'busy',
    ],
  )
  assert.ok(passed.every(({ overridden }) => !overridden))
  assert.deepEqual(notes, [])
})

test('devices are distinguished by number, never by the beginning of a name', () => {
  // sdx is not sdxa, sdx1 is not sdx11.
  const other: TargetFacts = {
    ...good,
    partition: first,
    content: volume,
    sourcePlace: { disks: ['sdxa'], through: ['sdxa'], elsewhere: [], unknown: [] },
    sourceDevices: ['65:1'],
  }
  guardTarget(other)
  const neighbour = {
    ...disk,
    partitions: [
      first,
      {
        ...second,
        name: 'sdx11',
        path: '/dev/sdx11',
        uses: [{ kind: 'mount', point: '/mnt', filesystem: 'ext4', readOnly: false } as const],
      },
    ],
  }
  guardTarget({ ...good, disk: neighbour, partition: first, content: volume })
})

test('a partition is written while another one of its disk is read', () => {
  const beside: TargetFacts = {
    ...good,
    partition: first,
    content: volume,
    sourcePlace: { disks: ['sdx'], through: ['sdx'], elsewhere: [], unknown: [] },
    sourceDevices: ['8:162'],
  }
  guardTarget(beside)
  // What lies on a volume over the disk may lie on this partition too.
  assert.equal(refusal({ ...beside, sourceDevices: ['253:0'] }, {}).code, 'E_SOURCE_ON_TARGET')
  assert.equal(refusal({ ...beside, sourceDevices: ['8:161'] }, {}).code, 'E_SOURCE_ON_TARGET')
  // The same of partitions that are themselves read.
  guardTarget({ ...beside, sourceDisk: 'sdx' })
  assert.equal(refusal({ ...beside, sourceDisk: 'sdx', sourceDevices: ['8:161'] }, {}).code, 'E_SAME_DEVICE')
  assert.equal(refusal({ ...beside, sourceDisk: 'sdx', sourceDevices: ['8:160'] }, {}).code, 'E_SOURCE_ON_TARGET')
})

test('several guards at once: all are named, and each wants its own word', () => {
  const facts: TargetFacts = {
    ...good,
    disk: {
      ...disk,
      system: ['holds /'],
      logicalSectorSize: 4096,
      uses: [{ kind: 'mount', point: '/', filesystem: 'ext4', readOnly: false }],
    },
  }
  const { code, message, guards } = refusal(facts, {})
  assert.deepEqual([code, guards], ['E_SYSTEM_DISK', 'system,mounted,sector-size'])
  for (const part of [/holds \//, /mounted at \//, /sectors of 4096/]) assert.match(message, part)
  assert.equal(refusal(facts, { allowSystemDisk: true }).guards, 'mounted,sector-size')
  guardTarget(facts, { allowSystemDisk: true, unmount: true, allowSectorSize: true })
})

test('what is not known of the place of the source is reported', () => {
  const { notes } = guardTarget({
    ...good,
    sourcePlace: { disks: [], elsewhere: [], unknown: ['the overlay at / does not name its folders'] },
  })
  assert.deepEqual(
    notes.map(({ code }) => code),
    ['W_PLACE_UNKNOWN'],
  )
})

test('the disks of a recorded system', () => {
  const platform = recordedLinux()
  const facts = (
    path: string,
    source: string,
    sourceDevices: readonly string[],
    more: Partial<ContentFacts> = {},
  ): TargetFacts => {
    const found = platform.find(path)
    const isPartition = found.partition !== undefined
    return {
      ...found,
      place: platform.place(path),
      sourcePlace: platform.place(source),
      sourceDevices,
      content: {
        ...content,
        capacity: 1048576,
        tableSectorSize: found.disk.logicalSectorSize === 4096 ? 4096 : 512,
        isPartition,
        scheme: isPartition ? 'none' : 'gpt',
        ...more,
      },
    }
  }
  const guards = (path: string, source: string, overrides: TargetOverrides = {}, devices = ['0:1']): unknown => {
    try {
      return guardTarget(facts(path, source, devices), overrides)
        .passed.filter(({ overridden }) => overridden)
        .map(({ guard }) => guard)
        .join(',')
    } catch (error) {
      assert.ok(isImageError(error))
      return `${error.code}: ${String(error.details['guards'])}`
    }
  }
  assert.equal(guards('/dev/sda', '/w/us/a.vhdx'), 'E_SYSTEM_DISK: system,held,swap')
  assert.equal(guards('/dev/sda', '/w/us/a.vhdx', { allowSystemDisk: true }), 'E_HELD: held,swap')
  assert.equal(guards('/dev/sda', '/w/us/a.vhdx', { allowSystemDisk: true, allowHeld: true }), 'E_SWAP: swap')
  assert.equal(
    guards('/dev/sda', '/w/us/a.vhdx', { allowSystemDisk: true, allowHeld: true, allowSwap: true }),
    'system,held,swap',
  )
  // The image's own disk: through LVM, LUKS and RAID too.
  assert.equal(
    guards('/dev/sda', '/w/lv/a.vhdx', { allowSystemDisk: true, allowHeld: true, allowSwap: true }),
    'E_SOURCE_ON_TARGET: source',
  )
  assert.equal(
    guards('/dev/sda', '/w/lk/a.vhdx', { allowSystemDisk: true, allowHeld: true, allowSwap: true }),
    'E_SOURCE_ON_TARGET: source',
  )
  assert.equal(guards('/dev/vda', '/w/md/a.vhdx', { allowHeld: true }), 'E_SOURCE_ON_TARGET: source')
  assert.equal(guards('/dev/vda', '/w/us/a.vhdx'), 'E_HELD: held')
  assert.equal(guards('/dev/dm-1', '/w/lv/a.vhdx'), 'E_MOUNTED: mounted')
  assert.equal(guards('/dev/nvme0n1', '/w/us/a.vhdx'), 'E_MOUNTED: mounted')
  assert.equal(guards('/dev/nvme0n1', '/w/us/a.vhdx', { unmount: true }), 'mounted')
  assert.equal(guards('/dev/nvme0n1', '/w/nv/a.vhdx', { unmount: true }), 'E_SOURCE_ON_TARGET: source')
  assert.equal(guards('/dev/sdb', '/w/us/a.vhdx'), 'E_READ_ONLY_DISK: read-only')
  assert.equal(guards('/dev/sdc', '/w/nv/a.vhdx'), 'E_MOUNTED: mounted')
})
