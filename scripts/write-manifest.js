// Writes oclif.manifest.json from the compiled commands, so that the CLI starts without loading every command.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Plugin } from '@oclif/core'

const root = fileURLToPath(new URL('..', import.meta.url))
const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true })
await plugin.load()
// The order in which a folder is listed is the filesystem's own: sorted, the file changes only with the commands.
const commands = Object.fromEntries(Object.entries(plugin.manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(
  new URL('../oclif.manifest.json', import.meta.url),
  `${JSON.stringify({ ...plugin.manifest, commands }, null, 2)}\n`,
)
