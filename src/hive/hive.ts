import { checkBase, readBase, type BaseBlock } from './base.js'
import { PagedBytes, type HiveBytes } from './bytes.js'
import { Cells } from './cells.js'
import { hiveDamaged } from './damage.js'
import { HiveKey } from './key.js'
import { replayLogs } from './logs.js'
import { HiveSpace, type FreeCell } from './space.js'
import { baseBlockLength, binHeader } from './structs.js'

/** Free cells that are kept; a hive has thousands. */
const mostFree = 65536

/**
 * Whether a hive was written completely. `recovered`: its logs have what is missing, and were read. `dirty`: they do
 * not.
 */
export type HiveState = 'clean' | 'recovered' | 'dirty'

/** A registry hive, open for reading. */
export class Hive {
  readonly state: HiveState
  readonly root: HiveKey
  /** Version of the format: 1.3, 1.5. */
  readonly version: string
  readonly title: string
  readonly #file: PagedBytes
  readonly #base: BaseBlock
  /** Of bins that were checked. */
  #free: readonly FreeCell[] | undefined

  constructor(file: PagedBytes, base: BaseBlock, state: HiveState, title: string) {
    this.#file = file
    this.#base = base
    this.state = state
    this.title = title
    this.version = `${base.major}.${base.minor}`
    this.root = new HiveKey(new Cells(file, base.binsSize, title), base.rootCell, { splits: base.minor > 3 })
  }

  /**
   * Looks at every bin: whether they follow each other without a gap, and their cells fill them. Reads the whole file,
   * once.
   * @throws ImageError corrupt E_HIVE_CORRUPT.
   */
  checkBins(): void {
    this.#freeCells()
  }

  /** Its free cells. @throws ImageError corrupt E_HIVE_CORRUPT. */
  space(): HiveSpace {
    return new HiveSpace(this.#file, this.#freeCells())
  }

  #freeCells(): readonly FreeCell[] {
    if (this.#free !== undefined) return this.#free
    const free: FreeCell[] = []
    const { binsSize } = this.#base
    for (let offset = 0; offset < binsSize;) {
      const { signature, offset: stored, size } = this.#bin(offset)
      if (signature !== 'hbin' || stored !== offset || size === 0 || size % 4096 !== 0 || offset + size > binsSize)
        throw hiveDamaged(this.title, 'there is no bin where one begins', baseBlockLength + offset)
      this.#checkCells(offset, size, free)
      offset += size
    }
    this.#free = free
    return free
  }

  #bin(offset: number): ReturnType<typeof binHeader.read> {
    const head = new Uint8Array(binHeader.size)
    this.#file.read(baseBlockLength + offset, head)
    return binHeader.read(head)
  }

  #checkCells(bin: number, binSize: number, free: FreeCell[]): void {
    const word = new Uint8Array(4)
    const view = new DataView(word.buffer)
    for (let at = binHeader.size; at < binSize;) {
      this.#file.read(baseBlockLength + bin + at, word)
      const size = view.getInt32(0, true)
      const length = Math.abs(size)
      if (length < 8 || length % 8 !== 0 || at + length > binSize)
        throw hiveDamaged(this.title, 'the cells of a bin do not fill it', baseBlockLength + bin + at)
      if (size > 0 && free.length < mostFree) free.push({ offset: bin + at, size })
      at += length
    }
  }
}

/**
 * Opens a hive. One that was not written completely is read with what its logs hold; nothing is written.
 * @param logs .LOG1, .LOG2, .LOG: those that are there. @param title its name, for messages.
 * @throws ImageError corrupt E_HIVE_CORRUPT; unsupported E_HIVE_FEATURE.
 */
export function openHive(file: HiveBytes, logs: readonly HiveBytes[], title: string): Hive {
  const read = readBase(file)
  const own = read?.valid === true ? read.base : undefined
  if (own !== undefined && own.primarySequence === own.secondarySequence) {
    checkBase(own, file.size, title)
    return new Hive(new PagedBytes(file), own, 'clean', title)
  }
  const paged = new PagedBytes(file)
  const { applied, base } = replayLogs(paged, own, logs, title)
  if (base === undefined)
    throw hiveDamaged(
      title,
      read === undefined
        ? 'it does not begin with a base block'
        : 'the checksum of its base block is wrong, and no log has another one',
      0,
    )
  checkBase(base, paged.size, title)
  return new Hive(paged, base, applied > 0 ? 'recovered' : 'dirty', title)
}
