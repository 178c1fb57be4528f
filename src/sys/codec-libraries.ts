import { codecKoffi, ifInstalled, loadLibrary, type Koffi, type NativeFunction } from './koffi.js'

/** Decodes into `target` whole. False where the library did not: the stream is damaged, or gives another length. */
export type LibraryDecoder = (stored: Uint8Array, target: Uint8Array) => boolean

/** The compressed unit; undefined where the library failed. */
export type LibraryEncoder = (bytes: Uint8Array, level?: number) => Uint8Array | undefined

/**
 * Codecs of libraries that the system has installed, each undefined where it has not. They are several times as fast as
 * those of Node, and work on the memory that they are given.
 */
export interface CodecLibraries {
  /** Raw deflate by libdeflate. */
  readonly inflate?: LibraryDecoder
  /** The same with zlib's header and checksum, which it compares. */
  readonly inflateZlib?: LibraryDecoder
  /** Raw deflate by ISA-L with a window of 2^12 bytes. It has levels of its own. */
  readonly deflate?: LibraryEncoder
  /** One Zstandard frame by libzstd: how many bytes it gave; undefined where it is damaged or gives more. */
  readonly zstdDecode?: (frame: Uint8Array, target: Uint8Array) => number | undefined
  readonly zstdEncode?: LibraryEncoder
  /** The same with the checksum of the content, which libzstd takes many times as fast as JavaScript. */
  readonly zstdEncodeChecked?: LibraryEncoder
}

/** Bytes to decode or to compress, and the place for the result. */
export interface PoolUnit {
  readonly input: Uint8Array
  readonly output: Uint8Array
}

/** As {@link LibraryDecoder} for each unit, in other threads. */
type PoolDecoder = (units: readonly PoolUnit[]) => Promise<boolean[]>

/** How many bytes of its output each unit needs, in other threads; undefined for each where the library failed. */
type PoolEncoder = (units: readonly PoolUnit[]) => Promise<(number | undefined)[]>

/**
 * The same libraries, called in the threads of Node's pool. Each call has a context of its own out of a few, which are
 * kept: making one costs as much as a unit.
 */
export interface PoolLibraries {
  /** Raw deflate by libdeflate: whether it filled `target`. */
  readonly inflate?: PoolDecoder
  /** The same with zlib's header and checksum, which it compares. */
  readonly inflateZlib?: PoolDecoder
  /** Raw deflate by ISA-L, as {@link CodecLibraries.deflate}. */
  readonly deflate?: PoolEncoder
  /** The Zstandard frame at the start of each input by libzstd. */
  readonly zstdDecode?: PoolDecoder
  /** Frames that fill all of `stored`, one behind the other: whether they filled `target`. */
  readonly zstdDecodeFrames?: (stored: Uint8Array, target: Uint8Array) => Promise<boolean>
  readonly zstdEncode?: (units: readonly PoolUnit[], level: number) => Promise<(number | undefined)[]>
  /** The libzstd that compresses, as a number: another version gives other bytes. */
  readonly zstdVersion?: number
}

let loaded: CodecLibraries | undefined
let pool: PoolLibraries | undefined

/** The libraries of this system, for the threads of the pool; none with VDISK_NO_NATIVE_CODECS set. */
export function poolLibraries(): PoolLibraries {
  if (pool !== undefined) return pool
  const koffi = codecKoffi()
  if (koffi === undefined) return (pool = {})
  const decoders = once(() => ifInstalled(() => poolZstdDecoders(koffi)))
  const encoder = once(() => ifInstalled(() => poolZstdEncode(koffi)))
  return (pool = boundLater<PoolLibraries>({
    inflate: () => poolInflate(koffi, 'deflate'),
    inflateZlib: () => poolInflate(koffi, 'zlib'),
    deflate: () => poolDeflate(koffi),
    zstdDecode: () => decoders()?.zstdDecode,
    zstdDecodeFrames: () => decoders()?.zstdDecodeFrames,
    zstdEncode: () => encoder()?.zstdEncode,
    zstdVersion: () => encoder()?.zstdVersion,
  }))
}

/** The libraries of this system; none with VDISK_NO_NATIVE_CODECS set. */
export function codecLibraries(): CodecLibraries {
  if (loaded !== undefined) return loaded
  const koffi = codecKoffi()
  if (koffi === undefined) return (loaded = {})
  return (loaded = boundLater<CodecLibraries>({
    inflate: () => libdeflate(koffi, 'deflate'),
    inflateZlib: () => libdeflate(koffi, 'zlib'),
    deflate: () => isaL(koffi),
    zstdDecode: () => zstdDecoder(koffi),
    zstdEncode: () => zstdEncoder(koffi),
    zstdEncodeChecked: () => zstdCheckedEncoder(koffi),
  }))
}

