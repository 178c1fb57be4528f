import { printable, usage, type Label } from '../errors.js'
// Not through index.ts: every command would load the server and TLS.
import { ExportStore } from '../mount/nbd/export-store.js'
import { bitmapContext, bitmapsOf } from '../mount/nbd/structs.js'
import { nbdUri, parseNbdUri, type NbdAddress } from '../mount/nbd/uri.js'
import { otherId, type Location, type LocationId, type Scheme } from './location.js'

/** An export of an NBD server. */
export class NbdLocation implements Location {
  readonly scheme = 'nbd'
  readonly kind = 'export'
  /** What its guest writes must not make it another format. */
  readonly format = 'raw'
  readonly id: LocationId
  readonly label: Label
  readonly name = undefined
  readonly export: NbdAddress

  /** @throws ImageError usage E_NBD_URI. */
  constructor(readonly address: string) {
    this.export = parseNbdUri(address)
    this.id = otherId('nbd', nbdUri(this.export))
    this.label = printable(address)
  }

  store(): ExportStore {
    return new ExportStore(this.export)
  }

  /** @throws ImageError usage E_NO_BITMAP; those of connecting. */
  *changes(bitmap: string): Generator<{ readonly offset: number; readonly length: number }> {
    using store = new ExportStore(this.export, undefined, bitmapContext(bitmap))
    if (store.facts.context === undefined)
      throw usage('E_NO_BITMAP', `${this.label}: the server has no dirty bitmap ${JSON.stringify(printable(bitmap))}`, {
        hint: 'Serve it with the disk: qemu-nbd --bitmap=NAME, or the argument bitmaps of block-export-add.',
      })
    for (let offset = 0; offset < store.size;) {
      const { hole, length } = store.holeAt(offset, store.size - offset)
      if (!hole) yield { offset, length }
      offset += length
    }
  }

  changeLists(): readonly string[] {
    using store = new ExportStore(this.export, undefined, bitmapContext(''))
    return bitmapsOf(store.facts.contexts ?? [])
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }
}

export const nbdScheme: Scheme = {
  id: 'nbd',
  title: 'an export of an NBD server',
  matches: (address) => /^nbds?(\+unix)?:\/\//i.test(address),
  locate: (address) => new NbdLocation(address),
}
