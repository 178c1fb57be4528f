import { printable, usage } from '../../errors.js'

/** How other computers are reached. */
export interface SshOptions {
  /** The ssh program. */
  readonly program: string
  /** How long the other side may keep silent, in milliseconds. */
  readonly milliseconds: number
}

const usualSeconds = 60

/**
 * As the environment says: `VDISK_SSH` (a program in place of `ssh`) and `VDISK_SSH_TIMEOUT` (seconds of silence).
 * @throws ImageError usage E_OPTION.
 */
export function sshOptionsOf(variables: Readonly<Record<string, string | undefined>>): SshOptions {
  const program = variables['VDISK_SSH'] ?? ''
  const text = variables['VDISK_SSH_TIMEOUT'] ?? ''
  const seconds = text === '' ? usualSeconds : Number(text)
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 3600)
    throw usage('E_OPTION', `VDISK_SSH_TIMEOUT is ${printable(text)}, and has to be a whole number from 1 to 3600`)
  return { program: program === '' ? 'ssh' : program, milliseconds: seconds * 1000 }
}
