import { Command } from '@oclif/core/command'
import { boolean } from '@oclif/core/flags'
import { exitCodes } from '../errors.js'
import type { Registry } from '../formats/registry.js'
import { errorDocument, errorText, jsonText, knownError, type JsonDocument } from './error-text.js'
import type { ConfirmationQuestion } from '../operations/device/confirmation.js'
import { calmly } from './long-work.js'
import type { Progress } from '../operations/progress.js'
import { outputs, standardError } from './outputs.js'
import { peerFlags } from './peer-flags.js'
import { progressMessages } from './progress-messages.js'
import { ProgressReporter, type ProgressMode } from './progress.js'
import { withoutSecrets } from '../sys/secrets.js'
import { leaveMessage } from './termination.js'
import { assertNoValues, type DeclaredFlag } from './valueless-flags.js'
import type { LongView, View } from './view/view.js'

/** What {@link BaseCommand.show} shows. */
interface Answer<Result> {
  readonly schema: string
  readonly result: Result
  /** The JSON document, where it is not `result`. */
  readonly document?: object
  readonly view: () => Promise<{ readonly view: View<Result> | LongView<Result> }>
  /** Set where standard output takes the image. */
  readonly onStandardError?: boolean
  /** Set where the view is a long one: all is written in pieces, and lists of the document need not be arrays. */
  readonly isLong?: boolean
}

const noteLines = (result: { readonly notes?: readonly { readonly message: string }[] }): string[] =>
  (result.notes ?? []).map(({ message }) => `Warning: ${message}`)

/** Everything commands share: interruption, errors and exit codes, JSON, progress, the formats that plugins add. */
export abstract class BaseCommand extends Command {
  static override baseFlags = {
    json: boolean({ summary: 'print one JSON document on standard output', helpGroup: 'GLOBAL' }),
    quiet: boolean({
      summary: 'print nothing but warnings, errors, and what --json asks for; the exit code is the answer',
      helpGroup: 'GLOBAL',
      exclusive: ['verbose'],
    }),
    verbose: boolean({ summary: 'show everything that is known, not only what fits on a screen', helpGroup: 'GLOBAL' }),
    debug: boolean({ summary: 'show where in the program an error arose', helpGroup: 'GLOBAL' }),
  }

  /** Fires on Ctrl-C, SIGTERM, and SIGHUP: the terminal was closed, or the connection to it is gone. */
  protected get signal(): AbortSignal {
    return this.#interruption.signal
  }

  readonly #interruption = new AbortController()
  #progress: ProgressReporter | undefined
  #failed = false

