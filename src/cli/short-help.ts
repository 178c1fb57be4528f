import { fileURLToPath } from 'node:url'
import fs from '../sys/host-fs.js'
import { inFolder } from '../sys/host-path.js'

/** The manifest that oclif reads too, as far as it is needed here. */
interface Manifest {
  readonly commands: Readonly<Record<string, CommandFacts>>
}

interface CommandFacts {
  readonly summary?: string
  readonly usage?: string
  readonly hidden?: boolean
  readonly args: Readonly<Record<string, { readonly required?: boolean; readonly name: string }>>
  readonly flags: Readonly<
    Record<
      string,
      { readonly name: string; readonly char?: string; readonly hidden?: boolean; readonly helpGroup?: string }
    >
  >
  readonly examples?: readonly (string | { readonly command: string; readonly description?: string })[]
}

const jobs: readonly (readonly [command: string, what: string])[] = [
  ['vdisk convert server.vhdx server.qcow2', 'turn one format into another'],
  ['vdisk inspect server.vhdx', 'see what is on a disk'],
  ['vdisk cp server.vhdx@2:/etc/fstab .', 'take a file out of an image'],
  ['sudo vdisk image /dev/sdb backup.vhdx', 'make a file of a disk'],
  ['sudo vdisk restore backup.vhdx /dev/sdb', 'write that file to a disk'],
]

/** What `vdisk` alone prints: the commonest jobs, and the names of all commands. */
export function firstScreen(root: string, version: string, width: number): string {
  const { commands } = manifest(root)
  const names = Object.keys(commands).filter((id) => commands[id]?.hidden !== true)
  const topics = new Map<string, string[]>()
  for (const [topic = '', name] of names.map((id) => id.split(':')))
    if (name !== undefined) topics.set(topic, [...(topics.get(topic) ?? []), name])
  const long = Math.max(...jobs.map(([command]) => command.length))
  return [
    `vdisk ${version}: convert, inspect and repair disk images; image and restore disks`,
    '',
    ...jobs.map(([command, what]) => `  ${command.padEnd(long)}  ${what}`),
    '',
    'Commands',
    ...indented(names.filter((name) => !name.includes(':')).join(' '), width),
    ...[...topics].flatMap(([topic, ids]) => indented(`${topic} ${ids.join('|')}`, width)),
    '',
    'vdisk COMMAND -h shows how one is used, vdisk --help says what each does.',
  ].join('\n')
}

/**
 * What `vdisk COMMAND -h` prints: usage, examples, and the names of the flags. Undefined where the manifest does not
 * know the command.
 */
export function shortHelp(root: string, words: readonly string[], width: number): string | undefined {
  const command = manifest(root).commands[words.join(':')]
  if (command === undefined) return undefined
  const name = words.join(' ')
  const filled = (text: string): string =>
    text.replaceAll('<%= config.bin %>', 'vdisk').replaceAll('<%= command.id %>', name)
  const flags = Object.values(command.flags)
    .filter(({ hidden, helpGroup }) => hidden !== true && helpGroup === undefined)
    .map(({ char, name: flag }) => `${char === undefined ? '' : `-${char}/`}--${flag}`)
  const args = Object.values(command.args).map((argument) => {
    const word = argument.name.toUpperCase()
    return argument.required === true ? word : `[${word}]`
  })
  const examples = (command.examples ?? []).map((example) =>
    typeof example === 'string' ? [filled(example)] : [`# ${example.description ?? ''}`, filled(example.command)],
  )
  return [
    `vdisk ${name}: ${command.summary ?? ''}`,
    '',
    `  vdisk ${filled(command.usage ?? ['<%= command.id %>', ...args, '[FLAGS]'].join(' '))}`,
    '',
    ...examples.slice(0, 3).flatMap((lines) => lines.map((line) => `  ${line}`)),
    '',
    ...(flags.length === 0 ? [] : ['Flags', ...cut(indented(flags.join(' '), width), 5), '']),
    `vdisk ${name} --help explains all flags, and has more examples.`,
  ].join('\n')
}

function cut(lines: readonly string[], room: number): readonly string[] {
  return lines.length <= room ? lines : [...lines.slice(0, room - 1), `${lines[room - 1] ?? ''} …`]
}

/** The names of all built-in commands that are not hidden, their words separated by spaces. */
export function commandNames(): string[] {
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  const { commands } = manifest(root)
  return Object.keys(commands)
    .filter((id) => commands[id]?.hidden !== true)
    .map((id) => id.replaceAll(':', ' '))
}

function manifest(root: string): Manifest {
  return JSON.parse(fs.readFileSync(inFolder(root, 'oclif.manifest.json'), 'utf8')) as Manifest
}

/** Words in lines of the width. */
function indented(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && line.length + word.length + 3 > width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map((line) => `  ${line}`)
}
