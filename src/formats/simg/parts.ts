import { printable, reference } from '../../errors.js'
import type { Location } from '../../location/location.js'

/** How parts are named: `super_1.img`, `system.img_sparsechunk.0`, `system.simg.0` (simg2simg). */
const patterns: readonly RegExp[] = [
  /^(?<before>.+_)(?<number>\d{1,4})(?<after>\.s?img)$/s,
  /^(?<before>.+_sparsechunk\.?)(?<number>\d{1,4})(?<after>)$/s,
  /^(?<before>.+\.s?img\.)(?<number>\d{1,4})(?<after>)$/s,
]

/** A name taken apart. */
interface PartName {
  readonly number: number
  /** The name of another part. */
  of(number: number): string
}

function parse(name: string): PartName | undefined {
  for (const pattern of patterns) {
    const { before, number, after } = pattern.exec(name)?.groups ?? {}
    if (before === undefined || number === undefined || after === undefined) continue
    const digits = number.startsWith('0') ? number.length : 1
    return { number: Number(number), of: (other) => before + String(other).padStart(digits, '0') + after }
  }
  return undefined
}

/**
 * All parts of the image that a file is named as a part of, in order; empty where it stands alone.
 * @throws ImageError reference E_PART_MISSING when one before it is missing; usage E_PERMISSION.
 */
export function partsOf(self: Location): { readonly place: Location; readonly isSelf: boolean }[] {
  for (const place of [self, self.behind]) {
    const own = place?.name === undefined ? undefined : parse(place.name)
    if (place === undefined || own === undefined) continue
    const at = (number: number): Location | undefined => (number === own.number ? place : place.sibling(own.of(number)))
    const first = at(0) === undefined ? 1 : 0
    const found: { readonly place: Location; readonly isSelf: boolean }[] = []
    for (let number = first; ; number++) {
      const part = at(number)
      if (part === undefined && number >= own.number) break
      if (part === undefined) throw missing(place, own.of(number))
      found.push({ place: part, isSelf: number === own.number })
    }
    const last = own.of(first + found.length + 1)
    if (place.sibling(last) !== undefined && parse(last) !== undefined)
      throw missing(place, own.of(first + found.length))
    if (found.length > 1) return found
  }
  return []
}

function missing({ label }: Location, name: string): Error {
  return reference('E_PART_MISSING', `${label}: part ${printable(name)} of the image is missing, others are there`, {
    hint: 'Put it beside the others, or read this file alone with --from-option parts=false.',
  })
}
