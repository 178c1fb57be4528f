import { printable, type Label } from '../errors.js'
// Not through index.ts: every command would load the server and TLS.
import { ExportStore } from '../mount/nbd/export-store.js'
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
