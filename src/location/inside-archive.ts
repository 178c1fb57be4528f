import type { Location } from './location.js'
import { isMeant } from './meant.js'
import { MemberLocation } from './member.js'
import type { ReferenceName } from './reference-name.js'

/** A member of the archive, and how it was found there. */
export interface FoundInside {
  readonly location: MemberLocation
  readonly by: 'name' | 'beside'
}

/** What is asked for: see {@link GateRequest}. */
interface Wanted {
  readonly names: readonly ReferenceName[]
  readonly verifiable: boolean
  readonly recognise?: (head: Uint8Array) => boolean
}

/**
 * What the names of an image mean in the archive that it lies in, or in one around that: files of the archive, and
 * nothing else.
 * @param inside where the image lies.
 */
export function insideArchive(inside: Location | undefined, wanted: Wanted): FoundInside[] {
  const found: FoundInside[] = []
  for (let place = inside; place !== undefined; place = place.outer)
    if (place instanceof MemberLocation && place.neighbours !== undefined) found.push(...besideOf(place, wanted))
  return found
}

function* besideOf(place: MemberLocation, { names, verifiable, recognise }: Wanted): Generator<FoundInside> {
  for (const { paths, leaves } of names) {
    for (const path of paths) {
      const location = place.at(path)
      if (location !== undefined) yield { location, by: 'name' }
    }
    // As in a folder: a path of another system says nothing but its last part, and the id decides.
    for (const leaf of verifiable ? leaves : []) {
      const location = place.at(leaf)
      if (location !== undefined) yield { location, by: 'beside' }
    }
  }
  if (recognise !== undefined)
    for (const location of place.alike()) if (isMeant(location, recognise)) yield { location, by: 'beside' }
}
