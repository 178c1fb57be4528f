import { ToolOutput } from '../tool-output.js'
import { failureOf, NoSnapshot, type Origin, type RunCommand, type SnapshotPlan, type SystemCommand } from './plan.js'

/** By which snapshots of vdisk are known. */
const tag = 'vdisk_snapshot'

/** lvmreport(7); one row for each volume. */
const fields = [
  'vg_name',
  'lv_name',
  'lv_attr',
  'lv_size',
  'origin',
  'vg_free',
  'vg_extent_size',
  'lv_kernel_major',
  'lv_kernel_minor',
  'lv_tags',
]
const list: SystemCommand = ['lvs', '--reportformat', 'json', '--units', 'b', '--nosuffix', '-o', fields.join(',')]

/** Names of LVM: lvm(8), "Valid names". */
const validName = /^(?!-)[A-Za-z0-9+_.-]{1,127}$/

/** A volume of LVM. Sizes are bytes. */
interface Volume {
  readonly group: string
  readonly name: string
  /** lvs(8), "Notes". */
  readonly attributes: string
  readonly size: number
  readonly origin: string | undefined
  /** Of the group. */
  readonly free: number
  readonly extent: number
  readonly deviceNumber: string
  readonly tags: readonly string[]
}

/**
 * The plan of a snapshot of a volume of LVM. The kernel's device mapper holds a filesystem that is mounted from the
 * volume still while the snapshot is made (dmsetup(8), "suspend").
 * @param name of the snapshot, without its group.
 */
export async function lvmPlan(origin: Origin, name: string, run: RunCommand): Promise<SnapshotPlan | NoSnapshot> {
  const [program, ...parameters] = list
  const answer = await run(program, parameters)
  if (answer.code !== 0) return new NoSnapshot(failureOf(list, answer))
  const volumes = volumesOf(answer.stdout)
  if (volumes === undefined) return new NoSnapshot('what lvs printed cannot be understood')
  const volume = volumes.find(({ deviceNumber }) => deviceNumber === origin.deviceNumber)
  return volume === undefined ? new NoSnapshot('it is no volume of LVM') : planOf(volume, volumes, origin, name)
}

function planOf(volume: Volume, volumes: readonly Volume[], { path }: Origin, name: string): SnapshotPlan | NoSnapshot {
  const { group, attributes } = volume
  const full = `${group}/${volume.name}`
  const kind = attributes[0] ?? ''
  if ('sS'.includes(kind)) return new NoSnapshot(`${full} is a snapshot itself: it does not change, read it as it is`)
  const isThin = kind === 'V'
  const size = isThin ? 0 : roomFor(volume)
  if (!isThin && size === 0)
    return new NoSnapshot(`the volume group ${group} has no free space for what changes while it is read`)
  const own = `${group}/${name}`
  const look: SystemCommand = ['lvs', '--reportformat', 'json', '-o', 'lv_attr', own]
  return {
    kind: 'lvm',
    origin: `the LVM volume ${full}`,
    parts: [
      {
        name: `the snapshot ${own}`,
        make: [
          'lvcreate',
          '--yes',
          '--snapshot',
          '--permission',
          'r',
          // A thin one is not shown to the system otherwise.
          ...(isThin ? ['--setactivationskip', 'n'] : ['--size', `${size}b`]),
          '--addtag',
          tag,
          '--name',
          name,
          full,
        ],
        remove: () => ['lvremove', '--yes', own],
        look: () => look,
        absent: /failed to find logical volume|not found/i,
      },
    ],
    // A btrfs has no one device in the kernel's eyes: it is not held.
    holds: ({ device, filesystem }) => device === path && filesystem !== 'btrfs',
    pathOf: () => `/dev/${group}/${name}`,
    health: isThin ? undefined : { ask: look, isWhole },
    leftovers: volumes
      .filter((each) => each.group === group && each.origin === volume.name && each.tags.includes(tag))
      .map((each) => `${group}/${each.name}`),
  }
}

/**
 * Bytes for what the origin holds where it changes meanwhile: all of it can change, and a fifth of what is free stays
 * free.
 */
function roomFor({ size, free, extent }: Volume): number {
  const wanted = Math.ceil(size / extent) * extent
  const most = Math.floor((free * 0.8) / extent) * extent
  return Math.min(wanted, most === 0 && free >= extent ? extent : most)
}

/** Undefined when the text is no such report. */
function volumesOf(text: string): Volume[] | undefined {
  const report = parsed(text)
  return report?.list('report').flatMap((each) => each.list('lv').flatMap((row) => volumeOf(row) ?? []))
}

function parsed(text: string): ToolOutput | undefined {
  try {
    return new ToolOutput(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** What is not as it should be is left out: it is no volume that can be named. */
function volumeOf(row: ToolOutput): Volume | undefined {
  const [group, name] = [row.text('vg_name') ?? '', row.text('lv_name') ?? '']
  const [size, free, extent] = [bytes(row, 'lv_size'), bytes(row, 'vg_free'), bytes(row, 'vg_extent_size')]
  if (!validName.test(group) || !validName.test(name)) return undefined
  if (size === undefined || free === undefined || extent === undefined || extent === 0) return undefined
  return {
    group,
    name,
    attributes: row.text('lv_attr') ?? '',
    size,
    origin: row.text('origin'),
    free,
    extent,
    // -1 where it is not active: no device has that.
    deviceNumber: `${row.text('lv_kernel_major') ?? ''}:${row.text('lv_kernel_minor') ?? ''}`,
    tags: (row.text('lv_tags') ?? '').split(','),
  }
}

function bytes(row: ToolOutput, name: string): number | undefined {
  const text = row.text(name) ?? ''
  const value = Number(text)
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(value) ? value : undefined
}

/** The fifth of the attributes is `I` or `S` where the snapshot has lost what the origin was. */
function isWhole(printed: string): boolean {
  const row = parsed(printed)?.list('report')[0]?.list('lv')[0]
  const state = row?.text('lv_attr')?.[4]
  return state !== undefined && !'IS'.includes(state)
}
