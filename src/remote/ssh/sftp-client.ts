import {
  corrupt,
  isImageError,
  lostConnection,
  printable,
  targetError,
  usage,
  type HostPath,
  type ImageError,
} from '../../errors.js'
import { hostName, nameBytes } from '../../sys/host-fs.js'
import type { SshAddress } from './address.js'
import { SshConnection } from './connection.js'
import type { SshOptions } from './environment.js'
import {
  openFlag,
  PacketError,
  PacketReader,
  PacketWriter,
  packetType,
  statusCode,
  type SftpAttributes,
} from './sftp-packets.js'

/** What a packet of a server may have, in bytes: OpenSSH's limit, and its head. */
const longestPacket = 256 * 1024 + 1024
/** What every server takes in one request (section 3), in bytes, and what is used at most. */
const usualLength = 32768
const mostLength = 255 * 1024
/** Less than this in one request makes every file endless. */
const leastLength = 1024
/** Bytes of a packet of a write before its data at most: numbers, and the handle. */
const longestHandle = 256
const writeHead = 25 + longestHandle
/** How many extensions a server may have. */
const mostExtensions = 256

/** Something that the server refused. @see statusCode */
export class SftpRefusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

interface Reply {
  readonly type: number
  /** Empty where its bytes are in the target. */
  readonly body: PacketReader
  /** How many bytes of the target it filled. */
  readonly filled: number
}

/** How a request is sent. */
interface Sending {
  /** Of a read: where its bytes go. */
  readonly target?: Uint8Array
  /** Where its packet is made; nobody reads that any more when `isOut` is called. */
  readonly room?: Buffer
  readonly isOut?: () => void
}

interface Waiting {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
  /** Of a read: where its bytes go. */
  readonly target: Uint8Array | undefined
}

/** What a server of OpenSSH knows besides version 3. */
interface Extensions {
  readonly fsync: boolean
  readonly hardlink: boolean
  readonly posixRename: boolean
  readonly statvfs: boolean
}

/** A session of SFTP over the user's ssh. Whatever the server sends is checked before it is believed. */
export class SftpClient implements Disposable {
  readonly label: string
  readonly #connection: SshConnection
  readonly #milliseconds: number
  readonly #waiting = new Map<number, Waiting>()
  readonly #timer: NodeJS.Timeout
  /** Memory for packets of writes that none uses. */
  readonly #rooms: Buffer[] = []
  #extensions: Extensions = { fsync: false, hardlink: false, posixRename: false, statvfs: false }
  #readLength = usualLength
  #writeLength = usualLength
  #nextId = 0
  /** When it became the server's turn to speak. */
  #asked = performance.now()
  #failure: ImageError | undefined
  #isOpen = false

  private constructor(connection: SshConnection, milliseconds: number) {
    this.label = connection.label
    this.#milliseconds = milliseconds
    this.#connection = connection
    this.#timer = setInterval(() => this.#watch(), Math.min(1000, milliseconds))
  }

  /** @throws ImageError those of SshConnection.failure; corrupt E_SSH_PROTOCOL. */
  static async open(address: SshAddress, options: SshOptions): Promise<SftpClient> {
    const connection = await SshConnection.open(address, options, { subsystem: 'sftp' })
    const client = new SftpClient(connection, options.milliseconds)
    try {
      await client.#start()
      return client
    } catch (error) {
      const failure = await client.#explained(error)
      client[Symbol.dispose]()
      throw failure
    }
  }

  /** Nothing can be asked any more. */
  get isLost(): boolean {
    return this.#failure !== undefined
  }

  get extensions(): Extensions {
    return this.#extensions
  }

  /** Bytes that one request reads or writes. */
  get readLength(): number {
    return this.#readLength
  }

  get writeLength(): number {
    return this.#writeLength
  }

  async stat(path: HostPath): Promise<SftpAttributes> {
    return await this.#attributes(packetType.stat, path)
  }

  /** The same of a link itself. */
  async lstat(path: HostPath): Promise<SftpAttributes> {
    return await this.#attributes(packetType.lstat, path)
  }

