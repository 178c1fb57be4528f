import { ceilDivide, isPowerOfTwo } from '../../../binary/integers.js'
import { walkedEntries, type Piece } from '../../../block/runs.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints, unsupported } from '../../../errors.js'
import { Directory, KeptTables } from '../format/kept-tables.js'
import { cowdHeader, cowdTableEntries, sectorLength } from '../format/structs.js'
import type { Grains } from './hosted-grains.js'
import { MappedTables } from './mapped-tables.js'

/** The grains of an ESX sparse extent (COWD): what is not there is the parent's. */
export class CowdGrains implements Grains {
  readonly capacity: number
  readonly grainSize: number
  readonly values
  readonly bytes: Uint8Array
  readonly mapped: MappedTables
  readonly #store: ByteStore
  readonly #directory: Directory
  readonly #tables: KeptTables
  readonly #coverage: number
  readonly #tableCount: number

  /** @throws ImageError corrupt E_TRUNCATED, E_DISK_SIZE, E_HEADER; unsupported E_VERSION. */
  constructor(store: ByteStore) {
    const { name } = store
    if (store.size < cowdHeader.size)
      throw corrupt('E_TRUNCATED', `${name}: the header of a COWD has 2048 bytes, the file ${store.size}`)
    this.bytes = new Uint8Array(cowdHeader.size)
    store.read(0, this.bytes)
    const values = (this.values = cowdHeader.read(this.bytes))
    if (values.version !== 1)
      throw unsupported('E_VERSION', `${name}: version ${values.version} of a COWD is not known`)
    if (values.sectors === 0) throw corrupt('E_DISK_SIZE', `${name}: its header says that the disk has no sectors`)
    if (!isPowerOfTwo(values.grainSize) || values.grainSize > 2048)
      throw corrupt(
        'E_HEADER',
        `${name}: a grain has ${values.grainSize} sectors, expected a power of two up to 2048`,
        {
          details: { position: 16 },
        },
      )
    this.#store = store
    this.mapped = new MappedTables(store, cowdTableEntries * 4, values.grainSize * sectorLength)
    this.capacity = values.sectors * sectorLength
    this.grainSize = values.grainSize * sectorLength
    this.#coverage = cowdTableEntries * this.grainSize
    this.#tableCount = ceilDivide(this.capacity, this.#coverage)
    const position = values.gdOffset * sectorLength
    if (values.gdEntries < this.#tableCount)
      throw corrupt(
        'E_HEADER',
        `${name}: its grain directory has ${values.gdEntries} entries, and ${this.#tableCount} are needed`,
        { details: { position: 24 } },
      )
    if (position < cowdHeader.size || position + this.#tableCount * 4 > store.size)
      throw corrupt('E_TRUNCATED', `${name}: its grain directory would lie at byte ${position} of ${store.size}`, {
        details: { position: 20, size: store.size },
      })
    this.#tables = new KeptTables(store)
    this.#directory = new Directory(this.#tables, position, this.#tableCount)
  }

  pieceAt(offset: number): Piece {
    const index = Math.floor(offset / this.#coverage)
    const sector = this.#directory.word(index)
    if (sector === 0) {
      const next = this.#directory.nextUsed(index + 1, Math.min(index + walkedEntries, this.#tableCount))
      return { kind: 'absent', length: next * this.#coverage - offset }
    }
    const { name, size } = this.#store
    const position = sector * sectorLength
    if (position < cowdHeader.size || position + cowdTableEntries * 4 > size)
      throw corrupt(
        'E_GRAIN_DIRECTORY',
        `${name}: entry ${index} of the grain directory leads to sector ${sector}, and the file has ${size} bytes`,
        { details: { position: this.#directory.place(index), offset } },
      )
    const grain = Math.floor(offset / this.grainSize)
    const within = offset - grain * this.grainSize
    const table = this.#tables.at(position, cowdTableEntries * 4)
    if (!this.mapped.has(index)) this.mapped.count(index, position, this.#directory.place(index), entriesOf(table))
    const entry = table.getUint32((grain % cowdTableEntries) * 4, true)
    if (entry === 0) return { kind: 'absent', length: this.grainSize - within }
    const start = entry * sectorLength
    const needed = Math.min(this.grainSize, this.capacity - grain * this.grainSize)
    if (start < cowdHeader.size)
      throw corrupt('E_OVERLAP', `${name}: the grain of guest offset ${offset - within} is to lie in the header`, {
        details: { offset: offset - within, position: start },
      })
    if (start + needed > size)
      throw corrupt(
        'E_TRUNCATED',
        `${name}: the data of guest offset ${offset - within} is at byte ${start}, but the file ends at byte ${size}`,
        { details: { position: start, offset, size }, hint: hints.incomplete },
      )
    return { kind: 'data', position: start + within, length: this.grainSize - within }
  }
}

function* entriesOf(table: DataView): Generator<number> {
  for (let at = 0; at < table.byteLength; at += 4) yield table.getUint32(at, true)
}
