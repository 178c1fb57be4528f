import type { Note } from '../block/types.js'
import type { Work } from '../block/work.js'
import { isImageError } from '../errors.js'
import { compareContent, type DiskImage, type Finding } from './driver.js'

/**
 * How far the check of an image goes that is only read, in steps of its driver: each a few milliseconds at most. That
 * is all of the tables of a QCOW2 of 2 TiB.
 */
const mostSteps = 4096
const mostFindings = 4096

/** A finding, for those who read the image. */
export function findingNote({ code, structure, message }: Finding, name: string): Note {
  return { code, message: `${name}: ${structure}: ${message.replace(`${name}: `, '')}` }
}

/**
 * What is wrong with the checksums of an image over a range that reading does not compare.
 * @param isTaken those over its content are compared elsewhere. @throws ImageError as reading.
 */
export function* checksumFindings(
  image: DiskImage,
  offset: number,
  length: number,
  isTaken = false,
): Work<void, Finding> {
  const sums = isTaken ? undefined : image.contentSums?.(offset, length)
  if (sums !== undefined) yield* compareContent(image, sums)
  yield* image.verify?.(offset, length) ?? []
}

/**
 * What `check` finds to be an error in an image, for those who read it: one warning of each code, with the first
 * place and how many there are. Tables are looked at, not data. Nothing is repeated that a note of the image says.
 */
export function damageNotes(image: DiskImage, name: string): Note[] {
  const found = new Map<string, { readonly first: Finding; count: number }>()
  const known = new Set(image.notes.map(({ code }) => code.slice(1)))
  const add = (finding: Finding): void => {
    const { code, severity } = finding
    if (severity !== 'error' || known.has(code.slice(1))) return
    const group = found.get(code)
    if (group === undefined) found.set(code, { first: finding, count: 1 })
    else group.count++
  }
  let steps = 0
  let findings = 0
  let isWhole = true
  try {
    for (const item of image.check?.({ tables: true }) ?? []) {
      if ('severity' in item) {
        add(item)
        findings++
      } else steps++
      if (steps >= mostSteps || findings >= mostFindings) {
        isWhole = false
        break
      }
    }
  } catch (error) {
    // Reading meets the same error, where it matters for what is read.
    if (!isImageError(error)) throw error
    add({ severity: 'error', code: error.code, structure: 'image', message: error.message })
  }
  return [...found.values()].map(({ first, count }) => {
    const { code, message } = findingNote(first, name)
    return { code, message: message + more(count, isWhole) }
  })
}

function more(count: number, isWhole: boolean): string {
  const others = count === 1 ? '' : `; ${isWhole ? '' : 'at least '}${count - 1} more like it`
  return `${others} (\`vdisk check\` lists all damage)`
}
