import { parsePlist, type PlistValue } from '../../binary/plist.js'
import { viewOf } from '../../binary/integers.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt } from '../../errors.js'
import type { Trailer } from './trailer.js'

/** Larger property lists and resource forks are none that macOS makes. */
const mostBytes = 32 * 1024 * 1024

/** The bytes of a table of chunks, and what the part of the disk is called. */
export interface Table {
  readonly name: string
  readonly bytes: Uint8Array
}

/**
 * The tables of all parts of the disk, from the property list or, in old images, the resource fork.
 * @throws ImageError corrupt E_PLIST, E_TOO_LARGE.
 */
export function readTables(store: ByteStore, { plist, resources }: Trailer): Table[] {
  const place = plist ?? resources
  if (place === undefined)
    throw corrupt('E_PLIST', `${store.name}: the trailer names neither a property list nor a resource fork`)
  if (place.length > mostBytes)
    throw corrupt('E_TOO_LARGE', `${store.name}: a list of ${place.length} bytes, more than the ${mostBytes} allowed`, {
      details: { position: place.position },
    })
  const bytes = new Uint8Array(place.length)
  store.read(place.position, bytes)
  const tables = plist === undefined ? fromResources(store.name, bytes) : fromPlist(store.name, bytes)
  if (tables.length === 0) throw corrupt('E_PLIST', `${store.name}: there is no table of chunks ("blkx") in it`)
  return tables
}

function member(value: PlistValue | undefined, name: string): PlistValue | undefined {
  return typeof value === 'object' && !Array.isArray(value) && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, PlistValue>>)[name]
    : undefined
}

function fromPlist(name: string, bytes: Uint8Array): Table[] {
  let list: PlistValue
  try {
    list = parsePlist(new TextDecoder().decode(bytes))
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw corrupt('E_PLIST', `${name}: the property list cannot be read: ${cause.message}`, { cause })
  }
  const tables = member(member(list, 'resource-fork'), 'blkx')
  if (!Array.isArray(tables)) return []
  return (tables as readonly PlistValue[]).map((table) => {
    const data = member(table, 'Data')
    const called = member(table, 'CFName') ?? member(table, 'Name')
    if (typeof data !== 'string') throw corrupt('E_PLIST', `${name}: a table of chunks has no data`)
    return { name: typeof called === 'string' ? called : '', bytes: Buffer.from(data, 'base64') }
  })
}

/** A classic resource fork: a map of types, of each a list of references to data. */
function fromResources(name: string, bytes: Uint8Array): Table[] {
  const view = viewOf(bytes)
  const outside = (): Error => corrupt('E_PLIST', `${name}: the resource fork leads past its end`)
  const u16 = (at: number): number => {
    if (at < 0 || at + 2 > bytes.length) throw outside()
    return view.getUint16(at)
  }
  const u32 = (at: number): number => {
    if (at < 0 || at + 4 > bytes.length) throw outside()
    return view.getUint32(at)
  }
  const data = u32(0)
  const map = u32(4)
  const types = map + u16(map + 24)
  const found: Table[] = []
  const count = (u16(types) + 1) % 65536
  for (let type = 0; type < count; type++) {
    const at = types + 2 + type * 8
    if (u32(at) !== 0x626c6b78) continue
    const references = types + u16(at + 6)
    for (let index = 0; index <= u16(at + 4); index++) {
      const place = data + (u32(references + index * 12 + 4) % 2 ** 24)
      const length = u32(place)
      if (place + 4 + length > bytes.length) throw outside()
      found.push({ name: '', bytes: bytes.subarray(place + 4, place + 4 + length) })
    }
  }
  return found
}
