import { printable, refused, type HostPath } from '../../errors.js'
import { writeError } from '../../block/file-store.js'
import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'
import { startTimeOf } from '../../sys/processes.js'
import { syscalls } from '../../sys/syscalls.js'
import { hostname, ownPid } from '../../sys/self.js'
import { textOfFile } from '../../sys/readable.js'

/** Who has a set: enough to know that it is gone. */
interface Holder {
  readonly pid: number
  /** When the process was started, by the system's clock ticks; another process may get the number later. */
  readonly started: string
  /** The system's id of this start. */
  readonly boot: string
  readonly host: string
  readonly command: string
  readonly since: string
}

/**
 * The one lock of a set's folder: for a command that writes to it. It is the system's lock of a file, which ends with
 * the process; what stands in the file says who has it, and serves where the system has no such lock (a share of
 * another computer, no koffi). What a crash or a power cut leaves there is recognised by the process and the start of
 * the system.
 */
class SetLock implements Disposable {
  #descriptor: number | undefined

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /**
   * @param command what is done, for others: `vdisk backup run`.
   * @throws ImageError refused E_SET_IN_USE; target E_WRITE_PERMISSION
   */
  static take(folder: HostPath, command: string): SetLock {
    const path = inFolder(folder, '.lock')
    let descriptor: number
    try {
      descriptor = fs.openSync(path, fs.constants.O_RDWR + fs.constants.O_CREAT, 0o644)
    } catch (cause) {
      throw writeError(path, 'cannot be opened', cause)
    }
    try {
      const taken = syscalls()?.lock(descriptor)
      const holder = holderIn(path)
      if (taken === false) throw inUse(folder, holder)
      // Only where the system's lock says nothing of another computer, or there is none.
      if (holder !== undefined && isAlive(holder, taken === true)) throw inUse(folder, holder)
      sayWho(descriptor, path, command, taken === true)
      return new SetLock(descriptor)
    } catch (error) {
      fs.closeSync(descriptor)
      throw error
    }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor === undefined) return
    fs.ftruncateSync(this.#descriptor)
    fs.closeSync(this.#descriptor)
    this.#descriptor = undefined
  }
}

/**
 * Writes who has the set.
 * @param locked whether the system's lock was taken: it holds by itself, also where there is no room for a word, and
 * taking points away is what makes room. @throws ImageError target
 */
function sayWho(descriptor: number, path: HostPath, command: string, locked: boolean): void {
  const bytes = Buffer.from(JSON.stringify(myself(command)))
  try {
    fs.ftruncateSync(descriptor)
    fs.writeSync(descriptor, bytes, 0, bytes.length, 0)
  } catch (cause) {
    const error = writeError(path, 'cannot be written', cause)
    if (!locked || error.code !== 'E_NO_SPACE') throw error
    fs.ftruncateSync(descriptor)
  }
}

function inUse(folder: HostPath, holder: Holder | undefined): Error {
  const who =
    holder === undefined
      ? 'another process'
      : `${printable(holder.command)}, process ${holder.pid} on ${printable(holder.host)} since ${holder.since}`
  return refused('E_SET_IN_USE', `the backup set ${printable(folder)} is in use by ${who}`, {
    hint:
      holder !== undefined && holder.host !== hostname()
        ? `Wait for it. If that computer does not run it any more, delete ${printable(inFolder(folder, '.lock'))}.`
        : 'Wait for it, and run it again.',
  })
}

/** @param locked whether the system's lock was taken: no process of this computer has it then. */
function isAlive(holder: Holder, locked: boolean): boolean {
  if (holder.host !== hostname()) return true
  return !locked && holder.boot === bootId() && startTimeOf(holder.pid) === holder.started
}

function myself(command: string): Holder {
  return {
    pid: ownPid(),
    started: startTimeOf(ownPid()) ?? '',
    boot: bootId(),
    host: hostname(),
    command,
    since: new Date().toISOString(),
  }
}

function holderIn(path: HostPath): Holder | undefined {
  try {
    const found = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<Holder>
    const isWhole = [found.started, found.boot, found.host, found.command, found.since].every(
      (each) => typeof each === 'string' && each.length < 4096,
    )
    return isWhole && typeof found.pid === 'number' ? (found as Holder) : undefined
  } catch (error) {
    // Nobody has it, or the power was cut while it was written.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function bootId(): string {
  // Linux alone has one.
  return (textOfFile('/proc/sys/kernel/random/boot_id') ?? '').trim()
}

/**
 * Does something that only reads a set, as the only one who works on it; where nothing can be written there, not even
 * by this computer's root, it is done without the lock.
 * @throws ImageError as {@link holdingSet}
 */
export async function holdingReadSet<Result>(
  folder: HostPath,
  command: string,
  work: (canWrite: boolean) => Promise<Result>,
): Promise<Result> {
  return isReadOnly(folder) ? await work(false) : await holdingSet(folder, command, () => work(true))
}

/** Whether a folder lies on a filesystem that is mounted for reading only. */
function isReadOnly(folder: HostPath): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
  }
}

/** Does something as the only one who writes to a set. @throws ImageError refused E_SET_IN_USE; what `work` throws. */
export async function holdingSet<Result>(
  folder: HostPath,
  command: string,
  work: () => Promise<Result> | Result,
): Promise<Result> {
  const lock = SetLock.take(folder, command)
  try {
    return await work()
  } finally {
    lock[Symbol.dispose]()
  }
}
