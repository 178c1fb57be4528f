import { reference } from '../../errors.js'

/** The name of a part, taken apart: `disk.img.001` is number 1 of `disk.img.`, with 3 digits. */
interface PartName {
  readonly stem: string
  readonly number: number
  readonly digits: number
}

function parsePart(name: string): PartName | undefined {
  const match = /^(.*\.)(\d{3,})$/.exec(name)
  const [, stem, digits] = match ?? []
  return stem === undefined || digits === undefined
    ? undefined
    : { stem, number: Number(digits), digits: digits.length }
}

/**
 * The names of the parts that follow the first part `first`, in order; empty when `first` is no first part (number 0 or
 * 1) or stands
 * alone. `.999` is followed by `.1000`.
 * @throws ImageError reference E_PART_MISSING when a number is missing in the middle.
 */
export function followingParts(first: string, siblings: readonly string[]): string[] {
  const start = parsePart(first)
  if (start === undefined || start.number > 1) return []
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
    if (name === undefined) {
      const expected = `${start.stem}${String(number).padStart(start.digits, '0')}`
      throw reference(
        'E_PART_MISSING',
        `${first}: part ${expected} is missing, but later parts are there (${[...present.values()].sort()[0] ?? ''})`,
        {
          hint: 'Put the missing part beside the others, or read this file alone with --from-option parts=false.',
        },
      )
    }
    names.push(name)
    present.delete(number)
  }
  return names
}
