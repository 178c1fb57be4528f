import { corrupt, type ImageError } from '../../errors.js'
import { parseText, type TextSection } from './text.js'

const sector = 512
const mostVolumes = 65536
const mostSegments = 1024 * 1024

/** A run of extents of a logical volume. */
export interface LogicalSegment {
  readonly start: number
  readonly count: number
  /** As LVM names it: `striped` (also what is linear), `thin`, `raid1` … */
  readonly type: string
  /** Of `striped`: sectors of a stripe, and where each of them begins: the volume's name in the text, an extent. */
  readonly stripeSize: number
  readonly stripes: readonly { readonly physical: string; readonly extent: number }[]
}

export interface LogicalVolume {
  readonly name: string
  /** Whether it is meant to be used, not a part of another one. */
  readonly isVisible: boolean
  readonly segments: readonly LogicalSegment[]
  /** Bytes. */
  readonly size: number
  /** What it is, where it can be read only together with others: `thin`, `snapshot`, `raid1`; undefined: it can. */
  readonly unread: string | undefined
}

/** What the metadata of a volume group says. */
export interface VolumeGroup {
  readonly name: string
  /** It goes up with every change: of several copies the highest counts. */
  readonly sequence: number
  /** Bytes. */
  readonly extentSize: number
  /** By their names in the text: their UUIDs, and the byte where extent 0 begins. */
  readonly physical: ReadonlyMap<string, { readonly uuid: string; readonly start: number; readonly extents: number }>
  readonly volumes: readonly LogicalVolume[]
}

/** @throws ImageError corrupt E_FS_CORRUPT. */
export function readGroup(text: string): VolumeGroup {
  const whole = parseText(text)
  const found = [...whole.sections].find(([, section]) => section.sections.has('physical_volumes'))
  if (found === undefined) throw wrong('its metadata names no volume group')
  const [name, group] = found
  const extentSectors = needed(group.count('extent_size'), 'the size of an extent')
  const extentSize = extentSectors * sector
  if (extentSectors === 0 || !Number.isSafeInteger(extentSize * 2 ** 20))
    throw wrong(`an extent is said to have ${extentSectors} sectors`)
  const volumes = [...(group.sections.get('logical_volumes')?.sections ?? [])]
  if (volumes.length > mostVolumes) throw wrong(`it is said to have ${volumes.length} logical volumes`)
  return {
    name,
    sequence: needed(group.count('seqno'), 'the sequence number'),
    extentSize,
    physical: new Map(
      [...(group.sections.get('physical_volumes')?.sections ?? [])].map(([key, section]) => [
        key,
        {
          uuid: section.text('id') ?? '',
          start: needed(section.count('pe_start'), 'the start of a physical volume') * sector,
          extents: needed(section.count('pe_count'), 'the length of a physical volume'),
        },
      ]),
    ),
    volumes: logicalVolumes(volumes, extentSize),
  }
}

function logicalVolumes(sections: readonly (readonly [string, TextSection])[], extentSize: number): LogicalVolume[] {
  // The store of a snapshot is a volume of its own in the text, and holds no disk.
  const snapshots = new Set<string>()
  const volumes = sections.map(([name, section]) => {
    const segments = segmentsOf(section, snapshots)
    const size = segments.reduce((sum, { count }) => sum + count, 0) * extentSize
    if (!Number.isSafeInteger(size)) throw wrong(`the logical volume ${name} is said to have ${size} bytes`)
    return { name, segments, size, isVisible: section.list('status').includes('VISIBLE') }
  })
  return volumes.map((volume): LogicalVolume => {
    const { name, segments } = volume
    const other = segments.find(({ type }) => type !== 'striped')?.type
    return { ...volume, unread: snapshots.has(name) ? 'snapshot' : other }
  })
}

function segmentsOf(volume: TextSection, snapshots: Set<string>): LogicalSegment[] {
  const segments: LogicalSegment[] = []
  for (const [name, section] of volume.sections) {
    if (!/^segment\d+$/.test(name)) continue
    if (segments.length >= mostSegments) throw wrong('a logical volume has too many segments')
    const store = section.text('cow_store') ?? section.text('merging_store')
    if (store !== undefined) snapshots.add(store)
    const list = section.list('stripes')
    const stripes = Array.from({ length: Math.floor(list.length / 2) }, (_, index) => {
      const [physical, extent] = [list[index * 2], list[index * 2 + 1]]
      if (typeof physical !== 'string' || typeof extent !== 'number' || !Number.isSafeInteger(extent) || extent < 0)
        throw wrong('a stripe has no place')
      return { physical, extent }
    })
    segments.push({
      start: needed(section.count('start_extent'), 'the start of a segment'),
      count: needed(section.count('extent_count'), 'the length of a segment'),
      type: section.text('type') ?? 'unknown',
      stripeSize: section.count('stripe_size') ?? 0,
      stripes,
    })
  }
  segments.sort((one, other) => one.start - other.start)
  let end = 0
  for (const { start, count } of segments) {
    if (start !== end || count === 0) throw wrong('the segments of a logical volume do not follow each other')
    end = start + count
  }
  return segments
}

function needed(value: number | undefined, what: string): number {
  if (value === undefined) throw wrong(`its metadata does not say ${what}`)
  return value
}

function wrong(message: string): ImageError {
  return corrupt('E_FS_CORRUPT', `the metadata of LVM2 is damaged: ${message}`)
}
