/**
 * Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), which every server speaks. Numbers are big-endian, strings
 * have their length before them.
 */
export const packetType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  realpath: 16,
  stat: 17,
  rename: 18,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const

export const statusCode = { ok: 0, endOfFile: 1, noSuchFile: 2, permissionDenied: 3, unsupported: 8 } as const

export const openFlag = { read: 1, write: 2, create: 8, exclusive: 0x20 } as const

const attribute = { size: 1, owner: 2, permissions: 4, times: 8, extended: 0x80000000 } as const

/** What is known of a file. */
export interface SftpAttributes {
  /** Bytes. */
  readonly size?: number
  /** File type and permission bits, as `st_mode` has them. */
  readonly mode?: number
  /** Seconds since 1970. */
  readonly modified?: number
}

const kindUnit = 0o10000
const [folderKind, regularKind] = [0o4, 0o10]

/** What a file is, as `st_mode` has it; undefined where the server does not say it. */
export function fileKind({ mode }: SftpAttributes): 'file' | 'folder' | 'other' | undefined {
  if (mode === undefined) return undefined
  const kind = Math.floor(mode / kindUnit) % 0o20
  if (kind === regularKind) return 'file'
  return kind === folderKind ? 'folder' : 'other'
}

/** A packet is not built as it should be. */
export class PacketError extends Error {}

/** Puts a packet together. */
export class PacketWriter {
  readonly #parts: Buffer[] = []

  number(value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    this.#parts.push(bytes)
    return this
  }

  long(value: number): this {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(BigInt(value))
    this.#parts.push(bytes)
    return this
  }

  string(bytes: Uint8Array | string): this {
    const given = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    this.number(given.length)
    this.#parts.push(Buffer.from(given.buffer, given.byteOffset, given.byteLength))
    return this
  }

  attributes({ size, mode }: Pick<SftpAttributes, 'size' | 'mode'>): this {
    this.number((size === undefined ? 0 : attribute.size) + (mode === undefined ? 0 : attribute.permissions))
    if (size !== undefined) this.long(size)
    return mode === undefined ? this : this.number(mode)
  }

  /**
   * The packet with its length, type and, but for the first of a session, id; a copy of all that was given.
   * @param room where it is made; new memory costs more than what is copied.
   */
  finish(type: number, id?: number, room?: Buffer): Buffer {
    const head = Buffer.alloc(id === undefined ? 5 : 9)
    const length = this.#parts.reduce((sum, part) => sum + part.length, head.length - 4)
    head.writeUInt32BE(length)
    head.writeUInt8(type, 4)
    if (id !== undefined) head.writeUInt32BE(id, 5)
    if (room === undefined) return Buffer.concat([head, ...this.#parts])
    let end = 0
    for (const part of [head, ...this.#parts]) {
      room.set(part, end)
      end += part.length
    }
    return room.subarray(0, end)
  }
}

/** Takes a packet apart; whatever a server sends, nothing behind its end is read. @throws PacketError. */
export class PacketReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  number(): number {
    return this.#take(4).readUInt32BE()
  }

  long(): number {
    const value = this.#take(8).readBigUInt64BE()
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new PacketError('it has a number that is too large')
    return Number(value)
  }

  /** A number that may be larger than can be counted: Infinity then. */
  limit(): number {
    const value = this.#take(8).readBigUInt64BE()
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(value)
  }

  string(): Buffer {
    return this.#take(this.number())
  }

  attributes(): SftpAttributes {
    const flags = this.number()
    const has = (flag: number): boolean => Math.floor(flags / flag) % 2 === 1
    const size = has(attribute.size) ? this.long() : undefined
    if (has(attribute.owner)) this.#take(8)
    const mode = has(attribute.permissions) ? this.number() : undefined
    let modified: number | undefined
    if (has(attribute.times)) {
      this.#take(4)
      modified = this.number()
    }
    if (has(attribute.extended)) for (let left = this.number(); left > 0; left--) this.#skipPair()
    return { size, mode, modified }
  }

  #skipPair(): void {
    this.string()
    this.string()
  }

  #take(count: number): Buffer {
    if (count > this.#bytes.length - this.#at) throw new PacketError('it ends too early')
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }
}
