import { refused } from '../../../errors.js'
import type { FileNode, FilePatch } from '../../../filesystem/types.js'
import type { FileEdit } from '../report.js'

/** Longer texts are no configuration. */
const longestText = 4 * 1048576
const lineFeed = 0x0a

/** A file of a volume with what is to change in it. */
export interface EditedFile {
  readonly open: FileEdit['open']
  readonly path: string
  readonly node: FileNode
  readonly edits: readonly FileEdit[]
}

/** What is to stand where in a file, and its size then. */
export interface NewContent {
  /** Each group is to be on the medium before the next. */
  readonly groups: readonly (readonly FilePatch[])[]
  readonly size: number
}

/**
 * Puts the edits of a file together. The size goes down in no file: empty lines fill it up.
 * @throws ImageError refused E_NOT_MENDED: the file is not what the edits were made for, or they contradict each other.
 */
export function newContent({ open, path, node, edits }: EditedFile): NewContent {
  const sorted = distinct(path, edits)
  for (const { offset, old } of sorted) {
    const found = new Uint8Array(old.length)
    if (offset + old.length > node.size || !open.files.fill(node, offset, found) || !same(found, old))
      throw refused('E_NOT_MENDED', `${path} does not hold at byte ${offset} what is to be changed there`)
  }
  if (sorted.every(({ old, bytes }) => old.length === bytes.length))
    return { groups: inStages(sorted), size: node.size }
  const [only] = sorted
  if (sorted.some(({ allocates }) => allocates === true) && (sorted.length !== 1 || only?.offset !== node.size))
    throw refused('E_NOT_MENDED', `${path} is changed inside and behind its end`)
  if (sorted.length === 1 && only?.offset === node.size)
    return { groups: [[{ offset: node.size, bytes: only.bytes }]], size: node.size + only.bytes.length }
  if (node.size > longestText) throw refused('E_NOT_MENDED', `${path} has ${node.size} bytes`)
  const before = new Uint8Array(node.size)
  if (!open.files.fill(node, 0, before)) throw refused('E_NOT_MENDED', `${path} cannot be read`)
  const after = spliced(before, sorted)
  return { groups: [[difference(before, after)]], size: after.length }
}

function inStages(edits: readonly FileEdit[]): FilePatch[][] {
  const stages = new Map<number, FilePatch[]>()
  for (const { stage = 0, offset, bytes } of edits) {
    const patches = stages.get(stage)
    if (patches === undefined) stages.set(stage, [{ offset, bytes }])
    else patches.push({ offset, bytes })
  }
  return [...stages].sort(([one], [other]) => one - other).map(([, patches]) => patches)
}

/** Without those that are there twice: several findings may have one cause. */
function distinct(path: string, edits: readonly FileEdit[]): FileEdit[] {
  const sorted = [...edits].sort((one, other) => one.offset - other.offset)
  const kept: FileEdit[] = []
  for (const edit of sorted) {
    const last = kept.at(-1)
    if (last !== undefined && edit.offset < last.offset + Math.max(1, last.old.length)) {
      if (last.offset === edit.offset && same(last.old, edit.old) && same(last.bytes, edit.bytes)) continue
      throw refused('E_NOT_MENDED', `two changes of ${path} contradict each other at byte ${edit.offset}`)
    }
    kept.push(edit)
  }
  return kept
}

/** The new text; a shorter one is filled up with empty lines. */
function spliced(before: Uint8Array, edits: readonly FileEdit[]): Uint8Array {
  const parts: Uint8Array[] = []
  let at = 0
  for (const { offset, old, bytes } of edits) {
    parts.push(before.subarray(at, offset), bytes)
    at = offset + old.length
  }
  const after = Buffer.concat([...parts, before.subarray(at)])
  return after.length >= before.length
    ? after
    : Buffer.concat([after, Buffer.alloc(before.length - after.length, lineFeed)])
}

/** The run from the first byte that differs to the last. */
function difference(before: Uint8Array, after: Uint8Array): FilePatch {
  let first = 0
  while (first < before.length && before[first] === after[first]) first++
  let end = after.length
  if (after.length === before.length) while (end > first && before[end - 1] === after[end - 1]) end--
  return { offset: first, bytes: after.subarray(first, end) }
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}
