/** What the completion scripts need to know of a command. */
export interface CompletedCommand {
  /** As typed: words separated by spaces. */
  readonly name: string
  readonly summary: string
  readonly flags: readonly {
    readonly name: string
    readonly char?: string
    readonly summary: string
    /** The values it takes, where they are a closed list; none: it takes no value, or any. */
    readonly values: readonly string[]
    readonly takesValue: boolean
  }[]
  /** Values of its arguments, where they are a closed list; else files are completed. */
  readonly values: readonly string[]
}

const word = /^[A-Za-z0-9][A-Za-z0-9._:=-]*$/

/** Only plain words get into a script: a plug-in's names are not ours. */
function safe(words: readonly string[]): string {
  return words.filter((one) => word.test(one)).join(' ')
}

/**
 * A completion script for bash, also loaded by zsh through bashcompinit. It completes commands, flags, values that are
 * a closed list, and files everywhere else.
 */
export function bashCompletion(bin: string, commands: readonly CompletedCommand[]): string {
  const first = [...new Set(commands.map(({ name }) => name.split(' ')[0] ?? ''))]
  const topics = first.filter((topic) => commands.some(({ name }) => name.startsWith(`${topic} `)))
  const seconds = topics.map((topic) => {
    const names = commands.flatMap(({ name }) => (name.startsWith(`${topic} `) ? [name.split(' ')[1] ?? ''] : []))
    return `    ${topic}) words="${safe(names)}" ;;`
  })
  const flags = commands.map(({ name, flags: list }) => {
    const all = list.map((flag) => `--${flag.name}`).filter((flag) => word.test(flag.slice(2)))
    return `    "${name}") flags="${all.join(' ')}" ;;`
  })
  const values = commands.flatMap(({ name, flags: list }) =>
    list
      .filter((flag) => flag.takesValue)
      .map((flag) => {
        const names = [`--${flag.name}`, ...(flag.char === undefined ? [] : [`-${flag.char}`])]
        return `    ${names.map((one) => `"${name} ${one}"`).join('|')}) found=1; words="${safe(flag.values)}" ;;`
      }),
  )
  const args = commands
    .filter((command) => command.values.length > 0)
    .map((command) => `    "${command.name}") words="${safe(command.values)}" ;;`)
  return bashScript(bin, { first, seconds, values, flags, args })
}

/** Lines of the script's `case` statements. */
interface BashCases {
  readonly first: readonly string[]
  readonly seconds: readonly string[]
  readonly values: readonly string[]
  readonly flags: readonly string[]
  readonly args: readonly string[]
}

function bashScript(bin: string, { first, seconds, values, flags, args }: BashCases): string {
  return `# bash completion of ${bin}: made by "${bin} autocomplete bash"
_${bin}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="" words="" flags="" found=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    case "$cur" in -*) words="--help --version" ;; *) words="${safe([...first, 'help'])}" ;; esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  command="\${COMP_WORDS[1]}"
  case "$command" in
${seconds.join('\n')}
  esac
  if [ -n "$words" ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); return; fi
    command="$command \${COMP_WORDS[2]}"
    words=""
  fi
  # --flag=value comes in three words.
  if [ "$cur" = "=" ]; then cur=""; elif [ "$prev" = "=" ]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  case "$command $prev" in
${values.join('\n')}
  esac
  if [ -n "$found" ]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); return; fi
  case "$cur" in
    -*)
      case "$command" in
${flags.map((line) => `  ${line}`).join('\n')}
      esac
      COMPREPLY=($(compgen -W "$flags --help" -- "$cur"))
      return ;;
  esac
  case "$command" in
${args.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
# Where nothing is known to complete, files are.
complete -o bashdefault -o default -F _${bin} ${bin}
`
}

/** The same for zsh. */
export function zshCompletion(bin: string, commands: readonly CompletedCommand[]): string {
  return `autoload -U +X bashcompinit && bashcompinit\n${bashCompletion(bin, commands)}`
}

/** The same for fish, with summaries. */
export function fishCompletion(bin: string, commands: readonly CompletedCommand[]): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const lines = [`# fish completion of ${bin}: made by "${bin} autocomplete fish"`]
  for (const { name, summary, flags, values } of commands) {
    const [first = '', second] = name.split(' ')
    const seen = [first, ...(second === undefined ? [] : [second])].map((one) => `__fish_seen_subcommand_from ${one}`)
    if (second === undefined)
      lines.push(`complete -c ${bin} -n __fish_use_subcommand -f -a ${first} -d ${quoted(summary)}`)
    else {
      lines.push(`complete -c ${bin} -n __fish_use_subcommand -f -a ${first}`)
      lines.push(`complete -c ${bin} -n ${quoted(seen[0] ?? '')} -f -a ${second} -d ${quoted(summary)}`)
    }
    const condition = quoted(seen.join('; and '))
    for (const flag of flags) {
      const short = flag.char === undefined ? '' : ` -s ${flag.char}`
      const value = !flag.takesValue ? '' : flag.values.length > 0 ? ` -x -a ${quoted(safe(flag.values))}` : ' -r'
      lines.push(`complete -c ${bin} -n ${condition} -l ${flag.name}${short}${value} -d ${quoted(flag.summary)}`)
    }
    if (values.length > 0) lines.push(`complete -c ${bin} -n ${condition} -f -a ${quoted(safe(values))}`)
  }
  return `${lines.join('\n')}\n`
}
