import { spawn } from 'node:child_process'

/** How a program of the system ended. */
export interface CommandResult {
  /** Exit code; undefined when a signal ended it. */
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** What a program says is kept up to here, in bytes. */
const longestOutput = 65536
/** Administrators' tools are often not on the path of ordinary users, or of sudo. */
const furtherFolders = ['/usr/sbin', '/sbin', '/usr/local/sbin']

/**
 * Runs a program of the system to its end, without a shell, its messages in English.
 * @returns undefined when there is no such program.
 */
export function runCommand(program: string, parameters: readonly string[]): Promise<CommandResult | undefined> {
  return new Promise((resolve, reject) => {
    const path = [process.env['PATH'] ?? '/usr/bin:/bin', ...furtherFolders].join(':')
    const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PATH: path, LC_ALL: 'C' } })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout = (stdout + text).slice(0, longestOutput) })
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr = (stderr + text).slice(0, longestOutput) })
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(undefined)
      else reject(error)
    })
    child.on('close', (code) => resolve({ code: code ?? undefined, stdout, stderr }))
  })
}
