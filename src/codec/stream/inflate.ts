import { createRequire } from 'node:module'
import streams from 'node:stream'
import zlib from 'node:zlib'
import type { Input } from './input.js'

/** Inflates one raw deflate stream (RFC 1951) that begins where the input stands, and leaves the input behind it. */
export interface InflateEngine {
  readonly name: 'zlib-sync' | 'node'
  /** @param whole the stream is all that the input has: its exact end is not looked for. */
  inflate(input: Input, whole?: boolean): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** One push gives all that its bytes hold, in one piece: 16 KiB can be 16 MiB. */
const sliceLength = 16384

/** What is used of the package zlib-sync. */
interface ZlibSync {
  readonly Inflate: new (options: { windowBits: number; chunkSize: number }) => {
    readonly result: Buffer | null
    readonly msg: string | null
    readonly err: number
    push(bytes: Uint8Array, flush: number): void
  }
  readonly Z_SYNC_FLUSH: number
  readonly Z_STREAM_END: number
  readonly Z_BUF_ERROR: number
}

/**
 * zlib-sync, where it is installed (it is compiled at installation). It works in this thread without waiting, so it
 * belongs into threads that do nothing else. Undefined where there is none.
 */
export function zlibSyncEngine(): InflateEngine | undefined {
  let module: ZlibSync
  try {
    module = createRequire(import.meta.url)('zlib-sync') as ZlibSync
  } catch {
    // Optional, and compiled for one version of Node.
    return undefined
  }
  return { name: 'zlib-sync', inflate: (input, whole) => inflateSync(module, input, whole) }
}

/** Node's own zlib. It says exactly how many bytes belonged to the stream. */
export const nodeEngine: InflateEngine = { name: 'node', inflate: (input) => inflateByNode(input) }

let chosen: InflateEngine | undefined

/** The faster of those that are there. */
export function inflateEngine(): InflateEngine {
  return (chosen ??= zlibSyncEngine() ?? nodeEngine)
}

/**
 * zlib-sync does not say where a stream ended within the last slice, so the caller's trailer (CRC-32 and length of
 * what came out, as gzip has it) is looked for there. If it is there twice, Node's zlib goes over the stream again.
 */
async function* inflateSync(module: ZlibSync, input: Input, whole = false): AsyncGenerator<Uint8Array> {
  const start = input.position
  const inflate = new module.Inflate({ windowBits: -15, chunkSize: 262144 })
  let crc = 0
  let length = 0
  let before = start
  while (inflate.err !== module.Z_STREAM_END) {
    before = input.position
    const slice = input.some(sliceLength)
    if (slice.length === 0) throw input.cut('its compressed data')
    inflate.push(slice, module.Z_SYNC_FLUSH)
    if (inflate.err < 0 && inflate.err !== module.Z_BUF_ERROR)
      throw input.damaged(`the deflate data does not decode: ${inflate.msg ?? `error ${inflate.err}`}`, before)
    const { result } = inflate.err < 0 ? { result: null } : inflate
    if (result === null || result.length === 0) continue
    crc = zlib.crc32(result, crc)
    length += result.length
    yield result
  }
  if (whole && input.remaining === 0) return
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc, 0)
  trailer.writeUInt32LE(length % 4294967296, 4)
  // At least the last byte of the stream is in the last slice.
  input.position = before
  const around = Buffer.from(input.peek(sliceLength + 8))
  // Zeros alone (no content) are met at the wrong place too easily.
  const found = crc === 0 ? -1 : around.indexOf(trailer, 1)
  if (found > 0 && around.indexOf(trailer, found + 1) < 0) {
    input.position = before + found
    return
  }
  // Not there (a wrong trailer: the caller reports it) or there twice: only an exact end will do.
  input.position = start
  const again = inflateByNode(input)
  while ((await again.next()).done !== true) continue
}

async function* inflateByNode(input: Input): AsyncGenerator<Uint8Array> {
  const start = input.position
  const inflate = zlib.createInflateRaw({ chunkSize: 262144 })
  const source = streams.Readable.from(slices(input), { objectMode: false, highWaterMark: 65536 })
  source.on('error', (error) => inflate.destroy(error))
  source.pipe(inflate)
  try {
    for await (const piece of inflate as AsyncIterable<Buffer>) yield piece
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'Z_BUF_ERROR') throw input.cut('its compressed data')
    if (code?.startsWith('Z_') !== true) throw cause
    throw input.damaged(`the deflate data does not decode: ${(cause as Error).message}`, start + inflate.bytesWritten)
  } finally {
    source.destroy()
  }
  input.position = start + inflate.bytesWritten
}

function* slices(input: Input): Generator<Uint8Array> {
  for (;;) {
    const slice = input.some(65536)
    if (slice.length === 0) return
    // The memory of a slice is used again, and the stream keeps what it was given.
    yield Uint8Array.from(slice)
  }
}
