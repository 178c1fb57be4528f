import { createHash } from 'node:crypto'
import { viewOf } from '../../binary/integers.js'
import { writeError } from '../../block/file-store.js'
import { printable, type HostPath } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { syscalls } from '../../sys/syscalls.js'

/** docs/resuming.md, "The journal". */
const magic = Buffer.from('VDISKJNL')
const version = 1
const headLength = 48
/** Most bytes of the facts, and of one record. */
const mostFacts = 1024 * 1024
const mostRecord = 16 * 1024 * 1024
/** A record's length and check. */
const recordHead = 20
const checkLength = 16

/**
 * A file of records that only grows: facts that are written once, then records, each with a check over itself and
 * everything before it. So a record that is torn, damaged, out of its order or of another journal ends what is read,
 * and nothing behind it counts.
 */
export class JournalFile implements Disposable {
  readonly path: HostPath
  /** What was written when it was made: any JSON. */
  readonly facts: unknown
  readonly #durable: boolean
  readonly #start: number
  readonly #first: Buffer
  #descriptor: number | undefined
  /** Where the next record goes, and the check that it follows on. */
  #end: number
  #check: Buffer

  private constructor(path: HostPath, descriptor: number, head: Buffer, facts: unknown, durable: boolean) {
    this.path = path
    this.facts = facts
    this.#descriptor = descriptor
    this.#durable = durable
    this.#start = this.#end = head.length
    this.#first = this.#check = digest(head)
  }

  /** Makes a new one, on the medium when this returns. @throws ImageError target. */
  static create(path: HostPath, facts: unknown, durable: boolean): JournalFile {
    const text = Buffer.from(JSON.stringify(facts))
    const head = Buffer.alloc(headLength)
    magic.copy(head)
    head.writeUInt32LE(version, 8)
    head.writeUInt32LE(text.length, 12)
    createHash('sha256').update(text).digest().copy(head, 16)
    const whole = Buffer.concat([head, text])
    let descriptor: number | undefined
    try {
      const { O_RDWR, O_CREAT, O_EXCL } = fs.constants
      descriptor = fs.openSync(path, O_RDWR + O_CREAT + O_EXCL, 0o600)
      writeAll(descriptor, 0, whole)
      if (durable) fs.fsyncSync(descriptor)
    } catch (cause) {
      if (descriptor !== undefined) {
        fs.closeSync(descriptor)
        fs.removeFileSync(path)
      }
      throw writeError(path, 'cannot be written', cause)
    }
    syscalls()?.lock(descriptor)
    return new JournalFile(path, descriptor, whole, facts, durable)
  }

  /**
   * Opens one that an earlier run left, for this process alone where the system has locks. `busy`: another process has
   * it; `damaged`: it is none, or its facts are not whole. @throws ImageError target where it cannot be read.
   */
  static open(path: HostPath, durable: boolean): JournalFile | 'busy' | 'damaged' | 'gone' {
    let descriptor: number
    try {
      descriptor = fs.openSync(path, fs.constants.O_RDWR + ((fs.constants as { O_NOFOLLOW?: number }).O_NOFOLLOW ?? 0))
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return 'gone'
      throw writeError(path, 'cannot be opened', cause)
    }
    try {
      const result = fs.fstatSync(descriptor).isFile() ? openAt(path, descriptor) : 'damaged'
      if (typeof result === 'string') fs.closeSync(descriptor)
      else return new JournalFile(path, descriptor, result.head, result.facts, durable)
      return result
    } catch (cause) {
      fs.closeSync(descriptor)
      throw writeError(path, 'cannot be read', cause)
    }
  }

  /** Whether a file begins as a journal does, or is empty. */
  static looksLikeOne(path: HostPath): boolean {
    const bytes = fs.readFileSync(path).subarray(0, magic.length)
    return bytes.equals(magic.subarray(0, bytes.length))
  }

  get #file(): number {
    if (this.#descriptor === undefined) throw new Error(`${printable(this.path)} is closed`)
    return this.#descriptor
  }

