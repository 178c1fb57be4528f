import { pieceLength } from './buffers.js'
import { commandFlag, flagWord, hasFlag, onlyFlags } from './entries.js'
import type { Session } from './negotiation.js'
import { commandType, errorNumber, longestPayload, type Request } from './structs.js'

const { forceUnitAccess, requestOne, dontFragment, noHole, fastZero } = commandFlag
/** The flags of each command; FUA may stand anywhere, and means something where something is written. */
const allowedFlags: Readonly<Record<number, number | undefined>> = {
  [commandType.read]: flagWord(forceUnitAccess, dontFragment),
  [commandType.write]: forceUnitAccess,
  [commandType.flush]: forceUnitAccess,
  [commandType.trim]: forceUnitAccess,
  [commandType.cache]: forceUnitAccess,
  [commandType.writeZeroes]: flagWord(forceUnitAccess, noHole, fastZero),
  [commandType.blockStatus]: flagWord(forceUnitAccess, requestOne),
}
const changing = new Set<number>([commandType.write, commandType.trim, commandType.writeZeroes])

/** Whether a command changes the disk. */
export function changes(type: number): boolean {
  return changing.has(type)
}

/** Why a request is refused: an error number of the protocol, and a text. */
export interface RequestProblem {
  readonly error: number
  readonly message: string
}

/** What is wrong with a request; undefined: nothing. */
export function problemOf(
  { type, flags, offset, length }: Request,
  { disk, structured, allocation }: Session,
): RequestProblem | undefined {
  const invalid = (message: string, error: number = errorNumber.invalid): RequestProblem => ({ error, message })
  const allowed = allowedFlags[type]
  if (allowed === undefined) return invalid(`command ${type} is not known here`)
  if (!onlyFlags(flags, allowed)) return invalid(`flags ${flags} do not belong to command ${type}`)
  if (hasFlag(flags, dontFragment) && !structured) return invalid('DF needs structured replies')
  if (changes(type) && !disk.writable) return invalid('the export is read-only', errorNumber.permission)
  if (type === commandType.flush) return undefined
  if (offset + BigInt(length) > BigInt(disk.capacity)) {
    return invalid(
      `${length} bytes at offset ${offset} leave the disk of ${disk.capacity} bytes`,
      type === commandType.write || type === commandType.writeZeroes ? errorNumber.noSpace : errorNumber.invalid,
    )
  }
  if (type === commandType.read && length > longestPayload)
    return invalid(`${length} bytes are more than one read may have`, errorNumber.overflow)
  if (type === commandType.read && hasFlag(flags, dontFragment) && length > pieceLength)
    return invalid(`${length} bytes are more than fit into one piece`, errorNumber.overflow)
  if (type !== commandType.blockStatus) return undefined
  if (!allocation) return invalid('no metadata context was agreed on')
  return length === 0 ? invalid('a block status of no bytes') : undefined
}
