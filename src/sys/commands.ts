import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { printable } from '../errors.js'
import { isPlainText } from './host-fs.js'

/** How a program ended. */
export interface CommandResult {
  /** Undefined when it could not be started: it is not installed. */
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  /** Descriptors that the program gets as its numbers 3, 4 … */
  readonly descriptors?: readonly number[]
  /** Set besides the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>
}

/** Where system administration's programs lie, which a user's PATH need not have. */
const administrationFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** PATH with those folders at its end. */
function searchPath(path = process.env['PATH'] ?? '/usr/bin:/bin'): string {
  const folders = path.split(':')
  return [...folders, ...administrationFolders.filter((folder) => !folders.includes(folder))].join(':')
}

/** What programs of the system get as their environment: this process's, with a PATH that finds them. */
export function systemEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: searchPath() }
}

/**
 * What Node's `spawn` gives, where it has its streams: where no more files can be opened there are none, and Node says
 * why only later. @throws the system's error EMFILE. Every other failure is the event `error`.
 */
export function started<Child extends ChildProcess>(child: Child): Child {
  if ((child as Partial<ChildProcess>).stdio !== undefined) return child
  child.on('error', () => undefined)
  throw Object.assign(new Error(`EMFILE: too many open files, spawn ${child.spawnfile}`), {
    code: 'EMFILE',
    syscall: 'spawn',
  })
}

/** Runs a program of the system, without a shell, and waits for it. Never throws. What it says is in English. */
export function command(
  program: string,
  parameters: readonly string[],
  { descriptors = [], environment }: CommandOptions = {},
): Promise<CommandResult> {
  const lost = parameters.find((parameter) => !isPlainText(parameter))
  // Node would put another name in its place.
  if (lost !== undefined)
    return Promise.resolve({
      code: -1,
      stdout: '',
      stderr: `${program} cannot be given the name ${printable(lost)}, which is not UTF-8`,
    })
  return new Promise((resolve) => {
    const child = spawn(program, parameters, {
      stdio: ['ignore', 'pipe', 'pipe', ...descriptors],
      env: { ...systemEnvironment(), LC_ALL: 'C', ...environment },
    })
    // Undefined where no more files can be opened.
    const [, stdout, stderr] = (child as Partial<ChildProcess>).stdio ?? []
    const out: Buffer[] = []
    const problems: Buffer[] = []
    stdout?.on('data', (bytes: Buffer) => out.push(bytes))
    stderr?.on('data', (bytes: Buffer) => problems.push(bytes))
    child.on('error', (error) =>
      resolve({
        code: undefined,
        stdout: '',
        stderr: `${program} is not installed, or cannot be started: ${error.message}`,
      }),
    )
    // Not "close": a program that stays (ntfs-3g) may keep the pipe open.
    child.on('exit', (code) =>
      setImmediate(() => {
        stdout?.destroy()
        stderr?.destroy()
        resolve({
          code: code ?? -1,
          stdout: Buffer.concat(out).toString().trim(),
          stderr: Buffer.concat(problems).toString().trim(),
        })
      }),
    )
  })
}

/** The same at once, for what asks in the middle of reading; this process waits. */
export function commandNow(program: string, parameters: readonly string[]): CommandResult {
  const { error, status, stdout, stderr } = spawnSync(program, parameters, {
    encoding: 'utf8',
    env: { ...systemEnvironment(), LC_ALL: 'C' },
    timeout: 30_000,
  })
  if (error !== undefined) return { code: undefined, stdout: '', stderr: error.message }
  return { code: status ?? -1, stdout: stdout.trim(), stderr: stderr.trim() }
}
