import type { Finding } from '../driver.js'

const sectorLength = 512

/**
 * What can be checked of a raw image, which has no structure of its own: whether its parts look whole. Tools cut an
 * image into parts of one length, of which only the last is shorter; another one among them was cut off, or does not
 * belong to the set.
 */
export function* checkParts(parts: readonly { readonly name: string; readonly size: number }[]): Generator<Finding> {
  const [first] = parts
  if (first === undefined) return
  for (const [index, { name, size }] of parts.entries()) {
    const structure = `part ${index + 1} (${name})`
    const last = index === parts.length - 1
    if (parts.length > 1 && size === 0) {
      yield {
        severity: 'error',
        code: 'E_PART_EMPTY',
        structure,
        message:
          'the part is empty: what it should hold is missing, and everything after it lies too early on the disk',
      }
    } else if (index > 0 && !last && size !== first.size) {
      yield {
        severity: 'error',
        code: 'E_PART_SIZE',
        structure,
        message:
          `the part has ${size} bytes, the first one ${first.size}: it is cut off, or none of this set, ` +
          'and everything after it lies in the wrong place on the disk',
      }
    } else if (index > 0 && last && size > first.size) {
      yield {
        severity: 'error',
        code: 'E_PART_SIZE',
        structure,
        message:
          `the last part has ${size} bytes, more than the first with ${first.size}: it is none of this ` +
          'set, or the others are cut off',
      }
    } else if (!last && size % sectorLength !== 0) {
      yield {
        severity: 'warning',
        code: 'W_PART_SECTOR',
        structure,
        message: `the part ends after ${size % sectorLength} bytes of a sector`,
      }
    }
  }
}
