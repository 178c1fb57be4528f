import { hex32 } from '../binary/hex.js'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import zlib from 'node:zlib'
import type * as ZstdWasm from '@bokuweb/zstd-wasm'
import { corrupt, isImageError } from '../errors.js'
import type { Codec, JoinedUnits, PoolEncoder } from '../block/types.js'
import { codecLibraries } from '../sys/codec-libraries.js'
import { poolLibraries } from '../sys/pool-libraries.js'

/** One-shot Zstandard: whole contents in, whole frames out. */
export interface ZstdEncoder {
  readonly name: 'library' | 'node' | 'native' | 'wasm'
  compress(bytes: Uint8Array, level: number): Uint8Array
}

/** The other way round. */
export interface ZstdDecoder {
  readonly name: 'library' | 'node' | 'wasm'
  /**
   * `frame` is exactly one frame. Throws when it holds more than `limit` bytes, at the latest when that much was
   * allocated.
   */
  decompress(frame: Uint8Array, limit: number): Uint8Array
  /** The same into memory of the caller: how many bytes it holds. Absent: only the other way. */
  decompressInto?(frame: Uint8Array, target: Uint8Array): number
}

type ZstdEngine = ZstdEncoder & ZstdDecoder

/** Zstandard's own choice. */
const usualLevel = 3

let encoder: ZstdEncoder | undefined
let decoder: ZstdDecoder | undefined
let webAssembly: ZstdEngine | undefined

/**
 * The Zstandard of this thread: Node's own where it has one (22.15 and later), else a prebuilt native module, else the
 * system's libzstd, which takes new memory for each unit here, else WebAssembly, which is always there.
 */
function readyToEncode(): ZstdEncoder {
  return (encoder ??= nodeEngine() ?? nativeEncoder() ?? libraryEncoder() ?? wasmEngine())
}

/**
 * The same for decoding. The system's libzstd comes first, since it decodes into the memory that it is given, at twice
 * the pace of the others. The native module is not used: it gives every unit a buffer of its own that the garbage
 * collector does not know the size of, and hundreds of megabytes wait to be freed. WebAssembly decodes as fast, within
 * its own memory.
 */
function readyToDecode(): ZstdDecoder {
  return (decoder ??= libraryDecoder() ?? nodeEngine() ?? wasmEngine())
}

/** The implementations that this machine and this Node have, best first: for tests that compare them. */
export function zstdEngines(): {
  readonly encoders: readonly ZstdEncoder[]
  readonly decoders: readonly ZstdDecoder[]
} {
  const [node, native, wasm] = [nodeEngine(), nativeEncoder(), wasmEngine()]
  const [libraryIn, libraryOut] = [libraryEncoder(), libraryDecoder()]
  return {
    encoders: [node, native, libraryIn, wasm].filter((found) => found !== undefined),
    decoders: [libraryOut, node, wasm].filter((found) => found !== undefined),
  }
}

/** Zstandard frames (RFC 8878), as in QCOW2 clusters with compression type 1. */
export const zstdCodec: Codec = {
  id: 'zstd',
  load: () => void readyToDecode(),
  decode: (stored, target) => decodeFrames(readyToDecode(), stored, target),
  encode: zstdCompress,
  inPool: {
    get decode() {
      return poolLibraries().zstdDecode
    },
    get joined() {
      return (joined ??= joinedFrames())
    },
    encoder: poolEncoder,
    get version() {
      return poolLibraries().zstdVersion
    },
  },
}

let joined: JoinedUnits | undefined

/** libzstd decodes frame after frame, and checks each against the size that it states. */
function joinedFrames(): JoinedUnits | undefined {
  const decode = poolLibraries().zstdDecodeFrames
  if (decode === undefined) return undefined
  return {
    decode,
    measure(stored, length) {
      try {
        const frame = measureFrame(stored, 0)
        return frame.contentSize === length ? frame.length : undefined
      } catch (error) {
        // Decoded by itself it says what is wrong.
        if (isImageError(error)) return undefined
        throw error
      }
    },
  }
}

/** The system's, but for output that is to be the same everywhere. */
function poolEncoder(level = usualLevel): PoolEncoder | undefined {
  const encode = process.env['SOURCE_DATE_EPOCH'] === undefined ? poolLibraries().zstdEncode : undefined
  return encode === undefined ? undefined : (units) => encode(units, level)
}

/** More frames than this are not looked at: a unit of 2 MiB has one, and empty ones could go on for ever. */
const maximumFrames = 4096

/**
 * Fills `target` from the frames at the start of `stored`; what follows them is not looked at.
 * @throws ImageError corrupt E_COMPRESSED.
 */
