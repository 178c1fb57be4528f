import fs from '../../sys/host-fs.js'
import { isImageError } from '../../errors.js'
import type { ExposedDisk } from '../exposed-disk.js'
import { fallocateWish, negotiate, opensForWriting, setsOwnership, setsSize } from './entries.js'
import { nextOfKind } from './extents.js'
import { FileFolder, type FolderLook, type ServedFile } from './folder.js'
import {
  errors,
  fallocateIn,
  inHeader,
  initIn,
  initOut,
  lseekIn,
  lseekOut,
  maxPages,
  maxTransfer,
  opcodes,
  openIn,
  openOut,
  outHeader,
  protocolMajor,
  protocolMinor,
  readIn,
  requestBufferLength,
  seekData,
  seekHole,
  setattrIn,
  writeIn,
  writeOut,
} from './protocol.js'

/** OPEN's answer: the pages stay valid, nothing but this session changes them. */
const keepCache = 2
/** More than that many requests are never in flight; the kernel's own default is 12. */
const maxBackground = 64

/** What a request is answered with: bytes, an error number, or nothing at all. */
type Answer = Uint8Array | number | undefined

const done = new Uint8Array(0)
const writing: ReadonlySet<number> = new Set([
  opcodes.write,
  opcodes.fallocate,
  opcodes.flush,
  opcodes.fsync,
  opcodes.syncfs,
])
const headLength = outHeader.size

export interface FuseSessionOptions {
  /** The descriptor of /dev/fuse; every session of a mount uses the same. Not closed here. */
  readonly descriptor: number
  readonly disk: ExposedDisk
  readonly files: readonly ServedFile[]
  readonly look: FolderLook
  /**
   * Called for requests that failed for another reason than the request itself; `writes`: what was to be written may
   * not be there.
   */
  readonly onError?: (error: unknown, writes: boolean) => void
}

/**
 * Answers the kernel's requests for a few files that are parts of a disk, one after the other: for a thread of its own,
 * which does nothing
 * else. Several sessions may share a descriptor when the disk is only read.
 */
export class FuseSession {
  readonly #options: FuseSessionOptions
  readonly #folder: FileFolder
  readonly #request = Buffer.alloc(requestBufferLength)
  readonly #view = new DataView(this.#request.buffer, this.#request.byteOffset, this.#request.length)
  /** The head of a reply, and after it the data of a READ. */
  readonly #reply = Buffer.alloc(headLength + maxTransfer)
  readonly #replyView = new DataView(this.#reply.buffer, this.#reply.byteOffset, this.#reply.length)
  /** What the last READ gave, where it lies in the reply already. */
  #given: Uint8Array | undefined
  /** Written since the last flush. */
  #dirty = false

  constructor(options: FuseSessionOptions) {
    this.#options = options
    this.#folder = new FileFolder(options.files, options.look)
  }

  /** Serves until the folder is unmounted (ENODEV). @throws Error when /dev/fuse fails otherwise. */
  run(): void {
    for (;;) {
      const length = this.#receive()
      if (length === undefined) return
      const reply = this.#respond(length)
      if (reply !== undefined) this.#send(reply)
    }
  }

  /** The reply to a request, valid until the next one; undefined where the kernel wants none. */
  respond(request: Uint8Array): Uint8Array | undefined {
    this.#request.set(request)
    return this.#respond(request.length)
  }

  #respond(length: number): Uint8Array | undefined {
    const { unique } = inHeader.fields
    const id = unique.get(this.#view, unique.offset, 'little')
    const answer = this.#answer(length)
    return answer === undefined ? undefined : this.#complete(id, answer)
  }

  #receive(): number | undefined {
    for (;;) {
      try {
        return fs.readSync(this.#options.descriptor, this.#request)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        // ENOENT: the request was taken back before it was read.
        if (code === 'ENOENT' || code === 'EINTR' || code === 'EAGAIN') continue
        // ECONNABORTED: ended through /sys/fs/fuse/connections.
        if (code === 'ENODEV' || code === 'ECONNABORTED') return undefined
        throw error
      }
    }
  }

