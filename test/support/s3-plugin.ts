import fs from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as library from '../../src/index.js'
import { installPlugin, root, vdisk, type CliResult } from './cli.js'
import { skipReason } from './complete.js'
import type { Ending } from './ports.js'

const plugin = join(root, 'plugins/s3')

/** The plug-in has dependencies of its own, which `npm ci --prefix plugins/s3` installs. */
function missing(): string | undefined {
  if (!fs.existsSync(join(plugin, 'node_modules/aws4fetch'))) return 'the dependencies of plugins/s3 are not installed'
  return fs.existsSync(join(plugin, 'dist/commands')) ? undefined : 'plugins/s3 is not built'
}

/** Why the plug-in cannot be tested here. */
export const noS3 = skipReason(missing())

type Environment = Readonly<Record<string, string | undefined>>

/** What runs vdisk with the plug-in in a folder, with settings of a store. */
export class S3Cli {
  readonly env: Environment
  readonly #cwd: string

  constructor(cwd: string, env: Environment) {
    this.#cwd = cwd
    this.env = {
      VDISK_DATA_DIR: installPlugin(cwd, { name: 'vdisk-plugin-s3', root: plugin }),
      XDG_STATE_HOME: join(cwd, 'state'),
      ...env,
    }
  }

  async run(args: readonly string[], env: Environment = {}): Promise<CliResult> {
    return await vdisk(args, { cwd: this.#cwd, env: { ...this.env, ...env } })
  }
}

interface Hook {
  default(given: { readonly vdisk: () => Promise<typeof library> }): Promise<readonly library.AddressScheme[]>
}

/** The registry of a program that uses the library with the plug-in, whose settings are those of this process. */
export async function s3Registry(t: Ending, env: Environment): Promise<library.Registry> {
  const before = Object.keys(env).map((name) => [name, process.env[name]] as const)
  const set = ([name, value]: readonly [string, string | undefined]): void => {
    if (value === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = value
  }
  Object.entries(env).forEach(set)
  t.after(() => before.forEach(set))
  const hook = (await import(pathToFileURL(join(plugin, 'dist/schemes.js')).href)) as Hook
  const registry = new library.Registry()
  for (const scheme of await hook.default({ vdisk: () => Promise.resolve(library) })) registry.schemes.add(scheme, 's3')
  return registry
}
