import { fileScheme } from './file.js'
import type { Location, Scheme } from './location.js'
import { nbdScheme } from './nbd.js'

/** The schemes that vdisk brings. Files come last: they take every address that no other takes. */
export const builtinSchemes: readonly Scheme[] = [nbdScheme, fileScheme]

/** What addresses mean: the schemes built in, and those of plug-ins (hook `vdisk:schemes`) before them. */
export class Schemes {
  readonly #schemes: readonly Scheme[]

  constructor(added: readonly Scheme[] = []) {
    this.#schemes = [...added, ...builtinSchemes]
  }

  [Symbol.iterator](): Iterator<Scheme> {
    return this.#schemes[Symbol.iterator]()
  }

  /** The scheme that an address is meant for, by its text. */
  of(address: string): Scheme {
    return this.#schemes.find((scheme) => scheme.matches(address)) ?? fileScheme
  }

  /** Nothing is opened yet. @throws ImageError usage when the address is not well formed. */
  locate(address: string): Location {
    return this.of(address).locate(address)
  }
}
