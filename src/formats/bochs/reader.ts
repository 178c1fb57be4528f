import { Recent } from '../../binary/recent.js'
import type { Work } from '../../block/work.js'
import { ceilDivide, viewOf } from '../../binary/integers.js'
import type { FieldRow, StructValues } from '../../binary/struct.js'
import { UnitOwners } from '../../binary/unit-owners.js'
import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import { corrupt, hints, printable, unsupported } from '../../errors.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import type { CheckOptions, DiskImage, Finding } from '../driver.js'
import { bitRunEnd, isPresent } from './entries.js'
import { header1, header2, noExtent, version1, version2 } from './structs.js'

const sectorLength = 512
/** As QEMU's limit: a catalog of 4 MiB. */
const mostEntries = 0x100000
const mostExtent = 0x800000
const keptBitmaps = 256

interface Layout {
  readonly capacity: number
  readonly extentSize: number
  readonly bitmapBytes: number
  /** Bytes of an extent in the file, its bitmap before it, in whole sectors. */
  readonly stride: number
  readonly dataPosition: number
  readonly catalog: DataView
  readonly catalogPosition: number
  readonly rows: readonly FieldRow[]
  readonly version: number
}

/** A growing disk of Bochs: extents with a bit for each sector. What is not there is zero. */
export class BochsImage extends ExtentSource implements DiskImage {
  readonly format = 'bochs'
  readonly subformat = 'growing'
  readonly capacity: number
  readonly grain = sectorLength
  readonly notes: readonly Note[] = []
  readonly #layout: Layout
  readonly #owners = new UnitOwners()
  readonly #bitmaps = new Recent(keptBitmaps, (extent) => this.#bitmap(extent))

  constructor(store: ByteStore) {
    super(store)
    this.#layout = readLayout(store)
    this.capacity = this.#layout.capacity
  }

  protected runAt(offset: number, end: number): Extent {
    const { extentSize, catalog, catalogPosition } = this.#layout
    const extent = Math.floor(offset / extentSize)
    const stop = Math.min(end, (extent + 1) * extentSize)
    const index = catalog.getUint32(extent * 4, true)
    if (index === noExtent) {
      let next = extent + 1
      while (next * extentSize < end && catalog.getUint32(next * 4, true) === noExtent) next++
      return { kind: 'zero', offset, length: Math.min(end, next * extentSize) - offset }
    }
    const owner = this.#owners.claim(extent, index)
    if (owner !== undefined)
      throw corrupt(
        'E_OVERLAP',
        `${this.store.name}: the catalog entries ${owner} and ${extent} (byte ` +
          `${catalogPosition + extent * 4}) name the ` +
          `same extent ${index}`,
        { details: { position: catalogPosition + extent * 4 } },
      )
    const position = this.#position(extent)
    const bitmap = this.#bitmaps.get(extent)
    const first = Math.floor((offset % extentSize) / sectorLength)
    const last = ceilDivide(stop - extent * extentSize, sectorLength)
    const length = Math.min(stop, extent * extentSize + bitRunEnd(bitmap, first, last) * sectorLength) - offset
    if (!isPresent(bitmap, first)) return { kind: 'zero', offset, length }
    const at = position + this.#layout.bitmapBytes + (offset % extentSize)
    const available = this.store.size - at
    if (available <= 0) throw this.#truncated(extent, at)
    return { kind: 'data', offset, length: Math.min(length, available), store: this.store, position: at }
  }

