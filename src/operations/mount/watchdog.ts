import { spawn, type ChildProcess } from 'node:child_process'
import { systemEnvironment } from '../../sys/commands.js'

/** Keeps the last line it was given, and runs it when its input ends: when the server is gone, however it went. */
const script = 'trap "" INT TERM HUP; plan=; while IFS= read -r line; do plan=$line; done; eval "$plan"'

/**
 * A shell that cleans up after a server that was killed. It holds nothing but the pipe, and outlives whatever ends its
 * parent.
 */
export class Watchdog {
  readonly #shell: ChildProcess

  constructor() {
    this.#shell = spawn('/bin/sh', ['-c', script, 'vdisk-watchdog'], {
      detached: true,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
      env: systemEnvironment(),
    })
    // It is ended when there is no need of it any more; that it is gone already is then no harm.
    this.#shell.on('error', () => undefined)
    this.#shell.stdin?.on('error', () => undefined)
    this.#shell.unref()
  }

  /** What is to be done if the server dies now: shell commands. */
  plan(commands: readonly string[]): void {
    this.#shell.stdin?.write(`${commands.join('; ')}\n`)
  }

  /** The server has cleaned up itself. */
  dismiss(): void {
    this.plan([])
    this.#shell.stdin?.end()
  }
}

/** A word for the shell, whatever is in it; words with line ends cannot be planned, and are refused before. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
