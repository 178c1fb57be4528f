import type { Hook } from '@oclif/core/hooks'
import { exitCodes } from '../errors.js'
import { errorDocument, errorText, jsonText } from './error-text.js'
import { unknownCommand } from './usage-error.js'
import { withoutSecrets } from '../sys/secrets.js'

/** A command that is not there: what was probably meant, as text or as the JSON document of an error (exit 2). */
const hook: Hook<'command_not_found'> = async function ({ id, config, argv }) {
  const commands = config.commands.filter(({ hidden }) => !hidden).map((command) => command.id.replaceAll(':', ' '))
  const words = (argv ?? []).filter((word) => !word.startsWith('-'))
  const error = unknownCommand(config.bin, [...id.split(':'), ...words], commands)
  if ([...(argv ?? []), ...process.argv].includes('--json'))
    process.stdout.write(`${withoutSecrets(jsonText(await errorDocument(error)))}\n`)
  else process.stderr.write(`${await errorText(error)}\n`)
  process.exitCode = exitCodes.usage
}

export default hook
