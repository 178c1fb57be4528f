import type { ImageError } from '../../errors.js'
import type { Progress } from '../progress.js'
import { printable, unsupported, usage, type HostPath } from '../../errors.js'
import { command } from '../../sys/commands.js'
import fs from '../../sys/host-fs.js'
import { absolute, inFolder } from '../../sys/host-path.js'
import { shellWord } from '../../sys/shell-word.js'
import {
  forgetEmptyNote,
  installedPackages,
  notedPlugins,
  notePlugins,
  packageFacts,
  packageFolder,
  type NotedPlugin,
} from './installed.js'

/** What was done with a plug-in. */
export interface PluginChange {
  readonly name: string
  readonly action: 'installed' | 'linked' | 'uninstalled' | 'updated' | 'unchanged'
  /** The version that is there now; that it had, where it was taken away. */
  readonly version?: string
  /** The version before an update. */
  readonly before?: string
}

/**
 * Installs a plug-in with npm into the data folder.
 * @param spec a package as npm takes it: a name, `name@version`, a folder, an archive, an address of git.
 * @throws ImageError usage E_NOT_A_PLUGIN, E_NOT_FOUND; unsupported E_TOOL where npm is missing or fails; corrupt
 * E_PLUGIN_LIST.
 */
export async function installPlugin(
  dataFolder: HostPath,
  spec: string,
  report: PluginProgress = {},
): Promise<PluginChange> {
  const plugins = notedPlugins(dataFolder)
  if (/^\.{0,2}[/\\]/.test(spec) && !fs.existsSync(spec))
    throw usage('E_NOT_FOUND', `${printable(spec)}: no such folder or archive`)
  notePlugins(dataFolder, plugins)
  const before = installedPackages(dataFolder)
  try {
    // A folder is copied as a package is: what is changed in it later has no effect.
    await npm(dataFolder, ['install', '--install-links', '--save'], npmSpec(spec), report)
    const name =
      namedBy(spec) ?? newIn(before, installedPackages(dataFolder)) ?? (await askedName(dataFolder, spec, report))
    const facts = packageFacts(packageFolder(dataFolder, name))
    if (facts?.oclif === undefined) {
      await npm(dataFolder, ['uninstall'], name, report)
      throw notAPlugin(name)
    }
    notePlugins(dataFolder, [...others(plugins, name), { type: 'user', name }])
    end(report)
    return { name, action: 'installed', version: facts.version }
  } catch (error) {
    forgetEmptyNote(dataFolder)
    throw error
  }
}

/** Uses a plug-in from its folder, as it is there. @throws ImageError usage E_NOT_A_PLUGIN; corrupt E_PLUGIN_LIST. */
export function linkPlugin(dataFolder: HostPath, folder: HostPath): PluginChange {
  const root = absolute(folder)
  const facts = packageFacts(root)
  const name = facts?.name
  if (name === undefined || facts?.oclif === undefined) throw notAPlugin(folder)
  notePlugins(dataFolder, [...others(notedPlugins(dataFolder), name), { type: 'link', name, root }])
  return { name, action: 'linked', version: facts.version }
}

/** Takes a plug-in away; the folder of a linked one stays. @throws ImageError usage E_NO_PLUGIN; unsupported E_TOOL. */
export async function uninstallPlugin(
  dataFolder: HostPath,
  name: string,
  report: PluginProgress = {},
): Promise<PluginChange> {
  const plugins = notedPlugins(dataFolder)
  const plugin = known(plugins, name)
  const version = packageFacts(plugin.root ?? packageFolder(dataFolder, name))?.version
  // First of all it is not loaded any more.
  notePlugins(dataFolder, others(plugins, name))
  if (name in installedPackages(dataFolder)) await npm(dataFolder, ['uninstall'], name, report)
  forgetEmptyNote(dataFolder)
  end(report)
  return { name, action: 'uninstalled', version }
}

/**
 * Brings plug-ins up to date: the one that is named, or all that npm installed. Those that came from a folder, an
 * archive or git are installed again from there.
 * @throws ImageError usage E_NO_PLUGIN; unsupported E_TOOL.
 */
export async function updatePlugins(
  dataFolder: HostPath,
  only?: string,
  report: PluginProgress = {},
): Promise<PluginChange[]> {
  const plugins = notedPlugins(dataFolder)
  const wanted = only === undefined ? plugins : [known(plugins, only)]
  const changes: PluginChange[] = []
  for (const { name, type } of wanted) {
    const spec = installedPackages(dataFolder)[name]
    const before = packageFacts(packageFolder(dataFolder, name))?.version
    if (type === 'link' || spec === undefined) {
      changes.push({ name, action: 'unchanged', version: before })
      continue
    }
    const newest = /[:/]/.test(spec) ? notedSpec(dataFolder, spec) : 'latest'
    await npm(dataFolder, ['install', '--install-links', '--save'], `${name}@${newest}`, report)
    const version = packageFacts(packageFolder(dataFolder, name))?.version
    changes.push({ name, action: version === before ? 'unchanged' : 'updated', version, before })
  }
  end(report)
  return changes
}

