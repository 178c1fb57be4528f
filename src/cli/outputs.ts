import fs from '../sys/host-fs.js'
import { exitCodes, systemCode, targetError, type ImageError } from '../errors.js'

type Done = (error?: Error | null) => void
type Guarded = Pick<NodeJS.WriteStream, 'on' | 'isTTY' | 'write'>

/**
 * Watches standard output and standard error, so that what they do not take is neither lost in silence nor a crash.
 *
 * Node writes to a file with one call and does not look at how much of it went: on a full disk the rest would be gone
 * without a word. Files and devices are therefore written here. A reader that has gone away (`| head`) is no failure of
 * text; an image that went to it is one, which streams.ts reports.
 */
export class Outputs {
  #failure: ImageError | undefined
  /** Set when standard error takes nothing: nobody can be informed, only the exit code is left. */
  #mute = false

  /** @param out standard output, descriptor 1. @param problems standard error, descriptor 2. */
  watch(out: Guarded, problems: Guarded): void {
    guard(out, 1, (cause) => {
      this.#failure ??= outputError(cause, 'standard output')
    })
    guard(problems, 2, (cause) => {
      this.#mute = true
      this.#failure ??= outputError(cause, 'standard error')
    })
  }

  /** Why something that was printed did not arrive; undefined when all of it did, or nobody waits for it. */
  get failure(): ImageError | undefined {
    return this.#failure
  }

  /**
   * What there is to report at the end of a command whose own exit code is `code`; undefined where nobody can see it.
   */
  unreported(code: number): ImageError | undefined {
    return this.#mute || this.exitCode(code) === code ? undefined : this.#failure
  }

  /**
   * The exit code of a command whose own is `code`. An answer that was lost is no answer, so 7 comes before 0 and 1; an
   * error keeps its own.
   */
  exitCode(code: number): number {
    return this.#failure === undefined || code > exitCodes.negative ? code : exitCodes[this.#failure.kind]
  }
}

/** The streams of this process. */
export const outputs = new Outputs()

/** A failed write to a standard stream. Nobody reads the rest: EPIPE, which only matters for images. */
export function outputError(cause: Error, name: string): ImageError {
  const code = systemCode(cause)
  if (isReaderGone(cause))
    return targetError('E_PIPE', `the reader of ${name} went away before everything was written`, { cause })
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return targetError('E_NO_SPACE', `${name} cannot be written: no space left`, { cause })
  return targetError('E_WRITE', `${name} cannot be written: ${cause.message}`, { cause })
}

/** After the first EPIPE a stream is destroyed, and every later write fails so. */
export function isReaderGone(cause: Error): boolean {
  return ['EPIPE', 'ERR_STREAM_DESTROYED'].includes((cause as NodeJS.ErrnoException).code ?? '')
}

function guard(stream: Guarded, descriptor: number, failed: (cause: Error) => void): void {
  const report = (cause: Error): void => {
    if (!isReaderGone(cause)) failed(cause)
  }
  stream.on('error', report)
  if (stream.isTTY || !isFile(descriptor)) return
  stream.write = (chunk: Uint8Array | string, encoding?: BufferEncoding | Done, done?: Done): boolean => {
    const then = typeof encoding === 'function' ? encoding : done
    const bytes =
      typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8') : chunk
    let failure: Error | undefined
    try {
      writeWhole(descriptor, bytes)
    } catch (cause) {
      failure = cause instanceof Error ? cause : new Error(String(cause))
      report(failure)
    }
    if (then !== undefined) process.nextTick(then, failure)
    return true
  }
}

function isFile(descriptor: number): boolean {
  try {
    const stat = fs.fstatSync(descriptor)
    return stat.isFile() || stat.isCharacterDevice() || stat.isBlockDevice()
  } catch {
    // Closed by the caller: Node's own stream answers.
    return false
  }
}

/** Which regular file a descriptor is of; undefined where it is something else. */
export function fileOf(descriptor: number): { readonly device: bigint; readonly inode: bigint } | undefined {
  try {
    const stat = fs.fstatSync(descriptor, { bigint: true })
    return stat.isFile() ? { device: stat.dev, inode: stat.ino } : undefined
  } catch {
    // Closed by the caller.
    return undefined
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += fs.writeSync(descriptor, bytes, done, bytes.length - done)
}
