import { Command } from '@oclif/core/command'
import { boolean } from '@oclif/core/flags'
import { exitCodes, firstError, ImageError, isImageError, printable, systemError, usage } from '../errors.js'
import type { Registry } from '../formats/registry.js'
import type { ConfirmationQuestion } from '../operations/device/confirmation.js'
import { calmly } from './long-work.js'
import type { Progress } from '../operations/progress.js'
import { outputs } from './outputs.js'
import { peerFlags } from './peer-flags.js'
import { ProgressReporter, type ProgressMode } from './progress.js'
import { withoutSecrets } from '../sys/secrets.js'
import type { View } from './view/view.js'

/** What a command prints as JSON, and what an error becomes there. */
interface JsonDocument {
  readonly schema: string
  readonly schemaVersion: 1
}

/** What {@link BaseCommand.show} shows. */
interface Answer<Result> {
  readonly schema: string
  readonly result: Result
  /** The JSON document, where it is not `result`. */
  readonly document?: object
  readonly view: () => Promise<{ readonly view: View<Result> }>
  /** Set where standard output takes the image. */
  readonly onStandardError?: boolean
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

  /** Fires on Ctrl-C and SIGTERM. */
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

  protected override async init(): Promise<void> {
    await super.init()
    process.on('SIGINT', this.#interrupt)
    process.on('SIGTERM', this.#interrupt)
    // A plug-in's command may have no flags at all.
    const { flags = {} } = this.ctor as { readonly flags?: object }
    this.argv = peerFlags(this.argv, new Set(Object.keys(flags)))
  }

  protected override async finally(): Promise<void> {
    this.#progress?.end()
    process.off('SIGINT', this.#interrupt)
    process.off('SIGTERM', this.#interrupt)
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
      mode ?? (process.stderr.isTTY && !this.hasFlag('json') && !this.hasFlag('quiet') ? 'bar' : 'none'),
      process.stderr,
    )
    return calmly(this.#progress.update)
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
    if (this.hasFlag('json')) {
      this.printJson({ schema: rest.schema, schemaVersion: 1, ...(rest.document ?? result) })
      return
    }
    const [{ view: shown }, { renderer }] = await Promise.all([view(), import('./render.js')])
    await this.printWarnings(shown.warnings?.(result) ?? noteLines(result))
    if (this.hasFlag('quiet')) return
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
  protected override catch(error: Error & { oclif?: { exit?: number }; code?: string }): Promise<never> {
    this.#progress?.end()
    if (this.#failed || error.code === 'EEXIT') throw error
    this.#failed = true
    const known = missingArguments(error, this.ctor) ?? knownError(error)
    const exitCode = exitCodes[known.kind]
    if (this.hasFlag('json')) this.printJson(errorDocument(known))
    // A document that nobody got is no report.
    if (!this.hasFlag('json') || outputs.failure !== undefined) this.printError(errorText(known))
    if (this.hasFlag('debug')) this.printError(stackOf(known))
    // oclif takes the exit code from `oclif.exit` when it handles the error, and from `exitCode` when a hook does.
    throw Object.assign(new Error(known.message), { exitCode, oclif: { exit: exitCode }, skipOclifErrorHandling: true })
  }
}

/** An error for people: what went wrong, and what to do. Whatever it quotes is escaped. */
export function errorText({ message, hint }: ImageError): string {
  return [`Error: ${message}`, ...(hint === undefined ? [] : [hint])]
    .flatMap((text) => text.split('\n'))
    .map(printable)
    .join('\n')
}

/**
 * Any error as one of ours: oclif's parse errors are bad usage, what the system refused says why, and everything else
 * unknown is a bug.
 */
export function knownError(thrown: Error & { oclif?: { exit?: number } }): ImageError {
  const error = firstError(thrown) as typeof thrown
  if (isImageError(error)) return ofFlag(error)
  if (error.oclif?.exit === 2)
    return usage('E_USAGE', error.message.replace(/\n?See more help with --help$/, ''), {
      cause: error,
      hint: 'See more help with --help',
    })
  const refusal = systemError(error)
  if (refusal !== undefined) return refusal
  return new ImageError('internal', 'E_INTERNAL', `this is a bug: ${error.message}`, {
    cause: error,
    hint: 'Please report it, with what --debug shows.',
  })
}

/** What a flag's own parse function threw: the parser writes a text of two lines around its message. */
function ofFlag(error: ImageError): ImageError {
  const [, flag, message] = /^Parsing --(\S+) \n\t([^]*)\nSee more help with --help$/.exec(error.message) ?? []
  if (flag === undefined || message === undefined) return error
  const { kind, code, details, hint = 'See more help with --help' } = error
  return new ImageError(kind, code, `--${flag}: ${message}`, { cause: error, hint, details })
}

/** Arguments that were left out: which, how the command is used, and one example. */
function missingArguments(error: Error, command: typeof Command): ImageError | undefined {
  const { args } = error as { readonly args?: readonly { readonly name?: string }[] }
  if (error.constructor.name !== 'RequiredArgsError' || args === undefined) return undefined
  const name = command.id.replaceAll(':', ' ')
  const missing = args.map((argument) => (argument.name ?? '').toUpperCase())
  const all = Object.entries(command.args).map(([key, { required }]) => {
    const word = key.toUpperCase()
    return required === true ? word : `[${word}]`
  })
  const [first] = (command.examples as typeof command.examples | undefined) ?? []
  const example = (typeof first === 'string' ? first : first?.command)
    ?.replaceAll('<%= config.bin %>', 'vdisk')
    .replaceAll('<%= command.id %>', name)
  const shown = example === undefined ? '' : `\nExample: ${example}`
  return usage('E_USAGE', `vdisk ${name} needs ${missing.join(' and ')}`, {
    cause: error,
    hint: `Usage: vdisk ${name} ${all.join(' ')} [FLAGS]${shown}\nvdisk ${name} --help shows all flags.`,
  })
}

export function errorDocument(error: ImageError): JsonDocument & Readonly<Record<string, unknown>> {
  const { kind, code, message, hint, details } = error
  return {
    schema: 'vdisk.error',
    schemaVersion: 1,
    kind,
    code,
    message,
    hint,
    details,
    exitCode: exitCodes[kind],
  }
}

/** Values that JSON has no number for are given as decimal text. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item), 2)
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}
