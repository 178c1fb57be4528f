import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { isImageError, reference, unsupported, type ImageError } from '../../errors.js'
import type { CheckOptions, DiskImage, Finding, OpenContext } from '../driver.js'
import { BandStore, findBands, type FoundBands } from './bands.js'
import { readInfo, type Info } from './info.js'

/** Bands that one extent covers at most. */
const longestRun = 4096
const pieceLength = 1024 * 1024

/** An Apple sparse bundle, opened from its Info.plist: each band of the disk is a file. */
export class SparseBundle extends ExtentSource implements DiskImage {
  readonly format = 'sparsebundle'
  readonly subformat = 'bands'
  readonly capacity: number
  readonly grain = 512
  readonly notes: readonly Note[]
  readonly unreadable?: ImageError
  readonly #info: Info
  readonly #found: FoundBands
  readonly #bands: BandStore

  /** @throws ImageError corrupt; unsupported; reference E_REFERENCE_MISSING, E_REFERENCE_NOT_ALLOWED. */
  constructor(store: ByteStore, context: OpenContext) {
    super(store)
    const { self } = context
    const info = readInfo(store)
    this.#info = info
    this.capacity = info.capacity
    const folder = self.sibling('bands')
    if (folder?.list === undefined)
      throw reference('E_REFERENCE_MISSING', `${store.name}: the folder "bands" is not beside it`)
    if (folder.behind !== undefined)
      throw reference('E_REFERENCE_NOT_ALLOWED', `${folder.label} is a symbolic link, and is to hold the disk's bands`)
    if (isEncrypted(context)) {
      this.unreadable = unsupported(
        'E_ENCRYPTED',
        `${store.name} describes an encrypted sparse bundle; encrypted disks cannot be read`,
      )
    }
    this.#found = findBands(folder, info)
    this.#bands = new BandStore(folder.label, this.#found.bands, info)
    context.include?.(this.#bands, this.#found.files)
    this.notes = [
      ...(self.name === 'Info.bckup'
        ? [{ code: 'W_INFO_COPY_USED', message: `${store.name}: Info.plist is missing; its copy is used` }]
        : []),
      ...this.#found.notes,
    ]
  }

  protected runAt(offset: number, end: number): Extent {
    if (this.unreadable !== undefined) throw this.unreadable
    const { bandSize } = this.#info
    const first = Math.floor(offset / bandSize)
    const { hole, length } = this.#bands.holeAt(offset, end - offset)
    let next = offset + length
    for (let band = first; next < end && band - first < longestRun; band++) {
      const more = this.#bands.holeAt(next, end - next)
      if (more.hole !== hole) break
      next += more.length
    }
    if (hole) return { kind: 'zero', offset, length: next - offset }
    return { kind: 'data', offset, length: next - offset, store: this.#bands, position: offset }
  }

  describe(): Section[] {
    return [
      {
        title: 'Apple sparse bundle',
        facts: [
          { name: 'bandSize', value: this.#info.bandSize, unit: 'bytes' },
          { name: 'bands', label: 'bands stored', value: this.#found.bands.size, unit: 'count' },
        ],
      },
    ]
  }

  /** Reads every band where that is asked for: there are no tables that could be wrong. */
  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    if (!deep || this.unreadable !== undefined) return
    const { bandSize } = this.#info
    const piece = new Uint8Array(Math.min(pieceLength, bandSize))
    for (const band of this.#found.bands.keys()) {
      const end = Math.min(this.capacity, band * bandSize + this.#bands.stored(band))
      for (let offset = band * bandSize; offset < end; offset += piece.length) {
        yield { done: offset, total: this.capacity }
        try {
          this.#bands.read(offset, piece.subarray(0, Math.min(piece.length, end - offset)))
        } catch (error) {
          if (!isImageError(error)) throw error
          yield { severity: 'error', code: error.code, structure: `band ${band}`, message: error.message }
          break
        }
      }
    }
  }

  override [Symbol.dispose](): void {
    this.#bands[Symbol.dispose]()
    super[Symbol.dispose]()
  }
}

/** An encrypted bundle keeps the header of its encryption in the file "token", which is empty otherwise. */
function isEncrypted({ self }: OpenContext): boolean {
  const token = self.sibling('token')
  if (token === undefined) return false
  using store = token.store()
  return store.size > 0
}
