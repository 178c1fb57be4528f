import { printable, unsupported } from '../errors.js'
import * as builtin from './builtin.js'
import { fileScheme } from './file.js'
import type { Location, Scheme } from './location.js'

/** The schemes built in. Files come last: they take every address that no other takes. */
const builtinSchemes: readonly Scheme[] = [...Object.values(builtin), fileScheme]

/** A scheme and who brought it: `vdisk`, or a plugin's name. */
interface RegisteredScheme {
  readonly scheme: Scheme
  readonly origin: string
}

/** What addresses mean: the schemes built in, and those of plugins (hook `vdisk:schemes`). */
export class Schemes implements Iterable<RegisteredScheme> {
  #schemes: readonly RegisteredScheme[] = builtinSchemes.map((scheme) => ({ scheme, origin: 'vdisk' }))

  /**
   * Takes a scheme in. What a plugin gives is checked, since nothing else has.
   * @throws ImageError unsupported E_PLUGIN_DRIVER, E_PLUGIN_ID_TAKEN; each names the plugin.
   */
  add(scheme: unknown, origin: string): void {
    const checked = checkScheme(scheme, origin)
    const taken = this.#schemes.find((known) => known.scheme.id === checked.id)
    if (taken !== undefined)
      throw unsupported(
        'E_PLUGIN_ID_TAKEN',
        `${origin} adds a scheme ${checked.id}, but ${taken.origin} has a scheme of that id already`,
        { hint: 'Remove one of the two.', details: { id: checked.id, origin } },
      )
    // Those built in keep their addresses; files take what nobody else takes.
    const last = this.#schemes.length - 1
    this.#schemes = [...this.#schemes.slice(0, last), { scheme: checked, origin }, ...this.#schemes.slice(last)]
  }

  [Symbol.iterator](): Iterator<RegisteredScheme> {
    return this.#schemes[Symbol.iterator]()
  }

  /** The scheme that an address is meant for, by its text. */
  of(address: string): Scheme {
    return this.#schemes.find(({ scheme }) => scheme.matches(address))?.scheme ?? fileScheme
  }

  /** Nothing is opened yet. @throws ImageError usage when the address is not well formed. */
  locate(address: string): Location {
    return this.of(address).locate(address)
  }
}

function checkScheme(scheme: unknown, origin: string): Scheme {
  const wrong = (why: string): Error => unsupported('E_PLUGIN_DRIVER', `${origin} adds a scheme ${why}`)
  if (typeof scheme !== 'object' || scheme === null) throw wrong('that is no object')
  const given = scheme as Partial<Record<keyof Scheme, unknown>>
  if (typeof given.id !== 'string' || !/^[a-z][a-z0-9+.-]{0,31}$/.test(given.id))
    throw wrong(
      `whose id is ${printable(String(given.id))}; an id is a lower case letter, then letters, digits, +, . and -`,
    )
  if (typeof given.title !== 'string' || typeof given.matches !== 'function' || typeof given.locate !== 'function')
    throw wrong(`${given.id} that has not all of title, matches and locate`)
  return scheme as Scheme
}
