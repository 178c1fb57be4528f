import { roundUp, viewOf } from '../../binary/integers.js'
import type { FileMap } from '../file-map.js'
import { chosenRuns } from '../free-runs.js'
import { fixed } from '../rewrite.js'
import { gapsBetween } from '../run-union.js'
import type { VolumeWrite } from '../types.js'
import { countUnits, type UnitRun } from '../unit-runs.js'
import type { VolumeReader } from '../volume-reader.js'
import { dirtyState, fatEnd } from './entries.js'
import type { FatLayout } from './layout.js'
import { fatInfoSector, infoMarks } from './structs.js'
import { FatDraft } from './table-draft.js'
import type { FatTable } from './table.js'

/** A chain may jump as often as it likes; more runs than these are not looked for. */
const mostRuns = 256
/** The size of a file has 32 bits. */
const longestFile = 0xffffffff
const pieceLength = 65536

/** What is known of a volume. */
export interface FatVolume {
  readonly reader: VolumeReader
  readonly layout: FatLayout
  readonly table: FatTable
}

/** A file that is to go on. */
export interface GrowingFile {
  readonly size: number
  /** Its clusters, as far as its size reaches. */
  readonly map: FileMap
  /** What records another size: inside one sector. */
  readonly resized: (size: number) => VolumeWrite
}

/**
 * What is to be written so that a file goes on with `bytes` in free clusters. The volume is marked as not left in order
 * first, as the kernel does it when it mounts one, and as left in order last. Until the entry of the file has its new
 * size, the file is the old one: what its chain has too much, fsck.vfat cuts off.
 * @throws ImageError unsupported E_FILE_FIXED; corrupt E_FS_CORRUPT.
 */
export function appendToFatFile(volume: FatVolume, file: GrowingFile, bytes: Uint8Array): VolumeWrite[][] {
  const { reader, layout, table } = volume
  const { clusterSize, statePosition } = layout
  const { title } = reader
  const size = file.size + bytes.length
  if (size > longestFile) throw fixed(title, `it would have ${size} bytes, and ${longestFile} are the most`)
  if (file.map.length === 0) throw fixed(title, 'it is empty, and has no cluster')
  if (statePosition === undefined)
    throw fixed(title, 'its boot sector has no room to say that the volume is being changed')
  requireAlike(volume)
  const last = lastCluster(layout, file.map)
  if (table.link(last).kind !== 'end') throw fixed(title, 'it has clusters behind its end')
  const slack = file.map.length - file.size
  const data = bytes.subarray(slack)
  const runs = freeClusters(volume, Math.ceil(data.length / clusterSize))
  const draft = new FatDraft(reader, layout)
  for (const [index, { first, count }] of runs.entries()) {
    for (let step = 1; step < count; step++) draft.set(first + step - 1, first + step)
    draft.set(first + count - 1, runs[index + 1]?.first ?? fatEnd(layout.bits))
  }
  const chain = draft.take()
  draft.set(last, runs[0]?.first ?? fatEnd(layout.bits))
  const link = draft.take()
  const { position = 0 } = slack === 0 ? {} : file.map.at(file.size)
  const tail = slack === 0 ? [] : [{ position, bytes: bytes.subarray(0, slack) }]
  const state = reader.u8(statePosition)
  return [
    [{ position: statePosition, bytes: Uint8Array.of(dirtyState(state)) }],
    [...tail, ...dataWrites(runs, layout, data)],
    [...chain, ...countWrites(volume, runs)],
    link,
    [file.resized(size)],
    [{ position: statePosition, bytes: Uint8Array.of(state) }],
  ]
}

function lastCluster({ dataStart, clusterSize }: FatLayout, map: FileMap): number {
  const { position = dataStart } = map.at(map.length - clusterSize)
  return (position - dataStart) / clusterSize + 2
}

/** What is written goes into every copy: one that says something else must not be half overwritten. */
function requireAlike({ reader, layout: { tableCopies, tableLength } }: FatVolume): void {
  const [first = 0, ...others] = tableCopies
  for (let done = 0; done < tableLength; done += pieceLength) {
    const piece = new Uint8Array(Math.min(pieceLength, tableLength - done))
    reader.read(first + done, piece)
    for (const copy of others) {
      const other = new Uint8Array(piece.length)
      reader.read(copy + done, other)
      if (Buffer.compare(piece, other) !== 0)
        throw fixed(reader.title, 'the copies of its file allocation table differ')
    }
  }
}

/** Free clusters in as few runs as possible. @throws ImageError unsupported E_FILE_FIXED. */
function freeClusters({ reader, layout, table }: FatVolume, count: number): UnitRun[] {
  const { clusters, clusterSize } = layout
  const { runs, missing } = chosenRuns(gapsBetween(table.used(), 0, clusters), count, mostRuns)
  if (missing > 0)
    throw fixed(
      reader.title,
      `${count} more clusters of ${clusterSize} bytes are needed, and its largest ${mostRuns} free runs have ` +
        `${count - missing}`,
    )
  // The first cluster has the number 2.
  return runs.map((run) => ({ first: run.first + 2, count: run.count }))
}

/** What follows in new clusters; the rest of the last one is zero. */
function dataWrites(
  runs: readonly UnitRun[],
  { clusterSize, dataStart }: Pick<FatLayout, 'clusterSize' | 'dataStart'>,
  data: Uint8Array,
): VolumeWrite[] {
  const padded = new Uint8Array(roundUp(data.length, clusterSize))
  padded.set(data)
  let done = 0
  return runs.map(({ first, count }) => {
    const bytes = padded.subarray(done, done + count * clusterSize)
    done += bytes.length
    return { position: dataStart + (first - 2) * clusterSize, bytes }
  })
}

/** Free clusters as the FSInfo sector of FAT32 counts them, where it does. */
function countWrites({ reader, layout }: FatVolume, taken: readonly UnitRun[]): VolumeWrite[] {
  const { infoSector, sectorSize, clusters } = layout
  if (infoSector === undefined) return []
  const position = infoSector * sectorSize
  const info = fatInfoSector.read(reader.bytes(position, fatInfoSector.size))
  const count = countUnits(taken)
  const { leadSignature, structSignature, freeClusters: free } = info
  if (leadSignature !== infoMarks.lead || structSignature !== infoMarks.struct || free > clusters || free < count)
    return []
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, free - count, true)
  return [{ position: position + fatInfoSector.fields.freeClusters.offset, bytes }]
}
