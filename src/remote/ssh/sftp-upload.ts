import type { Note } from '../../block/types.js'
import {
  ImageError,
  isImageError,
  printable,
  refused,
  targetError,
  usage,
  type HostPath,
  type Label,
} from '../../errors.js'
import { hostName } from '../../sys/host-fs.js'
import { folderPart, inFolder, lastPart } from '../../sys/host-path.js'
import { UnderWay } from '../../sys/under-way.js'
import type { SshAddress } from './address.js'
import type { SshOptions } from './environment.js'
import { ofTarget, SftpClient, SftpRefusal } from './sftp-client.js'
import { fileKind, statusCode, type SftpAttributes } from './sftp-packets.js'

/** Bytes that are on their way at once. */
const mostOnItsWay = 16 * 1024 * 1024

/** How many names of a folder are looked at. */
const mostNames = 20_000

/** How files are named that are not complete. */
export interface PartialNaming {
  readonly partialName: (name: HostPath) => HostPath
  readonly isPartialOf: (partial: HostPath, name: HostPath) => boolean
}

/** What stands at the place of a file that is to be made. */
export interface StandingFile {
  readonly size?: number
  /** What distinguishes it from another one of that name: its size and time. */
  readonly version: string
}

/** A connection that several files of one computer use, one after the other: a user may be asked for a password. */
export class KeptConnection implements Disposable {
  client: SftpClient | undefined;

  [Symbol.dispose](): void {
    this.client?.[Symbol.dispose]()
    this.client = undefined
  }
}

/** A file on another computer that is to be made, or replaced. */
export class SftpPlace implements Disposable {
  readonly #address: SshAddress
  readonly #options: SshOptions
  readonly #naming: PartialNaming
  readonly #connection: KeptConnection
  readonly #isKept: boolean
  /** Links are followed: what they lead to is replaced. */
  #path: HostPath
  #mode: number | undefined

  /** @param kept a connection that stays open when this is closed. */
  constructor(address: SshAddress, options: SshOptions, naming: PartialNaming, kept?: KeptConnection) {
    this.#address = address
    this.#options = options
    this.#naming = naming
    this.#path = address.path
    this.#connection = kept ?? new KeptConnection()
    this.#isKept = kept !== undefined
  }

  get label(): Label {
    return this.#address.label
  }

  [Symbol.dispose](): void {
    if (!this.#isKept) this.#connection[Symbol.dispose]()
  }

  /** What stands there. @throws ImageError target E_IS_FOLDER; usage E_NOT_A_FILE; those of connecting. */
  async look(): Promise<StandingFile | undefined> {
    const client = await this.#connected()
    const own = await this.#attributes((path) => client.lstat(path))
    if (own === undefined) return undefined
    const found = await this.#attributes((path) => client.stat(path))
    // A link to nothing has the name too, and is replaced itself.
    if (found === undefined) return { version: versionOf(own) }
    const kind = fileKind(found) ?? 'file'
    if (kind === 'folder') throw targetError('E_IS_FOLDER', `the target ${this.label} is a directory`)
    if (kind !== 'file') throw usage('E_NOT_A_FILE', `the target ${this.label} is no regular file`)
    this.#path = hostName(await this.#doing('it cannot be looked at', () => client.realPath(this.#address.path)))
    this.#mode = found.mode === undefined ? undefined : found.mode % 0o1000
    return { size: found.size, version: versionOf(found) }
  }

  /**
   * Opens the file that an earlier run began, and cuts off what was not flushed. @param earlier its name, and bytes
   * that it has. @returns undefined where it is gone, or shorter: it is removed then.
   */
  async beginAgain(
    replaces: StandingFile | undefined,
    earlier: { readonly partial: HostPath; readonly sent: number },
  ): Promise<SftpPartial | undefined> {
    const client = await this.#connected()
    this.#assertReplaces(client, replaces)
    const path = this.#path
    if (!this.#naming.isPartialOf(earlier.partial, lastPart(path))) return undefined
    const partial = inFolder(folderPart(path), earlier.partial)
    const found = await this.#attributes((at) => client.lstat(at), partial)
    if (found === undefined || fileKind(found) !== 'file') return undefined
    if (found.size === undefined || found.size < earlier.sent) {
      await this.remove(partial)
      return undefined
    }
    return await this.#doing('the file that was begun cannot be resumed', async () => {
      const handle = await client.openWrite(partial)
      await client.truncate(handle, earlier.sent)
      return new SftpPartial(this, client, { handle, partial, path, replaces, notes: [] })
    })
  }

