import fs from 'node:fs'
import { PacketReader, PacketWriter, packetType, openFlag, statusCode } from '../../src/remote/ssh/sftp-packets.js'

/** A request of a client. */
export interface SftpRequest {
  readonly type: number
  readonly id: number
  readonly body: Buffer
}

/** What a server does otherwise than it should. */
export interface Wrong {
  /** In place of the first packet. */
  readonly version?: () => Buffer
  /** Extensions besides the usual ones. */
  readonly extensions?: readonly string[]
  /** Of `limits@openssh.com`: the longest read and write. */
  readonly limits?: bigint
  /** In place of a reply; `silent`: none; undefined: the right one. @param honest does what was asked. */
  readonly reply?: (request: SftpRequest, honest: () => Buffer) => Buffer | 'silent' | undefined
}

export const statusReply = (id: number, code: number, message = ''): Buffer =>
  new PacketWriter().number(code).string(message).string('').finish(packetType.status, id)

export const dataReply = (id: number, bytes: Uint8Array): Buffer =>
  new PacketWriter().string(bytes).finish(packetType.data, id)

/** The extension that a request names. */
export const extensionOf = ({ type, body }: SftpRequest): string =>
  type === packetType.extended ? new PacketReader(body).string().toString() : ''

const usualExtensions = ['fsync@openssh.com', 'hardlink@openssh.com', 'posix-rename@openssh.com']

/** Serves the files of this machine by SFTP over standard input and output, but for what it does wrong. */
export function serveSftp(wrong: Wrong): void {
  let waiting = Buffer.alloc(0)
  process.stdin.on('data', (bytes: Buffer) => {
    waiting = Buffer.concat([waiting, bytes])
    while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUInt32BE(0)) {
      const packet = Buffer.from(waiting.subarray(4, 4 + waiting.readUInt32BE(0)))
      waiting = waiting.subarray(4 + packet.length)
      const type = packet.readUInt8(0)
      if (type === packetType.init) process.stdout.write(wrong.version?.() ?? version(wrong))
      else answer({ type, id: packet.readUInt32BE(1), body: packet.subarray(5) }, wrong)
    }
  })
  process.stdin.on('end', () => process.exit(0))
  process.stdout.on('error', () => process.exit(0))
}

function version({ extensions = [], limits }: Wrong): Buffer {
  const packet = new PacketWriter().number(3)
  for (const name of [...usualExtensions, ...extensions, ...(limits === undefined ? [] : ['limits@openssh.com'])])
    packet.string(name).string('1')
  return packet.finish(packetType.version)
}

function answer(request: SftpRequest, wrong: Wrong): void {
  const honest = (): Buffer => rightReply(request, wrong)
  const reply = wrong.reply?.(request, honest) ?? honest()
  if (reply !== 'silent') process.stdout.write(reply)
}

function rightReply(request: SftpRequest, wrong: Wrong): Buffer {
  const { type, id } = request
  try {
    return extensionOf(request) === 'limits@openssh.com' ? limitsReply(id, wrong.limits ?? 0n) : done(request)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const known = { ENOENT: statusCode.noSuchFile, EACCES: statusCode.permissionDenied }[code ?? '']
    return statusReply(id, known ?? 4, `${type}: ${message}`)
  }
}

function limitsReply(id: number, longest: bigint): Buffer {
  const words = Buffer.alloc(32)
  for (const at of [8, 16]) words.writeBigUInt64BE(longest, at)
  const reply = new PacketWriter().finish(packetType.extendedReply, id)
  reply.writeUInt32BE(5 + words.length)
  return Buffer.concat([reply, words])
}

/** Names that are still to be listed. */
let listed: Buffer[] = []

function done(request: SftpRequest): Buffer {
  const { type, id } = request
  const body = new PacketReader(request.body)
  const path = body.string()
  // A handle is the number of the open file.
  const file = Number(path.toString())
  switch (type) {
    case packetType.open: {
      const handle = String(fs.openSync(path, modeOf(body.number())))
      return new PacketWriter().string(handle).finish(packetType.handle, id)
    }
    case packetType.read: {
      const [position, length] = [body.long(), body.number()]
      const bytes = Buffer.alloc(length)
      const count = fs.readSync(file, bytes, 0, length, position)
      return count === 0 ? statusReply(id, statusCode.endOfFile) : dataReply(id, bytes.subarray(0, count))
    }
    case packetType.write: {
      const position = body.long()
      const bytes = body.string()
      fs.writeSync(file, bytes, 0, bytes.length, position)
      break
    }
    case packetType.fsetstat:
      fs.ftruncateSync(file, body.attributes().size)
      break
    case packetType.opendir:
      listed = fs.readdirSync(path, 'buffer')
      return new PacketWriter().string('folder').finish(packetType.handle, id)
    case packetType.readdir: {
      const names = listed.splice(0, 2)
      if (names.length === 0) return statusReply(id, statusCode.endOfFile)
      const reply = new PacketWriter().number(names.length)
      // A long name, and attributes of which none is known.
      for (const name of names) reply.string(name).string('').number(0)
      return reply.finish(packetType.name, id)
    }
    case packetType.close:
      if (path.toString() !== 'folder') fs.closeSync(file)
      break
    case packetType.remove:
      fs.unlinkSync(path)
      break
    case packetType.rename:
      fs.renameSync(path, body.string())
      break
    case packetType.realpath:
      return new PacketWriter().number(1).string(fs.realpathSync(path)).finish(packetType.name, id)
    case packetType.stat:
      return attributesReply(id, fs.statSync(path))
    case packetType.lstat:
      return attributesReply(id, fs.lstatSync(path))
    case packetType.fstat:
      return attributesReply(id, fs.fstatSync(file))
    case packetType.extended:
      if (!extend(path.toString(), body)) return statusReply(id, statusCode.unsupported)
      break
    default:
      return statusReply(id, statusCode.unsupported)
  }
  return statusReply(id, statusCode.ok)
}

function extend(name: string, body: PacketReader): boolean {
  if (name === 'fsync@openssh.com') fs.fsyncSync(Number(body.string().toString()))
  else if (name === 'hardlink@openssh.com') fs.linkSync(body.string(), body.string())
  else if (name === 'posix-rename@openssh.com') fs.renameSync(body.string(), body.string())
  else return false
  return true
}

function modeOf(flags: number): number {
  const has = (flag: number): boolean => Math.floor(flags / flag) % 2 === 1
  const { O_RDWR, O_RDONLY, O_CREAT, O_EXCL } = fs.constants
  return (
    (has(openFlag.write) ? O_RDWR : O_RDONLY) +
    (has(openFlag.create) ? O_CREAT : 0) +
    (has(openFlag.exclusive) ? O_EXCL : 0)
  )
}

function attributesReply(id: number, { size, mode, mtimeMs }: fs.Stats): Buffer {
  // Size, permissions and times.
  const body = new PacketWriter()
    .number(1 + 4 + 8)
    .long(size)
    .number(mode)
  const seconds = Math.floor(mtimeMs / 1000)
  return body.number(seconds).number(seconds).finish(packetType.attributes, id)
}
