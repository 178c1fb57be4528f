import { ConcatenatedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import { StripedSource } from '../../block/striped.js'
import type { BlockSource } from '../../block/types.js'
import { reference, unsupported, usage } from '../../errors.js'
import { damaged } from '../damage.js'
import { readGroup, type LogicalSegment, type LogicalVolume, type VolumeGroup } from '../../binary/lvm2/group.js'
import { readLabel } from './label.js'

const sector = 512

/** A volume group, with the physical volumes of it that are at hand. */
export interface OpenGroup extends VolumeGroup {
  /** By UUID. */
  readonly sources: ReadonlyMap<string, BlockSource>
}

/**
 * The volume groups whose physical volumes are among some volumes; of several copies of a group's metadata the latest
 * counts. @throws ImageError corrupt E_FS_CORRUPT.
 */
export function volumeGroups(volumes: readonly BlockSource[]): OpenGroup[] {
  const sources = new Map<string, BlockSource>()
  const groups = new Map<string, VolumeGroup>()
  for (const volume of volumes) {
    const found = readLabel(volume)
    if (found === undefined) continue
    sources.set(found.uuid, volume)
    if (found.text === undefined) continue
    const group = readGroup(found.text)
    const known = groups.get(group.name)
    if (known === undefined || known.sequence < group.sequence) groups.set(group.name, group)
  }
  return [...groups.values()].map((group) => ({ ...group, sources }))
}

/** `vg/lv` of what can be read. */
export function volumeNames(groups: readonly VolumeGroup[]): string[] {
  return groups.flatMap(({ name, volumes }) =>
    volumes
      .filter(({ isVisible, unread }) => isVisible && unread === undefined)
      .map((volume) => `${name}/${volume.name}`),
  )
}

/** Of volumes that hold no disk of their own, but what others are made of. */
const pools = ['thin-pool', 'cache-pool', 'vdo-pool']

/** The volumes that cannot be read, and of which kind they are. */
export function unreadVolumes(groups: readonly VolumeGroup[]): { readonly name: string; readonly kind: string }[] {
  return groups.flatMap(({ name, volumes }) =>
    volumes.flatMap(({ name: volume, isVisible, unread }) =>
      isVisible && unread !== undefined && !pools.includes(unread) ? [{ name: `${name}/${volume}`, kind: unread }] : [],
    ),
  )
}

/**
 * A logical volume as a disk of its own; nothing is copied. Closing it leaves its physical volumes open.
 * @param wanted `vg/lv`. @param disk what messages call the disk it lies on. @throws ImageError usage E_NO_VOLUME;
 * unsupported E_FS_FEATURE (thin, raid …); reference E_MISSING_MEMBER; corrupt E_FS_CORRUPT.
 */
export function openLogicalVolume(groups: readonly OpenGroup[], wanted: string, disk: string): BlockSource {
  const [groupName, name] = wanted.split('/')
  const group = groups.find((one) => one.name === groupName)
  const volume = group?.volumes.find((one) => one.name === name)
  // A snapshot is not marked as visible.
  if (group === undefined || volume === undefined || (!volume.isVisible && volume.unread === undefined)) {
    const known = volumeNames(groups)
    throw usage('E_NO_VOLUME', `${disk} has no logical volume ${wanted}`, {
      hint: known.length === 0 ? 'No logical volume in it can be read.' : `It has ${known.join(', ')}.`,
    })
  }
  if (volume.unread !== undefined)
    throw unsupported(
      'E_FS_FEATURE',
      `the logical volume ${wanted} is of the kind ${volume.unread}: only linear and striped ones are read`,
      { hint: 'Start the system that it belongs to, and copy it there.' },
    )
  return new ConcatenatedSource(
    volume.segments.map((segment) => segmentSource(group, volume, segment)),
    512,
  )
}

function segmentSource(
  group: OpenGroup,
  volume: LogicalVolume,
  { stripes, count, stripeSize }: LogicalSegment,
): BlockSource {
  if (stripes.length === 0 || count % stripes.length !== 0)
    throw damaged('LVM2', `a segment of ${volume.name} has ${count} extents in ${stripes.length} stripes`)
  const extents = count / stripes.length
  const pieces = stripes.map(({ physical, extent }) => physicalPart(group, volume.name, physical, extent, extents))
  const [first] = pieces
  if (first !== undefined && pieces.length === 1) return first
  const stripe = stripeSize * sector
  if (stripe === 0 || (extents * group.extentSize) % stripe !== 0)
    throw damaged('LVM2', `a segment of ${volume.name} has stripes of ${stripeSize} sectors`)
  return new StripedSource(pieces, stripe, 512)
}

function physicalPart(group: OpenGroup, name: string, physical: string, extent: number, extents: number): BlockSource {
  const found = group.physical.get(physical)
  if (found === undefined)
    throw damaged('LVM2', `${name} is said to lie on ${physical}, which is no physical volume of ${group.name}`)
  const source = group.sources.get(found.uuid)
  if (source === undefined)
    throw reference(
      'E_MISSING_MEMBER',
      `the logical volume ${group.name}/${name} lies partly on the physical volume ${found.uuid}, which is not on ` +
        'this disk',
      { hint: 'A volume group over several disks cannot be read from one of them.' },
    )
  const start = found.start + extent * group.extentSize
  const length = extents * group.extentSize
  if (extent + extents > found.extents || start + length > source.capacity)
    throw damaged('LVM2', `${name} is said to have ${extents} extents from extent ${extent} of ${physical} on`)
  return new SliceSource(source, start, length)
}
