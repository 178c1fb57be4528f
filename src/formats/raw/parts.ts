import { printable, reference, type ImageError } from '../../errors.js'
import type { Location } from '../../location/location.js'

/** The name of a part, taken apart: `disk.img.001` is number 1 of `disk.img.`, with 3 digits. */
interface PartName {
  readonly stem: string
  readonly number: number
  readonly digits: number
}

function parsePart(name: string): PartName | undefined {
  const match = /^(.*\.)(\d{3,})$/s.exec(name)
  const [, stem, digits] = match ?? []
  return stem === undefined || digits === undefined
    ? undefined
    : { stem, number: Number(digits), digits: digits.length }
}

/**
 * The parts that follow a first part, in order; none when it is no first part or stands alone. `.999` is followed by
 * `.1000`, `.az` by `.ba`. A link to a first part is that part: where its own name has no followers, those beside the
 * file count.
 * @throws ImageError reference E_PART_MISSING when one is missing in the middle, E_PART_ORDER where a part before it
 * lies beside it; usage E_PERMISSION.
 */
export function partsBehind(self: Location): Location[] {
  for (const place of [self, self.behind]) {
    if (place?.name === undefined) continue
    const first = firstPart(place.name, place)
    if (first !== undefined) throw notFirst(place, first)
  }
  for (const first of [self, self.behind]) {
    if (first?.name === undefined) continue
    const names = followers(first.name, first)
    if (names.length === 0) continue
    return names.map((name) => {
      const part = first.sibling(name)
      if (part === undefined) throw missingPart(first.name ?? '', name, name)
      return part
    })
  }
  return []
}

/** The name of the part with which the set begins that a file is a later part of, where it lies beside it. */
function firstPart(name: string, place: Location): string | undefined {
  const isThere = (candidate: string): boolean => place.sibling(candidate) !== undefined
  const numbered = parsePart(name)
  if (numbered !== undefined) {
    const { stem, number, digits } = numbered
    // `.1000` follows `.999`: the first has fewer digits.
    const widths = number < 1000 ? [digits] : [digits, 3]
    return widths
      .flatMap((width) => [0, 1].map((first) => ({ first, name: stem + String(first).padStart(width, '0') })))
      .find((candidate) => candidate.first < number && isThere(candidate.name))?.name
  }
  const { stem, letters } = parseLetters(name) ?? {}
  if (stem !== undefined && letters !== undefined) {
    const first = stem + 'a'.repeat(letters.length)
    return first !== name && isThere(first) ? first : undefined
  }
  // The last part of a split zip archive is its .zip, which lists what is in all of them.
  const zip = /^(.*\.)z\d{2,}$/is.exec(name)?.[1]
  return zip === undefined ? undefined : [`${zip}zip`, `${zip}ZIP`].find(isThere)
}

function followers(name: string, place: Location): string[] {
  const numbered = parsePart(name)
  if (numbered !== undefined) return numbered.number <= 1 ? followingParts(name, numbered, place.siblings()) : []
  const { stem, letters } = parseLetters(name) ?? {}
  return stem === undefined || letters === undefined || !/^a+$/.test(letters)
    ? []
    : followingLetters(name, stem, letters, place.siblings())
}

/** `disk.img.aa`, as split names parts by default; `.dd` and `.img` are no such names. */
function parseLetters(name: string): { readonly stem: string; readonly letters: string } | undefined {
  const [, stem, letters] = /^(.*\.)(?!dd$)([a-z]{2}|a[a-z]{2})$/s.exec(name) ?? []
  return stem === undefined || letters === undefined ? undefined : { stem, letters }
}

function nextLetters(letters: string): string {
  const at = letters.length - 1
  if (!letters.endsWith('z')) return letters.slice(0, at) + String.fromCharCode(letters.charCodeAt(at) + 1)
  return at === 0 ? 'a' : `${nextLetters(letters.slice(0, at))}a`
}

/** Only names that follow in order count: `.db` beside `.aa` and `.ab` is a file of another kind. */
function followingLetters(first: string, stem: string, letters: string, siblings: readonly string[]): string[] {
  const present = new Set(siblings)
  const names: string[] = []
  const last = 'z'.repeat(letters.length)
  for (let own = letters; own !== last;) {
    own = nextLetters(own)
    if (present.has(stem + own)) names.push(stem + own)
    else if (own !== last && present.has(stem + nextLetters(own)))
      throw missingPart(first, stem + own, stem + nextLetters(own))
    else break
  }
  return names
}

function followingParts(first: string, start: PartName, siblings: readonly string[]): string[] {
  const present = new Map<number, string>()
  for (const name of siblings) {
    const part = parsePart(name)
    if (part?.stem === start.stem && part.number > start.number && part.digits >= start.digits)
      present.set(part.number, name)
  }
  const names: string[] = []
  for (let number = start.number + 1; present.size > 0; number++) {
    const name = present.get(number)
    if (name === undefined)
      throw missingPart(
        first,
        `${start.stem}${String(number).padStart(start.digits, '0')}`,
        [...present.values()].sort()[0] ?? '',
      )
    names.push(name)
    present.delete(number)
  }
  return names
}

function missingPart(first: string, expected: string, later: string): ImageError {
  return reference(
    'E_PART_MISSING',
    `${printable(first)}: part ${printable(expected)} is missing, but later parts are there (${printable(later)})`,
    {
      hint: 'Put the missing part beside the others, or read this file alone with --from-option parts=false.',
    },
  )
}

function notFirst({ label }: Location, first: string): ImageError {
  const isZip = /zip$/i.test(first)
  return reference('E_PART_ORDER', `${label} is named as a later part of what begins in ${printable(first)}`, {
    hint: isZip
      ? `It is a piece of a split zip archive. Join that first: zip -s 0 ${printable(first)} --out WHOLE.zip`
      : `Open ${printable(first)}; or read this file alone with --from-option parts=false.`,
    details: { first },
  })
}
