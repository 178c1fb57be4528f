import type { Ending } from '../test/support/ports.js'
import type { Command } from './row.js'

/** Something that is moved over a line. */
export interface Transfer {
  readonly name: string
  readonly ours: Command
  readonly peers: readonly Command[]
  /** Undoes what a run left at the target, before each. */
  readonly clear?: () => void
}

/** What transfers are made with. */
export interface NetSetting {
  /** Holds `disk.raw`, and what else is made for a server. */
  readonly folder: string
  /** What is read over a line is written here. */
  readonly target: string
  /** Bytes of the disk, all of them data, half of which can be compressed. */
  readonly size: number
  /** Servers of tests end when it is called. */
  readonly context: Ending
}

/** Transfers of one kind of server, which runs until the context ends it. */
export interface NetKind {
  readonly names: readonly string[]
  readonly tools: readonly string[]
  readonly start: (setting: NetSetting) => Promise<readonly Transfer[]>
}

/** The same command with settings of its own in its environment. */
export function withEnv({ name, argv }: Command, env: Readonly<Record<string, string>>): Command {
  return { name, argv: ['env', ...Object.entries(env).map(([key, value]) => `${key}=${value}`), ...argv] }
}
