import { hex32 } from '../../binary/hex.js'
import { viewOf } from '../../binary/integers.js'
import type { BlockSource, Fact } from '../../block/types.js'
import { setUuid, secondsText } from '../labels.js'
import type { Filesystem, FilesystemFamily, FilesystemIssue } from '../types.js'
import { bytesAt } from '../volume-reader.js'
import { openArray } from './member.js'
import { magic, version0, version1 } from './structs.js'

const mostDevices = 384

const levels: Readonly<Record<number, string>> = {
  0xffffffff: 'linear',
  0xfffffffc: 'multipath',
  0: 'RAID 0',
  1: 'RAID 1',
  4: 'RAID 4',
  5: 'RAID 5',
  6: 'RAID 6',
  10: 'RAID 10',
}

/** Members of Linux software RAID. Two of the four places lie at the volume's end. */
export const mdraid: FilesystemFamily = {
  id: 'mdraid',
  identify: (volume) => {
    const end = volume.capacity
    const places: readonly (readonly [string, number])[] = [
      ['1.1', 0],
      ['1.2', 4096],
      ['1.0', end - (end % 4096) - 0x2000],
    ]
    for (const [version, position] of places) {
      const found = recent(volume, version, position)
      if (found !== undefined) return [found]
    }
    return old(volume, end - (end % 65536) - 65536)
  },
}

function recent(volume: BlockSource, version: string, position: number): Filesystem | undefined {
  const bytes = bytesAt(volume, position, version1.size)
  if (bytes === undefined) return undefined
  const values = version1.read(bytes)
  // The superblock says where it lies: else it belongs to something else.
  if (values.magic !== magic || values.major !== 1 || values.superOffset !== BigInt(position) / 512n) return undefined
  const issues: FilesystemIssue[] = checksumHolds(volume, position, values)
    ? []
    : [{ code: 'E_FS_CHECKSUM', severity: 'error', message: 'the checksum of the mdraid superblock is wrong' }]
  const facts: Fact[] = [
    ...common(values.level, values.disks, Number(values.created % 2n ** 40n)),
    { name: 'deviceUuid', label: 'device UUID', value: values.device },
    { name: 'dataOffset', value: values.dataOffset * 512n, unit: 'bytes' },
    { name: 'events', value: values.events, unit: 'count' },
  ]
  const id = setUuid(values.uuid)
  return {
    type: 'linux_raid_member',
    title: 'Linux RAID',
    kind: 'container',
    version,
    state: 'unknown',
    facts,
    issues,
    ...(values.name === '' ? {} : { label: values.name }),
    uuid: id,
    openContent: (others) => openArray(volume, others, levels[values.level] ?? String(values.level)),
    marks: [{ offset: position, length: Math.min(4096, volume.capacity - position) }],
  }
}

function common(level: number, disks: number, created: number): Fact[] {
  const time = secondsText(created)
  return [
    { name: 'level', value: levels[level] ?? String(level) },
    { name: 'disks', value: disks, unit: 'count' },
    ...(time === undefined ? [] : [{ name: 'created', value: time }]),
  ]
}

/** The sum of all words, with its own zero, folded to 32 bits. */
function checksumHolds(
  volume: BlockSource,
  position: number,
  { checksum, maximumDevices }: { readonly checksum: number; readonly maximumDevices: number },
): boolean {
  const length = version1.size + maximumDevices * 2
  const bytes = maximumDevices > mostDevices ? undefined : bytesAt(volume, position, length)
  if (bytes === undefined) return false
  const view = viewOf(version1.without('checksum', bytes, length))
  let sum = 0
  let at = 0
  for (; at + 4 <= length; at += 4) sum += view.getUint32(at, true)
  if (at < length) sum += view.getUint16(at, true)
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32 === checksum
}

function old(volume: BlockSource, position: number): Filesystem[] {
  const bytes = bytesAt(volume, position, version0.size)
  if (bytes === undefined) return []
  const { uuid0, uuid1, uuid2, uuid3, level, disks, created, ...values } = version0.read(bytes)
  if (values.magic !== magic || values.major !== 0 || values.minor !== 90) return []
  const words = [uuid0, uuid1, uuid2, uuid3].map((word) => hex32(word)).join('')
  return [
    {
      type: 'linux_raid_member',
      title: 'Linux RAID',
      kind: 'container',
      version: `${values.major}.${values.minor}.${values.patch}`,
      state: 'unknown',
      issues: [],
      uuid: words.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
      facts: common(level, disks, created),
      openContent: (others) => openArray(volume, others, levels[level] ?? String(level)),
      marks: [{ offset: position, length: 4096 }],
    },
  ]
}
