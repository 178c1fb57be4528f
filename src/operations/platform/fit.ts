import { roundUp } from '../../binary/integers.js'
import { patchedSource } from '../../block/concatenated.js'
import type { BlockSource, Note } from '../../block/types.js'
import { refused } from '../../errors.js'
import { planMendFor, readPartitionTable, type PartitionTable } from '../../partition/index.js'
import type { Platform, PlatformLimit } from '../../platforms/index.js'
import { shellWord } from '../../sys/shell-word.js'

/** A disk as a platform takes it. */
export interface PlatformDisk {
  readonly disk: BlockSource
  /** What was changed of its partition table, in the present; empty: nothing. */
  readonly mends: readonly string[]
  readonly notes: readonly Note[]
}

export interface FitRequest {
  readonly platform: Platform
  /** As the user named the source. */
  readonly name: string
  /** Of the new image. */
  readonly sectorSize: 512 | 4096
  /** The capacity that the target's format gives a disk, in bytes. */
  readonly given: (capacity: number) => number
}

/**
 * Rounds the size of a disk up as the platform needs it, and lays the partition table over it that belongs to the new
 * end: a GPT has its second copy there.
 * @throws ImageError refused E_PLATFORM_RULE where the disk breaks a rule of the platform that is documented; corrupt
 * where its GPT is damaged in both copies.
 */
export function fitDisk(source: BlockSource, request: FitRequest): PlatformDisk {
  const { platform, sectorSize, given } = request
  const rounded = roundUp(source.capacity, platform.multiple?.bytes ?? 512)
  // A damaged primary is read from its backup, which is at the end that the source has.
  const table = readPartitionTable(source)
  // What a format cannot hold has another remedy than what the platform does not take.
  limitNotes(table, rounded, platform)
  // A format may round once more; the platform's unit stays.
  const capacity = roundUp(given(rounded), platform.multiple?.bytes ?? 512)
  const shape = { capacity, sectorSize: source.sectorSize }
  const larger = capacity === source.capacity ? source : patchedSource(source, [], shape)
  const notes: Note[] = []
  if (capacity !== source.capacity)
    notes.push({
      code: 'W_PLATFORM_SIZE',
      message: `the disk of ${source.capacity} bytes gets ${capacity}, the rest is zero: ${sizeRule(platform)}`,
    })
  notes.push(...ruleNotes(table, capacity, request))
  refuseSectors(table, sectorSize, request)
  if (table.scheme !== 'gpt') return { disk: larger, mends: [], notes }
  const { writes, mends } = planMendFor(source, capacity)
  if (writes.length === 0) return { disk: larger, mends: [], notes }
  const messages = mends.map(({ message }) => message)
  notes.push({
    code: 'W_TABLE_MENDED',
    message:
      "the partition table of the target differs from the source's: " +
      (messages.length === 0 ? 'the GPT is written anew' : messages.join('; ')),
  })
  return { disk: patchedSource(source, writes.flat(), shape), mends: messages, notes }
}

function sizeRule({ id, multiple }: Platform): string {
  return multiple === undefined
    ? 'images hold whole sectors'
    : `${id} takes disks of a multiple of ${multiple.bytes} bytes`
}

/** Partitions that are counted in other sectors than the disk has there are not found. */
function refuseSectors(table: PartitionTable, sectorSize: number, { platform, name }: FitRequest): void {
  const { sectorSizes = [512] } = platform
  const shown = sectorSizes.includes(sectorSize) ? sectorSize : 512
  if ((table.scheme !== 'gpt' && table.scheme !== 'mbr') || table.sectorSize === shown) return
  if (table.scheme === 'mbr' && table.partitions.length === 0) return
  throw refused(
    'E_PLATFORM_RULE',
    `the ${table.scheme.toUpperCase()} counts in sectors of ${table.sectorSize} bytes, and the disk has sectors of ` +
      `${shown} on ${platform.id}: no system finds the partitions`,
    { hint: `First: vdisk partition convert ${shellWord(name)} OTHER --sector-size ${shown}` },
  )
}

function ruleNotes(table: PartitionTable, capacity: number, request: FitRequest): Note[] {
  const { platform, sectorSize } = request
  const notes = limitNotes(table, capacity, platform)
  const { table: wanted } = platform
  const empty = table.scheme === 'none' || table.partitions.length === 0
  const fits = wanted === undefined || (wanted.schemes as readonly string[]).includes(table.scheme)
  if (!fits && !(empty && !wanted.schemes.includes('none')))
    notes.push({
      code: 'W_PLATFORM_RULE',
      message:
        `${platform.id} starts disks with ${wanted.schemes.join(' or ').replace('none', 'no table')}, ` +
        'and this one has ' +
        (table.scheme === 'none' ? 'none' : `a table of the kind ${table.scheme}`),
    })
  const { sectorSizes = [512] } = platform
  if (!sectorSizes.includes(sectorSize))
    notes.push({
      code: 'W_PLATFORM_OPTION',
      message:
        `the image has sectors of ${sectorSize} bytes, and ${platform.id} knows disks of ` + sectorSizes.join(' or '),
    })
  return notes
}

/** @throws ImageError refused E_PLATFORM_RULE: a limit that is documented. */
function limitNotes({ scheme }: PartitionTable, capacity: number, platform: Platform): Note[] {
  const notes: Note[] = []
  for (const limit of platform.limits) {
    if (limit.scheme !== undefined && limit.scheme !== scheme) continue
    const broken = brokenLimit(platform, limit, capacity)
    if (broken === undefined) continue
    if (limit.certainty !== 'unconfirmed')
      throw refused('E_PLATFORM_RULE', broken, { hint: remedy(limit, capacity), details: { capacity } })
    notes.push({ code: 'W_PLATFORM_RULE', message: `${broken} (not confirmed: look it up before you upload)` })
  }
  return notes
}

function brokenLimit({ id }: Platform, { least, most, of }: PlatformLimit, capacity: number): string | undefined {
  if (most !== undefined && capacity > most)
    return `the disk has ${capacity} bytes, and ${of} of ${id} has at most ${most}`
  if (least !== undefined && capacity < least)
    return `the disk has ${capacity} bytes, and ${of} of ${id} has at least ${least}`
  return undefined
}

function remedy({ least, most }: PlatformLimit, capacity: number): string {
  return least !== undefined && capacity < least
    ? `Give it ${least} bytes: --size ${least}`
    : `Shrink its partitions and filesystems inside the guest, then use --size ${most ?? capacity}.`
}
