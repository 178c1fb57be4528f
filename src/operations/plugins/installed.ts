import { corrupt, printable, type HostPath } from '../../errors.js'
import { writeWhole } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'

/** A plug-in as oclif notes it in the package.json of its data folder. */
export interface NotedPlugin {
  readonly name: string
  /** `user`: a package that npm installed there. `link`: a folder, as it is. */
  readonly type: string
  readonly root?: string
}

/** A plug-in that is installed. */
export interface InstalledPlugin {
  readonly name: string
  readonly type: string
  readonly folder: string
  /** Of its package.json, where that can be read. */
  readonly version?: string
  /** Why it cannot be loaded. */
  readonly problem?: string
}

interface Note {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly oclif?: { readonly plugins?: readonly (string | NotedPlugin)[] }
}

/** What is written of a package. */
export interface PackageFacts {
  readonly name?: string
  readonly version?: string
  readonly oclif?: object
}

const notePath = (dataFolder: HostPath): string => inFolder(dataFolder, 'package.json')

/** The plug-ins that are noted. @throws ImageError corrupt E_PLUGIN_LIST. */
export function installedPlugins(dataFolder: HostPath): InstalledPlugin[] {
  return notedPlugins(dataFolder).map(({ name, type, root }) => {
    const folder = root ?? packageFolder(dataFolder, name)
    const facts = packageFacts(folder)
    if (facts === undefined) return { name, type, folder, problem: 'there is no package in its folder' }
    return { name, type, folder, version: facts.version }
  })
}

/** What the data folder notes; nothing where none was ever installed. @throws ImageError corrupt E_PLUGIN_LIST. */
export function notedPlugins(dataFolder: HostPath): NotedPlugin[] {
  return (readNote(dataFolder).oclif?.plugins ?? []).map((plugin) =>
    typeof plugin === 'string' ? { name: plugin, type: 'user' } : plugin,
  )
}

/** The packages that npm installed there, with what it was asked for. @throws ImageError corrupt E_PLUGIN_LIST. */
export function installedPackages(dataFolder: HostPath): Readonly<Record<string, string>> {
  return readNote(dataFolder).dependencies ?? {}
}

/** Notes the plug-ins, and makes the folder. @throws ImageError corrupt E_PLUGIN_LIST; target E_WRITE. */
export function notePlugins(dataFolder: HostPath, plugins: readonly NotedPlugin[]): void {
  fs.mkdirSync(dataFolder, { recursive: true })
  const { oclif, ...others } = readNote(dataFolder)
  const note = { private: true, ...others, oclif: { schema: 1, ...oclif, plugins } }
  writeWhole(notePath(dataFolder), `${JSON.stringify(note, undefined, 2)}\n`)
}

/** Takes away the note when it says nothing any more: without it vdisk starts without looking for plug-ins. */
export function forgetEmptyNote(dataFolder: HostPath): void {
  if (notedPlugins(dataFolder).length > 0 || Object.keys(installedPackages(dataFolder)).length > 0) return
  for (const name of ['package.json', 'package-lock.json']) fs.removeFileSync(inFolder(dataFolder, name))
}

/** Where npm puts a package. */
export const packageFolder = (dataFolder: HostPath, name: string): string =>
  inFolder(inFolder(dataFolder, 'node_modules'), name)

/** What the package.json of a folder says; undefined where there is none that can be read. */
export function packageFacts(folder: HostPath): PackageFacts | undefined {
  try {
    return JSON.parse(fs.readFileSync(inFolder(folder, 'package.json'), 'utf8')) as PackageFacts
  } catch {
    // No package: the callers say what that means.
    return undefined
  }
}

function readNote(dataFolder: HostPath): Note {
  const path = notePath(dataFolder)
  if (!fs.existsSync(path)) return {}
  try {
    return JSON.parse(fs.readFileSync(path, 'utf8')) as Note
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw corrupt('E_PLUGIN_LIST', `${printable(path)}, which lists the plug-ins, cannot be read: ${why}`, { cause })
  }
}
