import type { Command } from '@oclif/core/command'
import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface CommandClass extends Pick<typeof Command, 'id' | 'strict' | 'args'> {
  /** Set where the command asks oclif which commands there are. */
  readonly listsCommands?: boolean
  new (argv: string[], config: object): { _run(): Promise<unknown> }
}

/** A package.json, as far as it is needed here. */
interface Package {
  readonly name: string
  readonly version: string
  readonly oclif: { readonly bin: string; readonly dirname: string; readonly additionalHelpFlags?: readonly string[] }
}

/**
 * Runs a command line. oclif finds plug-ins, prints help and explains what it does not know; it loads more than most
 * commands need, so a built-in command that no plug-in has a part in is run without it. VDISK_START=oclif leaves
 * everything to oclif.
 */
export async function start(given: readonly string[]): Promise<void> {
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  const [first, second] = given
  // The version as JSON is what the command prints.
  if (given.includes('--json') && /^(?:--version|-v|-V)$/.test(first ?? '')) {
    await start(['version', ...given.slice(1)])
    return
  }
  const isPeers = first === 'snapshot' && second?.startsWith('-') === true
  const argv = isPeers ? ((await import('./peer-commands.js')).peerSnapshot(given) ?? given) : given
  const help = await helpAsked(argv, root)
  if (help !== undefined) {
    process.stdout.write(`${help}\n`)
    return
  }
  const direct = process.env['VDISK_START'] === 'oclif' ? undefined : await builtInCommand(argv, root)
  if (direct !== undefined) {
    await direct()
    return
  }
  shareColourChoice(process.env)
  const [{ run }, { shortenPluginWarnings }] = await Promise.all([
    import('@oclif/core/run'),
    import('./plugin-warnings.js'),
  ])
  shortenPluginWarnings()
  // A linked plug-in is used as it is; oclif would warn at every command that it does not compile it.
  process.env['OCLIF_DISABLE_LINKED_ESM_WARNING'] ??= '1'
  await run([...argv], root)
}

/** What oclif prints follows FORCE_COLOR and NO_COLOR, and not the two others that vdisk follows. */
function shareColourChoice(variables: NodeJS.ProcessEnv): void {
  const { NO_COLOR: no = '', FORCE_COLOR: force = '', CLICOLOR: cli, CLICOLOR_FORCE: cliForce = '0' } = variables
  if (no !== '' || force !== '') return
  if (cliForce !== '0') variables['FORCE_COLOR'] = '1'
  else if (cli === '0') variables['NO_COLOR'] = '1'
}

/** What `vdisk` and `vdisk COMMAND -h` print: one screen. Everything longer, and help of plug-ins, is oclif's. */
async function helpAsked(argv: readonly string[], root: string): Promise<string | undefined> {
  const words = commandWords(argv)
  const first = argv.length === 0 || (argv.length === 1 && argv[0] === '-h')
  if (!first && (words === undefined || argv.length !== words.length + 1 || argv.at(-1) !== '-h')) return undefined
  const { firstScreen, shortHelp } = await import('./short-help.js')
  const width = Math.max(40, Math.min(process.stdout.columns || 80, 120))
  if (words !== undefined) return shortHelp(root, words, width)
  return firstScreen(root, readPackage(root).version, width)
}

/** The command that a command line names, ready to run, where oclif would do no more than run it. */
async function builtInCommand(argv: readonly string[], root: string): Promise<(() => Promise<unknown>) | undefined> {
  // Set for oclif: it prints what it does.
  if ((process.env['DEBUG'] ?? '') !== '') return undefined
  const words = commandWords(argv)
  if (words === undefined) return undefined
  const package_ = readPackage(root)
  const end = argv.indexOf('--')
  const helpFlags = ['--help', ...(package_.oclif.additionalHelpFlags ?? [])]
  if (argv.slice(0, end < 0 ? undefined : end).some((word) => helpFlags.includes(word))) return undefined
  if (mayHavePlugins(package_.oclif)) return undefined
  const { default: class_ } = (await import(commandFile(words).href)) as { default: CommandClass }
  if (class_.listsCommands === true) return undefined
  // Where no argument can follow, oclif takes the next word for a part of the name, and says that there is no such
  // command.
  const next = argv[words.length]
  const takesArguments = !class_.strict || Object.keys(class_.args).length > 0
  if (!takesArguments && next !== undefined && !next.startsWith('-') && !next.includes('=')) return undefined
  class_.id = words.join(':')
  return () => new class_(argv.slice(words.length), configuration(package_))._run()
}

function readPackage(root: string): Package {
  return JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')) as Package
}

const commandFile = (words: readonly string[]): URL => new URL(`../commands/${words.join('/')}.js`, import.meta.url)

/** The words that name a command: one, or the topic and one. */
function commandWords(argv: readonly string[]): readonly string[] | undefined {
  // The longer name first: `plugins` is a command, and `plugins install` another one.
  for (const count of [2, 1]) {
    const words = argv.slice(0, count)
    if (words.length < count || !words.every((word) => /^[a-z][a-z-]*$/.test(word))) continue
    if (fs.existsSync(commandFile(words))) return words
  }
  return undefined
}

/**
 * Whether a plug-in may be installed: oclif notes them in its data folder. That is one of these, which one depends on
 * the system; where any of them has a note, oclif decides.
 */
function mayHavePlugins({ bin, dirname }: Package['oclif']): boolean {
  const set = (name: string): string[] => (process.env[name] === undefined ? [] : [process.env[name]])
  const named = set(`${bin.toUpperCase()}_DATA_DIR`).filter((folder) => folder !== '')
  const bases = [
    ...set('XDG_DATA_HOME'),
    ...set('LOCALAPPDATA'),
    ...[...set('HOME'), os.homedir()].map((home) => join(home, '.local/share')),
  ]
  const folders = named.length > 0 ? named : bases.map((base) => join(base, dirname))
  return folders.some((folder) => fs.existsSync(join(folder, 'package.json')))
}

/** What a command asks oclif's configuration, where there are no plug-ins. */
function configuration({ name, version, oclif: { bin } }: Package): object {
  return {
    bin,
    name,
    version,
    userAgent: `${name}/${version}`,
    // A command only wants these to warn of names that are out of use.
    topicSeparator: ':',
    scopedEnvVarKeys: (key: string) => [`${bin.toUpperCase()}_${key}`],
    scopedEnvVar: (key: string) => process.env[`${bin.toUpperCase()}_${key}`],
    runHook: () => Promise.resolve({ successes: [], failures: [] }),
  }
}