  readonly #interrupt = (): void => {
    // The second one means it: whatever is going on is left as it is; partial files stay partial.
    if (this.signal.aborted) process.exit(exitCodes.aborted)
    this.#interruption.abort()
  }

  // A closed terminal sends it several times, by the shell and by the system: the second one means nothing.
  readonly #hangUp = (): void => this.#interruption.abort()

  protected override async init(): Promise<void> {
    await super.init()
    process.on('SIGINT', this.#interrupt)
    process.on('SIGTERM', this.#interrupt)
    process.on('SIGHUP', this.#hangUp)
    // A plug-in's command may have no flags at all.
    const {
      flags = {},
      baseFlags = {},
      args = {},
    } = this.ctor as {
      readonly flags?: Readonly<Record<string, DeclaredFlag>>
      readonly baseFlags?: Readonly<Record<string, DeclaredFlag>>
      readonly args?: object
    }
    // oclif takes an argument that is missing from standard input: a loop of a shell would name the target.
    for (const argument of Object.values(args) as { ignoreStdin?: boolean }[]) argument.ignoreStdin = true
    this.argv = peerFlags(
      this.argv,
      new Set(Object.entries(flags).flatMap(([name, { char }]) => (char === undefined ? [name] : [name, char]))),
    )
    assertNoValues(this.argv, { ...baseFlags, ...flags })
  }

  protected override async finally(): Promise<void> {
    this.#progress?.end()
    process.off('SIGINT', this.#interrupt)
    process.off('SIGTERM', this.#interrupt)
    process.off('SIGHUP', this.#hangUp)
    return Promise.resolve()
  }

  /**
   * The formats built in and those of plugins (hook `vdisk:formats`). @throws ImageError unsupported E_PLUGIN_…, naming
   * the plugin.
   */
  protected async registry(): Promise<Registry> {
    const { registryOf } = await import('./plugin-registry.js')
    return registryOf(this.config)
  }

  /** What every operation takes: the formats, the way to interrupt it, and progress where the command has the flag. */
  protected async context(flags: { readonly progress?: ProgressMode } = {}) {
    const registry = await this.registry()
    return { registry, signal: this.signal, onProgress: this.onProgress(flags.progress) }
  }

  /** Asks a person to confirm the disk by typing; undefined where there is no terminal to ask on. */
  protected asking(action: string): ((question: ConfirmationQuestion) => Promise<string | undefined>) | undefined {
    if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined
    return async (question) => {
      const [{ renderer }, { questionText }, { promptLine }] = await Promise.all([
        import('./render.js'),
        import('./view/device.js'),
        import('./prompt.js'),
      ])
      return await promptLine(
        questionText(await renderer(process.stderr), question, action),
        { input: process.stdin, output: process.stderr },
        this.signal,
      )
    }
  }

  /** Where progress goes: a bar when standard error is a terminal, unless the flag says otherwise. */
  protected onProgress(mode: ProgressMode | undefined): (event: Progress) => void {
    this.#progress = new ProgressReporter(
      mode ?? (standardError.isTTY && !this.hasFlag('json') && !this.hasFlag('quiet') ? 'bar' : 'none'),
      standardError,
    )
    const { update } = this.#progress
    const send = progressMessages()
    return calmly(
      send === undefined
        ? update
        : (event) => {
            update(event)
            send(event)
          },
    )
  }

  /** Before output that does not go through `show`. */
  protected endProgress(): void {
    this.#progress?.end()
  }

  /** What takes the journal of finished work away: at the very end, since a kill before that is found out by it. */
  protected readonly forgetLater = (forget: () => void): void => void process.once('exit', forget)

  /** Prints the one JSON document of a command. */
  protected printJson(document: JsonDocument & Readonly<Record<string, unknown>>): void {
    process.stdout.write(`${withoutSecrets(jsonText(document))}\n`)
  }

  /** A line on standard output, unless --quiet. */
  protected print(text: string): void {
    if (!this.hasFlag('quiet')) process.stdout.write(`${withoutSecrets(text)}\n`)
  }

  /** The answer of a command: its JSON document with --json, else warnings and text for people. */
  protected async show<Result extends object>({ view, result, ...rest }: Answer<Result>): Promise<void> {
    this.#progress?.end()
    const long = rest.isLong === true ? await import('./long-output.js') : undefined
    if (this.hasFlag('json')) {
      const document = { schema: rest.schema, schemaVersion: 1 as const, ...(rest.document ?? result) }
      if (long === undefined) this.printJson(document)
      else await long.writePieces(process.stdout, long.documentPieces(document))
      return
    }
    const [{ view: shown }, { renderer }] = await Promise.all([view(), import('./render.js')])
    await this.printWarnings(shown.warnings?.(result) ?? noteLines(result))
    if (this.hasFlag('quiet')) return
    if ('lines' in shown) {
      await long?.writePieces(process.stdout, long.linePieces(shown.lines(result)))
      return
    }
    const output = rest.onStandardError === true ? process.stderr : process.stdout
    const lines = await shown.text(result, await renderer(output, this.hasFlag('verbose')))
    if (rest.onStandardError === true) this.printError(lines)
    else if (lines !== '') this.print(lines)
  }

  /** Lines on standard error, in the colour of warnings. */
  protected async printWarnings(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return
    const { renderer } = await import('./render.js')
    const render = await renderer(process.stderr)
    for (const line of lines) this.printError(render.warning(line))
  }

  /** A line on standard error. */
  protected printError(text: string): void {
    this.#progress?.end()
    process.stderr.write(`${withoutSecrets(text)}\n`)
  }

  /** Sets the exit code of a command that finishes although not all went well. The highest wins. */
  protected exitWith(code: number): void {
    process.exitCode = Math.max(Number(process.exitCode ?? 0), code)
  }

  /** Whether a flag stands on the command line, also when parsing it failed. */
  protected hasFlag(name: string): boolean {
    const end = this.argv.indexOf('--')
    return this.argv.slice(0, end < 0 ? undefined : end).includes(`--${name}`)
  }

  /** The only place where an error becomes an exit code. */
  protected override async catch(error: Error & { oclif?: { exit?: number }; code?: string }): Promise<never> {
    this.#progress?.end()
    if (this.#failed || error.code === 'EEXIT') throw error
    this.#failed = true
    const known = await knownError(error, this.ctor)
    const exitCode = exitCodes[known.kind]
    if (this.hasFlag('json')) this.printJson(await errorDocument(known))
    // A document that nobody got is no report.
    if (!this.hasFlag('json') || outputs.failure !== undefined) this.printError(await errorText(known))
    if (this.hasFlag('debug')) this.printError(stackOf(known))
    const warning = await leaveMessage(known)
    if (warning !== undefined) this.printError(`Warning: ${warning}`)
    // oclif takes the exit code from `oclif.exit` when it handles the error, and from `exitCode` when a hook does.
    throw Object.assign(new Error(known.message), { exitCode, oclif: { exit: exitCode }, skipOclifErrorHandling: true })
  }
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}
