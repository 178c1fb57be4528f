import { corrupt, isImageError, refused, usage, type Label } from '../../errors.js'
import { alternating, longestStatus } from '../../mount/nbd/alternating.js'
import { ClientConnection } from '../../mount/nbd/client-connection.js'
import { commandType } from '../../mount/nbd/structs.js'
import { percentEncoded } from '../../sys/percent.js'
import type { FarFacts, FarReader } from '../far-thread.js'
import type { SshAddress } from './address.js'
import { SshConnection } from './connection.js'
import type { SshOptions } from './environment.js'
import { SftpClient } from './sftp-client.js'
import { fileKind } from './sftp-packets.js'

/** The exit code of a vdisk that says no (docs/architecture.md, "Errors"). */
const refusedExit = 3
/** What one request asks for, in bytes. */
const longestRead = 512 * 1024

/**
 * Opens a file on another computer: by the vdisk there, which knows where the file has holes, else by SFTP.
 * @param head gets the beginning. @throws ImageError those of SshConnection.failure; usage E_NOT_FOUND, E_PERMISSION,
 * E_NOT_A_FILE; corrupt E_SSH_PROTOCOL.
 */
export async function openSshFile(address: SshAddress, head: Uint8Array, options: SshOptions): Promise<FarReader> {
  const served = address.onlySftp ? undefined : await ServedFile.open(address, options)
  const file = served ?? (await SftpFile.open(address, options))
  const beginning = head.subarray(0, Math.min(head.length, file.size))
  try {
    await file.read(0, beginning)
  } catch (error) {
    file[Symbol.dispose]()
    throw error
  }
  return {
    facts: { ...file.facts, size: file.size, notes: [], headLength: beginning.length } satisfies FarFacts,
    read: (offset, target) => file.read(offset, target),
    runs: (offset) => file.runs(offset),
    changed: () => file.changed(),
    close: () => file[Symbol.dispose](),
  }
}

/** A file that the vdisk of the other side serves over the pipe. */
class ServedFile {
  readonly facts: Pick<FarFacts, 'knowsHoles'>
  readonly size: number
  readonly #nbd: ClientConnection
  readonly #connection: SshConnection

  private constructor(nbd: ClientConnection, connection: SshConnection) {
    this.#nbd = nbd
    this.#connection = connection
    this.size = nbd.facts.size
    this.facts = { knowsHoles: nbd.facts.context !== undefined }
  }

  /** Undefined where there is no vdisk, or one that cannot do it. @throws ImageError where ssh itself fails. */
  static async open(address: SshAddress, options: SshOptions): Promise<ServedFile | undefined> {
    // A path that begins with a hyphen would be an option.
    const path = percentEncoded(address.path.startsWith('/') ? address.path : `./${address.path}`)
    const command = `vdisk serve --stdio --percent-encoded --from raw ${path}`
    const connection = await SshConnection.open(address, options, { command })
    try {
      const nbd = await ClientConnection.over(connection, address.label, 10 * options.milliseconds)
      return new ServedFile(nbd, connection)
    } catch (error) {
      const code = await connection.ended()
      connection[Symbol.dispose]()
      // 255 is what ssh says of itself.
      if (code === 255 || code === 'not-started') throw await connection.failure(false)
      if (isImageError(error) && error.code === 'E_NBD_TIMEOUT') throw connection.silent()
      if (code === refusedExit)
        throw refused('E_SSH_REFUSED', `${address.label}: the vdisk there refuses to read it: ${connection.said}`, {
          hint: 'An address that begins with sftp:// reads it without asking.',
        })
      return undefined
    }
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const all: Promise<unknown>[] = []
    for (let done = 0; done < target.length; done += longestRead) {
      const piece = target.subarray(done, done + longestRead)
      const request = { type: commandType.read, offset: offset + done, length: piece.length, target: piece }
      all.push(this.#nbd.request(request))
    }
    await this.#settled(all)
  }

  async runs(offset: number): Promise<readonly number[]> {
    const length = Math.min(this.size - offset, longestStatus)
    const asked = this.#nbd.request({ type: commandType.blockStatus, offset, length })
    await this.#settled([asked])
    return alternating(await asked)
  }

  changed(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  [Symbol.dispose](): void {
    this.#nbd.close()
    this.#connection[Symbol.dispose]()
  }

  /** Nothing may still write into the memory when one has failed. */
  async #settled(all: readonly Promise<unknown>[]): Promise<void> {
    for (const result of await Promise.allSettled(all)) {
      if (result.status === 'fulfilled') continue
      throw this.#nbd.isLost ? await this.#connection.failure(true) : result.reason
    }
  }
}

/** A file by SFTP. */
class SftpFile {
  readonly facts = { knowsChange: true }
  readonly size: number
  readonly #client: SftpClient
  readonly #handle: Buffer
  readonly #modified: number | undefined
  readonly #label: Label

  private constructor(
    client: SftpClient,
    found: { handle: Buffer; size: number; modified: number | undefined; label: Label },
  ) {
    this.#client = client
    this.#handle = found.handle
    this.#modified = found.modified
    this.#label = found.label
    this.size = found.size
  }

  /** @throws ImageError as {@link openSshFile}. */
  static async open(address: SshAddress, options: SshOptions): Promise<SftpFile> {
    const client = await SftpClient.open(address, options)
    const { label, path } = address
    try {
      const handle = await client.openRead(path)
      const found = await client.fstat(handle)
      const { size, modified } = found
      if ((fileKind(found) ?? 'file') !== 'file')
        throw usage('E_NOT_A_FILE', `${label} is no regular file`, { hint: 'Name a file.' })
      if (size === undefined)
        throw corrupt('E_SSH_PROTOCOL', `${label}: the other side does not say how large the file is`)
      return new SftpFile(client, { handle, size, modified, label })
    } catch (error) {
      const failure = await client.failed(error, 'source', 'it cannot be opened')
      client[Symbol.dispose]()
      throw failure
    }
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const all: Promise<void>[] = []
    const { readLength } = this.#client
    for (let done = 0; done < target.length; done += readLength)
      all.push(this.#piece(offset + done, target.subarray(done, done + readLength)))
    for (const result of await Promise.allSettled(all)) if (result.status === 'rejected') throw result.reason
  }

  runs(): Promise<readonly number[]> {
    return Promise.resolve([])
  }

  async changed(): Promise<string | undefined> {
    try {
      const { size, modified } = await this.#client.fstat(this.#handle)
      return size === this.size && modified === this.#modified ? undefined : 'was written to meanwhile'
    } catch (error) {
      throw await this.#client.failed(error, 'source', 'it cannot be looked at')
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }

  async #piece(position: number, target: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < target.length;) {
        const count = await this.#client.read(this.#handle, position + done, target.subarray(done))
        if (count === 0)
          throw corrupt('E_SOURCE_CHANGED', `${this.#label} became shorter while it was read`, { hint: 'Start again.' })
        done += count
      }
    } catch (error) {
      throw await this.#client.failed(error, 'source', `cannot read ${target.length} bytes at byte ${position}`)
    }
  }
}
