import { eachPiece } from '../../block/pieces.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import type { ByteStore, Note } from '../../block/types.js'
import { corrupt, printable, reference, type Label } from '../../errors.js'
import type { Location } from '../../location/location.js'
import fs from '../../sys/host-fs.js'
import type { OwnFile } from '../driver.js'

/** Files that are held open at a time. */
const mostOpen = 64

/** The file of a band, as it was when the bundle was opened. */
interface Band {
  readonly place: Location
  readonly size: number
  /** Nothing of these for what is no file of this computer. */
  readonly device?: bigint
  readonly inode?: bigint
  readonly changed?: bigint
  isRead: boolean
}

/** What bands lie in a folder. */
export interface FoundBands {
  readonly bands: ReadonlyMap<number, Band>
  readonly files: readonly OwnFile[]
  readonly notes: readonly Note[]
}

/**
 * Finds the bands. Only files named as bands are are looked at.
 * @throws ImageError corrupt E_MAP, E_EXTENT_SIZE; reference E_REFERENCE_NOT_ALLOWED for links and what is no file.
 */
export function findBands(
  folder: Location,
  { capacity, bandSize }: { readonly capacity: number; readonly bandSize: number },
): FoundBands {
  const bands = new Map<number, Band>()
  const files: OwnFile[] = []
  let beyond = 0
  for (const place of folder.list?.() ?? []) {
    const { name = '' } = place
    if (!/^[0-9a-f]+$/i.test(name)) continue
    const number = Number.parseInt(name, 16)
    if (number.toString(16) !== name)
      throw corrupt('E_MAP', `${place.label} is named nearly as a band: expected ${number.toString(16)}`, {
        hint: 'Names of bands are hexadecimal, in lower case and without leading zeros.',
      })
    const band = bandAt(place)
    if (band.size > bandSize)
      throw corrupt('E_EXTENT_SIZE', `${place.label} has ${band.size} bytes, a band has at most ${bandSize}`)
    if (number * bandSize >= capacity) beyond++
    bands.set(number, band)
    if (place.path !== undefined && band.device !== undefined && band.inode !== undefined)
      files.push({ path: place.path, size: band.size, device: band.device, inode: band.inode })
  }
  const notes: Note[] =
    beyond === 0
      ? []
      : [{ code: 'W_BAND_BEYOND', message: `${folder.label}: ${beyond} bands lie behind the end of the disk` }]
  return { bands, files, notes }
}

function bandAt(place: Location): Band {
  if (place.path === undefined) {
    using store = place.store()
    return { place, size: store.size, isRead: false }
  }
  const stat = fs.lstatSync(place.path, { bigint: true })
  if (!stat.isFile())
    throw reference(
      'E_REFERENCE_NOT_ALLOWED',
      `${place.label} is to be a band of the disk, and is ` +
        (stat.isSymbolicLink() ? 'a symbolic link' : 'no regular file'),
    )
  const { size, dev, ino, mtimeNs } = stat
  return { place, size: Number(size), device: dev, inode: ino, changed: mtimeNs, isRead: false }
}

/** The bands of a bundle as one store, a byte of the disk at the position of its offset. What is in no band is zero. */
export class BandStore extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly #bandSize: number
  readonly #bands: ReadonlyMap<number, Band>
  /** The one used last is the last. */
  readonly #open = new Map<number, ByteStore>()

  constructor(
    name: Label,
    bands: ReadonlyMap<number, Band>,
    { capacity, bandSize }: { readonly capacity: number; readonly bandSize: number },
  ) {
    super()
    this.name = name
    this.size = capacity
    this.#bandSize = bandSize
    this.#bands = bands
  }

  /** How many bytes from the start of a band are stored. */
  stored(band: number): number {
    return this.#bands.get(band)?.size ?? 0
  }

  holeAt(position: number, limit: number): { readonly hole: boolean; readonly length: number } {
    const band = Math.floor(position / this.#bandSize)
    const within = position - band * this.#bandSize
    const stored = this.stored(band)
    const end = within < stored ? stored : this.#bandSize
    return { hole: within >= stored, length: Math.min(limit, end - within, this.size - position) }
  }

  read(position: number, target: Uint8Array): void {
    if (position < 0 || position + target.length > this.size)
      throw corrupt('E_TRUNCATED', `${this.name}: bytes ${position} to ${position + target.length} are past the end`)
    eachPiece(position, target.length, this.#bandSize, (band, within, done, length) => {
      const piece = target.subarray(done, done + length)
      const stored = Math.max(0, Math.min(length, this.stored(band) - within))
      if (stored > 0) this.#opened(band).read(within, piece.subarray(0, stored))
      piece.fill(0, stored)
    })
  }

  #opened(number: number): ByteStore {
    const kept = this.#open.get(number)
    if (kept !== undefined) {
      this.#open.delete(number)
      this.#open.set(number, kept)
      return kept
    }
    const band = this.#bands.get(number)
    if (band === undefined) throw new RangeError(`band ${number} is not there`)
    for (const [oldest, store] of this.#open) {
      if (this.#open.size < mostOpen) break
      this.#open.delete(oldest)
      store[Symbol.dispose]()
    }
    const store = band.place.store()
    band.isRead = true
    this.#open.set(number, store)
    if (store.fd !== undefined) {
      const { dev, ino } = fs.fstatSync(store.fd, { bigint: true })
      if (dev !== band.device || ino !== band.inode)
        throw reference('E_REFERENCE_CHANGED', `${band.place.label} was exchanged for another file meanwhile`)
    }
    return store
  }

  changed(): string | undefined {
    for (const { place, size, changed, inode, isRead } of this.#bands.values()) {
      if (!isRead || place.path === undefined) continue
      const stat = fs.lstatSync(place.path, { bigint: true, throwIfNoEntry: false })
      if (stat?.ino !== inode || stat?.mtimeNs !== changed || Number(stat?.size) !== size)
        return `its band ${printable(place.name ?? '')} changed`
    }
    return undefined
  }

  [Symbol.dispose](): void {
    for (const store of this.#open.values()) store[Symbol.dispose]()
    this.#open.clear()
  }
}
