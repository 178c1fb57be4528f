import type { Hook } from '@oclif/core/hooks'
import { exitCodes } from '../errors.js'
import { errorDocument, errorText, jsonText } from './error-text.js'
import { unknownCommand } from './usage-error.js'
import { withoutSecrets } from '../sys/secrets.js'

/** The words of an id, which oclif joins with colons: an address, `C:\\a.vhd`, has colons of its own. */
function typedWords(id: string): string[] {
  const address = process.argv.slice(2).find((word) => word.includes(':') && id.startsWith(word))
  if (address === undefined) return id.split(':')
  const rest = id.slice(address.length + 1)
  return [address, ...(rest === '' ? [] : rest.split(':'))]
}

/** A command that is not there: what was probably meant, as text or as the JSON document of an error (exit 2). */
const hook: Hook<'command_not_found'> = async function ({ id, config, argv }) {
  const commands = config.commands.filter(({ hidden }) => !hidden).map((command) => command.id.replaceAll(':', ' '))
  const words = (argv ?? []).filter((word) => !word.startsWith('-'))
  const error = unknownCommand(config.bin, [...typedWords(id), ...words], commands)
  if ([...(argv ?? []), ...process.argv].includes('--json'))
    process.stdout.write(`${withoutSecrets(jsonText(await errorDocument(error)))}\n`)
  else process.stderr.write(`${await errorText(error)}\n`)
  process.exitCode = exitCodes.usage
}

export default hook
