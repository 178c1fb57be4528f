import { printable } from '../../errors.js'
import { handshakeFlags, transmissionWord } from './entries.js'
import type { ServedDisk } from './served-disk.js'
import {
  allocationContext,
  blockSizeInfo,
  exportAnswer,
  exportAnswerPadding,
  exportInfo,
  greeting,
  greetingMagic,
  infoType,
  longestName,
  longestPayload,
  option,
  optionMagic,
  optionReply,
  optionReplyMagic,
  replyType,
  half,
  word,
} from './structs.js'

/** The id by which block status chunks name base:allocation. */
export const allocationId = 1

/** What a client and the server agreed on. */
export interface Session {
  readonly disk: ServedDisk
  /** Replies to reads come in chunks. */
  readonly structured: boolean
  /** base:allocation may be asked for. */
  readonly allocation: boolean
}

/** What follows an option: more options, the transmission, a TLS handshake, or the end. */
export type Next =
  | { readonly kind: 'more' }
  | { readonly kind: 'transmission'; readonly session: Session }
  | { readonly kind: 'tls' }
  | { readonly kind: 'end' }

export interface NegotiationOptions {
  readonly disks: readonly ServedDisk[]
  /** Whether clients can, and then must, ask for TLS. */
  readonly tls: boolean
  readonly noZeroes: boolean
  readonly send: (bytes: Uint8Array) => void
}

const more: Next = { kind: 'more' }
const end: Next = { kind: 'end' }
const empty = new Uint8Array(0)

export function greetingBytes(): Uint8Array {
  return greeting.write({ magic: greetingMagic, option: optionMagic, flags: handshakeFlags })
}

/** What transmission flags a disk is announced with. */
export function flagsOf(disk: ServedDisk, structured: boolean): number {
  const { writable, fastZero } = disk
  return transmissionWord({
    readOnly: !writable,
    flush: true,
    forceUnitAccess: writable,
    trim: writable,
    writeZeroes: writable,
    dontFragment: structured,
    // All connections see one disk, and a flush of one covers what all have written.
    multipleConnections: true,
    cache: true,
    fastZero: writable && fastZero,
  })
}

/** The server's side of option negotiation, after the client's flags. It keeps no bytes: whole options go in. */
export class Negotiation {
  readonly #options: NegotiationOptions
  #secure = false
  #structured = false
  /** For which export base:allocation was agreed on. */
  #allocationFor: ServedDisk | undefined

  constructor(options: NegotiationOptions) {
    this.#options = options
  }

  /** TLS stands: all that was agreed on before is void. */
  secured(): void {
    this.#secure = true
    this.#structured = false
    this.#allocationFor = undefined
  }

