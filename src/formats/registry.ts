import { addCodec } from '../codec/registry.js'
import { printable, unsupported, usage, type ImageError } from '../errors.js'
import { Schemes } from '../location/schemes.js'
import { extensionOf } from '../sys/host-path.js'
import * as builtin from './builtin.js'
import { driverApiVersion, type FormatDriver, type WrapperDriver } from './driver.js'

const builtins: readonly (FormatDriver | WrapperDriver)[] = Object.values(builtin)

/** The formats built in (builtin.ts). The order is that of `vdisk formats`. */
export const builtinDrivers: readonly FormatDriver[] = builtins.filter(isFormat)

/** What may be around an image, built in. */
export const builtinWrappers: readonly WrapperDriver[] = builtins.filter(isWrapper)

/** What other programs call formats of ours; images record these names too. */
const otherNames: Readonly<Record<string, string>> = { vpc: 'vhd', file: 'raw', host_device: 'raw' }

/** A driver and who brought it: `vdisk`, or a plugin's name. */
export interface RegisteredDriver {
  readonly driver: FormatDriver
  readonly origin: string
}

/** The formats that are known: those built in, and those that plugins add. */
export class Registry implements Iterable<RegisteredDriver> {
  readonly #drivers = new Map<string, RegisteredDriver>()
  readonly #wrappers: WrapperDriver[] = [...builtinWrappers]
  /** What addresses of images mean: those built in, and those that plugins add. */
  readonly schemes: Schemes

  constructor(drivers: Iterable<FormatDriver> = builtinDrivers, schemes = new Schemes()) {
    this.schemes = schemes
    for (const driver of drivers) this.add(driver, 'vdisk')
  }

  /**
   * Takes a driver in. What a plugin gives is checked, since nothing else has.
   * @throws ImageError unsupported E_PLUGIN_API_VERSION, E_PLUGIN_ID_TAKEN, E_PLUGIN_DRIVER; each names the plugin.
   */
  add(driver: unknown, origin: string): void {
    if (isWrapper(driver)) {
      this.#addWrapper(driver, origin)
      return
    }
    const checked = checkDriver(driver, origin)
    for (const codec of checked.codecs ?? []) addCodec(codec, origin)
    const other = this.#drivers.get(checked.id)
    if (other !== undefined) throw taken(checked.id, origin, other.origin)
    this.#drivers.set(checked.id, { driver: checked, origin })
  }

  /** What may be around an image: compressed files, archives. */
  get wrappers(): readonly WrapperDriver[] {
    return this.#wrappers
  }

  #addWrapper(driver: WrapperDriver, origin: string): void {
    checkWrapper(driver, origin)
    if (this.#wrappers.some(({ id }) => id === driver.id)) throw taken(driver.id, origin, 'another one')
    this.#wrappers.push(driver)
  }

  /** The driver of an id, or of the name another program uses for it; undefined when there is none. */
  find(id: string): FormatDriver | undefined {
    return (this.#drivers.get(id) ?? this.#drivers.get(otherNames[id] ?? ''))?.driver
  }

  /** The driver of an id. @throws ImageError usage E_UNKNOWN_FORMAT naming those that exist. */
  get(id: string): FormatDriver {
    const driver = this.find(id)
    if (driver === undefined) {
      throw usage('E_UNKNOWN_FORMAT', `no format is called ${printable(id)}`, {
        hint: `The formats are ${[...this.#drivers.keys()].join(', ')}.`,
        details: { id },
      })
    }
    return driver
  }

  /** The format whose files are disks, byte for byte. @throws TypeError when none is known. */
  get plain(): FormatDriver {
    for (const { driver } of this) if (driver.plain === true) return driver
    throw new TypeError('a registry without a plain format')
  }

  /** The driver whose extensions hold that of the file name, in any case; undefined when none does. */
  forExtension(path: string): FormatDriver | undefined {
    const extension = extensionOf(path).slice(1).toLowerCase()
    if (extension === '') return undefined
    for (const { driver } of this) if (driver.extensions.includes(extension)) return driver
    return undefined
  }

  /** What a file of that name is by its extension, in any case: a compressed file, an archive; else undefined. */
  wrapperFor(path: string): WrapperDriver | undefined {
    const extension = extensionOf(path).slice(1).toLowerCase()
    return this.#wrappers.find(({ extensions }) => extensions.includes(extension))
  }

  [Symbol.iterator](): Iterator<RegisteredDriver> {
    return this.#drivers.values()
  }
}

function taken(id: string, origin: string, by: string): ImageError {
  return unsupported('E_PLUGIN_ID_TAKEN', `${origin} adds a format ${id}, but ${by} has a format of that id already`, {
    hint: 'Remove one of the two.',
    details: { id, origin },
  })
}

function isFormat(driver: FormatDriver | WrapperDriver): driver is FormatDriver {
  return !isWrapper(driver)
}

function isWrapper(driver: unknown): driver is WrapperDriver {
  return typeof driver === 'object' && driver !== null && (driver as { kind?: unknown }).kind === 'wrapper'
}

/** What a plug-in gives is checked, since nothing else has. @throws ImageError unsupported E_PLUGIN_DRIVER. */
function checkWrapper(driver: WrapperDriver, origin: string): void {
  const { apiVersion, id, extensions } = driver
  const right =
    (apiVersion as number) === driverApiVersion &&
    /^[a-z][a-z0-9-]{0,31}$/.test(id) &&
    typeof driver.probe === 'function' &&
    typeof driver.open === 'function' &&
    Array.isArray(extensions)
  if (!right)
    throw unsupported(
      'E_PLUGIN_DRIVER',
      `${origin} adds the wrapper ${printable(id)}, which does not fit this version of the driver contract`,
    )
}

/** The members a driver cannot do without, and what they are. */
const required: readonly (readonly [keyof FormatDriver, 'string' | 'function' | 'array' | 'object'])[] = [
  ['title', 'string'],
  ['extensions', 'array'],
  ['subformats', 'array'],
  ['features', 'object'],
  ['options', 'array'],
  ['probe', 'function'],
  ['open', 'function'],
]

function checkDriver(driver: unknown, origin: string): FormatDriver {
  if (typeof driver !== 'object' || driver === null)
    throw unsupported('E_PLUGIN_DRIVER', `${origin} adds something that is no format driver`)
  const given = driver as Partial<Record<keyof FormatDriver, unknown>>
  const name = typeof given.id === 'string' ? printable(given.id) : 'without an id'
  if (given.apiVersion !== driverApiVersion) {
    throw unsupported(
      'E_PLUGIN_API_VERSION',
      `${origin} adds the format ${name} for version ${printable(String(given.apiVersion))} of the driver ` +
        `contract; this vdisk has version ${driverApiVersion}`,
      {
        hint: 'Update the plug-in or vdisk.',
        details: { origin },
      },
    )
  }
  if (typeof given.id !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(given.id)) {
    throw unsupported(
      'E_PLUGIN_DRIVER',
      `${origin} adds a format whose id is ${name}; an id is a lower case letter, then letters, digits and -`,
    )
  }
  for (const [member, kind] of required) {
    const value = given[member]
    const right =
      kind === 'array'
        ? Array.isArray(value)
        : kind === 'object'
          ? typeof value === 'object' && value !== null
          : typeof value === kind
    if (!right) throw unsupported('E_PLUGIN_DRIVER', `${origin} adds the format ${name}, whose ${member} is no ${kind}`)
  }
  return driver as FormatDriver
}
