import type { FileList, ListedFile } from '../../operations/files/list.js'
import { printable } from '../../errors.js'
import { widest } from '../render.js'
import type { View } from './view.js'

const kindLetters: Readonly<Record<ListedFile['kind'], string>> = {
  file: '-',
  directory: 'd',
  link: 'l',
  device: 'c',
  other: '?',
}

/** One line a file: its name alone, or with `long` all that is known. */
export const view: View<FileList & { readonly long: boolean; readonly paths: boolean }> = {
  warnings: ({ notes, failures }) => [
    ...notes.map(({ message }) => `Warning: ${message}`),
    ...failures.map(({ path, message }) => `Not listed: ${path}: ${message}`),
  ],
  text: ({ files, long, paths }) => fileLines(files, { long, paths }).join('\n'),
}

function fileLines(
  files: readonly ListedFile[],
  { long, paths }: { readonly long: boolean; readonly paths: boolean },
): string[] {
  const nameOf = (file: ListedFile): string =>
    `${printable(paths ? file.path : file.name)}${file.kind === 'directory' ? '/' : ''}`
  if (!long) return files.map(nameOf)
  const rows = files.map((file) => [
    `${kindLetters[file.kind]}${file.mode === undefined ? '' : modeText(file.mode)}`,
    String(file.links ?? ''),
    String(file.owner ?? ''),
    String(file.group ?? ''),
    String(file.size),
  ])
  const widths = [0, 1, 2, 3, 4].map((column) => widest(rows, column))
  return files.map((file, index) => {
    const [mode = '', ...numbers] = rows[index] ?? []
    const cells = [
      mode.padEnd(widths[0] ?? 0),
      ...numbers.map((cell, column) => cell.padStart(widths[column + 1] ?? 0)),
    ].filter((cell) => cell !== '')
    const streams =
      (file.otherStreams ?? []).length > 0
        ? `  [also: ${(file.otherStreams ?? []).map((name) => printable(name)).join(', ')}]`
        : ''
    return (
      `${cells.join(' ')} ${file.modified.slice(0, 19).replace('T', ' ')} ` +
      `${nameOf(file)}${file.target === undefined ? '' : ` -> ${printable(file.target)}`}${streams}`
    )
  })
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
