import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The exit codes that a worker acts on (docs/running-many.md). */
export const exitCodes = { refused: 3, internal: 70, aborted: 130 }

export interface CommandEnd {
  readonly exitCode: number
  readonly error?: {
    readonly code: string
    readonly message: string
    readonly details?: Readonly<Record<string, unknown>>
  }
}

export interface CommandOptions {
  /** The file that starts vdisk. */
  readonly program: string
  readonly folder: string
  readonly signal?: AbortSignal
  readonly onProgress?: (line: object) => void
}

/** Most bytes of a command's output that are kept. */
const mostOutput = 16 * 1024 * 1024

/**
 * Runs a command in a process of its own: this one must go on renewing its lease, and a conversion keeps a processor
 * busy for long. When the signal fires, the command is asked to end, and killed after ten seconds.
 */
export function runCommand(words: readonly string[], options: CommandOptions): Promise<CommandEnd> {
  const { program, folder, signal, onProgress } = options
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./child.js', import.meta.url)), pathToFileURL(program).href, ...words],
    // A group of its own: Ctrl-C reaches the worker alone, which ends its job once.
    { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'], detached: true },
  )
  child.stdin.on('error', () => undefined)
  const output: Buffer[] = []
  let kept = 0
  child.stdout.on('data', (piece: Buffer) => {
    if (kept < mostOutput) output.push(piece)
    kept += piece.length
  })
  let line = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    line += text
    const lines = line.split('\n')
    line = (lines.pop() ?? '').slice(-4096)
    for (const each of lines) if (each.startsWith('{')) onProgress?.(objectOf(each) ?? {})
  })
  let killing: NodeJS.Timeout | undefined
  const end = (): void => {
    child.kill('SIGTERM')
    killing = setTimeout(() => child.kill('SIGKILL'), 10_000)
  }
  if (signal?.aborted === true) end()
  else signal?.addEventListener('abort', end, { once: true })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(killing)
      signal?.removeEventListener('abort', end)
      resolve({ exitCode: code ?? exitCodes.internal, error: errorOf(Buffer.concat(output).toString()) })
    })
  })
}

/**
 * The same for a job that was begun before. The process of an earlier start may be alive still, though its lease is
 * lost: it holds the lock of what it left. Its files lose their names, without which it can never finish; what it goes
 * on writing is in nobody's way.
 */
export async function runAgain(words: readonly string[], options: CommandOptions): Promise<CommandEnd> {
  const end = await runCommand(words, options)
  if (end.exitCode !== exitCodes.refused || end.error?.code !== 'E_RESUME_BUSY') return end
  const { journal, partial } = end.error.details ?? {}
  if (typeof journal !== 'string' || typeof partial !== 'string') return end
  for (const path of [partial, journal]) rmSync(path, { force: true })
  return await runCommand(words, options)
}

function errorOf(text: string): CommandEnd['error'] {
  const document = objectOf(text) as
    { schema?: unknown; code?: unknown; message?: unknown; details?: unknown } | undefined
  if (document?.schema !== 'vdisk.error') return undefined
  const { code, message, details } = document
  return {
    code: String(code),
    message: String(message),
    details: (details ?? undefined) as Readonly<Record<string, unknown>> | undefined,
  }
}

function objectOf(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    // What is no JSON is for people.
    return undefined
  }
}
