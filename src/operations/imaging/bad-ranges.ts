import { createHash } from 'node:crypto'
import { roundDown } from '../../binary/integers.js'
import { SalvagingSource, type BadRun } from '../../block/salvage.js'
import type { Progress } from '../../engine/progress.js'
import { corrupt, ImageError, printable, refused } from '../../errors.js'
import { openFile, type OpenOptions } from '../../formats/open.js'
import type { OpenedDevice } from '../device/argument.js'
import { openToChange } from '../in-use/changing.js'

const pieceLength = 1048576
const samples = 32
const sampleLength = 65536

/**
 * A disk without a serial number or table is known by its content; and one that was written to since is not the one any
 * more that the
 * image shows. @throws ImageError refused E_OTHER_DISK
 */
export function checkSamples(
  { source }: OpenedDevice,
  target: string,
  bad: readonly BadRun[],
  open: OpenOptions,
): void {
  using image = openFile(target, open)
  const [found, stored] = [new Uint8Array(sampleLength), new Uint8Array(sampleLength)]
  for (let index = 0; index < samples; index++) {
    const offset = roundDown(Math.floor((source.capacity / samples) * index), sampleLength)
    const length = Math.min(sampleLength, source.capacity - offset)
    if (bad.some((run) => run.offset < offset + length && offset < run.offset + run.length)) continue
    source.read(offset, found.subarray(0, length))
    image.read(offset, stored.subarray(0, length))
    if (Buffer.compare(found.subarray(0, length), stored.subarray(0, length)) === 0) continue
    throw refused(
      'E_OTHER_DISK',
      `the source and ${printable(target)} differ between offset ${offset} and ${offset + length}, where both ` +
        'can be read: it is another disk, or was written to since',
      { hint: 'Image the disk anew. No flag overrides this: the image would be of two disks.' },
    )
  }
}

/** A range that was put into the image, and the digest of what it was given. */
export interface WrittenRun extends BadRun {
  readonly digest: Buffer
}

interface GapOptions {
  readonly allowInUse?: boolean
  readonly allowOtherChildren?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** Reads each range again and writes what can be read. Sectors that still cannot stay zero. */
export async function fillGaps(
  { source }: OpenedDevice,
  target: string,
  bad: readonly BadRun[],
  open: OpenOptions,
  { allowInUse, allowOtherChildren, signal, onProgress }: GapOptions,
): Promise<{ readonly left: readonly BadRun[]; readonly written: readonly WrittenRun[] }> {
  const salvage = new SalvagingSource(source)
  using image = openToChange(target, { ...open, allowInUse, allowOtherChildren })
  if (image.disk.capacity < source.capacity)
    throw corrupt(
      'E_TRUNCATED',
      `${printable(target)} holds a disk of ${image.disk.capacity} bytes, and the source has ${source.capacity}`,
    )
  const piece = new Uint8Array(pieceLength)
  let done = 0
  const written: WrittenRun[] = []
  for (const { offset, length } of bad) {
    for (let at = offset; at < offset + length; at += pieceLength) {
      const bytes = piece.subarray(0, Math.min(pieceLength, offset + length - at))
      await salvage.salvage(at, bytes, signal)
      for (const good of goodRuns(at, bytes.length, salvage.bad)) {
        const taken = bytes.subarray(good.offset - at, good.offset - at + good.length)
        image.image.write(good.offset, taken)
        written.push({ ...good, digest: sha256(taken) })
      }
      done += bytes.length
      onProgress?.({ phase: 'copy', done, total: badBytes(bad) })
    }
  }
  image.image.flush()
  return { left: within(salvage.bad, bad), written }
}

/** Reads back what was put into the image, which was flushed and closed. @throws ImageError mismatch E_MISMATCH */
export function verifyWritten(target: string, written: readonly WrittenRun[], open: OpenOptions): void {
  using image = openFile(target, open)
  const piece = new Uint8Array(pieceLength)
  for (const { offset, length, digest } of written) {
    const bytes = piece.subarray(0, length)
    image.read(offset, bytes)
    if (sha256(bytes).equals(digest)) continue
    throw new ImageError(
      'mismatch',
      'E_MISMATCH',
      `${printable(target)} does not give back the ${length} bytes that were put in at offset ${offset}`,
      {
        hint: 'Its record and its map were left as they were. Check memory and disk, and image the disk anew.',
        details: { offset, length },
      },
    )
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** What of a range is not bad. */
function goodRuns(offset: number, length: number, bad: readonly BadRun[]): BadRun[] {
  const runs: BadRun[] = []
  let end = offset
  for (const run of bad) {
    if (run.offset >= offset + length || run.offset + run.length <= offset) continue
    if (run.offset > end) runs.push({ offset: end, length: run.offset - end })
    end = Math.max(end, run.offset + run.length)
  }
  if (end < offset + length) runs.push({ offset: end, length: offset + length - end })
  return runs
}

/** A sector that cannot be read may reach beyond the range that was asked for: what was read before stays. */
function within(bad: readonly BadRun[], ranges: readonly BadRun[]): BadRun[] {
  return ranges.flatMap((range) =>
    bad.flatMap((run) => {
      const start = Math.max(run.offset, range.offset)
      const end = Math.min(run.offset + run.length, range.offset + range.length)
      return start < end ? [{ offset: start, length: end - start }] : []
    }),
  )
}

/** Bytes of all runs together. */
export function badBytes(runs: readonly BadRun[]): number {
  return runs.reduce((sum, { length }) => sum + length, 0)
}
