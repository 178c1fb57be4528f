import { createHash } from 'node:crypto'
import { parse } from 'yaml'
import { printable, usage } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { boundedText } from '../../sys/readable.js'
import { splitWords } from '../../sys/shell-word.js'
import { isJsonObject } from '../../binary/json-object.js'

/** One line of a batch: a vdisk command. */
export interface Job {
  /** For people: the name that the file gives, or the command. */
  readonly name: string
  /** What stands behind `vdisk` on the command line. */
  readonly words: readonly string[]
  /** Names the job in the folder of states: a digest of the words and the working folder. */
  readonly id: string
}

/** The most that a file of jobs may have, in bytes: enough for a hundred thousand. */
const largest = 16 * 1024 * 1024

/**
 * The jobs of a file: a YAML or JSON list, each entry a command as text, a list of words, or `{ name, run }`.
 * @param folder the working folder, which relative names in the jobs are meant from
 * @throws ImageError usage E_JOBS, E_NOT_FOUND
 */
export function readJobs(path: string, folder: string): readonly Job[] {
  const name = printable(path)
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) throw usage('E_NOT_FOUND', `${name}: no such file`)
  if (stat.isDirectory()) throw usage('E_JOBS', `${name} is a folder, not a file with jobs`, { hint: howToWrite })
  const text = boundedText(path, largest)
  if (text === undefined) throw usage('E_JOBS', `${name} has more than ${largest} bytes, the most of a list of jobs`)
  let list: unknown
  try {
    // Aliases could make a small file a large list.
    list = parse(text, { maxAliasCount: 0 })
  } catch (error) {
    throw usage(
      'E_JOBS',
      `${name} is neither YAML nor JSON: ${printable((error as Error).message.split('\n')[0] ?? '')}`,
      {
        cause: error,
        hint: howToWrite,
      },
    )
  }
  if (!Array.isArray(list) || list.length === 0)
    throw usage('E_JOBS', `${name} holds no list of jobs`, { hint: howToWrite })
  const jobs = (list as readonly unknown[]).map((entry, index) => jobOf(entry, index, folder))
  const byId = new Map<string, number>()
  for (const [index, { id }] of jobs.entries()) {
    const earlier = byId.get(id)
    if (earlier !== undefined) throw usage('E_JOBS', `job ${index + 1} is the same command as job ${earlier + 1}`)
    byId.set(id, index)
  }
  return jobs
}

const howToWrite = 'A job is a line such as: - convert a.vhdx a.qcow2 --verify'

function jobOf(entry: unknown, index: number, folder: string): Job {
  const wrong = (what: string) => usage('E_JOBS', `job ${index + 1} ${what}`, { hint: howToWrite })
  const { name, run } = isJsonObject(entry) ? entry : { run: entry }
  if (name !== undefined && typeof name !== 'string') throw wrong('has a name that is not text')
  const words = typeof run === 'string' ? splitWords(run) : run
  if (words === undefined) throw wrong('has a quote that is not closed')
  if (!Array.isArray(words) || words.length === 0 || !words.every((word) => typeof word === 'string'))
    throw wrong('is no command: text, or a list of words')
  const command = words[0] === 'vdisk' ? words.slice(1) : words
  if (command[0] === undefined) throw wrong('is no command')
  if (command[0] === 'batch') throw wrong('is a batch itself')
  if (command.includes('-')) throw wrong('reads standard input or writes standard output, which jobs do not have')
  const id = createHash('sha256')
    .update(JSON.stringify([folder, command]))
    .digest('hex')
    .slice(0, 32)
  return { name: name ?? command.join(' '), words: command, id }
}
