import fs from '../sys/host-fs.js'
import { exitCodes, systemCode, systemReason, targetError, type ImageError } from '../errors.js'
import { once } from '../sys/once.js'
import { mayBeTerminal } from '../sys/terminal.js'

type Done = (error?: Error | null) => void
type Guarded = Pick<NodeJS.WriteStream, 'on' | 'isTTY' | 'write'>
type Failed = (cause: Error) => void
const descriptors = { stdout: 1, stderr: 2 } as const
type StandardName = keyof typeof descriptors

/**
 * Watches standard output and standard error, so that what they do not take is neither lost in silence nor a crash.
 *
 * Node writes to a file with one call and does not look at how much of it went: on a full disk the rest would be gone
 * without a word. Files and devices are therefore written here. A reader that has gone away (`| head`) is no failure of
 * text; an image that went to it is one, which streams.ts reports.
 *
 * Node loads its modules for streams and sockets when either stream is first used, which takes milliseconds. Here that
 * happens only when something is written to a pipe or a terminal, or wanted of a file besides writing to it.
 */
class Outputs {
  #failure: ImageError | undefined
  /** Set when standard error takes nothing: nobody can be informed, only the exit code is left. */
  #mute = false
  /** The streams that Node has made. */
  readonly #used = new Set<NodeJS.WriteStream>()

  /** To be called once, before anything is written. */
  watch(): void {
    this.#watch('stdout', (cause) => {
      this.#failure ??= outputError(cause, 'standard output')
    })
    this.#watch('stderr', (cause) => {
      this.#mute = true
      this.#failure ??= outputError(cause, 'standard error')
    })
  }

  #watch(name: StandardName, failed: Failed): void {
    const own = Object.getOwnPropertyDescriptor(process, name)
    const whole = once(() => {
      const stream = (own?.get === undefined ? process[name] : own.get.call(process)) as NodeJS.WriteStream
      guard(stream, descriptors[name], failed)
      this.#used.add(stream)
      return stream
    })
    if (own?.get === undefined) whole()
    else {
      const isPlain = isFile(descriptors[name]) && !mayBeTerminal(descriptors[name])
      const get = isPlain ? once(() => fileOutput(whole, descriptors[name], reporting(failed))) : whole
      Object.defineProperty(process, name, { configurable: true, enumerable: true, get })
    }
  }

  /** Waits until pipes have taken what was printed. */
  async drained(): Promise<void> {
    for (const stream of this.#used) await new Promise<void>((resolve) => stream.write('', () => resolve()))
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
  return targetError('E_WRITE', `${name} cannot be written: ${systemReason(cause)}`, { cause })
}

/** After the first EPIPE a stream is destroyed, and every later write fails so. */
export function isReaderGone(cause: Error): boolean {
  return ['EPIPE', 'ERR_STREAM_DESTROYED'].includes((cause as NodeJS.ErrnoException).code ?? '')
}

const reporting =
  (failed: Failed): Failed =>
  (cause) => {
    if (!isReaderGone(cause)) failed(cause)
  }

function guard(stream: Guarded, descriptor: number, failed: Failed): void {
  const report = reporting(failed)
  stream.on('error', report)
  if (!stream.isTTY && isFile(descriptor)) stream.write = fileWriter(descriptor, report)
}

/** Node's `write` of a stream, for a file. */
function fileWriter(descriptor: number, report: Failed): NodeJS.WriteStream['write'] {
  return (chunk: Uint8Array | string, encoding?: BufferEncoding | Done, done?: Done): boolean => {
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

/** A stream of Node's that is only made when more is asked of it than to write to its file, and to report errors. */
function fileOutput(make: () => NodeJS.WriteStream, descriptor: number, report: Failed): NodeJS.WriteStream {
  const listeners: Failed[] = []
  const whole = once(() => {
    const stream = make()
    for (const each of listeners) stream.on('error', each)
    known.delete('on')
    return stream
  })
  const output = new Proxy<object>(Object.create(null) as object, {
    get: (_, key) => {
      if (known.has(key)) return known.get(key)
      const value: unknown = Reflect.get(whole(), key)
      return typeof value === 'function' ? (value.bind(whole()) as unknown) : value
    },
    set: (_, key, value) => {
      known.delete(key)
      return Reflect.set(whole(), key, value)
    },
    has: (_, key) => key in whole(),
    getPrototypeOf: () => Object.getPrototypeOf(whole()) as object,
  })
  const known = new Map<string | symbol, unknown>([
    ['write', fileWriter(descriptor, report)],
    [
      'on',
      (event: string, listener: Failed) => {
        // oclif listens for errors, which are reported here: Node's stream is not used to write.
        if (event === 'error') listeners.push(listener)
        else whole().on(event, listener)
        return output
      },
    ],
    ['fd', descriptor],
    ['isTTY', undefined],
    ['columns', undefined],
  ])
  return output as NodeJS.WriteStream
}

/** Standard error, as progress uses it: nothing is asked of a stream that is no terminal before it is written to. */
export const standardError = {
  get isTTY(): boolean {
    return mayBeTerminal(descriptors.stderr) && process.stderr.isTTY
  },
  get columns(): number {
    return process.stderr.columns
  },
  write: (text: string): boolean => process.stderr.write(text),
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
