import { spawn, type ChildProcess } from 'node:child_process'
import { systemEnvironment } from '../sys/commands.js'

/**
 * A shell that ends this process's work when it can no longer do so itself: it waits for the end of its standard input,
 * which comes with the end of this process, also by SIGKILL, and then runs a script. Closing it ends it without that.
 */
export class GuardShell implements Disposable {
  readonly #process: ChildProcess

  private constructor(process: ChildProcess) {
    this.#process = process
  }

  /** @param script of sh. @param words its `"$@"`. @returns undefined where it cannot be started. */
  static start(script: string, words: readonly string[]): GuardShell | undefined {
    const guard = spawn('/bin/sh', ['-c', `trap "" INT TERM HUP; cat > /dev/null; ${script}`, 'sh', ...words], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: systemEnvironment(),
    })
    guard.on('error', () => undefined)
    guard.unref()
    if (guard.pid === undefined) return undefined
    guard.stdin.on('error', () => undefined)
    return new GuardShell(guard)
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL')
  }
}
