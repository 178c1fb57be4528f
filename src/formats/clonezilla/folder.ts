import type { ByteStore } from '../../block/types.js'
import { corrupt, printable, reference } from '../../errors.js'
import type { Location } from '../../location/location.js'
import type { OpenContext } from '../driver.js'
import { piecesOf, type PieceSet } from './image-names.js'

/** Lists and tables are small. */
const largestText = 4 * 1024 * 1024

/** A folder that Clonezilla or Rescuezilla wrote: small files about disks, and the pieces of their partitions. */
export class BackupFolder implements Disposable {
  readonly names: readonly string[]
  readonly #self: Location
  readonly #context: OpenContext
  readonly #stores = new Map<string, ByteStore | undefined>()

  /** @param context its `self` is one of the files in the folder. */
  constructor(context: OpenContext) {
    this.#context = context
    this.#self = context.self
    this.names = [...context.self.siblings()].sort()
  }

  /** The bytes of a small file; undefined where there is none. @throws ImageError corrupt E_BACKUP, reference. */
  bytes(name: string): Uint8Array | undefined {
    const store = this.store(name)
    if (store === undefined) return undefined
    if (store.size > largestText) throw corrupt('E_BACKUP', `${store.name} has ${store.size} bytes: it is no such file`)
    const bytes = new Uint8Array(store.size)
    store.read(0, bytes)
    return bytes
  }

  text(name: string): string | undefined {
    const bytes = this.bytes(name)
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8')
  }

  /** The words of a list: names of disks, of partitions. */
  words(name: string): readonly string[] {
    return (this.text(name) ?? '').split(/\s+/).filter((word) => word !== '')
  }

  /** A file beside; it is closed with the folder. Undefined where there is none. @throws ImageError reference. */
  store(name: string): ByteStore | undefined {
    if (this.#stores.has(name)) return this.#stores.get(name)
    const place = this.names.includes(name) ? this.#self.sibling(name) : undefined
    if (place?.behind !== undefined)
      throw reference('E_REFERENCE_NOT_ALLOWED', `${place.label} is a link, which may lead anywhere`, {
        hint: 'Copy what it leads to into the folder.',
      })
    // The file that the folder was opened by is open already.
    const store =
      place === undefined || name === this.#self.name
        ? undefined
        : this.#context.openReference({ role: 'extent', path: place.address }, place)
    this.#stores.set(name, store)
    return store
  }

  /** The pieces of a device's content, opened. @throws ImageError reference E_PART_MISSING; corrupt E_TRUNCATED. */
  pieces(set: PieceSet): readonly ByteStore[] {
    const stores = set.names.map((name) => {
      const store = this.store(name)
      if (store === undefined) throw reference('E_PART_MISSING', `${printable(name)} cannot be opened`)
      return store
    })
    const [first] = stores
    for (const [index, store] of stores.entries()) {
      const isLast = index === stores.length - 1
      const size = first?.size ?? 0
      if (isLast ? store.size <= size : store.size === size) continue
      throw corrupt(
        isLast ? 'E_BACKUP' : 'E_TRUNCATED',
        `${store.name} has ${store.size} bytes, the first piece ${size}: all pieces but the last have one size`,
        { hint: 'Copy the pieces again.' },
      )
    }
    return stores
  }

  imageOf(device: string): PieceSet | undefined {
    return piecesOf(device, this.names)
  }

  [Symbol.dispose](): void {
    for (const store of this.#stores.values()) store?.[Symbol.dispose]()
    this.#stores.clear()
  }
}
