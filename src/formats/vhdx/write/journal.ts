import type { Label } from '../../../errors.js'
import type { ByteStore } from '../../../block/types.js'
import type { LoggedSector, LogWriter } from './log-writer.js'
import { logSectorSize } from '../format/structs.js'
import type { ImageStore } from '../format/structures.js'

/**
 * The file with changes of its metadata on their way through the log (MS-VHDX 2.3): in memory, then by {@link commit}
 * in the log, later by
 * {@link checkpoint} in their place. Reading sees them at once. Payload never comes here: it is written to `base`.
 */
export class Journal implements ImageStore {
  readonly growable = false
  readonly alignment = 1
  readonly zeroed = false
  readonly name: Label
  readonly base: ByteStore
  #log: LogWriter | undefined
  /** Sectors by position: changed since the last log entry, and logged but not in their place yet. */
  readonly #pending = new Map<number, Uint8Array>()
  readonly #logged = new Map<number, Uint8Array>()

  constructor(base: ByteStore) {
    this.base = base
    this.name = base.name
  }

  get size(): number {
    return this.base.size
  }

  /** Sectors that wait for the next log entry. */
  get pendingSectors(): number {
    return this.#pending.size
  }

  /** From now on changes are taken, and go to this log. */
  start(log: LogWriter): void {
    this.#log = log
  }

  runAt(position: number, limit: number): { origin: 'base'; length: number } {
    return { origin: 'base', length: Math.min(limit, this.size - position) }
  }

  read(position: number, target: Uint8Array): void {
    this.base.read(position, target)
    if (this.#pending.size === 0 && this.#logged.size === 0) return
    eachSector(position, target.length, (sector, within, at, length) => {
      const bytes = this.#pending.get(sector) ?? this.#logged.get(sector)
      if (bytes !== undefined) target.set(bytes.subarray(within, within + length), at)
    })
  }

  /** Changes metadata, in memory for now. */
  write(position: number, bytes: Uint8Array): void {
    if (this.#log === undefined) throw new Error(`${this.name}: changed before its log was begun`)
    eachSector(position, bytes.length, (sector, within, at, length) => {
      const piece = bytes.subarray(at, at + length)
      const known = this.#pending.get(sector)
      if (known !== undefined) {
        known.set(piece, within)
        return
      }
      const changed = new Uint8Array(logSectorSize)
      this.read(sector, changed)
      if (Buffer.compare(changed.subarray(within, within + length), piece) === 0) return
      changed.set(piece, within)
      this.#pending.set(sector, changed)
    })
  }

  /**
   * Makes everything durable: first the payload, then, as one log entry, the metadata that leads to it. A crash sees
   * all of it or nothing.
   */
  commit(): void {
    this.base.flush()
    const log = this.#log
    if (log === undefined || this.#pending.size === 0) return
    if (!log.fits(this.#pending.size)) {
      this.#checkpoint()
      log.restart()
    }
    const sectors = [...this.#pending]
      .map(([position, bytes]): LoggedSector => ({ position, bytes }))
      .sort((left, right) => left.position - right.position)
    log.append(sectors)
    for (const { position, bytes } of sectors) this.#logged.set(position, bytes)
    this.#pending.clear()
  }

  /** Commits, and brings all metadata to its place: the log is then not needed any more. */
  checkpoint(): void {
    this.commit()
    this.#checkpoint()
  }

  /**
   * The same, and makes sure that a crash does not replay what is in the log: its sectors may then be put to another
   * use.
   */
  settle(): void {
    this.checkpoint()
    this.#log?.restart()
  }

  truncate(): void {
    throw new Error(`${this.name}: its size is changed by the allocator`)
  }

  flush(): void {
    this.commit()
  }

  [Symbol.dispose](): void {
    this.#pending.clear()
    this.#logged.clear()
    this.base[Symbol.dispose]()
  }

  /** What is logged goes to its place; what is pending must not yet, nor does it. */
  #checkpoint(): void {
    if (this.#logged.size === 0) return
    for (const [position, bytes] of this.#logged) this.base.write(position, bytes)
    this.base.flush()
    this.#logged.clear()
  }
}

function eachSector(
  position: number,
  length: number,
  visit: (sector: number, within: number, at: number, length: number) => void,
): void {
  for (let at = 0; at < length;) {
    const within = (position + at) % logSectorSize
    const piece = Math.min(length - at, logSectorSize - within)
    visit(position + at - within, within, at, piece)
    at += piece
  }
}
