import type { Location } from '../../location/location.js'

/** `x.E01`, `x.e01`, `x.s01`, `x.Ex01`: what stands before the extension, and its letters. */
const firstName = /^(.*\.)([A-Za-z])([xX]?)01$/s
const laterName = /^(.*\.)([A-Za-z])([x-zX-Z]?)(?:\d\d|[A-Za-z]{2})$/s
const letters = 26

/**
 * What segment `number` (from 1) of a set is called whose first is called `first`: E01 to E99, then EAA to EZZ, FAA to
 * ZZZ; of version 2 Ex01 to Ex99, then ExAA to EzZZ. Undefined where the first has no such name, or none is left.
 */
export function segmentName(first: string, number: number): string | undefined {
  const [, stem = '', letter = '', second = ''] = firstName.exec(first) ?? []
  if (letter === '') return undefined
  if (number < 100) return `${stem}${letter}${second}${String(number).padStart(2, '0')}`
  const count = number - 100
  const isLower = letter === letter.toLowerCase()
  const last = String.fromCharCode(65 + (Math.floor(count / letters) % letters), 65 + (count % letters))
  const turn = Math.floor(count / letters ** 2)
  const end = isLower ? last.toLowerCase() : last
  if (second === '') {
    const code = letter.charCodeAt(0) + turn
    return code > (isLower ? 'z' : 'Z').charCodeAt(0) ? undefined : `${stem}${String.fromCharCode(code)}${end}`
  }
  const code = second.charCodeAt(0) + turn
  return turn > 2 ? undefined : `${stem}${letter}${String.fromCharCode(code)}${end}`
}

/** What the first segment of a set is probably called, by the name of another one. */
export function firstSegmentName(name: string): string | undefined {
  const [, stem, letter, second] = laterName.exec(name) ?? []
  if (stem === undefined || letter === undefined) return undefined
  if (second === undefined || second === '') return `${stem}${sameCase(letter)}01`
  return `${stem}${letter}${second === second.toLowerCase() ? 'x' : 'X'}01`
}

/** Sets of EnCase begin with E, those of SMART with S. */
function sameCase(letter: string): string {
  const first = letter.toUpperCase() >= 'S' ? 'S' : 'E'
  return letter === letter.toLowerCase() ? first.toLowerCase() : first
}

/**
 * Segment `number` of a set, beside the first one: under its name, or under that name in another case. A link to a
 * first segment is that segment.
 */
export function findSegment(self: Location, number: number): { readonly name?: string; readonly place?: Location } {
  let expected: string | undefined
  for (const first of [self, self.behind]) {
    if (first?.name === undefined) continue
    const name = segmentName(first.name, number)
    if (name === undefined) continue
    expected ??= name
    const place = first.sibling(name)
    if (place !== undefined) return { name, place }
    const folded = name.toLowerCase()
    const [other, ...more] = first.siblings().filter((sibling) => sibling.toLowerCase() === folded)
    if (other !== undefined && more.length === 0) return { name: other, place: first.sibling(other) }
  }
  return { name: expected }
}
