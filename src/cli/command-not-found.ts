import type { Hook } from '@oclif/core/hooks'
import { exitCodes, usage } from '../errors.js'
import { errorDocument, errorText, jsonText } from './base-command.js'
import { pluginHelp } from './plugin-help.js'
import { suggestion } from './suggest.js'

/** A command that is not there: what was probably meant, as text or as the JSON document of an error (exit 2). */
const hook: Hook<'command_not_found'> = function ({ id, config, argv }) {
  const words = id.split(':')
  const commands = config.commands.filter(({ hidden }) => !hidden).map((command) => command.id.replaceAll(':', ' '))
  const topic = commands.some((name) => name.startsWith(`${words[0] ?? ''} `))
  const typed = topic && words.length > 1 ? `${words[0] ?? ''} ${words[1] ?? ''}` : (words[0] ?? '')
  const meant = suggestion(words, commands)
  const help =
    words[0] === 'plugins'
      ? pluginHelp(
          process.argv.slice(2).filter((word) => !word.startsWith('-')),
          config.dataDir,
        )
      : helpHint(config.bin)
  const error = usage('E_UNKNOWN_COMMAND', `${config.bin} has no command "${typed}"`, {
    hint: meant === undefined ? help : `Did you mean "${config.bin} ${meant}"? ${help}`,
    details: { command: typed, suggestion: meant },
  })
  if ([...(argv ?? []), ...process.argv].includes('--json')) process.stdout.write(`${jsonText(errorDocument(error))}\n`)
  else process.stderr.write(`${errorText(error)}\n`)
  process.exitCode = exitCodes.usage
  return Promise.resolve()
}

function helpHint(bin: string): string {
  return `"${bin} --help" lists all commands.`
}

export default hook