export function decodeFrames(zstd: ZstdDecoder, stored: Uint8Array, target: Uint8Array): void {
  let at = 0
  let done = 0
  for (let frames = 0; done < target.length; frames++) {
    if (frames === maximumFrames)
      throw corrupt('E_COMPRESSED', `${frames} zstd frames give only ${done} of ${target.length} bytes`)
    const frame = measureFrame(stored, at)
    if (!frame.skippable) {
      const rest = target.length - done
      if (frame.contentSize !== undefined && frame.contentSize > rest) {
        throw corrupt('E_COMPRESSED', `the zstd frame says it holds ${frame.contentSize} bytes, ${rest} were expected`)
      }
      const bytes = stored.subarray(at, at + frame.length)
      let plain: Uint8Array
      try {
        if (zstd.decompressInto === undefined) plain = zstd.decompress(bytes, rest)
        else plain = target.subarray(done, done + zstd.decompressInto(bytes, target.subarray(done)))
      } catch (cause) {
        throw corrupt(
          'E_COMPRESSED',
          `the zstd frame is damaged: ${cause instanceof Error ? cause.message : String(cause)}`,
          { cause },
        )
      }
      if (plain.length > rest)
        throw corrupt('E_COMPRESSED', `the zstd frame holds more than the ${rest} bytes expected`)
      if (zstd.decompressInto === undefined) target.set(plain, done)
      done += plain.length
    }
    at += frame.length
  }
}

/**
 * Decodes the one frame at the start of `stored`, which holds at most as much as `target`. @returns how much.
 * @throws ImageError corrupt E_COMPRESSED.
 */
