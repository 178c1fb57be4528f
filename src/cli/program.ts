import { exitCodes } from '../errors.js'
import { exactArguments } from '../sys/arguments.js'
import { errorDocument, errorText, jsonText, knownError } from './error-text.js'
import { outputs } from './outputs.js'
import { start } from './start.js'
import { isHungUp } from '../sys/terminal.js'
import { ensureUser } from '../sys/self.js'

/** What oclif and the base command throw to end a command: with a code, and printed already or not. */
interface Ending extends Error {
  readonly code?: string
  readonly oclif?: { readonly exit?: number }
  readonly skipOclifErrorHandling?: boolean
}

/** Runs the command line of this process and sets its exit code. */
export async function runProgram(): Promise<void> {
  outputs.watch()
  // A write past the limit for files (ulimit -f) is an error like others, and no reason to be killed.
  process.on('SIGXFSZ', () => undefined)
  let code: number | undefined
  ensureUser()
  try {
    await start(exactArguments(process.argv.slice(2)))
    await outputs.drained()
  } catch (error) {
    code = await ending(error as Ending)
  }
  code ??= Number(process.exitCode ?? 0)
  const lost = outputs.unreported(code)
  if (lost !== undefined) process.stderr.write(`${await errorText(lost)}\n`)
  code = outputs.exitCode(code)
  process.exitCode = code
  // Node cannot give a terminal that is gone its settings back, and aborts: the signal ends the program without that.
  if (code === exitCodes.aborted && isHungUp()) process.kill(process.pid, 'SIGHUP')
  // A command that failed may have left a timer or a thread behind; one that is done ends by itself.
  if (code !== 0) process.exit(code)
}

/**
 * The exit code of a command that threw, which is printed here if nobody did before: an unknown command, a bad hook.
 */
async function ending(error: Ending): Promise<number> {
  if (error.code === 'EEXIT' || error.skipOclifErrorHandling === true) return error.oclif?.exit ?? exitCodes.internal
  const known = await knownError(error)
  if (process.argv.includes('--json')) process.stdout.write(`${jsonText(await errorDocument(known))}\n`)
  else process.stderr.write(`${await errorText(known)}\n`)
  return exitCodes[known.kind]
}
