import { grouped } from '../../errors.js'
import type { Renderer } from '../render.js'

/** How the result of a command is shown to people; each file beside this one exports one as `view`. */
export interface View<Result> {
  /** Whole lines for standard error; left out: the result's notes, as warnings. */
  warnings?(result: Result): readonly string[]
  /** What is printed on standard output, without the last line end. */
  text(result: Result, render: Renderer): string | Promise<string>
}

/** The same of an answer that may have millions of lines: each is made when it is printed. */
export interface LongView<Result> extends Pick<View<Result>, 'warnings'> {
  lines(result: Result): Iterable<string>
}

/** A row of {@link Renderer.facts}; without a value it is not shown. */
export type FactRow = readonly [label: string, value: string | undefined]

/** The image that was made, in most answers alike. */
interface MadeImage {
  readonly path: string
  readonly format: string
  readonly size?: number
}

export const targetFact = ({ path, format }: MadeImage): FactRow => ['target', `${path} (${format})`]

/** The last row: what was read back, and what it equals. */
export const verifiedFact = (verified: boolean, what: string): FactRow => [
  'verified',
  verified ? `every byte of the disk, read back from the target${what}` : undefined,
]

/** What to do with an image that was made for a platform. */
export function nextLines(
  render: Renderer,
  platform: { readonly title: string; readonly next: readonly string[] } | undefined,
): string[] {
  if (platform === undefined || platform.next.length === 0) return []
  return [
    '',
    render.heading(`Next, for ${platform.title}`),
    ...platform.next.map((step) => render.plain(`  ${step}`)),
    'Words in capitals are yours to fill in.',
  ]
}

/** How much was left out by --used-only. */
export function unusedFact(
  volumes: readonly { readonly length: number; readonly read: number }[] | undefined,
  sizeText: (bytes: number) => string,
  becomes: string,
): FactRow {
  const unused = volumes?.reduce((sum, { length, read }) => sum + length - read, 0)
  return ['not in use', unused === undefined ? undefined : `${sizeText(unused)}, ${becomes}`]
}

/** A step of a plan. */
interface ShownStep {
  readonly message: string
}

/** What would be done, in order, and that it was not. */
export function planLines(render: Renderer, steps: readonly ShownStep[]): string[] {
  return [
    ...(steps.length === 0 ? [] : [render.heading('Steps')]),
    ...steps.map(({ message }, index) => render.plain(`  ${index + 1}. ${message}`)),
    'Nothing was written (--dry-run).',
  ]
}

/** An answer of a heading and facts; where nothing was written, with the steps that would be taken. */
export function answer(
  render: Renderer,
  dryRun: boolean,
  heading: readonly [done: string, planned: string],
  facts: readonly FactRow[],
  steps: readonly ShownStep[] = [],
): string {
  return [
    render.heading(heading[dryRun ? 1 : 0]),
    render.facts(facts),
    ...(dryRun ? planLines(render, steps) : []),
  ].join('\n')
}

/** What a first answer leaves out, and how to see it. */
export function moreLine(render: Renderer, what: string): string {
  return render.plain(`--verbose shows ${what}.`)
}

/** The first `room` of some lines, and how many more there are; all of them with --verbose. */
export function firstLines(render: Renderer, lines: readonly string[], room: number, indent = ''): string[] {
  if (render.verbose || lines.length <= room) return [...lines]
  const rest = grouped(lines.length - room + 1)
  return [...lines.slice(0, room - 1), render.plain(`${indent}and ${rest} more; --verbose shows all`)]
}

/** At most `room` names; where there are more, the last says how many. */
export function firstNames(names: readonly string[], room: number): readonly string[] {
  return names.length <= room ? names : [...names.slice(0, room - 1), `${names.length - room + 1} more`]
}

/** A table of which the first `room` rows are shown, and all of them with --verbose. */
export async function firstRows(
  render: Renderer,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  room: number,
): Promise<string> {
  if (render.verbose || rows.length <= room) return await render.table(headings, rows)
  const rest = grouped(rows.length - room + 1)
  const shown = await render.table(headings, rows.slice(0, room - 1))
  return `${shown}\n${render.plain(`  and ${rest} more; --verbose shows all`)}`
}
