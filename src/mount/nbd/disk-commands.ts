import { writeZeros } from '../../block/zeros.js'
import { isImageError } from '../../errors.js'
import { pieceLength } from './buffers.js'
import { commandFlag, hasFlag, unallocated } from './entries.js'
import type { StatusRun } from './replies.js'
import { changes } from './request-check.js'
import type { ServedDisk } from './served-disk.js'
import { commandType, errorNumber, type Request } from './structs.js'

/** Runs that one block status reports; clients ask again for the rest. */
const maximumRuns = 2048

/** Does what a request without data asks for. @throws NotFast, or what the disk throws. */
export function runCommand(disk: ServedDisk, { type, flags }: Request, offset: number, length: number): void {
  switch (type) {
    case commandType.flush:
      disk.flush()
      break
    case commandType.trim:
      disk.zero(offset, length)
      break
    case commandType.writeZeroes:
      if (!hasFlag(flags, commandFlag.noHole)) {
        if (hasFlag(flags, commandFlag.fastZero) && !disk.fastZero) throw new NotFast()
        disk.zero(offset, length)
      } else {
        // Space that is to stay allocated is written, which is never fast.
        if (hasFlag(flags, commandFlag.fastZero)) throw new NotFast()
        writeZeros(disk, offset, length, pieceLength)
      }
      break
    default:
      // CACHE: the system's cache is all there is.
      break
  }
  if (changes(type) && hasFlag(flags, commandFlag.forceUnitAccess)) disk.flush()
}

/** What of a range is allocated. @param one whether the client takes only one run. */
export function statusRuns(disk: ServedDisk, offset: number, length: number, one: boolean): StatusRun[] {
  const runs: StatusRun[] = []
  for (let done = 0; done < length;) {
    const run = disk.runAt(offset + done, length - done, 'status')
    const status = run.zero ? unallocated : 0
    const last = runs.at(-1)
    if (last?.status === status) last.length += run.length
    else if (runs.length === (one ? 1 : maximumRuns)) break
    else runs.push({ length: run.length, status })
    done += run.length
  }
  return runs
}

/** Thrown where FAST_ZERO was asked for and cannot be had. */
export class NotFast extends Error {}

/** The protocol's number of an error. */
export function numberOf(error: unknown): number {
  return isImageError(error) && error.code === 'E_NO_SPACE' ? errorNumber.noSpace : errorNumber.io
}

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
