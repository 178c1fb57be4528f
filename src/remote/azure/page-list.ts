import { childElements, childText, parseXml } from '../../binary/xml.js'
import type { StoredRun } from '../http/stored-runs.js'

const mostElements = 4_000_000

/**
 * What of a page blob was written, by Get Page Ranges, whose answers may come in parts. Ranges that touch are one.
 * @param size of the blob, in bytes. @param ask gets one part; its mark is of the part before. @param most ends the
 * list early. @throws SyntaxError where an answer is none, or speaks of other bytes than the blob has.
 */
export async function pageList(
  size: number,
  ask: (mark: string | undefined) => Promise<string>,
  most = Infinity,
): Promise<StoredRun[]> {
  const runs: StoredRun[] = []
  let mark: string | undefined
  do {
    const count = runs.length
    mark = addPart(runs, await ask(mark), size)
    if (mark !== undefined && runs.length === count) throw new SyntaxError('a part without a range')
  } while (mark !== undefined && runs.length < most)
  return runs
}

/** @returns the mark of the next part. */
function addPart(runs: StoredRun[], text: string, size: number): string | undefined {
  const root = parseXml(text, { depth: 10, elements: mostElements, attributes: 1000 })
  if (root.name !== 'PageList') throw new SyntaxError(`a ${root.name}`)
  for (const element of childElements(root, 'PageRange')) {
    const [start = Number.NaN, last = Number.NaN] = ['Start', 'End'].map((name) => Number(childText(element, name)))
    const before = runs.at(-1)
    if (!(start >= (before?.end ?? 0) && last >= start && last < size))
      throw new SyntaxError(`a range from ${start} to ${last}`)
    if (before?.end === start) runs[runs.length - 1] = { start: before.start, end: last + 1 }
    else runs.push({ start, end: last + 1 })
  }
  const next = childText(root, 'NextMarker')
  return next === '' ? undefined : next
}
