import { viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { damaged } from '../damage.js'
import { posixName } from '../names.js'
import type { VolumeReader } from '../volume-reader.js'
import { nameFlags, timeFlags } from './entries.js'
import { continuation, posixEntry, posixEntryWithNumber, useEntry } from './structs.js'
import { longTime, shortTime } from './times.js'

const mostContinuations = 64
const longestName = 65536
const longestContinuation = 65536

/** What Rock Ridge says of a file (RRIP 1.12). */
export interface RockRidge {
  readonly name: Uint8Array | undefined
  readonly posix: StructValues<typeof posixEntry> | undefined
  /** The same for two names of one file; 0: not said. */
  readonly number: number
  readonly target: string | undefined
  readonly modified: bigint | undefined
  readonly accessed: bigint | undefined
  readonly created: bigint | undefined
  /** The block of a folder that was moved elsewhere since folders may only be eight deep. */
  readonly child: number | undefined
  /** Whether it is a folder that is shown elsewhere. */
  readonly isMoved: boolean
  /** What decodes its content, where it is stored in another way (zisofs). */
  readonly packed: string | undefined
}

/** Of a file that has none. */
export const noRockRidge: RockRidge = {
  name: undefined,
  posix: undefined,
  number: 0,
  target: undefined,
  modified: undefined,
  accessed: undefined,
  created: undefined,
  child: undefined,
  isMoved: false,
  packed: undefined,
}

/**
 * Reads the system use field of a record, and what it goes on to. @param bytes the field. @param skip bytes before each
 * field that belong to somebody else. @throws ImageError corrupt E_FS_CORRUPT.
 */
export function readRockRidge(reader: VolumeReader, blockSize: number, bytes: Uint8Array, skip: number): RockRidge {
  const reading = new Reading()
  let field = bytes.subarray(skip)
  for (let parts = 0; ; parts++) {
    const next = reading.field(field)
    if (next === undefined) return reading.result()
    if (parts >= mostContinuations || next.length > longestContinuation)
      throw damaged('ISO 9660', 'a system use field goes on and on', next.block * blockSize)
    field = reader.bytes(next.block * blockSize + next.offset, next.length)
  }
}

/**
 * How many bytes to skip in each system use field; undefined: there is no Rock Ridge. @param bytes the root's field.
 */
export function sharingSkip(bytes: Uint8Array): number | undefined {
  // CD-ROM XA puts fourteen bytes before it.
  for (const start of [0, 14]) {
    const mark = bytes.subarray(start, start + 7)
    if (mark.length === 7 && mark[0] === 0x53 && mark[1] === 0x50 && mark[4] === 0xbe && mark[5] === 0xef)
      return mark[6] ?? 0
  }
  return undefined
}

class Reading {
  readonly #name: number[] = []
  #hasName = false
  readonly #target: number[] = []
  #hasTarget = false
  /** Whether the part of the target before goes on in the next one. */
  #joins = true
  #posix: StructValues<typeof posixEntry> | undefined
  #number = 0
  #times: (bigint | undefined)[] = []
  #child: number | undefined
  #isMoved = false
  #packed: string | undefined

  /** Takes the entries of one field. @returns where they go on. */
  field(bytes: Uint8Array): StructValues<typeof continuation> | undefined {
    let next: StructValues<typeof continuation> | undefined
    for (let at = 0; at + useEntry.size <= bytes.length;) {
      const { signature, length } = useEntry.read(bytes, at)
      if (length < useEntry.size || at + length > bytes.length || signature === 'ST') break
      const entry = bytes.subarray(at, at + length)
      if (signature === 'CE' && length >= continuation.size) next = continuation.read(entry)
      else this.#entry(signature, entry)
      at += length
    }
    return next
  }

  #entry(signature: string, entry: Uint8Array): void {
    switch (signature) {
      case 'NM':
        if (entry.length > 5 && this.#name.length < longestName) this.#name.push(...entry.subarray(5))
        this.#hasName = true
        return
      case 'PX':
        if (entry.length >= posixEntry.size) this.#posix = posixEntry.read(entry)
        if (entry.length >= posixEntryWithNumber.size) this.#number = posixEntryWithNumber.read(entry).number
        return
      case 'SL':
        this.#link(entry.subarray(5))
        return
      case 'TF':
        this.#timesOf(entry)
        return
      case 'CL':
        if (entry.length >= 8) this.#child = viewOf(entry).getUint32(4, true)
        return
      case 'RE':
        this.#isMoved = true
        return
      case 'ZF':
        this.#packed = Buffer.from(entry.subarray(4, 6)).toString('latin1')
    }
  }

  /** Parts of a target: flags, a length, a name. */
  #link(bytes: Uint8Array): void {
    this.#hasTarget = true
    for (let at = 0; at + 2 <= bytes.length && this.#target.length < longestName;) {
      const { goesOn, isCurrent, isParent, isRoot } = nameFlags(bytes[at] ?? 0)
      const length = bytes[at + 1] ?? 0
      const slash = 0x2f
      const isAfterRoot = this.#target.length === 1 && this.#target[0] === slash
      if (!this.#joins && !isAfterRoot) this.#target.push(slash)
      if (isRoot) this.#target.push(slash)
      else if (isCurrent) this.#target.push(0x2e)
      else if (isParent) this.#target.push(0x2e, 0x2e)
      else this.#target.push(...bytes.subarray(at + 2, at + 2 + length))
      this.#joins = goesOn
      at += 2 + length
    }
  }

  #timesOf(entry: Uint8Array): void {
    const { present, isLong } = timeFlags(entry[4] ?? 0)
    const size = isLong ? 17 : 7
    let at = 5
    for (const [index, isThere] of present.entries()) {
      if (!isThere || at + size > entry.length) continue
      const bytes = entry.subarray(at, at + size)
      this.#times[index] = isLong ? longTime(bytes) : shortTime(bytes)
      at += size
    }
  }

  result(): RockRidge {
    const [created, modified, accessed] = this.#times
    return {
      name: this.#hasName && this.#name.length > 0 ? Uint8Array.from(this.#name) : undefined,
      posix: this.#posix,
      number: this.#number,
      target: this.#hasTarget ? posixName(Uint8Array.from(this.#target)) : undefined,
      modified,
      accessed,
      created,
      child: this.#child,
      isMoved: this.#isMoved,
      packed: this.#packed,
    }
  }
}
