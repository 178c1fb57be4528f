import { ceilDivide } from '../../../binary/integers.js'
import { walkedEntries, type Piece } from '../../../block/runs.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, hints, unsupported } from '../../../errors.js'
import { seSparseEntry, seSparseTable } from '../format/entries.js'
import { Directory, KeptTables } from '../format/kept-tables.js'
import {
  sectorLength,
  seSparseHeader,
  seSparseMagic,
  seSparseVersion,
  seSparseVolatile,
  seSparseVolatileMagic,
} from '../format/structs.js'
import type { Grains } from './hosted-grains.js'
import { MappedTables } from './mapped-tables.js'

const grainSectors = 8n
const tableSectors = 64n
const tableBytes = Number(tableSectors) * sectorLength
const tableEntries = tableBytes / 8

/** The grains of an SE sparse extent, which ESXi writes since version 6.5. */
export class SeSparseGrains implements Grains {
  readonly capacity: number
  readonly grainSize = Number(grainSectors) * sectorLength
  readonly values
  readonly bytes: Uint8Array
  readonly mapped: MappedTables
  readonly #store: ByteStore
  readonly #directory: Directory
  readonly #tables: KeptTables
  readonly #coverage = tableEntries * this.grainSize
  readonly #tableCount: number
  readonly #note: (note: Note) => void
  #notedUnmapped = false

