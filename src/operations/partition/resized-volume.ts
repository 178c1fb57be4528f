import { PaddedSource } from '../../block/padded.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { isImageError, refused } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { Filesystem } from '../../filesystem/types.js'
import { readPartitionTable } from '../../partition/index.js'

/** What a disk or volume is no more at another size, because its metadata is looked for at the end. */
export interface ResizedVolume {
  /** What it would no longer be known as: `Linux RAID 1.0`. Empty: nothing. */
  readonly lost: readonly string[]
  /** What it would be taken for instead. */
  readonly instead: readonly string[]
  /** What stays what it is and still changes, in sentences. */
  readonly notes: readonly Note[]
}

/** Asks what a disk or volume is now, and what it would be with another capacity, in bytes. */
export function resizedVolume(source: BlockSource, capacity: number): ResizedVolume {
  if (capacity === source.capacity || capacity <= 0) return { lost: [], instead: [], notes: [] }
  const other = capacity > source.capacity ? new PaddedSource(source, capacity) : new SliceSource(source, 0, capacity)
  const before = wholeVolumes(source)
  const after = identifyFilesystems(other)
  const missing = before.filter(({ type }) => !after.some((found) => found.type === type))
  const lost = [
    ...missing.filter(({ kind }) => kind === 'container').map(titleOf),
    ...geomLabel(source),
    ...(capacity < source.capacity ? ldmDatabase(source, capacity) : []),
  ]
  return {
    lost,
    instead:
      lost.length === 0 ? [] : after.filter(({ type }) => !before.some((found) => found.type === type)).map(titleOf),
    notes: [...fewerMarks(before, after), ...ldmNotes(source, capacity)],
  }
}

/** For people: why a member is none at another size. Undefined: nothing is lost. */
function lossText(name: string, source: BlockSource, capacity: number, where: string): string | undefined {
  const { lost, instead } = resizedVolume(source, capacity)
  if (lost.length === 0) return undefined
  return (
    `${name} holds ${lost.join(' and ')}, whose metadata is found from its end, and ${where} has ${capacity} bytes ` +
    `instead of ${source.capacity}: it would be no member there, and systems would take what the member holds ` +
    (instead.length === 0 ? 'for a disk of its own' : `for what it looks like (${instead.join(', ')})`)
  )
}

/** @throws ImageError refused E_MISPLACED_METADATA when what is written is a member at its own size only. */
export function guardMember(name: string, source: BlockSource, capacity: number, where: string): void {
  const text = lossText(name, source, capacity, where)
  if (text !== undefined)
    throw refused('E_MISPLACED_METADATA', text, {
      hint:
        `Take it out of the array first, or keep its size of ${source.capacity} bytes. ` +
        `--allow-misplaced-metadata goes on as it is.`,
    })
}

/** The same as a warning, where nothing that exists is lost: the source stays as it is. */
export function lossNotes(name: string, source: BlockSource, capacity: number, where: string): Note[] {
  const text = lossText(name, source, capacity, where)
  return [
    ...(text === undefined ? [] : [{ code: 'W_MISPLACED_METADATA', message: text }]),
    ...resizedVolume(source, capacity).notes,
  ]
}

function titleOf({ title, version }: Filesystem): string {
  return version === undefined || title.includes(version) ? title : `${title} ${version}`
}

/** What the whole is. What lies at the end of the last partition and is found in there is that partition's. */
function wholeVolumes(source: BlockSource): readonly Filesystem[] {
  const found = identifyFilesystems(source)
  if (found.length === 0) return found
  const { partitions } = readPartitionTable(source)
  return found.filter(({ type, marks = [] }) => {
    const part = partitions.find(({ start, length }) =>
      marks.some((mark) => mark.offset >= start && mark.offset + mark.length <= start + length),
    )
    if (part === undefined || part.start === 0 || part.start + part.length > source.capacity) return true
    const inside = identifyFilesystems(new SliceSource(source, part.start, part.length))
    return !inside.some((filesystem) => filesystem.type === type)
  })
}

/** Labels at the end of what stays the same, because others of them lie at the start (ZFS). */
function fewerMarks(before: readonly Filesystem[], after: readonly Filesystem[]): Note[] {
  return before.flatMap(({ type, title, marks = [] }) => {
    const left = after.find((found) => found.type === type)?.marks?.length
    return left === undefined || left >= marks.length
      ? []
      : [
          {
            code: 'W_METADATA_AT_END',
            message:
              `${title} keeps ${left} of its ${marks.length} labels: the others are looked for at the ` +
              `end of the volume`,
          },
        ]
  })
}

function sectorAt(source: BlockSource, offset: number): Buffer | undefined {
  if (offset < 0 || offset + 512 > source.capacity) return undefined
  const bytes = Buffer.alloc(512)
  try {
    source.read(offset, bytes)
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
  return bytes
}

/** FreeBSD keeps what a provider belongs to (mirror, encryption, label) in its last sector. */
function geomLabel(source: BlockSource): string[] {
  const text = sectorAt(source, source.capacity - 512)?.toString('latin1', 0, 16) ?? ''
  const [, kind] = /^GEOM::([A-Z0-9]{2,10})\0*$/.exec(text) ?? []
  return kind === undefined ? [] : [`FreeBSD GEOM ${kind}`]
}

/**
 * Where the database of a dynamic disk lies, in bytes: PRIVHEAD, in the sixth sector, says it (Linux,
 * block/partitions/ldm.c). On a disk with an MBR it takes the last MiB.
 */
function ldmPlace(source: BlockSource): { readonly start: number; readonly end: number } | undefined {
  const bytes = sectorAt(source, 6 * 512)
  if (bytes?.toString('latin1', 0, 8) !== 'PRIVHEAD') return undefined
  const start = bytes.readBigUInt64BE(0x12b)
  const end = start + bytes.readBigUInt64BE(0x133)
  return end * 512n > BigInt(Number.MAX_SAFE_INTEGER)
    ? undefined
    : { start: Number(start) * 512, end: Number(end) * 512 }
}

function ldmDatabase(source: BlockSource, capacity: number): string[] {
  const place = ldmPlace(source)
  return place !== undefined && place.end > capacity ? ['the database of a dynamic disk (LDM)'] : []
}

function ldmNotes(source: BlockSource, capacity: number): Note[] {
  const place = ldmPlace(source)
  if (place === undefined || capacity <= source.capacity) return []
  return [
    {
      code: 'W_METADATA_AT_END',
      message:
        `it is a dynamic disk (LDM), whose database stays at byte ${place.start}: what the larger disk has behind it ` +
        'cannot be used by the dynamic disk',
    },
  ]
}