const others = (plugins: readonly NotedPlugin[], name: string): NotedPlugin[] =>
  plugins.filter((plugin) => plugin.name !== name)

function known(plugins: readonly NotedPlugin[], name: string): NotedPlugin {
  const found = plugins.find((plugin) => plugin.name === name)
  if (found !== undefined) return found
  const names = plugins.map((plugin) => printable(plugin.name))
  throw usage('E_NO_PLUGIN', `no plug-in is called ${printable(name)}`, {
    hint: names.length === 0 ? 'None is installed.' : `Installed are ${names.join(', ')}.`,
  })
}

function notAPlugin(what: string): ImageError {
  return usage('E_NOT_A_PLUGIN', `${printable(what)} is no plug-in of vdisk`, {
    hint: 'A plug-in is a package with "oclif" in its package.json; docs/extending.md shows one.',
  })
}

/** A spec of npm that does not depend on the folder that npm is started in. */
const npmSpec = (spec: string): string =>
  isFolder(spec) || (/\.(?:tgz|tar|tar\.gz)$/i.test(spec) && fs.existsSync(spec)) ? absolute(spec) : spec

/** The same of what npm noted: files are noted as seen from the data folder. */
const notedSpec = (dataFolder: HostPath, noted: string): string =>
  noted.startsWith('file:') ? `file:${absolute(inFolder(dataFolder, noted.slice('file:'.length)))}` : noted

const isFolder = (spec: string): boolean => fs.statSync(spec, { throwIfNoEntry: false })?.isDirectory() === true

/** The name of the package in a folder. */
const namedBy = (spec: string): string | undefined => (isFolder(spec) ? packageFacts(spec)?.name : undefined)

/** The package that is new, or is there from another place now. */
function newIn(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>): string | undefined {
  return Object.keys(after).find((name) => after[name] !== before[name])
}

/** The name of the package that a spec stands for: `@scope/name@1.2` says it, of all else npm is asked. */
async function askedName(dataFolder: HostPath, spec: string, report: PluginProgress): Promise<string> {
  const plain = spec.replace(/(?<=.)@[^/]*$/, '')
  if (!/[:/\\]/.test(plain.replace(/^@[^/]+\//, '')) && npmSpec(spec) === spec) return plain
  const packed = await npm(dataFolder, ['pack', '--dry-run', '--ignore-scripts', '--json'], npmSpec(spec), report)
  const [first] = JSON.parse(packed) as readonly { readonly name?: string }[]
  return first?.name ?? plain
}

/** How far it is: npm runs, which says nothing of that. */
export interface PluginProgress {
  readonly onProgress?: (progress: Progress) => void
}

const end = ({ onProgress }: PluginProgress): void => onProgress?.({ phase: 'npm', done: 1, total: 1 })

/** Runs npm in the data folder. @returns what it prints. @throws ImageError unsupported E_TOOL, with what npm says. */
async function npm(
  dataFolder: HostPath,
  [verb, ...flags]: readonly [verb: string, ...flags: string[]],
  spec: string,
  { onProgress }: PluginProgress,
): Promise<string> {
  const options = ['--no-audit', '--no-fund', ...flags, '--']
  onProgress?.({ phase: 'npm', done: 0, total: 1 })
  const { code, stdout, stderr } = await command('npm', [verb, '--prefix', dataFolder, ...options, spec])
  if (code === 0) return stdout
  if (code === undefined)
    throw unsupported('E_TOOL', 'plug-ins are packages of npm, and npm cannot be started', {
      hint:
        'npm comes with Node, or as a package of its own. The command is: ' +
        `npm ${verb} --prefix ${shellWord(dataFolder)} ${options.join(' ')} ${shellWord(spec)}`,
    })
  const lines = stderr.split('\n').map((line) => line.replace(/^npm (?:error|ERR!) ?/, ''))
  const said = lines.filter(
    (line) => line !== '' && !/^npm warn|^A complete log|^code |debug-0\.log|^404(?: *$|  )/.test(line),
  )
  throw unsupported('E_TOOL', `npm could not ${verb} ${printable(spec)}: ${said.slice(0, 3).join('; ')}`, {
    hint: 'Check the name and the network. Nothing that was installed before has changed.',
    details: { exitCode: code },
  })
}
