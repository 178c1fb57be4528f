import os from 'node:os'
import { pathVariable } from './arguments.js'

/** Who runs this program. Systems without numbered users count as one user, 0, who is not root. */
export function currentUser(): { readonly id: number; readonly group: number; readonly isRoot: boolean } {
  const id = process.getuid?.()
  return { id: id ?? 0, group: process.getgid?.() ?? 0, isRoot: id === 0 }
}

/** The number of this process. */
export function ownPid(): number {
  return process.pid
}

/** The program that runs scripts: Node itself. */
export function nodeProgram(): string {
  return process.execPath
}

/** The first number of Node's version: `22`. */
export function nodeMajor(): string {
  return process.versions.node.split('.')[0] ?? ''
}

/** Where sessions of users keep what ends with them (XDG's base directories). Undefined: nowhere. */
export function userRuntimeFolder(): string | undefined {
  return pathVariable('XDG_RUNTIME_DIR')
}

/** VDISK_RUNTIME_DIR: the folder in which mounts are remembered, when the usual one will not do. */
export function chosenRuntimeFolder(): string | undefined {
  return pathVariable('VDISK_RUNTIME_DIR')
}

export const temporaryFolder = (): string => pathVariable('TMPDIR')?.replace(/(?<=.)\/+$/, '') ?? os.tmpdir()

/**
 * Gives the program a home and a shell where its user has none: a container may run as a user without a name, and what
 * asks for them (oclif) would fail. The home is the folder for temporary files.
 */
export function ensureUser(): void {
  const lacks = (name: string, ask: () => unknown): boolean => {
    if ((process.env[name] ?? '') !== '') return false
    try {
      ask()
      return false
    } catch {
      // The user has no entry in the system's list.
      return true
    }
  }
  if (lacks('HOME', os.homedir)) process.env['HOME'] = temporaryFolder()
  if (lacks('SHELL', os.userInfo)) process.env['SHELL'] = '/bin/sh'
}

/** What this computer is called. */
export const hostname = (): string => os.hostname()

/** Where programs keep what outlives a start of the system and is no setting: of root in /var/lib, else XDG's. */
export function stateFolder(): string {
  const chosen = pathVariable('XDG_STATE_HOME')
  if (chosen !== undefined) return `${chosen}/vdisk`
  return currentUser().isRoot && process.platform === 'linux' ? '/var/lib/vdisk' : `${os.homedir()}/.local/state/vdisk`
}