export function decodeZstdUpTo(stored: Uint8Array, target: Uint8Array): number {
  const zstd = readyToDecode()
  const { length, skippable } = measureFrame(stored, 0)
  if (skippable) throw corrupt('E_COMPRESSED', 'no zstd frame is here')
  try {
    if (zstd.decompressInto !== undefined) return zstd.decompressInto(stored.subarray(0, length), target)
    const plain = zstd.decompress(stored.subarray(0, length), target.length)
    if (plain.length <= target.length) {
      target.set(plain)
      return plain.length
    }
  } catch (cause) {
    throw corrupt(
      'E_COMPRESSED',
      `the zstd frame is damaged: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
  throw corrupt('E_COMPRESSED', `the zstd frame holds more than the ${target.length} bytes expected`)
}

/** One frame without checksum, with its content size where the implementation states it. @param level 1 to 22. */
export function zstdCompress(bytes: Uint8Array, level = usualLevel): Uint8Array {
  return readyToEncode().compress(bytes, level)
}

interface FrameMeasure {
  readonly length: number
  readonly skippable: boolean
  /** Bytes; not exact beyond 2^53, which is more than any unit has. */
  readonly contentSize: number | undefined
}

/**
 * How long the frame at `at` is, by its block headers (RFC 8878, 3.1.1): what follows it in a cluster is not part of
 * it, and
 * one-shot decoders refuse trailing bytes.
 */
function measureFrame(stored: Uint8Array, at: number): FrameMeasure {
  const byte = (position: number): number => {
    const value = stored[position]
    if (value === undefined)
      throw corrupt('E_COMPRESSED', `the zstd frame ends after ${stored.length - at} bytes, in the middle`)
    return value
  }
  const little = (position: number, length: number): number => {
    let value = 0
    for (let index = length - 1; index >= 0; index--) value = value * 256 + byte(position + index)
    return value
  }
  const magic = little(at, 4)
  if (magic >= 0x184d2a50 && magic <= 0x184d2a5f) {
    const length = 8 + little(at + 4, 4)
    if (at + length > stored.length) throw corrupt('E_COMPRESSED', 'a skippable zstd frame passes the end of its data')
    return { length, skippable: true, contentSize: undefined }
  }
  if (magic !== 0xfd2fb528) throw corrupt('E_COMPRESSED', `no zstd frame: it begins with 0x${hex32(magic)}`)
  const descriptor = byte(at + 4)
  if ((descriptor & 8) !== 0) throw corrupt('E_COMPRESSED', 'the zstd frame has its reserved bit set')
  const singleSegment = (descriptor & 0x20) !== 0
  const dictionaryLength = [0, 1, 2, 4][descriptor & 3] ?? 0
  const sizeCode = descriptor >> 6
  const sizeLength = sizeCode === 0 ? (singleSegment ? 1 : 0) : 2 ** sizeCode
  let position = at + 5 + (singleSegment ? 0 : 1) + dictionaryLength
  const contentSize = sizeLength === 0 ? undefined : little(position, sizeLength) + (sizeLength === 2 ? 256 : 0)
  position += sizeLength
  for (let last = false; !last;) {
    const header = little(position, 3)
    last = (header & 1) !== 0
    const type = (header >> 1) & 3
    const size = header >> 3
    if (type === 3) throw corrupt('E_COMPRESSED', 'the zstd frame has a block of the reserved type')
    position += 3 + (type === 1 ? 1 : size)
  }
  position += (descriptor & 4) !== 0 ? 4 : 0
  if (position > stored.length)
    throw corrupt('E_COMPRESSED', `the zstd frame needs ${position - at} bytes, there are ${stored.length - at}`)
  return { length: position - at, skippable: false, contentSize }
}

/** The part of node:zlib that the types of Node 20 do not know. */
interface ZlibWithZstd {
  zstdCompressSync?: (
    bytes: Uint8Array,
    options: { params: Record<number, number>; pledgedSrcSize?: number; chunkSize?: number },
  ) => Buffer
  zstdDecompressSync?: (bytes: Uint8Array, options: { maxOutputLength: number; chunkSize?: number }) => Buffer
}

/** The system's, but for output that is to be the same everywhere. */
function libraryEncoder(): ZstdEncoder | undefined {
  const encode = process.env['SOURCE_DATE_EPOCH'] === undefined ? codecLibraries().zstdEncode : undefined
  if (encode === undefined) return undefined
  return {
    name: 'library',
    compress(bytes, level) {
      const packed = encode(bytes, level)
      if (packed === undefined) throw new Error(`libzstd does not compress at level ${level}`)
      return packed
    },
  }
}

function libraryDecoder(): ZstdDecoder | undefined {
  const decode = codecLibraries().zstdDecode
  if (decode === undefined) return undefined
  const decompressInto = (frame: Uint8Array, target: Uint8Array): number => {
    const length = decode(frame, target)
    if (length === undefined) throw new Error('it is damaged, or holds more than was expected')
    return length
  }
  return {
    name: 'library',
    decompress(frame, limit) {
      const target = new Uint8Array(limit)
      return target.subarray(0, decompressInto(frame, target))
    },
    decompressInto,
  }
}

function nodeEngine(): ZstdEngine | undefined {
  const { zstdCompressSync, zstdDecompressSync } = zlib as ZlibWithZstd
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return undefined
  const levelParameter = (zlib.constants as unknown as { ZSTD_c_compressionLevel: number }).ZSTD_c_compressionLevel
  return {
    name: 'node',
    compress: (bytes, level) =>
      zstdCompressSync(bytes, {
        params: { [levelParameter]: level },
        pledgedSrcSize: bytes.length,
        chunkSize: Math.max(64, bytes.length),
      }),
    decompress: (frame, limit) =>
      zstdDecompressSync(frame, { maxOutputLength: limit, chunkSize: Math.max(64, Math.min(limit, 2 * 1024 * 1024)) }),
  }
}

function nativeEncoder(): ZstdEncoder | undefined {
  interface NativeModule {
    Encoder: new (level: number) => { encodeSync(bytes: Buffer): Buffer }
  }
  let native: NativeModule
  try {
    native = createRequire(import.meta.url)('@toondepauw/node-zstd') as NativeModule
  } catch {
    // Optional: not built for this machine. WebAssembly serves.
    return undefined
  }
  const encoders = new Map<number, { encodeSync(bytes: Buffer): Buffer }>()
  return {
    name: 'native',
    compress(bytes, level) {
      let encoder = encoders.get(level)
      if (encoder === undefined) encoders.set(level, (encoder = new native.Encoder(level)))
      return encoder.encodeSync(bufferOf(bytes))
    },
  }
}

/** What of WebAssembly is needed; Node's types have it only with those of a browser. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => object
}

/** The parts of the Emscripten module inside @bokuweb/zstd-wasm that make it start at once instead of later. */
interface ZstdModule {
  instantiateWasm?: (imports: object, receive: (instance: object) => object) => object
  init(bytes: Uint8Array): void
}

/** The package's own `init` waits for a promise; opening an image is synchronous, and the module is small. */
function wasmEngine(): ZstdEngine {
  return (webAssembly ??= startWebAssembly())
}

function startWebAssembly(): ZstdEngine {
  const require = createRequire(import.meta.url)
  const folder = dirname(require.resolve('@bokuweb/zstd-wasm'))
  const wasm = require('@bokuweb/zstd-wasm') as typeof ZstdWasm
  const { Module: module } = require(join(folder, 'module.js')) as { Module: ZstdModule }
  const bytes = fs.readFileSync(join(folder, 'zstd.wasm'))
  module.instantiateWasm = (imports, receive) =>
    receive(new WebAssembly.Instance(new WebAssembly.Module(bytes), imports))
  module.init(bytes)
  return {
    name: 'wasm',
    compress: (bytes, level) => wasm.compress(bufferOf(bytes), level),
    decompress: (frame, limit) => wasm.decompress(bufferOf(frame), { defaultHeapSize: limit }),
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
