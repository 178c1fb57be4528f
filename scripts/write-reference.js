// Writes docs/reference.md from oclif.manifest.json: every command with its arguments, flags and examples.
import { readFileSync, writeFileSync } from 'node:fs'

/** The text of docs/reference.md. */
export function reference(manifest) {
  const commands = Object.values(manifest.commands)
    .filter(({ hidden }) => hidden !== true)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  const name = ({ id }) => id.replaceAll(':', ' ')
  return [
    '# Command reference',
    'Made from the commands themselves by `npm run build`; do not edit. `vdisk COMMAND --help` shows the same.',
    'Every command also takes `--json` (print one JSON document on standard output) and `--debug` ' +
      '(show where in the program an error arose).',
    [
      '| command | |',
      '| --- | --- |',
      ...commands.map((c) => `| [\`${name(c)}\`](#${name(c).replaceAll(' ', '-')}) | ${cell(c.summary)} |`),
    ].join('\n'),
    ...commands.flatMap((command) => section(command, name(command))),
  ]
    .join('\n\n')
    .concat('\n')
}

function section(command, name) {
  const args = Object.values(command.args ?? {}).filter(({ hidden }) => hidden !== true)
  const flags = Object.values(command.flags ?? {}).filter(
    ({ hidden, helpGroup }) => hidden !== true && helpGroup !== 'GLOBAL',
  )
  const usage = ['vdisk', name, ...args.map((arg) => argument(arg, command.strict === false))].join(' ')
  return [
    `## ${name}`,
    command.summary,
    ['```console', `$ ${usage}${flags.length === 0 ? '' : ' [FLAGS]'}`, '```'].join('\n'),
    ...(command.description === undefined || command.description === command.summary ? [] : [command.description]),
    ...(args.length === 0
      ? []
      : [
          rows(
            'argument',
            args.map((arg) => [`\`${arg.name.toUpperCase()}\``, arg]),
          ),
        ]),
    ...(flags.length === 0
      ? []
      : [
          rows(
            'flag',
            flags.map((flag) => [flagName(flag), flag]),
          ),
        ]),
    ...(command.aliases?.length > 0 ? [`Also: ${command.aliases.map((one) => `\`${one}\``).join(', ')}.`] : []),
    ...(command.examples?.length > 0 ? ['Examples:', examples(command)] : []),
  ]
}

const argument = ({ name, required }, many) => {
  const text = `${name.toUpperCase()}${many ? '...' : ''}`
  return required === true ? text : `[${text}]`
}

function flagName({ name, char, type, helpValue, options, allowNo }) {
  const value = helpValue ?? (options === undefined ? name : options.join('|'))
  const long = `--${allowNo === true ? '[no-]' : ''}${name}${type === 'option' ? `=${value}` : ''}`
  return `\`${char === undefined ? '' : `-${char}, `}${long.replaceAll('|', '\\|')}\``
}

function rows(title, list) {
  return [
    `| ${title} | |`,
    '| --- | --- |',
    ...list.map(([first, { summary, description, required, default: preset }]) => {
      const text = [summary ?? description ?? '', required === true ? '(required)' : '']
      if (typeof preset === 'string' || typeof preset === 'number') text.push(`(default: ${preset})`)
      return `| ${first} | ${cell(text.filter((part) => part !== '').join(' '))} |`
    }),
  ].join('\n')
}

function examples(command) {
  const lines = command.examples.flatMap((example) => {
    const { description, command: line } = typeof example === 'string' ? { command: example } : example
    const text = line
      .replaceAll('<%= config.bin %>', 'vdisk')
      .replaceAll('<%= command.id %>', command.id.replaceAll(':', ' '))
    return [...(description === undefined ? [] : [`# ${description}`]), text]
  })
  return ['```sh', ...lines, '```'].join('\n')
}

const cell = (text) => (text ?? '').replaceAll('|', '\\|').replaceAll('\n', ' ')

if (process.argv[1]?.endsWith('write-reference.js')) {
  const manifest = JSON.parse(readFileSync(new URL('../oclif.manifest.json', import.meta.url), 'utf8'))
  writeFileSync(new URL('../docs/reference.md', import.meta.url), reference(manifest))
}
