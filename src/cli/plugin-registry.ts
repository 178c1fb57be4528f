import type { Config } from '@oclif/core/config'
import { fileURLToPath } from 'node:url'
import { ImageError } from '../errors.js'
import { Registry } from '../formats/registry.js'
import type * as Library from '../index.js'
import { shellWord } from '../sys/shell-word.js'

/**
 * The formats and schemes built in, and those of plugins (hooks `vdisk:formats`, `vdisk:schemes`). @throws ImageError
 * unsupported E_PLUGIN_…, naming
 * the plugin.
 */
export async function registryOf(config: Pick<Config, 'runHook'>): Promise<Registry> {
  const registry = new Registry()
  for (const { item, origin } of await given(config, 'formats')) registry.add(item, origin)
  for (const { item, origin } of await given(config, 'schemes')) registry.schemes.add(item, origin)
  return registry
}

/**
 * The library that is running, for plug-ins: it needs no copy of its own, and errors, structures and readers are of
 * this version. Loaded when a plug-in asks for it.
 */
const vdisk = (): Promise<typeof Library> => import('../index.js')

/** What plugins give by the hook `vdisk:formats` or `vdisk:schemes`. */
async function given(
  config: Pick<Config, 'runHook'>,
  what: 'formats' | 'schemes',
): Promise<{ readonly item: unknown; readonly origin: string }[]> {
  const { successes, failures } = await config.runHook(`vdisk:${what}`, { vdisk }, undefined, true)
  const [failure] = failures
  if (failure !== undefined)
    throw new ImageError(
      'unsupported',
      'E_PLUGIN_FAILED',
      `the plug-in ${failure.plugin.name} failed to give its ${what}: ${failure.error.message}`,
      {
        cause: failure.error,
        hint: `Update it, or take it away: vdisk plugins uninstall ${shellWord(failure.plugin.name)}`,
      },
    )
  return (successes as readonly { plugin: { name: string }; result: unknown }[]).flatMap(({ plugin, result }) => {
    if (!Array.isArray(result))
      throw new ImageError('unsupported', 'E_PLUGIN_DRIVER', `the plug-in ${plugin.name} gives no list of ${what}`)
    return (result as unknown[]).map((item) => ({ item, origin: plugin.name }))
  })
}

/** The same for a process or thread that no command runs in: it is imported by its address ({@link registryModule}). */
export default async function load(): Promise<Registry> {
  const { Config } = await import('@oclif/core/config')
  return registryOf(await Config.load({ root: fileURLToPath(new URL('../../..', import.meta.url)) }))
}

/** This module's address when plugins add formats; those built in need no loading. */
export function registryModule(registry: Registry): string | undefined {
  return [...registry, ...registry.schemes].some(({ origin }) => origin !== 'vdisk') ? import.meta.url : undefined
}
