/** Flag words of the NBD protocol, as what they say. */

const fixedNewstyle = 1
const noZeroes = 2

/** Handshake flags of a server, and client flags: the same two bits. */
export const handshakeFlags = fixedNewstyle | noZeroes

/** The client flags taken apart; undefined when a bit is set that is not known. */
export function clientFlagsOf(word: number): { readonly noZeroes: boolean } | undefined {
  return (word & ~handshakeFlags) === 0 ? { noZeroes: (word & noZeroes) !== 0 } : undefined
}

/** Whether a server speaks the fixed newstyle, and leaves out padding. */
export function serverFlagsOf(word: number): { readonly fixedNewstyle: boolean; readonly noZeroes: boolean } {
  return { fixedNewstyle: (word & fixedNewstyle) !== 0, noZeroes: (word & noZeroes) !== 0 }
}

/** What an export can do ("Transmission flags"). */
export interface TransmissionFlags {
  readonly readOnly: boolean
  readonly flush: boolean
  readonly forceUnitAccess: boolean
  readonly trim: boolean
  readonly writeZeroes: boolean
  readonly dontFragment: boolean
  readonly multipleConnections: boolean
  readonly cache: boolean
  readonly fastZero: boolean
}

const transmissionBits = {
  readOnly: 1 << 1,
  flush: 1 << 2,
  forceUnitAccess: 1 << 3,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  dontFragment: 1 << 7,
  multipleConnections: 1 << 8,
  cache: 1 << 10,
  fastZero: 1 << 11,
} as const satisfies Record<keyof TransmissionFlags, number>
const hasFlags = 1

export function transmissionWord(flags: TransmissionFlags): number {
  let word: number = hasFlags
  for (const [name, bit] of Object.entries(transmissionBits)) if (flags[name as keyof TransmissionFlags]) word |= bit
  return word
}

/** A word without HAS_FLAGS says nothing. */
export function transmissionFlagsOf(word: number): TransmissionFlags {
  const valid = (word & hasFlags) !== 0
  return Object.fromEntries(
    Object.entries(transmissionBits).map(([name, bit]) => [name, valid && (word & bit) !== 0]),
  ) as Record<keyof TransmissionFlags, boolean>
}

/** Command flags ("Command flags"). */
export const commandFlag = { forceUnitAccess: 1, noHole: 2, dontFragment: 4, requestOne: 8, fastZero: 16 } as const

export function hasFlag(word: number, flag: number): boolean {
  return (word & flag) !== 0
}

/** Flags as one word. */
export function flagWord(...flags: readonly number[]): number {
  return flags.reduce((sum, flag) => sum | flag, 0)
}

/** Whether a word has no other bits than those allowed. */
export function onlyFlags(word: number, allowed: number): boolean {
  return (word & ~allowed) === 0
}

/** The last chunk of a structured reply has it. */
export const chunkDone = 1

const hole = 1
const zero = 2

/** base:allocation: what is not stored reads as zero. */
export const unallocated = hole | zero

/** Whether a range with this status reads as zero. */
export function readsAsZero(status: number): boolean {
  return (status & zero) !== 0
}

const dirty = 1

/** Whether a range with this status of a dirty bitmap was not written since the bitmap was begun. */
export function isClean(status: number): boolean {
  return (status & dirty) === 0
}
