import { accessText, type Access } from '../formats/wrapper.js'
import type { ChalkInstance } from 'chalk'
import { grouped, printable } from '../errors.js'

/**
 * Text for people. Everything that is printed is made here; nothing else uses the colour and table libraries, which are
 * loaded only when something needs them.
 */
export interface Renderer {
  /** A heading line. */
  heading(text: string): string
  /** Labels and values, in two columns. Values are escaped; rows without one are left out. */
  facts(rows: readonly (readonly [label: string, value: string | undefined])[]): string
  /** A table with a line of headings. Values are escaped. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): Promise<string>
  warning(text: string): string
  /** The word that begins an error. */
  mark(text: string): string
  /** What is to be seen first. Nothing is escaped: the text is printable already. */
  emphasis(text: string): string
  /** A line as it is. Escaped. */
  plain(text: string): string
  /** Text in one of a few colours that differ from their neighbours'; plain where there are none. */
  tone(text: string, index: number): string
  /** Columns of the terminal; 80 where the output is none. */
  readonly columns: number
  /** Everything is wanted (--verbose), not only what fits on a screen. */
  readonly verbose: boolean
}

const tones = ['cyan', 'green', 'magenta', 'blue', 'yellow'] as const

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `64 GiB (68,719,476,736 bytes)`: exact always, and in words where that is shorter to read. */
export function sizeText(bytes: number): string {
  const exact = bytes === 1 ? '1 byte' : `${grouped(bytes)} bytes`
  return bytes < 1024 ? exact : `${shortSize(bytes)} (${exact})`
}

/** The same of a size that is not always known. */
export function optionalSize(bytes: number | undefined): string | undefined {
  return bytes === undefined ? undefined : sizeText(bytes)
}

/** Bytes of content that a change wrote, and of zeros. */
export function writtenText({ data, zeros }: { readonly data: number; readonly zeros: number }): string {
  return `${sizeText(data)}${zeros === 0 ? '' : `, and zeros for ${sizeText(zeros)}`}`
}

/** The size of a file, and what the filesystem holds for it where that is something else. */
export function fileSizeText(size: number, allocated: number | undefined): string {
  const held = allocated === undefined || shortSize(allocated) === shortSize(size)
  return held ? sizeText(size) : `${sizeText(size)}, ${shortSize(allocated)} allocated`
}

/** `64 GiB`, `1.5 MiB`, `≈ 1.3 GiB`; the mark says that it is rounded. */
export function shortSize(bytes: number): string {
  let power = 0
  while (power < units.length - 1 && bytes >= 1024 ** (power + 1)) power++
  const scaled = bytes / 1024 ** power
  const text = String(Number(scaled.toFixed(scaled < 10 ? 2 : 1)))
  return `${Number(text) === scaled ? '' : '≈ '}${text} ${units[power] ?? ''}`
}

/** `server.vhdx@2 (partition 2; vhdx, dynamic)`: always says when it is not the whole disk. */
export function sourceText({
  path,
  part,
  format,
  subformat,
  access,
}: {
  readonly path: string
  readonly part?: string
  readonly format: string
  readonly subformat: string
  readonly access?: Access
}): string {
  const read = access === undefined ? '' : `; read ${accessText[access]}`
  return `${path} (${part === undefined ? '' : `${part}; `}${format}, ${subformat}${read})`
}

/** A value of a fact or field, for people; text is escaped. */
export function valueText(value: string | number | bigint | boolean, unit?: 'bytes' | 'count'): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string') return printable(value)
  if (unit === 'bytes') return sizeText(Number(value))
  return unit === 'count' ? grouped(value) : String(value)
}

/** `blockSize` → `Block size`. */
export function labelOf(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replaceAll('-', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1).replace(/\b[A-Z](?=[a-z])/g, (letter) => letter.toLowerCase())
}

/**
 * Whether text may have colours: FORCE_COLOR and CLICOLOR_FORCE turn them on also in a pipe, NO_COLOR, CLICOLOR=0 and
 * TERM=dumb turn them off on a terminal.
 */
export function takesColours(terminal: boolean, variables: Readonly<Record<string, string | undefined>>): boolean {
  const { NO_COLOR: no, FORCE_COLOR: force, CLICOLOR: cli, CLICOLOR_FORCE: cliForce, TERM: term } = variables
  if ((no ?? '') !== '') return false
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false'
  if ((cliForce ?? '0') !== '0') return true
  return terminal && cli !== '0' && term !== 'dumb'
}

/** chalk, which by itself looks at standard output only; what it is asked for here is decided already. */
async function chalkOf(): Promise<ChalkInstance> {
  const { Chalk, default: standard } = await import('chalk')
  return standard.level > 0 ? standard : new Chalk({ level: 1 })
}