  describe(): Section[] {
    const { extentSize, catalog, dataPosition, rows, version } = this.#layout
    return [
      {
        title: 'Bochs',
        facts: [
          { name: 'version', value: version === version1 ? 1 : 2 },
          { name: 'extentSize', value: extentSize, unit: 'bytes' },
          { name: 'catalogEntries', value: catalog.byteLength / 4, unit: 'count' },
          { name: 'dataPosition', label: 'extents at', value: dataPosition, unit: 'bytes' },
        ],
        fields: rows,
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    const { extentSize } = this.#layout
    for (const item of extentFaults(this, extentSize, deep))
      if ('error' in item)
        yield {
          severity: 'error',
          code: item.error.code,
          structure: `catalog entry ${Math.floor(item.offset / extentSize)}`,
          message: item.error.message,
        }
      else yield item
  }

  /** The bitmap of an extent that is in the file. */
  #bitmap(extent: number): Uint8Array {
    const { extentSize, bitmapBytes } = this.#layout
    const position = this.#position(extent)
    if (position + bitmapBytes > this.store.size) throw this.#truncated(extent, position)
    const bytes = new Uint8Array(Math.min(bitmapBytes, ceilDivide(extentSize / sectorLength, 8)))
    this.store.read(position, bytes)
    return bytes
  }

  #position(extent: number): number {
    const { catalog, dataPosition, stride } = this.#layout
    return dataPosition + catalog.getUint32(extent * 4, true) * stride
  }

  #truncated(extent: number, position: number): Error {
    return corrupt(
      'E_TRUNCATED',
      `${this.store.name}: extent ${extent} would lie at byte ${position}, but the file ends at ` +
        `byte ${this.store.size}`,
      { details: { position, size: this.store.size } },
    )
  }
}

function readLayout(store: ByteStore): Layout {
  const { name, size } = store
  const bytes = headerBytes(store, header2.size, 'a Bochs header')
  const version = viewOf(bytes).getUint32(64, true)
  if (version !== version1 && version !== version2)
    throw unsupported('E_VERSION', `${name}: the header has version 0x${version.toString(16)}; 1 and 2 are known`)
  const isOld = version === version1
  const layout = isOld ? header1 : header2
  const values = layout.read(bytes)
  if (values.type !== 'Redolog' || values.subtype !== 'Growing')
    throw unsupported(
      'E_TYPE',
      `${name} is a Bochs image of the type "${printable(values.type)}", ` +
        `"${printable(values.subtype)}"; only growing ` +
        'disks stand alone',
      { hint: 'Commit it into its base with bximage first.' },
    )
  const { diskSize: capacity, headerSize, catalogEntries: entries, bitmapSize, extentSize } = values
  checkFields(name, values, isOld)
  if (headerSize + entries * 4 > size)
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the catalog takes bytes ${headerSize} to ${headerSize + entries * 4}, but the file ` +
        `ends at byte ${size}`,
      { details: { position: headerSize, size }, hint: hints.incomplete },
    )
  const catalog = new Uint8Array(entries * 4)
  store.read(headerSize, catalog)
  const bitmapBytes = ceilDivide(bitmapSize, sectorLength) * sectorLength
  return {
    version,
    capacity,
    extentSize,
    bitmapBytes,
    stride: bitmapBytes + ceilDivide(extentSize, sectorLength) * sectorLength,
    dataPosition: headerSize + entries * 4,
    catalog: viewOf(catalog),
    catalogPosition: headerSize,
    rows: layout.rows(bytes, 0),
  }
}

function checkFields(name: string, values: StructValues<typeof header1>, isOld: boolean): void {
  const { diskSize, headerSize, catalogEntries: entries, bitmapSize, extentSize } = values
  const bad = badField(name)
  if (headerSize < (isOld ? header1 : header2).size) throw bad(`the header has ${headerSize} bytes`, 68)
  if (entries > mostEntries) throw bad(`the catalog has ${entries} entries, at most ${mostEntries} are allowed`, 72)
  if (extentSize < sectorLength || extentSize % sectorLength !== 0 || extentSize > mostExtent)
    throw bad(`an extent has ${extentSize} bytes, expected whole sectors up to 8 MiB`, 80)
  if (bitmapSize * 8 < extentSize / sectorLength || bitmapSize > mostExtent)
    throw bad(`the bitmap of an extent has ${bitmapSize} bytes for ${extentSize / sectorLength} sectors`, 76)
  if (entries * extentSize < diskSize)
    throw bad(
      `the disk has ${diskSize} bytes, more than ${entries} extents of ${extentSize} bytes hold`,
      isOld ? 84 : 88,
    )
}