  #assertReplaces(client: SftpClient, replaces: StandingFile | undefined): void {
    if (replaces !== undefined && !client.extensions.posixRename)
      throw targetError('E_WRITE', `${this.label}: the server there cannot replace a file at once`, {
        hint: 'Give another name.',
      })
  }

  /**
   * Makes a file beside the place. @param replaces what may be replaced in the end. @param isPrivate whether a new file
   * is for its owner alone, whatever the server's usual permissions are.
   */
  async begin(replaces: StandingFile | undefined, isPrivate = false): Promise<SftpPartial> {
    const client = await this.#connected()
    this.#assertReplaces(client, replaces)
    const path = this.#path
    const partial = inFolder(folderPart(path), this.#naming.partialName(lastPart(path)))
    const mode = replaces === undefined ? (isPrivate ? 0o600 : undefined) : this.#mode
    const notes = await this.#leftOver(client, path)
    try {
      const handle = await client.create(partial, mode)
      return new SftpPartial(this, client, { handle, partial, path, replaces, notes })
    } catch (error) {
      if (error instanceof SftpRefusal && error.status === statusCode.noSuchFile)
        throw targetError('E_NO_FOLDER', `the folder of the target ${this.label} does not exist`, {
          hint: 'Make the folder first.',
        })
      const failure = await this.#failed(client, error, 'no file can be made in its folder')
      if (error instanceof SftpRefusal) throw failure
      // It may have been made by a request whose answer was lost.
      const left = await this.removed(partial)
      if (left === undefined) throw failure
      throw new ImageError(failure.kind, failure.code, failure.message, { hint: left, cause: failure })
    }
  }

  /** What runs that were killed left beside it. */
  async #leftOver(client: SftpClient, path: HostPath): Promise<Note[]> {
    let names: HostPath[]
    try {
      names = await client.names(folderPart(path), mostNames)
    } catch (error) {
      // A folder that is not to be listed may still be written to.
      if (error instanceof SftpRefusal) return []
      throw await client.failed(error, 'target', 'its folder cannot be listed')
    }
    return names
      .filter((name) => this.#naming.isPartialOf(name, lastPart(path)))
      .map((name) => ({
        code: 'W_LEFT_OVER',
        message:
          `${this.label}: beside it lies the unfinished file ${JSON.stringify(printable(name))} of a run that was ` +
          'ended, or is still running: remove it in the first case',
      }))
  }

  /** What has the name now. */
  async standing(): Promise<StandingFile | undefined> {
    const client = await this.#connected()
    const found = await this.#attributes((path) => client.lstat(path), this.#path)
    return found === undefined ? undefined : { size: found.size, version: versionOf(found) }
  }

  /** Removes a file, over a new connection where the first is lost; one that is gone is. @throws ImageError. */
  async remove(path: HostPath): Promise<void> {
    const client = await this.#connectedAgain()
    await this.#doing('it cannot be removed', async () => {
      try {
        await client.remove(path)
      } catch (error) {
        if (!(error instanceof SftpRefusal) || error.status !== statusCode.noSuchFile) throw error
      }
    })
  }

  /** Removes an unfinished file. @returns what is left, a sentence. */
  async removed(partial: HostPath): Promise<string | undefined> {
    try {
      await this.remove(partial)
      return undefined
    } catch (error) {
      if (!isImageError(error)) throw error
      const name = JSON.stringify(printable(lastPart(partial)))
      return `The unfinished file ${name} is left beside ${this.label}: ${error.message}`
    }
  }

  /** Whether a file has got its name; its unfinished one is removed then. Over a new connection. */
  async hasBecome(partial: HostPath, made: StandingFile): Promise<boolean> {
    await this.#connectedAgain()
    if ((await this.standing())?.version !== made.version) return false
    await this.remove(partial)
    return true
  }

  /** Removes the file that was made. */
  async removeMade(): Promise<void> {
    await this.remove(this.#path)
  }

  async #connectedAgain(): Promise<SftpClient> {
    if (this.#connection.client?.isLost === true) this.#connection[Symbol.dispose]()
    return await this.#connected()
  }

  async #connected(): Promise<SftpClient> {
    try {
      return (this.#connection.client ??= await SftpClient.open(this.#address, this.#options))
    } catch (error) {
      throw isImageError(error) ? ofTarget(error) : error
    }
  }

  async #attributes(
    ask: (path: HostPath) => Promise<SftpAttributes>,
    path = this.#address.path,
  ): Promise<SftpAttributes | undefined> {
    try {
      return await ask(path)
    } catch (error) {
      if (error instanceof SftpRefusal && error.status === statusCode.noSuchFile) return undefined
      throw await this.#failed(await this.#connected(), error, 'it cannot be looked at')
    }
  }

  async #doing<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work()
    } catch (error) {
      throw await this.#failed(await this.#connected(), error, what)
    }
  }

  async #failed(client: SftpClient, error: unknown, what: string): Promise<ImageError> {
    return await client.failed(error, 'target', what)
  }
}

interface PartialParts {
  readonly handle: Buffer
  readonly partial: HostPath
  readonly path: HostPath
  readonly replaces: StandingFile | undefined
  readonly notes: readonly Note[]
}

/** A file that is being written beside its place, and gets its name when it is whole. */
export class SftpPartial {
  readonly #place: SftpPlace
  readonly #client: SftpClient
  readonly #parts: PartialParts
  readonly #sending = new UnderWay()
  #onItsWay = 0
  #isClosed = false

  constructor(place: SftpPlace, client: SftpClient, parts: PartialParts) {
    this.#place = place
    this.#client = client
    this.#parts = parts
  }