/** An object whose members are made when they are first asked for; undefined where a library is not installed. */
function boundLater<Bound extends object>(make: {
  readonly [Name in keyof Bound]-?: () => Bound[Name] | undefined
}): Bound {
  const bound = {}
  for (const [name, member] of Object.entries<() => unknown>(make))
    Object.defineProperty(bound, name, { enumerable: true, get: once(() => ifInstalled(member)) })
  return bound as Bound
}

/** The same function, which does its work at the first call only. */
function once<Result>(make: () => Result): () => Result {
  let made: { readonly result: Result } | undefined
  return () => (made ??= { result: make() }).result
}

/** @param wrapping what is around the deflate stream. */
function deflateLibrary(
  koffi: Koffi,
  wrapping: 'deflate' | 'zlib',
): Record<'make' | 'free' | 'decompress', NativeFunction> {
  const library = loadLibrary(koffi, 'libdeflate.so.0')
  return {
    make: library.func('void *libdeflate_alloc_decompressor(void)'),
    free: library.func('void libdeflate_free_decompressor(void *decompressor)'),
    // Without a place for the actual length anything but the full length is a failure.
    decompress: library.func(
      `int libdeflate_${wrapping}_decompress(void *d, void *in, size_t in_length, void *out, size_t ` +
        'out_length, void *actual)',
    ),
  }
}

function libdeflate(koffi: Koffi, wrapping: 'deflate' | 'zlib'): LibraryDecoder {
  const { make, free, decompress } = deflateLibrary(koffi, wrapping)
  return (stored, target) => {
    // Made for each unit: a thread that is ended frees nothing, and this takes no time worth keeping it for.
    const decompressor = make()
    const result = decompress(decompressor, stored, stored.length, target, target.length, null)
    free(decompressor)
    return result === 0
  }
}

/** Members of struct isal_zstream (igzip_lib.h) by their bytes. */
const members = {
  nextIn: 0,
  availableIn: 8,
  nextOut: 16,
  availableOut: 24,
  level: 40,
  levelBufferSize: 44,
  levelBuffer: 48,
  endOfStream: 56,
  windowBits: 62,
} as const
/** Bytes: more than the structure, and than what level 1 needs besides. */
const streamLength = 524288
const levelBufferLength = 524288
const windowBits = 12
/** What a unit that cannot be compressed takes besides its bytes, at most: headers of stored blocks. */
const overhead = 4096

/** A stream of ISA-L with its memory. */
class IsaStream {
  readonly memory = new Uint8Array(streamLength)
  readonly #fields = new DataView(this.memory.buffer)
  readonly #levelBuffer = new Uint8Array(levelBufferLength)