  /** Answers one option. */
  take(code: number, data: Buffer): Next {
    if (code === option.abort) {
      this.#reply(code, replyType.ack)
      return end
    }
    if (code === option.startTls) return this.#startTls(data)
    if (this.#options.tls && !this.#secure) {
      if (code === option.exportName) return end
      return this.#refuse(
        code,
        replyType.errorTlsRequired,
        'this server speaks TLS only: ask for it with STARTTLS (nbds://)',
      )
    }
    switch (code) {
      case option.exportName:
        return this.#exportName(data)
      case option.list:
        return this.#list(data)
      case option.info:
      case option.go:
        return this.#info(code, data)
      case option.structuredReply:
        return this.#structuredReply(data)
      case option.listMetaContext:
      case option.setMetaContext:
        return this.#metaContext(code, data)
      default:
        return this.#refuse(code, replyType.errorUnsupported, `option ${code} is not known here`)
    }
  }

  /** Answers an option that is too long to be taken in. */
  tooLong(code: number, length: number): Next {
    if (code === option.exportName) return end
    return this.#refuse(code, replyType.errorTooBig, `${length} bytes are too many for an option`)
  }

  #startTls(data: Buffer): Next {
    if (!this.#options.tls) return this.#refuse(option.startTls, replyType.errorUnsupported, 'this server has no TLS')
    if (data.length > 0 || this.#secure)
      return this.#refuse(
        option.startTls,
        replyType.errorInvalid,
        this.#secure ? 'TLS is there already' : 'STARTTLS has no data',
      )
    this.#reply(option.startTls, replyType.ack)
    return { kind: 'tls' }
  }

  /** The oldest way to begin: it cannot say what is wrong. */
  #exportName(data: Buffer): Next {
    const disk = this.#find(data.toString())
    if (disk === undefined) return end
    const answer = exportAnswer.write({ size: BigInt(disk.capacity), flags: flagsOf(disk, this.#structured) })
    this.#options.send(this.#options.noZeroes ? answer : Buffer.concat([answer, Buffer.alloc(exportAnswerPadding)]))
    return this.#begin(disk)
  }

  #list(data: Buffer): Next {
    if (data.length > 0) return this.#refuse(option.list, replyType.errorInvalid, 'LIST has no data')
    for (const { name, description } of this.#options.disks) {
      const bytes = Buffer.from(name)
      this.#reply(option.list, replyType.server, Buffer.concat([word(bytes.length), bytes, Buffer.from(description)]))
    }
    this.#reply(option.list, replyType.ack)
    return more
  }

  #info(code: number, data: Buffer): Next {
    const parsed = nameAndRest(data)
    const count = parsed !== undefined && parsed.rest.length >= 2 ? parsed.rest.readUInt16BE(0) : undefined
    if (parsed === undefined || count === undefined || parsed.rest.length !== 2 + 2 * count)
      return this.#refuse(code, replyType.errorInvalid, 'the option is not built as it should be')
    const disk = this.#find(parsed.name)
    if (disk === undefined) return this.#unknown(code, parsed.name)
    const wanted = new Set(Array.from({ length: count }, (_, index) => parsed.rest.readUInt16BE(2 + 2 * index)))
    if (wanted.has(infoType.name))
      this.#reply(code, replyType.info, Buffer.concat([half(infoType.name), Buffer.from(disk.name)]))
    if (wanted.has(infoType.description))
      this.#reply(code, replyType.info, Buffer.concat([half(infoType.description), Buffer.from(disk.description)]))
    if (wanted.has(infoType.blockSize)) {
      this.#reply(
        code,
        replyType.info,
        blockSizeInfo.write({ type: infoType.blockSize, minimum: 1, preferred: 4096, maximum: longestPayload }),
      )
    }
    this.#reply(
      code,
      replyType.info,
      exportInfo.write({ type: infoType.export, size: BigInt(disk.capacity), flags: flagsOf(disk, this.#structured) }),
    )
    this.#reply(code, replyType.ack)
    return code === option.go ? this.#begin(disk) : more
  }

  #structuredReply(data: Buffer): Next {
    if (data.length > 0)
      return this.#refuse(option.structuredReply, replyType.errorInvalid, 'STRUCTURED_REPLY has no data')
    this.#structured = true
    this.#reply(option.structuredReply, replyType.ack)
    return more
  }

  #metaContext(code: number, data: Buffer): Next {
    const setting = code === option.setMetaContext
    // Whatever comes of it, what was agreed on before is void.
    if (setting) this.#allocationFor = undefined
    const parsed = nameAndRest(data)
    const queries = parsed === undefined ? undefined : queriesOf(parsed.rest)
    if (parsed === undefined || queries === undefined)
      return this.#refuse(code, replyType.errorInvalid, 'the option is not built as it should be')
    if (setting && !this.#structured)
      return this.#refuse(code, replyType.errorInvalid, 'metadata contexts need structured replies')
    const disk = this.#find(parsed.name)
    if (disk === undefined) return this.#unknown(code, parsed.name)
    const listed = !setting && (queries.length === 0 || queries.includes('base:'))
    if (listed || queries.includes(allocationContext)) {
      this.#reply(
        code,
        replyType.metaContext,
        Buffer.concat([word(setting ? allocationId : 0), Buffer.from(allocationContext)]),
      )
      if (setting) this.#allocationFor = disk
    }
    this.#reply(code, replyType.ack)
    return more
  }

  #begin(disk: ServedDisk): Next {
    return {
      kind: 'transmission',
      session: { disk, structured: this.#structured, allocation: this.#allocationFor === disk },
    }
  }

  #find(name: string): ServedDisk | undefined {
    const { disks } = this.#options
    return disks.find((disk) => disk.name === name) ?? (name === '' ? disks[0] : undefined)
  }

  #unknown(code: number, name: string): Next {
    return this.#refuse(code, replyType.errorUnknown, `there is no export ${printable(name)}`)
  }

  #refuse(code: number, type: number, message: string): Next {
    this.#reply(code, type, Buffer.from(message))
    return more
  }

  #reply(code: number, type: number, data: Uint8Array = empty): void {
    this.#options.send(
      Buffer.concat([optionReply.write({ magic: optionReplyMagic, option: code, type, length: data.length }), data]),
    )
  }
}

/** A name with its length before it, and what follows; undefined where that is no name. */
function nameAndRest(data: Buffer): { readonly name: string; readonly rest: Buffer } | undefined {
  if (data.length < 4) return undefined
  const length = data.readUInt32BE(0)
  if (length > longestName || length > data.length - 4) return undefined
  const name = data.subarray(4, 4 + length)
  return name.includes(0) ? undefined : { name: name.toString(), rest: data.subarray(4 + length) }
}

/** The queries of a metadata context option; undefined where they are not built as they should be. */
function queriesOf(data: Buffer): string[] | undefined {
  if (data.length < 4) return undefined
  const count = data.readUInt32BE(0)
  const queries: string[] = []
  let rest = data.subarray(4)
  while (rest.length > 0) {
    const query = nameAndRest(rest)
    if (query === undefined) return undefined
    queries.push(query.name)
    rest = query.rest
  }
  return queries.length === count ? queries : undefined
}
