import type { Config } from '@oclif/core/config'
import { fileURLToPath } from 'node:url'
import { ImageError } from '../errors.js'
import { Registry } from '../formats/registry.js'

/**
 * The formats built in and those of plugins (hook `vdisk:formats`). @throws ImageError unsupported E_PLUGIN_…, naming
 * the plugin.
 */
export async function registryOf(config: Pick<Config, 'runHook'>): Promise<Registry> {
  const registry = new Registry()
  const { successes, failures } = await config.runHook('vdisk:formats', {}, undefined, true)
  const [failure] = failures
  if (failure !== undefined)
    throw new ImageError(
      'unsupported',
      'E_PLUGIN_FAILED',
      `the plugin ${failure.plugin.name} failed to give its formats: ${failure.error.message}`,
      { cause: failure.error, hint: 'Remove or update the plugin.' },
    )
  for (const { plugin, result } of successes as readonly { plugin: { name: string }; result: unknown }[]) {
    if (!Array.isArray(result))
      throw new ImageError('unsupported', 'E_PLUGIN_DRIVER', `the plugin ${plugin.name} gives no list of formats`)
    for (const driver of result as unknown[]) registry.add(driver, plugin.name)
  }
  return registry
}

/** The same for a process or thread that no command runs in: it is imported by its address ({@link registryModule}). */
export default async function load(): Promise<Registry> {
  const { Config } = await import('@oclif/core/config')
  return registryOf(await Config.load({ root: fileURLToPath(new URL('../../..', import.meta.url)) }))
}

/** This module's address when plugins add formats; those built in need no loading. */
export function registryModule(registry: Registry): string | undefined {
  return [...registry].some(({ origin }) => origin !== 'vdisk') ? import.meta.url : undefined
}
