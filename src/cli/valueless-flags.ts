import { printable, usage } from '../errors.js'

/** A flag as far as it is needed here. */
export interface DeclaredFlag {
  readonly type?: string
  readonly char?: string
}

/**
 * Refuses a value behind a flag that takes none: oclif would take it for the next argument, and `--verify=true` would
 * name a target.
 * @param argv what follows the command's name. @throws ImageError usage E_USAGE.
 */
export function assertNoValues(argv: readonly string[], flags: Readonly<Record<string, DeclaredFlag>>): void {
  const end = argv.indexOf('--')
  for (const word of argv.slice(0, end < 0 ? undefined : end)) {
    const [, dashes, name = '', value = ''] = /^(--?)([^=]+)=([^]*)$/.exec(word) ?? []
    if (dashes === undefined) continue
    const isFlag = Object.entries(flags).some(
      ([long, { type, char }]) =>
        type === 'boolean' && (dashes === '-' ? name === char : name === long || name === `no-${long}`),
    )
    if (isFlag)
      throw usage('E_USAGE', `${dashes}${name} takes no value, and "${printable(value)}" is one`, {
        hint: `Write ${dashes}${name} alone, or leave it out.`,
      })
  }
}
