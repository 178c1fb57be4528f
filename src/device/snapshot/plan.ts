import type { ActiveMount } from '../activity.js'
import type { CommandResult } from '../../sys/commands.js'
import type { HostPath } from '../../errors.js'

/** What makes snapshots: `lvm` of volumes of LVM, `zfs` of volumes of ZFS, `vss` of volumes of Windows. */
export type SnapshotKind = 'lvm' | 'zfs' | 'vss'

/** A program of the system, and what it is given. */
export type SystemCommand = readonly [program: string, ...parameters: string[]]

/** Runs a program of the system and waits for it; tests hand in recorded answers. */
export type RunCommand = (program: string, parameters: readonly string[]) => Promise<CommandResult>

/** One thing that is made for a snapshot, and taken away again. */
export interface SnapshotPart {
  /** For people: `the snapshot vg/vdisk-1a2b`. */
  readonly name: string
  readonly make: SystemCommand
  /** @param printed what `make` printed; empty where it did not end. Undefined: there is nothing to name it by. */
  readonly remove: (printed: string) => SystemCommand | undefined
  /** Fails where it is not there, and says so in words that `absent` knows. */
  readonly look: (printed: string) => SystemCommand | undefined
  readonly absent: RegExp
}

/** A snapshot of a volume: every command that makes it and takes it away, known before one is run. */
export interface SnapshotPlan {
  readonly kind: SnapshotKind
  /** For people: `the LVM volume vg/root`. */
  readonly origin: string
  /** Made in order, and taken away from the last to the first. */
  readonly parts: readonly SnapshotPart[]
  /** Whether the system itself freezes the filesystem of a mount while the snapshot is made. */
  readonly holds: (mount: ActiveMount) => boolean
  /** What of the volume has the name that is read; undefined where the answer cannot be understood. */
  readonly pathOf: (printed: readonly string[]) => HostPath | undefined
  /** Whether the snapshot is still whole: one that has no more room for what the origin was, is not. */
  readonly health?: { readonly ask: SystemCommand; readonly isWhole: (printed: string) => boolean }
  /** Snapshots of the same origin that a run of vdisk left behind, for people. */
  readonly leftovers: readonly string[]
}

/** A volume that snapshots are made of. */
export interface Origin {
  /** As the system names it: `/dev/dm-0`. */
  readonly path: HostPath
  /** Major and minor: `254:0`. */
  readonly deviceNumber: string
}

/** Why there is no plan: the device is no such volume, or nothing can be made of it. */
export class NoSnapshot {
  constructor(readonly why: string) {}
}

/** Of a program that failed, why, in its own words. */
export function failureOf([program]: SystemCommand, { code, stderr, stdout }: CommandResult): string {
  // What a shell says of a program that is not there.
  if (code === undefined || code === 127) return `${program} is not installed, or cannot be started`
  const words = stderr === '' ? stdout : stderr
  return `${program} ended with ${code}: ${words.slice(0, 500)}`
}

/** The command as it is typed in a shell. */
export function commandLine(words: SystemCommand): string {
  return words.map((word) => (/^[\w./@:=+,%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ')
}