  /** A path with its links followed, as bytes. */
  async realPath(path: HostPath): Promise<Buffer> {
    const reply = await this.#ask(packetType.realpath, packet().string(nameBytes(path)), packetType.name)
    if (reply.number() < 1) throw new PacketError('a name without a name')
    return Buffer.from(reply.string())
  }

  /** Names in a folder, in no order; not all, where it has more than `most`. */
  async names(path: HostPath, most: number): Promise<HostPath[]> {
    const opened = await this.#ask(packetType.opendir, packet().string(nameBytes(path)), packetType.handle)
    const handle = Buffer.from(opened.string())
    const names: HostPath[] = []
    try {
      while (names.length < most) {
        const { type, body } = await this.#send(packetType.readdir, packet().string(handle))
        if (type === packetType.status) {
          const refusal = refusalOf(body)
          if (refusal?.status === statusCode.endOfFile) break
          throw refusal ?? new PacketError('a folder without names')
        }
        if (type !== packetType.name) throw new PacketError('a reply of another kind than was asked for')
        const count = body.number()
        if (count === 0) throw new PacketError('a folder without an end')
        for (let index = 0; index < count; index++) {
          names.push(hostName(body.string()))
          body.string()
          body.attributes()
        }
      }
    } finally {
      if (!this.isLost) await this.close(handle)
    }
    return names
  }

  async openRead(path: HostPath): Promise<Buffer> {
    return await this.#open(path, openFlag.read, undefined)
  }

  async openWrite(path: HostPath): Promise<Buffer> {
    return await this.#open(path, openFlag.write, undefined)
  }

  /** Makes a file that is not there. @param mode permission bits; the server's own when left out. */
  async create(path: HostPath, mode?: number): Promise<Buffer> {
    return await this.#open(path, openFlag.write + openFlag.create + openFlag.exclusive, mode)
  }

  async fstat(handle: Buffer): Promise<SftpAttributes> {
    const reply = await this.#ask(packetType.fstat, packet().string(handle), packetType.attributes)
    return reply.attributes()
  }

  async truncate(handle: Buffer, size: number): Promise<void> {
    await this.#ok(packetType.fsetstat, packet().string(handle).attributes({ size }))
  }

  async close(handle: Buffer): Promise<void> {
    await this.#ok(packetType.close, packet().string(handle))
  }

  async remove(path: HostPath): Promise<void> {
    await this.#ok(packetType.remove, packet().string(nameBytes(path)))
  }

  async rename(from: HostPath, to: HostPath): Promise<void> {
    await this.#ok(packetType.rename, packet().string(nameBytes(from)).string(nameBytes(to)))
  }

