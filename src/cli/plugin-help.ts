import fs from '../sys/host-fs.js'
import { shellWord } from '../sys/shell-word.js'

/**
 * What to do instead of `vdisk plugins …`. oclif's plug-in manager brings npm with it, more than all else that vdisk
 * installs; plug-ins are npm packages, and npm is there where vdisk was installed with it.
 * @param words what was typed, from `plugins` on. @param dataFolder where oclif looks for plug-ins.
 */
export function pluginHelp(words: readonly string[], dataFolder: string): string {
  const [, verb, spec] = words
  const folder = shellWord(dataFolder)
  if (spec !== undefined && ['install', 'add', 'i', 'link'].includes(verb ?? '')) {
    const plugin = JSON.stringify({ type: 'user', name: packageName(spec) })
    return [
      'Plug-ins are npm packages. These two commands install this one:',
      `  npm install --prefix ${folder} ${shellWord(spec)}`,
      `  npm pkg set --prefix ${folder} --json ${shellWord(`oclif.plugins[]=${plugin}`)}`,
    ].join('\n')
  }
  return [
    `Plug-ins are npm packages in ${dataFolder}; docs/extending.md says how to install one.`,
    'This adds a manager for them, with "vdisk plugins install", "update" and "uninstall" (29 MB):',
    `  npm install --prefix ${folder} @oclif/plugin-plugins`,
    `  npm pkg set --prefix ${folder} --json ` +
      shellWord(`oclif.plugins[]=${JSON.stringify({ type: 'user', name: '@oclif/plugin-plugins' })}`),
  ].join('\n')
}

/** The name of the package that npm installs: of a folder what its package.json says, else without the version. */
function packageName(spec: string): string {
  try {
    const { name } = JSON.parse(fs.readFileSync(`${spec}/package.json`, 'utf8')) as { readonly name?: unknown }
    if (typeof name === 'string') return name
  } catch {
    // No folder with a package: a name, for the registry.
  }
  return spec.replace(/(?<=.)@[^/]*$/, '')
}