  /** The records that are whole, in order. What follows the last of them is overwritten by the next `append`. */
  *records(): Generator<Buffer, void> {
    this.#end = this.#start
    this.#check = this.#first
    const head = Buffer.alloc(recordHead)
    for (;;) {
      if (!readAll(this.#file, this.#end, head)) return
      const length = head.readUInt32LE(0)
      if (length === 0 || length > mostRecord) return
      const payload = Buffer.alloc(length)
      if (!readAll(this.#file, this.#end + recordHead, payload)) return
      const check = checkOf(this.#check, payload)
      if (!check.equals(head.subarray(4))) return
      this.#check = check
      this.#end += recordHead + length
      yield payload
    }
  }

  /** Whether something follows the last whole record: what was being written when the run ended, or damage. */
  get tail(): number {
    return Math.max(0, fs.fstatSync(this.#file).size - this.#end)
  }

  /** Adds a record behind the last one that was read or written. @throws ImageError target. */
  append(payload: Uint8Array): void {
    const check = checkOf(this.#check, payload)
    const record = Buffer.alloc(recordHead + payload.length)
    record.writeUInt32LE(payload.length, 0)
    check.copy(record, 4)
    record.set(payload, recordHead)
    try {
      writeAll(this.#file, this.#end, record)
    } catch (cause) {
      throw writeError(this.path, 'cannot be written', cause)
    }
    this.#check = check
    this.#end += record.length
  }

  /** Waits until the medium has what was added. @throws ImageError target. */
  async flush(): Promise<void> {
    if (!this.#durable) return
    const descriptor = this.#file
    await new Promise<void>((resolve, reject) => {
      fs.fdatasync(descriptor, (cause) => {
        if (cause === null) resolve()
        else reject(writeError(this.path, 'cannot be flushed to the medium', cause))
      })
    })
  }

  /** Takes the file away, while it is still this process's. */
  remove(): void {
    fs.removeFileSync(this.path)
    this[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) fs.closeSync(this.#descriptor)
    this.#descriptor = undefined
  }
}

function openAt(
  path: HostPath,
  descriptor: number,
): { readonly head: Buffer; readonly facts: unknown } | 'busy' | 'damaged' | 'gone' {
  if (syscalls()?.lock(descriptor) === false) return 'busy'
  // Who had it may have removed it before this process had the lock.
  const named = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  const { ino, dev } = fs.fstatSync(descriptor, { bigint: true })
  if (named === undefined || named.ino !== ino || named.dev !== dev) return 'gone'
  const head = Buffer.alloc(headLength)
  if (!readAll(descriptor, 0, head) || !head.subarray(0, 8).equals(magic) || head.readUInt32LE(8) !== version)
    return 'damaged'
  const length = head.readUInt32LE(12)
  const text = Buffer.alloc(Math.min(length, mostFacts))
  if (length > mostFacts || !readAll(descriptor, headLength, text)) return 'damaged'
  if (!createHash('sha256').update(text).digest().equals(head.subarray(16))) return 'damaged'
  try {
    return { head: Buffer.concat([head, text]), facts: JSON.parse(text.toString()) as unknown }
  } catch {
    return 'damaged'
  }
}

function digest(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest().subarray(0, checkLength)
}

function checkOf(before: Uint8Array, payload: Uint8Array): Buffer {
  const length = new Uint8Array(4)
  viewOf(length).setUint32(0, payload.length, true)
  return createHash('sha256').update(before).update(length).update(payload).digest().subarray(0, checkLength)
}

function readAll(descriptor: number, position: number, target: Buffer): boolean {
  for (let done = 0; done < target.length;) {
    const count = fs.readSync(descriptor, target, done, target.length - done, position + done)
    if (count === 0) return false
    done += count
  }
  return true
}

function writeAll(descriptor: number, position: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;)
    done += fs.writeSync(descriptor, bytes, done, bytes.length - done, position + done)
}
