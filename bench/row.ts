import { spawnSync } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** What `npm run bench` was asked for, the commands it runs, and the rows they make. */
export const root = fileURLToPath(new URL('../..', import.meta.url))
const { values: given } = parseArgs({
  options: {
    size: { type: 'string', default: '1024' },
    runs: { type: 'string', default: '8' },
    folder: { type: 'string', default: path.join(root, '.work', 'bench-goals') },
    rows: { type: 'string', default: '' },
    quick: { type: 'boolean', default: false },
    files: { type: 'string', default: '200000' },
    node: { type: 'string', multiple: true, default: [] },
    'real-time': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (given.help) {
  console.log(`npm run bench -- [--rows PATTERN] [--runs N] [--size MiB of data] [--folder DIR] [--node FILE]...
  [--files N] [--quick] [--real-time]
Runs every row that vdisk has a goal for against its best peer, and writes bench/results.json. A full run takes about
40 minutes on two processors; npm run bench:quick (128 MiB, 4 runs, no rows of throughput and scale) two.
--rows       only rows whose name has this in it (a regular expression): "qcow2", "^mount", "^serving", "^scale"; the
             others stay in bench/results.json as they were
--node       also runs vdisk with this Node; npx -p node@24 node -p process.execPath prints one
--files      files in the filesystem that "ls", "cp -r" and "--used-only" work on
--real-time  runs everything at real-time priority (root), on a machine that others use meanwhile`)
  process.exit(0)
}
// Certificates that are loaded at the start have nothing to do with what is measured.
for (const name of ['NODE_EXTRA_CA_CERTS', 'AWS_CA_BUNDLE']) Reflect.deleteProperty(process.env, name)
export const options = given
export const rounds = Number(given.runs)
export const dataSize = Number(given.size) * 1048576
export const isRoot = process.getuid?.() === 0
export const at = (name: string): string => path.join(given.folder, name)
export const program = path.join(root, 'bin/run.js')
export const machine = `${os.cpus().length} × ${os.cpus()[0]?.model ?? ''}`
export const files = { random: at('random.raw'), small: at('small.raw'), files: at('files.raw'), out: at('out') }

export interface Command {
  readonly name: string
  readonly argv: readonly string[]
}

export const vdisk = (...args: string[]): Command => ({
  name: `vdisk ${args[0] ?? ''}`,
  argv: [process.execPath, program, ...args],
})
export const peer = (...argv: string[]): Command => ({
  name: argv[1]?.includes('/') === false ? argv.slice(0, 2).join(' ') : (argv[0] ?? ''),
  argv,
})
export const qemu = (...args: string[]): Command => peer('qemu-img', ...args)
export const shell = (name: string, command: string, ...args: string[]): Command => ({
  name,
  argv: ['sh', '-ec', command, ...args],
})

/** A command of ours against those of peers. */
export interface Row {
  readonly name: string
  readonly goal: number
  readonly ours: Command
  readonly peers: readonly Command[]
  /** What both write: removed before each run. */
  readonly target?: string
  /** Whether the peers are Node programs too: each Node of ours has its own. */
  readonly peersAreNode?: boolean
  /** Whether the time until the target is on the medium counts. */
  readonly flushed?: boolean
}

/** Something that serves while others read: seconds for a piece of work, by rounds. Node's own version only. */
export interface Throughput {
  readonly name: string
  readonly goal: number
  /** What was done in so many seconds. */
  readonly work: string
  readonly ours: readonly number[]
  readonly peers: readonly { readonly name: string; readonly seconds: readonly number[] }[]
}

/** Whether programs are installed; rows that lack one are left out, which is printed. */
export function have(rows: string, ...tools: string[]): boolean {
  const missing = tools.filter((tool) => spawnSync('which', [tool]).status !== 0)
  if (missing.length > 0) console.log(`${rows}: left out, needs ${missing.join(', ')}`)
  return missing.length === 0
}

const wanted = new RegExp(given.rows, 'i')
export const isWanted = (name: string): boolean => wanted.test(name)