  /** Says what is to be compressed; everything that is not set here is as after `isal_deflate_init`. */
  prepare(koffi: Koffi, bytes: Uint8Array, output: Uint8Array): void {
    const fields = this.#fields
    fields.setBigUint64(members.nextIn, koffi.address(bytes), true)
    fields.setUint32(members.availableIn, bytes.length, true)
    fields.setBigUint64(members.nextOut, koffi.address(output), true)
    fields.setUint32(members.availableOut, output.length, true)
    fields.setUint32(members.level, 1, true)
    fields.setUint32(members.levelBufferSize, levelBufferLength, true)
    fields.setBigUint64(members.levelBuffer, koffi.address(this.#levelBuffer), true)
    fields.setUint16(members.endOfStream, 1, true)
    fields.setUint16(members.windowBits, windowBits, true)
  }

  /** Bytes that it gave, of `length` that there was room for; undefined where it is not done. */
  given(length: number): number | undefined {
    const free = this.#fields.getUint32(members.availableOut, true)
    // With no byte left it may have more to say.
    return free === 0 || this.#fields.getUint32(members.availableIn, true) !== 0 ? undefined : length - free
  }
}

function isaLibrary(koffi: Koffi): Record<'initialize' | 'deflate', NativeFunction> {
  const library = loadLibrary(koffi, 'libisal.so.2')
  return {
    initialize: library.func('void isal_deflate_init(void *stream)'),
    deflate: library.func('int isal_deflate(void *stream)'),
  }
}

function isaL(koffi: Koffi): LibraryEncoder {
  const { initialize, deflate } = isaLibrary(koffi)
  const stream = new IsaStream()
  let output = new Uint8Array(0)
  return (bytes) => {
    if (output.length < bytes.length + overhead) output = new Uint8Array(bytes.length + overhead)
    initialize(stream.memory)
    stream.prepare(koffi, bytes, output)
    const length = deflate(stream.memory) === 0 ? stream.given(output.length) : undefined
    return length === undefined ? undefined : output.slice(0, length)
  }
}

/**
 * The libzstd that compresses: Node's own where it has one (from 22.15 on), which is newer than that of most systems
 * and a quarter faster at the levels in use. The system's decodes as fast or faster.
 */
function zstdToEncode(koffi: Koffi): ReturnType<Koffi['load']> {
  return process.versions['zstd'] === undefined ? loadLibrary(koffi, 'libzstd.so.1') : koffi.load(null)
}

function zstdEncoder(koffi: Koffi): LibraryEncoder {
  const library = zstdToEncode(koffi)
  const bound = library.func('size_t ZSTD_compressBound(size_t length)')
  const isError = library.func('unsigned int ZSTD_isError(size_t code)')
  const compress = library.func(
    'size_t ZSTD_compress(void *out, size_t out_length, void *in, size_t in_length, int level)',
  )
  let output = new Uint8Array(0)
  return (bytes, level = 3) => {
    const most = bound(bytes.length)
    if (output.length < most) output = new Uint8Array(most)
    const length = compress(output, output.length, bytes, bytes.length, level)
    return isError(length) === 0 ? output.slice(0, length) : undefined
  }
}

/** ZSTD_c_compressionLevel and ZSTD_c_checksumFlag. */
const zstdParameters = { level: 100, checksum: 201 } as const

/** Keeps its context: making one takes as long as a small frame. */
function zstdCheckedEncoder(koffi: Koffi): LibraryEncoder {
  const library = zstdToEncode(koffi)
  const bound = library.func('size_t ZSTD_compressBound(size_t length)')
  const isError = library.func('unsigned int ZSTD_isError(size_t code)')
  const create = library.func('void *ZSTD_createCCtx(void)')
  const setParameter = library.func('size_t ZSTD_CCtx_setParameter(void *context, int parameter, int value)')
  const compress = library.func(
    'size_t ZSTD_compress2(void *context, void *out, size_t out_length, void *in, size_t in_length)',
  )
  let context: number | undefined
  let output = new Uint8Array(0)
  return (bytes, level = 3) => {
    context ??= create()
    const most = bound(bytes.length)
    if (output.length < most) output = new Uint8Array(most)
    const refused =
      isError(setParameter(context, zstdParameters.level, level)) !== 0 ||
      isError(setParameter(context, zstdParameters.checksum, 1)) !== 0
    const length = refused ? 0 : compress(context, output, output.length, bytes, bytes.length)
    return refused || isError(length) !== 0 ? undefined : output.slice(0, length)
  }
}

function zstdDecoder(koffi: Koffi): (frame: Uint8Array, target: Uint8Array) => number | undefined {
  const library = loadLibrary(koffi, 'libzstd.so.1')
  const isError = library.func('unsigned int ZSTD_isError(size_t code)')
  const decompress = library.func('size_t ZSTD_decompress(void *out, size_t out_length, void *in, size_t in_length)')
  return (frame, target) => {
    const length = decompress(target, target.length, frame, frame.length)
    return isError(length) === 0 ? length : undefined
  }
}

/**
 * Calls of one library under way at a time: more than processors, so that none of them waits for this thread. koffi
 * keeps memory for eight.
 */
const mostContexts = 6

/** What begins a call with a context, and calls `release` when the call is done. */
type Begin<Context> = (context: Context, release: () => void) => void

/** Contexts of a library that are used in turn. */
class Contexts<Context> {
  readonly #make: () => Context
  readonly #free: Context[] = []
  readonly #waiting: Begin<Context>[] = []
  #made = 0

  constructor(make: () => Context) {
    this.#make = make
  }

  /**
   * Calls a function of the library for each unit, in the pool; gives the results in order. No promise is made for a
   * call: with one for each it would cost as much as decoding a unit.
   * @param call the function. @param values what it is given, for a unit and a context.
   */
  each<Result>(
    units: readonly PoolUnit[],
    call: NativeFunction,
    values: (unit: PoolUnit, context: Context) => readonly unknown[],
    result: (returned: number, unit: PoolUnit, context: Context) => Result,
  ): Promise<Result[]> {
    const results = new Array<Result>(units.length)
    if (units.length === 0) return Promise.resolve(results)
    return new Promise((resolve, reject) => {
      let left = units.length
      let failed: Error | undefined
      alive.add(units)
      for (const [index, unit] of units.entries())
        this.#use((context, release) => {
          call.async(...values(unit, context), (failure: Error | null, returned: number) => {
            if (failure === null) results[index] = result(returned, unit, context)
            else failed ??= failure
            release()
            if (--left > 0) return
            alive.delete(units)
            if (failed === undefined) resolve(results)
            else reject(failed)
          })
        })
    })
  }

