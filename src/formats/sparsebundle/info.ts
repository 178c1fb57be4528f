import { parsePlist, type PlistValue } from '../../binary/plist.js'
import { documentText } from '../../block/document.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, printable, unsupported, type ImageError } from '../../errors.js'

export const bundleType = 'com.apple.diskimage.sparsebundle'
const largestInfo = 1024 * 1024
const largestBand = 2 ** 40

/** What Info.plist says. Bytes. */
export interface Info {
  readonly capacity: number
  readonly bandSize: number
}

/** @throws ImageError corrupt E_PLIST, E_HEADER, E_TOO_LARGE; unsupported E_VERSION, E_TYPE. */
export function readInfo(store: ByteStore): Info {
  const { name } = store
  let list: PlistValue
  try {
    list = parsePlist(documentText(store, largestInfo))
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw corrupt('E_PLIST', `${name}: the property list cannot be read: ${cause.message}`, { cause })
  }
  const values: Readonly<Record<string, PlistValue>> =
    typeof list === 'object' && !Array.isArray(list) ? (list as Readonly<Record<string, PlistValue>>) : {}
  const value = (key: string): PlistValue | undefined => (Object.hasOwn(values, key) ? values[key] : undefined)
  const type = value('diskimage-bundle-type')
  if (type !== bundleType)
    throw unsupported('E_TYPE', `${name}: a bundle of the type ${shown(type)}; only ${bundleType} is known`)
  const version = value('bundle-backingstore-version')
  if (version !== undefined && version !== 1)
    throw unsupported('E_VERSION', `${name}: version ${shown(version)} of a sparse bundle; only 1 is known`)
  const bad = (key: string, found: PlistValue | undefined): ImageError =>
    corrupt('E_HEADER', `${name}: "${key}" is ${shown(found)}, expected a number of bytes`)
  const bytes = (key: string, least: number, most: number): number => {
    const found = value(key)
    if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < least) throw bad(key, found)
    if (found <= most) return found
    throw corrupt('E_TOO_LARGE', `${name}: "${key}" is ${found}, more than the ${most} allowed`)
  }
  return {
    bandSize: bytes('band-size', 512, largestBand),
    capacity: bytes('size', 0, Number.MAX_SAFE_INTEGER),
  }
}

function shown(value: PlistValue | undefined): string {
  return value === undefined ? 'not there' : printable(JSON.stringify(value).slice(0, 60))
}
