import { createHash } from 'node:crypto'
import { parse } from 'yaml'

/** What a queue holds for one job. */
export interface JobData {
  /** What stands behind `vdisk` on the command line. */
  readonly words: readonly string[]
}

/** How a job ended on a worker. */
export interface JobEnd {
  readonly exitCode: number
  readonly host: string
  readonly pid: number
  readonly seconds: number
  /** How often it was begun, this time included. */
  readonly starts: number
  readonly error?: { readonly code: string; readonly message: string }
}

export interface NamedJob {
  /** The same words are the same job: it is added once. */
  readonly id: string
  readonly name: string
  readonly data: JobData
}

/**
 * Commands that may run twice, at the same time, without harm: they change nothing, or make a new file that appears
 * whole and replaces none.
 */
const safeCommands = new Set(['convert', 'image', 'check', 'compare', 'hash', 'info', 'inspect', 'measure', 'doctor'])

/** @throws Error saying which job is wrong. */
export function readJobs(text: string): NamedJob[] {
  const list: unknown = parse(text, { maxAliasCount: 0 })
  if (!Array.isArray(list) || list.length === 0) throw new Error('there is no list of jobs in it')
  const jobs = (list as readonly unknown[]).map(jobOf)
  const ids = new Set(jobs.map(({ id }) => id))
  if (ids.size < jobs.length) throw new Error('two of the jobs are the same command')
  return jobs
}

function jobOf(entry: unknown, index: number): NamedJob {
  const wrong = (what: string): Error => new Error(`job ${index + 1} ${what}`)
  const { name, run } =
    typeof entry === 'object' && entry !== null && !Array.isArray(entry)
      ? (entry as { readonly name?: unknown; readonly run?: unknown })
      : { name: undefined, run: entry }
  if (name !== undefined && typeof name !== 'string') throw wrong('has a name that is not text')
  const words = typeof run === 'string' ? splitWords(run) : run
  if (!Array.isArray(words) || !words.every((word): word is string => typeof word === 'string') || words.length === 0)
    throw wrong('is no command: text, or a list of words')
  const command = words[0] === 'vdisk' ? words.slice(1) : words
  const refusal = refusalOf(command)
  if (refusal !== undefined) throw wrong(refusal)
  return { id: idOf(command), name: name ?? command.join(' '), data: { words: command } }
}

/** Why a command is no job for a queue, an end of a sentence; undefined where it is one. */
export function refusalOf(command: readonly string[]): string | undefined {
  const [first = ''] = command
  if (!safeCommands.has(first))
    return `is "${first}": a queue runs ${[...safeCommands].join(', ')}, since a job may run twice`
  if (command.some((word) => word === '-f' || word.startsWith('--force')))
    return 'has --force: what a queue makes replaces nothing, so that a worker that was thought dead cannot either'
  if (command.includes('-')) return 'reads standard input or writes standard output, which jobs do not have'
  return undefined
}

function idOf(words: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 32)
}

/** The command line of a job: what can be gone on with, is, and what is there already is looked at. */
export function commandLine({ words }: JobData): string[] {
  const [command = ''] = words
  const address = addressIn(words)
  // The image of a disk that is sent to an address is not gone on with, nor is the disk behind an NBD export; records
  // lie beside files alone.
  const goesOn = command === 'convert' ? !/^nbd/i.test(address ?? '') : command === 'image' && address === undefined
  const hasRecord = command === 'convert' && address === undefined
  const added = [
    ...(goesOn && !words.includes('--resume') ? ['--resume'] : []),
    ...(hasRecord && !words.includes('--if-exists') ? ['--if-exists', 'same'] : []),
    ...(words.includes('--json') ? [] : ['--json']),
  ]
  return [...words, ...added]
}

/**
 * The address of another computer that a command may write to. Its source comes right behind the command; one behind
 * flags counts too, which only loses that a target that is there is looked at.
 */
function addressIn([, , ...words]: readonly string[]): string | undefined {
  return words.find((word) => /^[a-z][a-z0-9+.-]*:\/\//i.test(word))
}

/** Words as a shell splits them, of which nothing is expanded. Undefined for a quote that is not closed. */
function splitWords(text: string): string[] | undefined {
  const words: string[] = []
  const pattern = /\s*((?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+)/gsy
  let end = 0
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    end = pattern.lastIndex
    const word = (match[1] ?? '').replace(
      /\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)"/gs,
      (_all, escaped?: string, single?: string, double?: string) =>
        escaped ?? single ?? (double ?? '').replace(/\\(["\\$`])/g, '$1'),
    )
    words.push(word)
  }
  return text.slice(end).trim() === '' ? words : undefined
}
