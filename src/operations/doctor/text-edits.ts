import type { TextFile } from './guest.js'
import type { FileEdit } from './report.js'

/** Longer files are not searched. */
const longestText = 4 * 1048576
const mostEdits = 256

/** The bytes of a text, one character each, so that places in it are those in the file. */
function bytesOf({ open, path }: TextFile): string | undefined {
  const bytes = open.files.head(path, longestText)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1')
}

/**
 * Exchanges the first field of a line (fstab). A longer one takes the blanks behind it, of which one stays, so that the
 * file keeps its size where that is possible; of a shorter one blanks follow. @param line from 1.
 */
export function firstFieldEdit(file: TextFile, line: number, value: string): FileEdit[] {
  const text = bytesOf(file)
  if (text === undefined) return []
  let start = 0
  for (let number = 1; number < line; number++) {
    start = text.indexOf('\n', start) + 1
    if (start === 0) return []
  }
  const whole = /^.*/.exec(text.slice(start))?.[0] ?? ''
  const word = /[^ \t\r]+/.exec(whole)
  if (word === null) return []
  return [exchange(file, text, { offset: start + word.index, old: word[0] }, value)]
}

/** Exchanges a parameter of the kernel wherever it stands: `root=OLD`. */
export function parameterEdits(file: TextFile, found: string, value: string): FileEdit[] {
  const text = bytesOf(file) ?? ''
  const edits: FileEdit[] = []
  for (let at = text.indexOf(found); at >= 0 && edits.length < mostEdits; at = text.indexOf(found, at + 1))
    if (isEdge(text[at - 1], '"\'=') && isEdge(text[at + found.length], '"\'\\;'))
      edits.push(exchange(file, text, { offset: at, old: found }, value))
  return edits.length === 0 || !file.path.endsWith('/grubenv') ? edits : [...edits, ...blockEdits(file, text, edits)]
}

/** Exchanges an id for another of the same length wherever it stands. */
export function idEdits(file: TextFile, old: string, value: string): FileEdit[] {
  const text = bytesOf(file) ?? ''
  if (old.length !== value.length) return []
  const edits: FileEdit[] = []
  for (let at = text.indexOf(old); at >= 0 && edits.length < mostEdits; at = text.indexOf(old, at + 1))
    if (!/[0-9A-Za-z-]/.test(`${text[at - 1] ?? ' '}${text[at + old.length] ?? ' '}`))
      edits.push(edit(file, at, old, value))
  return edits
}

/** Whether a character ends a word: nothing, a blank, or one of `others`. */
function isEdge(character: string | undefined, others: string): boolean {
  return character === undefined || /\s/.test(character) || others.includes(character)
}

/** The block of variables of GRUB has a fixed size, which it fills up with `#`. */
function blockEdits(file: TextFile, text: string, edits: readonly FileEdit[]): FileEdit[] {
  const more = edits.reduce((sum, { old, bytes }) => sum + bytes.length - old.length, 0)
  if (more === 0) return []
  if (more < 0) return [edit(file, text.length, '', '#'.repeat(-more))]
  return text.endsWith('#'.repeat(more)) ? [edit(file, text.length - more, '#'.repeat(more), '')] : []
}

interface Place {
  readonly offset: number
  readonly old: string
}

function exchange(file: TextFile, text: string, { offset, old }: Place, value: string): FileEdit {
  if (value.length <= old.length) return edit(file, offset, old, value.padEnd(old.length, ' '))
  const [blanks = ''] = /^[ \t]*/.exec(text.slice(offset + old.length)) ?? []
  const spare = Math.min(value.length - old.length, Math.max(0, blanks.length - 1))
  return edit(file, offset, old + blanks.slice(0, spare), value)
}

function edit({ open, path }: TextFile, offset: number, old: string, value: string): FileEdit {
  return { open, path, offset, old: Buffer.from(old, 'latin1'), bytes: Buffer.from(value, 'latin1') }
}