  /** In place of what is there, at once. */
  async replace(from: HostPath, to: HostPath): Promise<void> {
    await this.#ok(
      packetType.extended,
      packet().string('posix-rename@openssh.com').string(nameBytes(from)).string(nameBytes(to)),
    )
  }

  async hardLink(from: HostPath, to: HostPath): Promise<void> {
    await this.#ok(
      packetType.extended,
      packet().string('hardlink@openssh.com').string(nameBytes(from)).string(nameBytes(to)),
    )
  }

  async flush(handle: Buffer): Promise<void> {
    await this.#ok(packetType.extended, packet().string('fsync@openssh.com').string(handle))
  }

  /** Bytes that are free on the filesystem of a path. */
  async freeSpace(path: HostPath): Promise<number> {
    const body = packet().string('statvfs@openssh.com').string(nameBytes(path))
    const reply = await this.#ask(packetType.extended, body, packetType.extendedReply)
    reply.long()
    const unit = reply.long()
    reply.long()
    reply.long()
    return unit * reply.limit()
  }

  /** Fills a part of `target` with the bytes at a position. @returns how many came; 0: the file ends there. */
  async read(handle: Buffer, position: number, target: Uint8Array): Promise<number> {
    const wanted = Math.min(target.length, this.#readLength)
    const request = packet().string(handle).long(position).number(wanted)
    const { type, body, filled } = await this.#send(packetType.read, request, {
      target: target.subarray(0, wanted),
    })
    if (type === packetType.status) {
      const refusal = refusalOf(body)
      if (refusal?.status === statusCode.endOfFile) return 0
      throw refusal ?? new PacketError('a read without bytes')
    }
    if (type !== packetType.data) throw new PacketError('a reply of another kind than was asked for')
    return filled
  }

  /** Writes up to `writeLength` bytes, of which a copy is taken. */
  async write(handle: Buffer, position: number, bytes: Uint8Array): Promise<void> {
    const room = this.#rooms.pop() ?? Buffer.allocUnsafeSlow(writeHead + this.#writeLength)
    let isOut: () => void = () => undefined
    const out = new Promise<void>((resolve) => {
      isOut = resolve
    })
    await this.#ok(packetType.write, packet().string(handle).long(position).string(bytes), { room, isOut })
    // A server may answer before it has all of it.
    void out.then(() => this.#rooms.push(room))
  }

  /** An error of a request as one of ours. @param how it was used: what cannot be read, or what cannot be written. */
  async failed(error: unknown, how: 'source' | 'target', what: string): Promise<ImageError> {
    if (!(error instanceof SftpRefusal)) {
      const failure = await this.#explained(error)
      return how === 'target' ? ofTarget(failure) : failure
    }
    const { label } = this
    const text = `${label}: ${what}: ${error.message}`
    if (how === 'target')
      return error.status === statusCode.permissionDenied
        ? targetError('E_WRITE_PERMISSION', text)
        : targetError('E_WRITE', text)
    if (error.status === statusCode.noSuchFile) return usage('E_NOT_FOUND', `${label}: there is no such file`)
    if (error.status === statusCode.permissionDenied)
      return usage('E_PERMISSION', `${label}: the user there may not read it`)
    return corrupt('E_READ', text)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#fail(lostConnection(this.label, 'reading', 'it was closed'))
    this.#connection[Symbol.dispose]()
  }

  async #start(): Promise<void> {
    this.#connection.stream.write(packet().number(3).finish(packetType.init))
    const { type, body } = await this.#next()
    if (type !== packetType.version || body.number() < 3) throw new PacketError('it speaks no SFTP of version 3')
    const names = new Map<string, string>()
    while (!body.isAtEnd && names.size < mostExtensions) names.set(body.string().toString(), body.string().toString())
    this.#extensions = {
      fsync: names.get('fsync@openssh.com') === '1',
      hardlink: names.get('hardlink@openssh.com') === '1',
      posixRename: names.get('posix-rename@openssh.com') === '1',
      statvfs: names.get('statvfs@openssh.com') === '2',
    }
    this.#isOpen = true
    void this.#receive()
    if (names.get('limits@openssh.com') === '1') await this.#learnLimits()
  }

  async #learnLimits(): Promise<void> {
    const body = packet().string('limits@openssh.com')
    const { type, body: reply } = await this.#send(packetType.extended, body)
    // What every server takes is enough.
    if (type === packetType.status) return
    if (type !== packetType.extendedReply) throw new PacketError('a reply of another kind than was asked for')
    reply.limit()
    const within = (length: number): number => {
      if (length > 0 && length < leastLength) throw new PacketError(`it moves ${length} bytes in a request`)
      return length === 0 ? usualLength : Math.min(mostLength, length)
    }
    this.#readLength = within(reply.limit())
    this.#writeLength = within(reply.limit())
  }

  async #attributes(type: number, path: HostPath): Promise<SftpAttributes> {
    return (await this.#ask(type, packet().string(nameBytes(path)), packetType.attributes)).attributes()
  }

  async #open(path: HostPath, flags: number, mode: number | undefined): Promise<Buffer> {
    const body = packet().string(nameBytes(path)).number(flags).attributes({ mode })
    const handle = (await this.#ask(packetType.open, body, packetType.handle)).string()
    if (handle.length > longestHandle) throw new PacketError('a handle that is too long')
    return Buffer.from(handle)
  }

  async #ok(type: number, body: PacketWriter, how?: Sending): Promise<void> {
    const reply = await this.#send(type, body, how)
    if (reply.type !== packetType.status) throw new PacketError('a reply of another kind than was asked for')
    const refusal = refusalOf(reply.body)
    if (refusal !== undefined) throw refusal
  }

  /** @returns what a reply of the wanted type holds. @throws SftpRefusal. */
  async #ask(type: number, body: PacketWriter, wanted: number): Promise<PacketReader> {
    const reply = await this.#send(type, body)
    if (reply.type === wanted) return reply.body
    if (reply.type === packetType.status) throw refusalOf(reply.body) ?? new PacketError('a reply without an answer')
    throw new PacketError('a reply of another kind than was asked for')
  }

  #send(type: number, body: PacketWriter, { target, room, isOut }: Sending = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure)
        return
      }
      if (this.#waiting.size === 0) this.#asked = performance.now()
      const id = this.#nextId
      this.#nextId = (id + 1) % 2 ** 32
      this.#waiting.set(id, { resolve, reject, target })
      this.#connection.stream.write(body.finish(type, id, room), isOut)
    })
  }

  async #receive(): Promise<void> {
    try {
      for (;;) await this.#reply()
    } catch (error) {
      if (this.#failure === undefined) this.#fail(await this.#explained(error))
    }
  }

  async #reply(): Promise<void> {
    const { type, length } = await this.#head()
    const id = new PacketReader(await this.#take(Math.min(4, length))).number()
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) throw new PacketError('a reply to nothing that was asked')
    const isData = type === packetType.data && waiting.target !== undefined
    const filled = isData ? await this.#fill(waiting.target, length - 4) : 0
    const body = new PacketReader(await this.#take(isData ? 0 : length - 4))
    this.#waiting.delete(id)
    waiting.resolve({ type, body, filled })
  }

  /** Takes the bytes of a read. @param length of what is left of the packet. */
  async #fill(target: Uint8Array, length: number): Promise<number> {
    const count = new PacketReader(await this.#take(Math.min(4, length))).number()
    if (count > length - 4) throw new PacketError('it ends too early')
    if (count === 0 || count > target.length) throw new PacketError('more or less bytes than were asked for')
    await this.#connection.reader.into(target.subarray(0, count))
    await this.#take(length - 4 - count)
    return count
  }

  async #next(): Promise<Pick<Reply, 'type' | 'body'>> {
    const { type, length } = await this.#head()
    return { type, body: new PacketReader(await this.#take(length)) }
  }

  /** The type of a packet, and the length of what follows. */
  async #head(): Promise<{ readonly type: number; readonly length: number }> {
    const head = await this.#take(5)
    const length = head.readUInt32BE(0)
    if (length < 1 || length > longestPacket) throw new PacketError('it is no packet of SFTP')
    return { type: head.readUInt8(4), length: length - 1 }
  }

  async #take(count: number): Promise<Buffer> {
    return await this.#connection.reader.take(count)
  }

  #watch(): void {
    // Before it is open somebody may be typing a password.
    const limit = this.#isOpen ? this.#milliseconds : 10 * this.#milliseconds
    if (this.#isOpen && this.#waiting.size === 0) return
    const { reader } = this.#connection
    if (performance.now() - Math.max(this.#asked, reader.heard) <= limit) return
    const silence = this.#connection.silent()
    this.#fail(silence)
    reader.fail(silence)
  }

  #fail(error: ImageError): void {
    this.#failure ??= error
    clearInterval(this.#timer)
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
  }

  async #explained(error: unknown): Promise<ImageError> {
    if (isImageError(error)) return error
    if (error instanceof PacketError)
      return corrupt(
        'E_SSH_PROTOCOL',
        `${this.label}: the other side does not speak SFTP as it should: ${error.message}`,
        {
          hint: 'A start-up file of the shell there must not print anything.',
        },
      )
    return await this.#connection.failure(this.#isOpen)
  }
}

/** What befalls a target is no damage of a source. */
export function ofTarget(failure: ImageError): ImageError {
  if (failure.kind !== 'corrupt') return failure
  const { code, message, hint } = failure
  return targetError(code === 'E_SSH_PROTOCOL' ? 'E_WRITE' : 'E_TARGET_LOST', message, { hint, cause: failure })
}

function packet(): PacketWriter {
  return new PacketWriter()
}

/** @returns undefined where a status says that it was done. */
function refusalOf(body: PacketReader): SftpRefusal | undefined {
  const status = body.number()
  if (status === statusCode.ok) return undefined
  const message = body.isAtEnd ? '' : printable(body.string().toString().slice(0, 400))
  return new SftpRefusal(status, message === '' ? `status ${status}` : message)
}