  /**
   * @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_DISK_SIZE, E_DIRTY; unsupported E_VERSION,
   * E_UNSUPPORTED_FEATURE.
   */
  constructor(store: ByteStore, note: (note: Note) => void) {
    const { name } = store
    this.#store = store
    this.#note = note
    this.mapped = new MappedTables(store, tableBytes, this.grainSize)
    if (store.size < 2 * seSparseHeader.size)
      throw corrupt(
        'E_TRUNCATED',
        `${name}: the headers of an SE sparse extent have 1024 bytes, the file ${store.size}`,
      )
    this.bytes = new Uint8Array(seSparseHeader.size)
    store.read(0, this.bytes)
    const values = (this.values = seSparseHeader.read(this.bytes))
    if (values.magic !== seSparseMagic)
      throw corrupt('E_HEADER', `${name}: it does not begin with the magic of SE sparse`)
    if (values.version !== seSparseVersion)
      throw unsupported('E_VERSION', `${name}: version 0x${values.version.toString(16)} of SE sparse is not known`, {
        details: { position: 8 },
      })
    if (
      values.flags !== 0n ||
      [values.reserved1, values.reserved2, values.reserved3, values.reserved4].some((v) => v !== 0n)
    )
      throw unsupported('E_UNSUPPORTED_FEATURE', `${name}: flags of an SE sparse extent are set that are not known`, {
        details: { position: 40, flags: values.flags },
      })
    if (values.grainSize !== grainSectors || values.gtSize !== tableSectors)
      throw unsupported(
        'E_UNSUPPORTED_FEATURE',
        `${name}: grains of ${values.grainSize} and tables of ${values.gtSize} sectors are not known, only 8 and 64`,
        { details: { position: 24 } },
      )
    if (values.capacity === 0n || values.capacity > 2n ** 43n)
      throw corrupt('E_DISK_SIZE', `${name}: its header says that the disk has ${values.capacity} sectors`, {
        details: { position: 16 },
      })
    this.capacity = Number(values.capacity) * sectorLength
    this.#tableCount = ceilDivide(this.capacity, this.#coverage)
    this.#checkVolatile()
    const end = (values.gdOffset + values.gdSize) * BigInt(sectorLength)
    const directory = Number(values.gdOffset) * sectorLength
    if (values.gdOffset === 0n || end > BigInt(store.size) || values.gdSize * 64n < BigInt(this.#tableCount))
      throw corrupt(
        'E_HEADER',
        `${name}: its grain directory has ${values.gdSize} sectors at sector ${values.gdOffset}, needed are ` +
          `${this.#tableCount} entries within the ${store.size} bytes of the file`,
        { details: { position: 128 } },
      )
    this.#tables = new KeptTables(store)
    this.#directory = new Directory(this.#tables, directory, this.#tableCount, 8)
  }

  pieceAt(offset: number): Piece {
    const index = Math.floor(offset / this.#coverage)
    const word = this.#directory.wide(index)
    if (word === 0n) {
      const next = this.#directory.nextUsed(index + 1, Math.min(index + walkedEntries, this.#tableCount))
      return { kind: 'absent', length: next * this.#coverage - offset }
    }
    const { name, size } = this.#store
    const { gtsOffset, gtsSize, grainsOffset } = this.values
    const table = seSparseTable(word) ?? -1n
    const position = Number(gtsOffset + table * tableSectors) * sectorLength
    if (table < 0n || (table + 1n) * tableSectors > gtsSize || !(position + tableBytes <= size))
      throw corrupt(
        'E_GRAIN_DIRECTORY',
        `${name}: entry ${index} of the grain directory is 0x${word.toString(16)}, which is no table in the file`,
        { details: { position: this.#directory.place(index), offset } },
      )
    const grain = Math.floor(offset / this.grainSize)
    const within = offset - grain * this.grainSize
    const length = this.grainSize - within
    const words = this.#tables.at(position, tableBytes)
    if (!this.mapped.has(index)) this.mapped.count(index, position, this.#directory.place(index), clustersOf(words))
    const entry = words.getBigUint64((grain % tableEntries) * 8, true)
    const decoded = seSparseEntry(entry)
    switch (decoded.kind) {
      case 'absent':
        return { kind: 'absent', length }
      case 'unmapped':
        this.#noteUnmapped()
        return { kind: 'zero', length }
      case 'zero':
        return { kind: 'zero', length }
      case 'invalid':
        throw corrupt(
          'E_GRAIN_TABLE',
          `${name}: the table entry of guest offset ${offset - within} is 0x${entry.toString(16)}, ` +
            `which is none that ` +
            'is known',
          { details: { position: position + (grain % tableEntries) * 8, offset } },
        )
      case 'data': {
        const start = (grainsOffset + decoded.cluster * grainSectors) * BigInt(sectorLength)
        const needed = BigInt(Math.min(this.grainSize, this.capacity - grain * this.grainSize))
        if (start + needed > BigInt(size))
          throw corrupt(
            'E_TRUNCATED',
            `${name}: the data of guest offset ${offset - within} is at byte ${start}, but the file ` +
              `ends at byte ${size}`,
            { details: { position: start, offset, size }, hint: hints.incomplete },
          )
        return { kind: 'data', position: Number(start) + within, length }
      }
    }
  }

  #checkVolatile(): void {
    const { name, size } = this.#store
    const place = this.values.volatileHeaderOffset * BigInt(sectorLength)
    if (place === 0n || place + BigInt(sectorLength) > BigInt(size))
      throw corrupt('E_HEADER', `${name}: its volatile header would lie at byte ${place}`, {
        details: { position: 80 },
      })
    const bytes = new Uint8Array(seSparseVolatile.size)
    this.#store.read(Number(place), bytes)
    const { magic, replayJournal } = seSparseVolatile.read(bytes)
    if (magic !== seSparseVolatileMagic)
      throw corrupt('E_HEADER', `${name}: the volatile header at byte ${place} has the magic 0x${magic.toString(16)}`, {
        details: { position: place },
      })
    if (replayJournal !== 0n)
      throw corrupt('E_DIRTY', `${name}: its journal must be replayed: the host crashed while the disk was in use`, {
        hint: 'Open the disk on an ESXi host once; that replays the journal.',
        details: { position: place + 24n },
      })
  }

  #noteUnmapped(): void {
    if (this.#notedUnmapped) return
    this.#notedUnmapped = true
    this.#note({
      code: 'W_UNMAPPED_GRAINS',
      message:
        `${this.#store.name}: the guest gave grains back (SCSI UNMAP); they read as zero, though ` +
        `other programs may show ` +
        "the parent's content there",
    })
  }
}

/** Where the grains lie that a table leads to, in sectors from the start of the data, and one more: 0 is none. */
function* clustersOf(table: DataView): Generator<number> {
  for (let at = 0; at < table.byteLength; at += 8) {
    const entry = seSparseEntry(table.getBigUint64(at, true))
    if (entry.kind === 'data') yield (Number(entry.cluster) + 1) * Number(grainSectors)
  }
}
