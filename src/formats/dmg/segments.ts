import { safeNumber } from '../../binary/integers.js'
import { JoinedStore } from '../../block/joined-store.js'
import type { ByteStore, Note } from '../../block/types.js'
import { corrupt, hints, reference } from '../../errors.js'
import type { Location } from '../../location/location.js'
import type { DiskImage, OpenContext } from '../driver.js'
import { DmgImage } from './reader.js'
import { readTables } from './tables.js'
import { readTrailer, type Trailer } from './trailer.js'

const mostSegments = 999

/** The file of a segment. */
interface Segment {
  readonly store: ByteStore
  readonly trailer: Trailer
}

/**
 * Opens a DMG; one in segments (`name.dmg`, `name.002.dmgpart` …) with all of them, whichever is given.
 * @throws ImageError corrupt; unsupported; reference E_PART_MISSING.
 */
export function openDmg(store: ByteStore, context: OpenContext): DiskImage {
  const trailer = readTrailer(store)
  if (trailer.values.segmentCount <= 1) return new DmgImage({ store, trailer, tables: readTables(store, trailer) })
  const segments: Segment[] = []
  try {
    const notes = collect({ store, trailer }, context, segments)
    return joinedImage(segments, notes)
  } catch (error) {
    // The image's own store is closed by the caller.
    for (const segment of segments) if (segment.store !== store) segment.store[Symbol.dispose]()
    throw error
  }
}

/** Finds all segments of an image, in order. Gives what the user should know. */
function collect(given: Segment, context: OpenContext, segments: Segment[]): Note[] {
  const { name } = given.store
  const { segmentCount: count, segmentNumber: own } = given.trailer.values
  if (count > mostSegments || own < 1 || own > count)
    throw corrupt('E_HEADER', `${name}: its trailer says that it is segment ${own} of ${count}`)
  const at = namesBeside(context.self, own)
  const open = (number: number): Segment => {
    if (number === own) return given
    const location = at?.(number)
    const store =
      location === undefined ? undefined : context.openReference({ role: 'extent', path: location.address }, location)
    if (store !== undefined) {
      const segment = { store, trailer: readTrailer(store) }
      if (fits(segment, given, number)) return segment
      store[Symbol.dispose]()
    }
    throw reference(
      'E_PART_MISSING',
      `${name} is segment ${own} of a DMG in ${count}: segment ${number} ` +
        (location === undefined ? 'is not beside it' : `is not ${location.label}, which belongs to another image`),
      { hint: 'Put all segments into one folder: NAME.dmg, NAME.002.dmgpart, NAME.003.dmgpart …' },
    )
  }
  for (let number = 1; number <= count; number++) segments.push(open(number))
  return own === 1
    ? []
    : [
        {
          code: 'W_EXTENT_GIVEN',
          message:
            `${name} is segment ${own} of the DMG that ${segments[0]?.store.name ?? ''} begins: ` + 'all of it is read',
        },
      ]
}

/** What the segments beside one are called; undefined where it has no name of a segment. */
function namesBeside(self: Location, own: number): ((number: number) => Location | undefined) | undefined {
  for (const place of [self, self.behind]) {
    const pattern = own === 1 ? /^(.*)\.dmg$/is : /^(.*)\.\d{3}\.dmgpart$/is
    const [, stem] = pattern.exec(place?.name ?? '') ?? []
    if (place === undefined || stem === undefined) continue
    return (number) =>
      place.sibling(number === 1 ? `${stem}.dmg` : `${stem}.${String(number).padStart(3, '0')}.dmgpart`)
  }
  return undefined
}

function fits({ trailer: { values } }: Segment, given: Segment, number: number): boolean {
  const other = given.trailer.values
  return (
    values.segmentNumber === number &&
    values.segmentCount === other.segmentCount &&
    Buffer.from(values.segmentId).equals(Buffer.from(other.segmentId))
  )
}

/** The data forks of all segments are one behind the other; places of chunks count from the start of the first. */
function joinedImage(segments: readonly Segment[], notes: readonly Note[]): DiskImage {
  let end = 0
  const ranges = segments.map(({ store, trailer }) => {
    const { dataFork: position, dataForkLength: length, values } = trailer
    const running = safeNumber(values.runningDataForkOffset, `${store.name}: running data fork offset`)
    if (running !== end)
      throw corrupt('E_MAP', `${store.name}: its data begin at byte ${running} of all data, expected ${end}`)
    if (position + length > store.size)
      throw corrupt('E_TRUNCATED', `${store.name}: its data end at byte ${position + length} of ${store.size}`, {
        details: { position, size: store.size },
        hint: hints.incomplete,
      })
    end += length
    return { store, position, length }
  })
  const described = segments.find(({ trailer: { plist, resources } }) => plist !== undefined || resources !== undefined)
  const [first] = segments
  if (first === undefined || described === undefined)
    throw corrupt('E_PLIST', `${first?.store.name ?? ''}: none of its segments has a property list`)
  const { store, trailer } = described
  return new DmgImage({
    store: first.store,
    others: segments.slice(1).map((segment) => segment.store),
    data: new JoinedStore(first.store.name, ranges),
    // Nothing but chunks is in the data fork of a segment.
    trailer: { ...trailer, dataFork: 0, dataForkLength: end, position: Infinity, plist: undefined },
    tables: readTables(store, trailer),
    notes: [...notes, ...segments.flatMap((segment) => segment.trailer.notes)],
  })
}