  #answer(length: number): Answer {
    try {
      return this.#handle(length)
    } catch (error) {
      this.#options.onError?.(error, this.#writes())
      return isImageError(error) && error.code === 'E_NO_SPACE' ? errors.ENOSPC : errors.EIO
    }
  }

  /** Whether the request at hand writes or flushes. */
  #writes(): boolean {
    const { opcode } = inHeader.fields
    return writing.has(opcode.get(this.#view, opcode.offset, 'little'))
  }

  #complete(unique: bigint, answer: Uint8Array | number): Uint8Array {
    const body = typeof answer === 'number' ? done : answer
    const { length, error, unique: id } = outHeader.fields
    length.set(this.#replyView, length.offset, headLength + body.length, 'little')
    error.set(this.#replyView, error.offset, typeof answer === 'number' ? 2 ** 32 - answer : 0, 'little')
    id.set(this.#replyView, id.offset, unique, 'little')
    if (body !== this.#given) this.#reply.set(body, headLength)
    return this.#reply.subarray(0, headLength + body.length)
  }

  #send(reply: Uint8Array): void {
    try {
      fs.writeSync(this.#options.descriptor, reply)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      // ENOENT: the caller was interrupted. ENODEV: unmounted, which the next read reports too.
      if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ECONNABORTED') throw cause
    }
  }

  // eslint-disable-next-line complexity -- one case for each request of the protocol
  #handle(length: number): Answer {
    const { opcode, node: nodeField } = inHeader.fields
    const node = nodeField.get(this.#view, nodeField.offset, 'little')
    const code = opcode.get(this.#view, opcode.offset, 'little')
    // Most requests are, and whatever is made for one takes its time.
    if (code === opcodes.read) return this.#read(node)
    const body = this.#request.subarray(inHeader.size, length)
    switch (code) {
      case opcodes.write:
        return this.#write(node, body)
      case opcodes.init:
        return initAnswer(body)
      case opcodes.lookup:
        return this.#folder.isFolder(node) ? (this.#folder.lookup(nameOf(body)) ?? errors.ENOENT) : errors.ENOENT
      case opcodes.getattr:
        return this.#folder.attributes(node) ?? errors.ENOENT
      case opcodes.setattr:
        return this.#setAttributes(node, body)
      case opcodes.open:
        return this.#open(node, body)
      case opcodes.opendir:
        return openOut.write({ handle: 0n, flags: 0 })
      case opcodes.readdir: {
        const { offset, size } = readIn.read(body)
        return this.#folder.entries(Number(offset), size)
      }
      case opcodes.statfs:
        return this.#folder.statistics(this.#options.disk.capacity)
      case opcodes.flush:
      case opcodes.fsync:
      case opcodes.fsyncdir:
      case opcodes.syncfs:
        return this.#flush()
      case opcodes.fallocate:
        return this.#allocate(node, body)
      case opcodes.lseek:
        return this.#seek(node, body)
      case opcodes.release:
      case opcodes.releasedir:
      case opcodes.destroy:
        return done
      case opcodes.forget:
      case opcodes.batchForget:
      case opcodes.interrupt:
        return undefined
      default:
        return errors.ENOSYS
    }
  }

  #read(node: bigint): Answer {
    const file = this.#folder.file(node)
    if (file === undefined) return errors.EINVAL
    const offset = this.#place(readIn.fields.offset)
    const size = readIn.fields.size.get(this.#view, inHeader.size + readIn.fields.size.offset, 'little')
    const length = Math.min(size, maxTransfer, Math.max(0, file.length - offset))
    const target = this.#reply.subarray(headLength, headLength + length)
    if (length > 0) this.#options.disk.read(file.start + offset, target)
    this.#given = target
    return target
  }

  #write(node: bigint, body: Uint8Array): Answer {
    const { disk } = this.#options
    const file = this.#folder.file(node)
    if (file === undefined) return errors.EINVAL
    if (!disk.writable) return errors.EROFS
    const offset = this.#place(writeIn.fields.offset)
    const size = writeIn.fields.size.get(this.#view, inHeader.size + writeIn.fields.size.offset, 'little')
    if (size > body.length - writeIn.size) return errors.EINVAL
    if (offset + size > file.length) return errors.ENOSPC
    this.#dirty = true
    if (size > 0) disk.write(file.start + offset, body.subarray(writeIn.size, writeIn.size + size))
    return writeOut.write({ size })
  }

  /** An offset of READ and WRITE; too large for a number is far behind every file's end. */
  #place(field: typeof readIn.fields.offset): number {
    return Number(field.get(this.#view, inHeader.size + field.offset, 'little'))
  }

  #open(node: bigint, body: Uint8Array): Answer {
    if (this.#folder.file(node) === undefined) return errors.ENOENT
    const { writable } = this.#options.disk
    if (!writable && opensForWriting(openIn.read(body).flags)) return errors.EROFS
    // The whole disk and its partitions are the same bytes: what one changes, the other's cache must not keep.
    return openOut.write({ handle: 0n, flags: writable ? 0 : keepCache })
  }

  #setAttributes(node: bigint, body: Uint8Array): Answer {
    const { valid, size } = setattrIn.read(body)
    const file = this.#folder.file(node)
    if (setsSize(valid) && (file === undefined || Number(size) !== file.length)) return errors.EPERM
    if (setsOwnership(valid)) return errors.EPERM
    return this.#folder.attributes(node) ?? errors.ENOENT
  }

  #flush(): Answer {
    if (this.#dirty) {
      this.#options.disk.flush()
      this.#dirty = false
    }
    return done
  }

  #allocate(node: bigint, body: Uint8Array): Answer {
    const { disk } = this.#options
    const file = this.#folder.file(node)
    if (file === undefined) return errors.EINVAL
    if (!disk.writable) return errors.EROFS
    const request = fallocateIn.read(body)
    const offset = Number(request.offset)
    const end = offset + Number(request.length)
    const { keepsSize, does } = fallocateWish(request.mode)
    if (does === 'other') return errors.EOPNOTSUPP
    if (end > file.length && !keepsSize) return errors.ENOSPC
    // A disk has all of its space from the start; that an image allocates it only when it is written cannot be promised
    // away.
    if (does === 'reserve') return keepsSize ? done : errors.EOPNOTSUPP
    const length = Math.min(end, file.length) - offset
    if (length > 0) {
      this.#dirty = true
      disk.zero(file.start + offset, length)
    }
    return done
  }

  #seek(node: bigint, body: Uint8Array): Answer {
    const { offset: word, whence } = lseekIn.read(body)
    const file = this.#folder.file(node)
    if (file === undefined || (whence !== seekData && whence !== seekHole)) return errors.EINVAL
    const offset = Number(word)
    if (offset >= file.length) return errors.ENXIO
    const found = nextOfKind(this.#options.disk, file, offset, whence === seekData ? 'data' : 'hole')
    return found === undefined ? errors.ENXIO : lseekOut.write({ offset: BigInt(found) })
  }
}

function nameOf(body: Uint8Array): string {
  const end = body.indexOf(0)
  return Buffer.from(body.subarray(0, end < 0 ? body.length : end)).toString('utf8')
}

function initAnswer(body: Uint8Array): Answer {
  const { major, minor, maxReadahead, flags: offered } = initIn.read(body)
  if (major < protocolMajor) return errors.EINVAL
  const { flags, largeRequests } = negotiate(offered)
  return initOut.write({
    major: protocolMajor,
    minor: Math.min(minor, protocolMinor),
    maxReadahead,
    flags,
    maxBackground,
    congestionThreshold: Math.floor((maxBackground * 3) / 4),
    // A newer major version is answered with ours and asks again; without MAX_PAGES a request has at most 32 pages.
    maxWrite: largeRequests ? maxTransfer : 131072,
    timeGranularity: 1,
    maxPages: largeRequests ? maxPages : 0,
  })
}
