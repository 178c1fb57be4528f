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
 * The parts that follow a first part, in order; none when it is no first part (number 0 or 1) or stands alone. `.999`
 * is followed by `.1000`. A link to a first part is that part: where its own name has no followers, those beside the
 * file count.
 * @throws ImageError reference E_PART_MISSING when a number is missing in the middle; usage E_PERMISSION.
 */
export function partsBehind(self: Location): Location[] {
  for (const first of [self, self.behind]) {
    if (first?.name === undefined || !isFirstPart(first.name)) continue
    const names = followingParts(first.name, first.siblings())
    if (names.length === 0) continue
    return names.map((name) => {
      const part = first.sibling(name)
      if (part === undefined) throw missingPart(first.name ?? '', name, name)
      return part
    })
  }
  return []
}

function isFirstPart(name: string): boolean {
  const part = parsePart(name)
  return part !== undefined && part.number <= 1
}

function followingParts(first: string, siblings: readonly string[]): string[] {
  const start = parsePart(first)
  if (start === undefined) return []
  const present = new Map<number, string>()
  for (const name of siblings) {
    const part = parsePart(name)
    if (part?.stem === start.stem && part.number > start.number && part.digits >= start.digits)
      present.set(part.number, name)
  }
  // A set that also has a part 0 does not begin with part 1.
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
