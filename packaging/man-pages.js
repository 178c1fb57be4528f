// Manual pages (man 7 man-pages, groff_man(7)) made from oclif.manifest.json: vdisk(1) and one page per command.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What every command answers with: docs/architecture.md#errors. */
const exitCodes = [
  [0, 'Done; or the answer is yes.'],
  [1, 'The answer is no: images differ, or a check found errors.'],
  [2, 'The command line is wrong.'],
  [3, 'Refused, to protect data. The message names the flag that overrides this guard.'],
  [4, 'The source is damaged.'],
  [5, 'Not supported.'],
  [6, 'A file that the image needs is missing or is another one.'],
  [7, 'The target could not be written.'],
  [8, 'The data that was read back differs.'],
  [9, 'Done in part: some of several things failed.'],
  [70, 'A fault of vdisk.'],
  [130, 'Interrupted.'],
]

/**
 * The manual pages of a manifest.
 * @param manifest oclif.manifest.json
 * @param date YYYY-MM-DD, shown at the foot of each page
 * @returns file name → text
 */
export function manPages(manifest, date) {
  const commands = Object.values(manifest.commands)
    .filter(({ hidden }) => hidden !== true)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  const foot = `"${date}" "vdisk ${manifest.version}" "vdisk manual"`
  const pages = new Map([['vdisk.1', overview(commands, foot)]])
  for (const command of commands) pages.set(`${page(command)}.1`, commandPage(command, commands, foot))
  return pages
}

const page = ({ id }) => `vdisk-${id.replaceAll(':', '-')}`
const spoken = ({ id }) => id.replaceAll(':', ' ')

function overview(commands, foot) {
  return lines([
    `.TH VDISK 1 ${foot}`,
    '.SH NAME',
    String.raw`vdisk \- convert, inspect, check, mount, image and restore virtual and physical disks`,
    '.SH SYNOPSIS',
    String.raw`.B vdisk`,
    String.raw`.I COMMAND`,
    String.raw`.RI [ ARGUMENTS ]`,
    String.raw`.RI [ FLAGS ]`,
    '.SH COMMANDS',
    ...commands.flatMap((command) => ['.TP', bold(`vdisk ${spoken(command)}`), text(command.summary)]),
    '.SH EXIT STATUS',
    ...exitCodes.flatMap(([code, meaning]) => ['.TP', bold(String(code)), text(meaning)]),
    '.SH SEE ALSO',
    ...references(commands),
  ])
}

function commandPage(command, commands, foot) {
  const args = Object.values(command.args ?? {}).filter(({ hidden }) => hidden !== true)
  const flags = Object.values(command.flags ?? {}).filter(({ hidden }) => hidden !== true)
  const groups = grouped(flags)
  return lines([
    `.TH ${page(command).toUpperCase()} 1 ${foot}`,
    '.SH NAME',
    `${escaped(page(command))} \\- ${escaped(withoutStop(command.summary))}`,
    '.SH SYNOPSIS',
    bold(`vdisk ${spoken(command)}`),
    ...args.map((arg) => argument(arg, command.strict === false)),
    ...(flags.length === 0 ? [] : [String.raw`.RI [ FLAGS ]`]),
    '.SH DESCRIPTION',
    ...paragraphs(command.description ?? command.summary),
    ...(args.length === 0 ? [] : ['.SH ARGUMENTS']),
    ...args.flatMap((arg) => ['.TP', `.I ${escaped(arg.name.toUpperCase())}`, text(arg.description ?? '')]),
    ...[...groups].flatMap(([heading, list]) => [`.SH ${heading}`, ...list.flatMap(flag)]),
    ...examples(command),
    '.SH EXIT STATUS',
    'The codes of all commands are listed in',
    '.BR vdisk (1).',
    '.SH SEE ALSO',
    ...references(commands.filter((one) => one.id.split(':')[0] === command.id.split(':')[0] && one !== command)),
  ])
}

const headingOf = ({ helpGroup }) =>
  helpGroup === undefined || helpGroup === 'GLOBAL' ? 'OPTIONS' : `"${helpGroup.toUpperCase()}"`

function grouped(flags) {
  const groups = new Map()
  for (const one of flags) groups.set(headingOf(one), [...(groups.get(headingOf(one)) ?? []), one])
  return groups
}

function argument({ name, required }, many) {
  const shown = `${escaped(name.toUpperCase())}${many ? ' ...' : ''}`
  return required === true ? `.I ${shown}` : `.RI [ "${shown}" ]`
}

function flag({ name, char, type, helpValue, options, allowNo, summary, description, default: preset }) {
  const long = `--${allowNo === true ? '[no-]' : ''}${name}`
  const value = type === 'option' ? `=\\fI${escaped(helpValue ?? options?.join('|') ?? name.toUpperCase())}\\fR` : ''
  const short = char === undefined ? '' : `\\fB\\-${char}\\fR, `
  const ending = typeof preset === 'string' || typeof preset === 'number' ? ` (default: ${preset})` : ''
  return ['.TP', `${short}\\fB${escaped(long)}\\fR${value}`, text(`${summary ?? description ?? ''}${ending}`)]
}

function examples(command) {
  if (command.examples === undefined || command.examples.length === 0) return []
  return [
    '.SH EXAMPLES',
    ...command.examples.flatMap((example) => {
      const { description, command: line } = typeof example === 'string' ? { command: example } : example
      const shown = line.replaceAll('<%= config.bin %>', 'vdisk').replaceAll('<%= command.id %>', spoken(command))
      return ['.PP', ...(description === undefined ? [] : [text(`${description}:`)]), '.PP', '.RS 4', '.nf'].concat(
        shown.split('\n').map(text),
        ['.fi', '.RE'],
      )
    }),
  ]
}

function references(commands) {
  const names = commands.map((command) => `.BR ${escaped(page(command))} (1)`)
  return ['.BR vdisk (1)', ...names].map((name, index, all) => (index < all.length - 1 ? `${name},` : name))
}

const paragraphs = (body) => body.split(/\n\n+/).flatMap((one, index) => [...(index > 0 ? ['.PP'] : []), text(one)])
const withoutStop = (summary) => summary.replace(/\.$/, '')
const bold = (shown) => `.B ${escaped(shown)}`

/** A line of text: one that begins with a control character is no request. */
const text = (body) =>
  body
    .split('\n')
    .map((line) => escaped(line).replace(/^(?=[.'])/, String.raw`\&`))
    .join('\n')

const escaped = (body) =>
  body
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll('"', String.raw`\(dq`)
    // Every roff reads characters outside ASCII by their code.
    .replace(/[^\n -~]/gu, (one) => `\\[u${one.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`)

const lines = (list) => `${list.filter((line) => line !== '').join('\n')}\n`

/**
 * Writes the pages into a folder.
 * @returns the names of the files
 */
export function writeManPages(folder, root) {
  const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8'))
  // The date of the sources where a build has to be reproducible.
  const epoch = process.env.SOURCE_DATE_EPOCH
  const date = (epoch === undefined ? new Date() : new Date(Number(epoch) * 1000)).toISOString().slice(0, 10)
  const pages = manPages(manifest, date)
  mkdirSync(folder, { recursive: true })
  for (const [name, body] of pages) writeFileSync(join(folder, name), body)
  return [...pages.keys()]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2]
  if (folder === undefined) throw new Error('usage: node packaging/man-pages.js FOLDER')
  const names = writeManPages(folder, fileURLToPath(new URL('..', import.meta.url)))
  process.stdout.write(`${names.length} manual pages in ${folder}\n`)
}