  /** Takes the bytes at a position; resolves when more may come. @throws ImageError target. */
  async write(position: number, bytes: Uint8Array): Promise<void> {
    const { writeLength } = this.#client
    for (let done = 0; done < bytes.length; done += writeLength) {
      await this.#sending.until(() => this.#onItsWay < mostOnItsWay)
      this.#sending.begin(this.#send(position + done, bytes.subarray(done, done + writeLength)))
    }
  }

  /**
   * Everything is on the medium there, and the file has its name; the connection is closed then.
   * @throws ImageError target E_EXISTS, E_WRITE.
   */
  async commit(size: number): Promise<StandingFile & { readonly size: number; readonly notes: readonly Note[] }> {
    const client = this.#client
    const { handle, partial, path, replaces, notes } = this.#parts
    await this.#sending.settled()
    try {
      await client.truncate(handle, size)
      if (client.extensions.fsync) await client.flush(handle)
      const found = await client.fstat(handle)
      if (found.size !== undefined && found.size !== size)
        throw targetError('E_WRITE', `${this.#place.label}: ${size} bytes were sent, and there are ${found.size}`)
      this.#isClosed = true
      await client.close(handle)
      const made = { size, version: versionOf(found) }
      if (replaces !== undefined) await this.#assertStanding(replaces)
      await this.#named(made, async () => {
        if (replaces === undefined) await this.#takeFreeName(partial, path)
        else await client.replace(partial, path)
      })
      this.#place[Symbol.dispose]()
      return { ...made, notes }
    } catch (error) {
      throw await this.#explained(error, 'the file cannot be completed')
    }
  }

  /** Where the answer to a request for the name is lost, the file may have it: that is looked at. */
  async #named(made: StandingFile, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!this.#client.isLost) throw error
      if (!(await this.#place.hasBecome(this.#parts.partial, made))) throw error
    }
  }

  /** Without folders. */
  get name(): HostPath {
    return lastPart(this.#parts.partial)
  }

  /** Waits until the medium there has all that is before `end`. @returns false where the server does not say. */
  async flushed(end: number): Promise<boolean> {
    const { handle } = this.#parts
    await this.#sending.settled()
    if (!this.#client.extensions.fsync) return false
    try {
      const { size = 0 } = await this.#client.fstat(handle)
      if (size < end) await this.#client.truncate(handle, end)
      await this.#client.flush(handle)
      return true
    } catch (error) {
      throw await this.#explained(error, 'it cannot be flushed')
    }
  }

  /** Leaves what was written for a later run. */
  async leave(): Promise<void> {
    await this.#sending.ended()
    if (!this.#isClosed && !this.#client.isLost) await this.#client.close(this.#parts.handle).catch(() => undefined)
    this.#place[Symbol.dispose]()
  }

  /** Removes what was written. @returns what is left, a sentence. */
  async abort(): Promise<string | undefined> {
    await this.#sending.ended()
    const { handle, partial } = this.#parts
    try {
      // A file that is open can be removed; a lost connection has closed it.
      if (!this.#isClosed && !this.#client.isLost) await this.#client.close(handle).catch(() => undefined)
      return await this.#place.removed(partial)
    } finally {
      this.#place[Symbol.dispose]()
    }
  }

  async #send(position: number, bytes: Uint8Array): Promise<void> {
    this.#onItsWay += bytes.length
    try {
      await this.#client.write(this.#parts.handle, position, bytes)
    } catch (error) {
      throw await this.#explained(error, `cannot write ${bytes.length} bytes at byte ${position}`)
    } finally {
      this.#onItsWay -= bytes.length
    }
  }

  /** A hard link refuses to replace. Servers without them get a look, and a rename. */
  async #takeFreeName(partial: HostPath, path: HostPath): Promise<void> {
    const client = this.#client
    if (client.extensions.hardlink) {
      try {
        await client.hardLink(partial, path)
        await client.remove(partial)
        return
      } catch (error) {
        if (!(error instanceof SftpRefusal)) throw error
      }
    }
    if ((await this.#place.standing()) !== undefined)
      throw targetError('E_EXISTS', `the target ${this.#place.label} exists by now`, {
        hint: 'Use --force to replace it.',
      })
    await client.rename(partial, path)
  }

  async #assertStanding(replaces: StandingFile): Promise<void> {
    const standing = await this.#place.standing()
    if (standing !== undefined && standing.version !== replaces.version)
      throw refused('E_TARGET_CHANGED', `the target ${this.#place.label} has become another file meanwhile`)
  }

  /** Version 3 has no word for a full disk. */
  async #explained(error: unknown, what: string): Promise<ImageError> {
    const failure = await this.#client.failed(error, 'target', what)
    if (!(error instanceof SftpRefusal) || !this.#client.extensions.statvfs) return failure
    try {
      const free = await this.#client.freeSpace(folderPart(this.#parts.path))
      if (free < mostOnItsWay)
        return targetError('E_NO_SPACE', `${this.#place.label}: no space is left there (${what})`)
    } catch {
      // What was refused first counts.
    }
    return failure
  }
}

function versionOf({ size, modified, mode }: SftpAttributes): string {
  return JSON.stringify([size, modified, mode])
}