/** @param output standard output or error: its width and whether it takes colours ({@link takesColours}). */
export async function renderer(output: { isTTY?: boolean; columns?: number }, verbose = false): Promise<Renderer> {
  const plain = !takesColours(output.isTTY === true, process.env)
  const colour = plain ? undefined : await chalkOf()
  // Output that is no terminal is not broken into lines: programs cut it by line.
  const width = output.isTTY === true ? Math.max(40, output.columns || 80) : Infinity
  const bold = (text: string): string => colour?.bold(text) ?? text
  return {
    heading: (text) => bold(printable(text)),
    facts: (rows) => {
      const lines = rows.filter((row): row is readonly [string, string] => row[1] !== undefined)
      const labels = Math.max(0, ...lines.map(([label]) => label.length))
      return lines
        .map(
          ([label, value]) => `  ${label.padEnd(labels)}  ${wrapped(printable(value), width - labels - 4, labels + 4)}`,
        )
        .join('\n')
    },
    table: async (headings, body) => {
      const cells = [headings, ...body].map((row) => row.map((cell) => printable(cell)))
      const widths = headings.map((_, column) => Math.max(1, widest(cells, column)))
      const set = cells.map((row) =>
        row.map((cell, column) => (isAmounts(body, column) ? cell.padStart(widths[column] ?? 0) : cell)),
      )
      const [head = '', ...rest] = (
        output.isTTY === true ? await fitted(set, widths, width) : aligned(set, widths)
      ).split('\n')
      return [bold(head), ...rest].join('\n')
    },
    mark: (text) => colour?.red.bold(text) ?? text,
    emphasis: bold,
    warning: (text) => colour?.yellow(printable(text)) ?? printable(text),
    plain: (text) => printable(text),
    tone: (text, index) => colour?.[tones[index % tones.length] ?? 'cyan'](printable(text)) ?? printable(text),
    columns: Number.isFinite(width) ? width : 80,
    verbose,
  }
}

const amount = /^(?:≈ )?[\d,.]+ (?:bytes|KiB|MiB|GiB|TiB|PiB|%)$/

/** Whether a column holds sizes and shares only: those stand under each other by their ends. */
function isAmounts(rows: readonly (readonly string[])[], column: number): boolean {
  const cells = rows.map((row) => row[column] ?? '').filter((cell) => cell !== '')
  return cells.length > 0 && cells.every((cell) => amount.test(cell))
}

/** Columns for programs and files: every row one line. */
function aligned(cells: readonly (readonly string[])[], widths: readonly number[]): string {
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Columns of this width are not wrapped. */
const narrowest = 8

/** Columns for a terminal: where they do not fit, the widest are wrapped. */
async function fitted(
  cells: readonly (readonly string[])[],
  widths: readonly number[],
  width: number,
): Promise<string> {
  // A CommonJS package: bundled, it has its default export only.
  const {
    default: { getBorderCharacters, table },
  } = await import('table')
  const words = widths.map((_, column) => widest(cells.map(longestWord), column))
  const least = (column: number): number => Math.max(narrowest, words[column] ?? 0)
  // Words are broken only where columns as wide as their longest word do not fit either.
  const fits = narrowed(narrowed(widths, width, least), width, () => narrowest)
  const columns = Object.fromEntries(
    fits.map((one, column) => [column, { width: one, wrapWord: true, paddingLeft: 0, paddingRight: 2 }]),
  )
  return table(
    cells.map((row) => [...row]),
    { border: getBorderCharacters('void'), columns, drawHorizontalLine: () => false },
  )
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .join('\n')
}

/** Widths that together take no more than a line: the widest are made narrower first, none below its least. */
function narrowed(widths: readonly number[], width: number, least: (column: number) => number): number[] {
  const fits = [...widths]
  for (;;) {
    const excess = fits.reduce((sum, one) => sum + one + 2, -2) - width
    const wide = fits.map((one, column) => (one > least(column) ? one : 0))
    const widest = Math.max(...wide)
    if (excess <= 0 || widest === 0) return fits
    const column = wide.lastIndexOf(widest)
    fits[column] = Math.max(least(column), widest - excess)
  }
}

const longestWord = (row: readonly string[]): string[] =>
  row.map((cell) => cell.split(' ').reduce((longest, word) => (word.length > longest.length ? word : longest), ''))

/** A value broken at spaces, the further lines indented to stand under the first. */
function wrapped(text: string, width: number, indent: number): string {
  if (text.length <= width || width < 10) return text
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join(`\n${' '.repeat(indent)}`)
}

/** The length of the longest cell of a column. There may be more rows than a call takes arguments. */
export function widest(rows: readonly (readonly string[])[], column: number): number {
  return rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0)
}
