import { randomBytes } from 'node:crypto'
import fs from '../../sys/host-fs.js'
import { printable, systemReason, targetError } from '../../errors.js'
import { chosenRuntimeFolder, currentUser, temporaryFolder, userRuntimeFolder } from '../../sys/self.js'
import type { MountSession } from './session.js'
import { inFolder } from '../../sys/host-path.js'
import { startTimeOf } from '../../sys/processes.js'
import { namesInFolder } from '../../sys/readable.js'

/** The end of a session's state file. */
const extension = '.json'
/** A state file is a few kilobytes; more is not ours. */
const longest = 4 * 1024 * 1024

/**
 * Where sessions of this user keep their state and their folders: /run/vdisk for root, $XDG_RUNTIME_DIR/vdisk for
 * others, else a folder of
 * the user's own in the folder for temporary files. VDISK_RUNTIME_DIR names another.
 * @throws ImageError target E_RUNTIME_FOLDER when it cannot be made or belongs to somebody else.
 */
export function runtimeFolder(): string {
  const { id: user } = currentUser()
  const chosen = chosenRuntimeFolder() ?? usualFolder(user)
  try {
    // Others may go through to a folder that they were given (--allow-other), and see no names.
    fs.mkdirSync(chosen, { recursive: true, mode: 0o711 })
    const status = fs.lstatSync(chosen)
    if (!status.isDirectory() || status.uid !== user) throw new Error('it belongs to somebody else')
    return fs.realpathSync(chosen)
  } catch (cause) {
    throw targetError(
      'E_RUNTIME_FOLDER',
      `the folder ${printable(chosen)}, which is to keep what is mounted, cannot be used: ${systemReason(cause)}`,
      { cause, hint: 'Set VDISK_RUNTIME_DIR to a folder of your own.' },
    )
  }
}

function usualFolder(user: number): string {
  const temporary = inFolder(temporaryFolder(), `vdisk-${user}`)
  const parent = user === 0 ? '/run' : userRuntimeFolder()
  if (parent === undefined) return temporary
  try {
    fs.accessSync(parent, fs.constants.W_OK)
    return inFolder(parent, 'vdisk')
  } catch {
    // A container without a writable /run, a user without a session.
    return temporary
  }
}

/** A name that no session has yet. */
export function newId(): string {
  return randomBytes(4).toString('hex')
}

export const statePath = (folder: string, id: string): string => inFolder(folder, `${id}${extension}`)
export const logPath = (folder: string, id: string): string => inFolder(folder, `${id}.log`)

/** Replaces the state file, whole at any moment. */
export function writeState(folder: string, session: MountSession): void {
  const path = statePath(folder, session.id)
  fs.writeFileSync(`${path}.new`, JSON.stringify(session, null, 2), { mode: 0o600 })
  fs.renameSync(`${path}.new`, path)
}

/** Removes all that a session leaves: its state, its log, its empty folder. */
export function removeState(folder: string, id: string): void {
  try {
    fs.rmdirSync(inFolder(folder, id))
  } catch {
    // Gone already, or still mounted: then `mounts --clean` takes it.
  }
  for (const path of [logPath(folder, id), statePath(folder, id)]) fs.removeFileSync(path)
}

/**
 * The sessions of all users that this one may know of, whose servers run. Nothing is made, and what cannot be read is
 * left out.
 */
export function runningSessions(): readonly MountSession[] {
  const users = namesInFolder('/run/user').map((user) => `/run/user/${user}/vdisk`)
  const temporary = namesInFolder(temporaryFolder())
    .filter((name) => /^vdisk-\d+$/.test(name))
    .map((name) => `${temporaryFolder()}/${name}`)
  const folders = new Set(['/run/vdisk', ...users, ...temporary, ...[chosenRuntimeFolder() ?? []].flat()])
  return [...folders]
    .flatMap((folder) => (namesInFolder(folder).length === 0 ? [] : readSessions(folder)))
    .filter(isAlive)
}

/** Every session that has a state file, oldest first. Files that are no such thing are left out. */
export function readSessions(folder = runtimeFolder()): readonly MountSession[] {
  const found = fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(extension))
    .flatMap((name) => readState(inFolder(folder, name)) ?? [])
  return found.sort((one, other) => (one.since < other.since ? -1 : 1))
}

function readState(path: string): MountSession | undefined {
  try {
    if (fs.statSync(path).size > longest) return undefined
    const value = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<MountSession> | null
    return typeof value?.id === 'string' &&
      typeof value.pid === 'number' &&
      Array.isArray(value.mounts) &&
      Array.isArray(value.attached)
      ? (value as MountSession)
      : undefined
  } catch {
    // Removed meanwhile, or damaged.
    return undefined
  }
}

/** Whether a session's server still runs. */
export function isAlive({ pid, startTime }: Pick<MountSession, 'pid' | 'startTime'>): boolean {
  return startTimeOf(pid) === startTime
}
