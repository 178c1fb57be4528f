import type { LongFileList } from '../../operations/files/list.js'
import type { ListedFile } from '../../operations/files/listed-files.js'
import { printable } from '../../errors.js'
import type { LongView } from './view.js'

const kindLetters: Readonly<Record<ListedFile['kind'], string>> = {
  file: '-',
  directory: 'd',
  link: 'l',
  device: 'c',
  other: '?',
}

/** One line a file: its name alone, or with `long` all that is known. */
export const view: LongView<LongFileList & { readonly long: boolean; readonly paths: boolean }> = {
  warnings: ({ notes, failures }) => [
    ...notes.map(({ message }) => `Warning: ${message}`),
    ...failures.map(({ path, message }) => `Not listed: ${path}: ${message}`),
  ],
  lines: ({ files, long, paths }) => fileLines(files, { long, paths }),
}

/** Mode, links, owner, group and size of a file. */
const cellsOf = ({ kind, mode, links, owner, group, size }: ListedFile): readonly string[] => [
  `${kindLetters[kind]}${mode === undefined ? '' : modeText(mode)}`,
  String(links ?? ''),
  String(owner ?? ''),
  String(group ?? ''),
  String(size),
]

function* fileLines(
  files: Iterable<ListedFile>,
  { long, paths }: { readonly long: boolean; readonly paths: boolean },
): Generator<string> {
  const nameOf = (file: ListedFile): string =>
    `${printable(paths ? file.path : file.name)}${file.kind === 'directory' ? '/' : ''}`
  if (!long) {
    for (const file of files) yield nameOf(file)
    return
  }
  const widths = [0, 0, 0, 0, 0]
  for (const file of files)
    for (const [column, cell] of cellsOf(file).entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  for (const file of files) {
    const [mode = '', ...numbers] = cellsOf(file)
    const cells = [
      mode.padEnd(widths[0] ?? 0),
      ...numbers.map((cell, column) => cell.padStart(widths[column + 1] ?? 0)),
    ].filter((cell) => cell !== '')
    const streams =
      (file.otherStreams ?? []).length > 0
        ? `  [also: ${(file.otherStreams ?? []).map((name) => printable(name)).join(', ')}]`
        : ''
    yield (
      `${cells.join(' ')} ${file.modified.slice(0, 19).replace('T', ' ')} ` +
      `${nameOf(file)}${file.target === undefined ? '' : ` -> ${printable(file.target)}`}${streams}`
    )
  }
}

/** `rwxr-xr-x`, with the letters of set-user-id, set-group-id and sticky. */
export function modeText(mode: number): string {
  const bit = (value: number): boolean => Math.floor(mode / value) % 2 === 1
  const three = (shift: number, special: number, letter: string): string => {
    const executes = bit(shift)
    const last = bit(special) ? (executes ? letter : letter.toUpperCase()) : executes ? 'x' : '-'
    return `${bit(shift * 4) ? 'r' : '-'}${bit(shift * 2) ? 'w' : '-'}${last}`
  }
  return three(64, 2048, 's') + three(8, 1024, 's') + three(1, 512, 't')
}
