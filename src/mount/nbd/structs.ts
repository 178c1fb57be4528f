import { viewOf } from '../../binary/integers.js'
import { struct, u16, u32, u64, type StructValues } from '../../binary/struct.js'

/**
 * The NBD protocol, fixed newstyle, as github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md has it: what goes
 * over the wire.
 * Everything is big-endian. Names are the specification's, without the prefix NBD_.
 */
export const greetingMagic = 0x4e42444d41474943n
export const optionMagic = 0x49484156454f5054n
export const optionReplyMagic = 0x0003e889045565a9n
export const requestMagic = 0x25609513
export const simpleReplyMagic = 0x67446698
export const chunkMagic = 0x668e33ef

/** What a server says first ("Newstyle negotiation"). */
export const greeting = struct('big', 18, { magic: u64(0), option: u64(8), flags: u16(16) })
/** What a client answers. */
export const clientFlags = struct('big', 4, { flags: u32(0, 'hex') })
/** Before each option of a client; `length` bytes follow. */
export const optionHeader = struct('big', 16, { magic: u64(0, 'hex'), option: u32(8), length: u32(12) })
/** Before each reply to an option; `length` bytes follow. */
export const optionReply = struct('big', 20, {
  magic: u64(0, 'hex'),
  option: u32(8),
  type: u32(12, 'hex'),
  length: u32(16),
})
/** The answer to EXPORT_NAME, which has no header; 124 zero bytes follow unless both sides said NO_ZEROES. */
export const exportAnswer = struct('big', 10, { size: u64(0), flags: u16(8) })
export const exportAnswerPadding = 124
/** INFO_EXPORT. */
export const exportInfo = struct('big', 12, { type: u16(0), size: u64(2), flags: u16(10) })
/** INFO_BLOCK_SIZE. */
export const blockSizeInfo = struct('big', 14, { type: u16(0), minimum: u32(2), preferred: u32(6), maximum: u32(10) })
/** A request of the transmission phase. */
export const request = struct('big', 28, {
  magic: u32(0, 'hex'),
  flags: u16(4),
  type: u16(6),
  cookie: u64(8, 'hex'),
  offset: u64(16),
  length: u32(24),
})
export type Request = StructValues<typeof request>
/**
 * The same as `request.read`, field by field: a server reads one for everything that it does, and this takes a fraction
 * of the time.
 */
export function readRequest(bytes: Uint8Array): Request {
  const view = viewOf(bytes)
  const { magic, flags, type, cookie, offset, length } = request.fields
  return {
    magic: magic.get(view, magic.offset, 'big'),
    flags: flags.get(view, flags.offset, 'big'),
    type: type.get(view, type.offset, 'big'),
    cookie: cookie.get(view, cookie.offset, 'big'),
    offset: offset.get(view, offset.offset, 'big'),
    length: length.get(view, length.offset, 'big'),
  }
}
/** A simple reply. */
export const simpleReply = struct('big', 16, { magic: u32(0, 'hex'), error: u32(4), cookie: u64(8, 'hex') })
/** A chunk of a structured reply; `length` bytes follow. */
export const chunkHeader = struct('big', 20, {
  magic: u32(0, 'hex'),
  flags: u16(4),
  type: u16(6),
  cookie: u64(8, 'hex'),
  length: u32(16),
})
/** The payload of REPLY_TYPE_OFFSET_DATA begins with it. */
export const chunkOffset = struct('big', 8, { offset: u64(0) })
/** The payload of REPLY_TYPE_OFFSET_HOLE. */
export const holePayload = struct('big', 12, { offset: u64(0), size: u32(8) })
/** The payload of the error types begins with it; the message follows, and for ERROR_OFFSET the offset. */
export const errorPayload = struct('big', 6, { error: u32(0), messageLength: u16(4) })
/** One descriptor of REPLY_TYPE_BLOCK_STATUS, behind the context's id. */
export const blockDescriptor = struct('big', 8, { length: u32(0), status: u32(4) })

/** Options of a client (NBD_OPT_…). */
export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const

/** Replies to options (NBD_REP_…). */
export const replyType = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errorUnsupported: 0x80000001,
  errorPolicy: 0x80000002,
  errorInvalid: 0x80000003,
  errorTlsRequired: 0x80000005,
  errorUnknown: 0x80000006,
  errorTooBig: 0x80000009,
} as const
/** Reply types from here on are errors, and their data is a message. */
export const firstErrorReply = 0x80000000

/** What INFO and GO can report (NBD_INFO_…). */
export const infoType = { export: 0, name: 1, description: 2, blockSize: 3 } as const

/** Commands (NBD_CMD_…). */
export const commandType = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const

/** Chunks (NBD_REPLY_TYPE_…). */
export const chunkType = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const
/** Chunk types from here on are errors. */
export const firstErrorChunk = 0x8000

/** Errors of the transmission phase: the numbers are the protocol's own, whatever the system's are. */
export const errorNumber = {
  permission: 1,
  io: 5,
  memory: 12,
  invalid: 22,
  noSpace: 28,
  overflow: 75,
  notSupported: 95,
  shutdown: 108,
} as const

/** The one metadata context that is spoken here. */
export const allocationContext = 'base:allocation'

const bitmapPrefix = 'qemu:dirty-bitmap:'

/** The context of a dirty bitmap of QEMU (docs/interop/nbd.txt there). */
export function bitmapContext(bitmap: string): string {
  return `${bitmapPrefix}${bitmap}`
}

/** The bitmaps among contexts. */
export function bitmapsOf(contexts: readonly string[]): string[] {
  return contexts.flatMap((name) => (name.startsWith(bitmapPrefix) ? [name.slice(bitmapPrefix.length)] : []))
}

/** What names may have at most, in bytes ("Values": strings). */
export const longestName = 4096
/** What a request may carry at most, in bytes, where nothing else was agreed on. */
export const longestPayload = 32 * 1024 * 1024
/** Where servers listen that name no port. */
export const defaultPort = 10809

/** A number of 32 bits that stands alone. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A number of 16 bits that stands alone. */
export function half(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