  #use(begin: Begin<Context>): void {
    const context = this.#take()
    if (context === undefined) this.#waiting.push(begin)
    else this.#begin(context, begin)
  }

  #begin(context: Context, begin: Begin<Context>): void {
    begin(context, () => {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(context)
      else this.#begin(context, next)
    })
  }

  #take(): Context | undefined {
    const free = this.#free.pop()
    if (free !== undefined || this.#made >= mostContexts) return free
    this.#made++
    return this.#make()
  }
}

/** Memory that calls under way read and write. */
const alive = new Set<readonly PoolUnit[]>()

function poolInflate(koffi: Koffi, wrapping: 'deflate' | 'zlib'): PoolDecoder {
  const { make, decompress } = deflateLibrary(koffi, wrapping)
  const contexts = new Contexts(() => make())
  return (units) =>
    contexts.each(
      units,
      decompress,
      ({ input, output }, context) => [context, input, input.length, output, output.length, null],
      (returned) => returned === 0,
    )
}

function poolDeflate(koffi: Koffi): PoolEncoder {
  const { initialize, deflate } = isaLibrary(koffi)
  const contexts = new Contexts(() => new IsaStream())
  return (units) =>
    contexts.each(
      units,
      deflate,
      ({ input, output }, stream) => {
        initialize(stream.memory)
        stream.prepare(koffi, input, output)
        return [stream.memory]
      },
      (returned, { output }, stream) => (returned === 0 ? stream.given(output.length) : undefined),
    )
}

function poolZstdDecoders(koffi: Koffi): Pick<PoolLibraries, 'zstdDecode' | 'zstdDecodeFrames'> {
  const library = loadLibrary(koffi, 'libzstd.so.1')
  const make = library.func('void *ZSTD_createDCtx(void)')
  const isError = library.func('unsigned int ZSTD_isError(size_t code)')
  const frameLength = library.func('size_t ZSTD_findFrameCompressedSize(void *in, size_t in_length)')
  const decompress = library.func(
    'size_t ZSTD_decompressDCtx(void *context, void *out, size_t out_length, void *in, size_t in_length)',
  )
  const contexts = new Contexts(() => make())
  const decode: PoolDecoder = (units) =>
    contexts.each(
      units,
      decompress,
      ({ input, output }, context) => [context, output, output.length, input, input.length],
      (returned, { output }) => returned === output.length,
    )
  return {
    zstdDecodeFrames: async (stored, target) => (await decode([{ input: stored, output: target }]))[0] === true,
    // What follows the frame is no part of it, and the library would refuse it, as it does what is no frame.
    zstdDecode: (units) =>
      decode(
        units.map(({ input, output }) => {
          const length = frameLength(input, input.length)
          return { input: isError(length) === 0 && length <= input.length ? input.subarray(0, length) : input, output }
        }),
      ),
  }
}

function poolZstdEncode(koffi: Koffi): Pick<PoolLibraries, 'zstdEncode' | 'zstdVersion'> {
  const library = zstdToEncode(koffi)
  const version = library.func('unsigned int ZSTD_versionNumber(void)')
  const make = library.func('void *ZSTD_createCCtx(void)')
  const isError = library.func('unsigned int ZSTD_isError(size_t code)')
  const compress = library.func(
    'size_t ZSTD_compressCCtx(void *context, void *out, size_t out_length, void *in, size_t in_length, int level)',
  )
  const contexts = new Contexts(() => make())
  return {
    zstdVersion: version(),
    zstdEncode: (units, level) =>
      contexts.each(
        units,
        compress,
        ({ input, output }, context) => [context, output, output.length, input, input.length, level],
        (returned) => (isError(returned) === 0 ? returned : undefined),
      ),
  }
}
