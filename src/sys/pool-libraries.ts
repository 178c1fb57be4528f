import { boundLater, deflateLibrary, isaLibrary, IsaStream, zstdToEncode } from './codec-bindings.js'
import { codecKoffi, ifInstalled, loadLibrary, type Koffi, type NativeFunction } from './koffi.js'
import { once } from './once.js'

/** Bytes to decode or to compress, and the place for the result. */
export interface PoolUnit {
  readonly input: Uint8Array
  readonly output: Uint8Array
}

/**
 * Decodes each unit into all of its output, in other threads. False for each that is damaged, or has another length.
 */
export type PoolDecoder = (units: readonly PoolUnit[]) => Promise<readonly boolean[]>

/** How many bytes of its output each unit needs, in other threads; undefined for each where the library failed. */
export type PoolEncoder = (units: readonly PoolUnit[]) => Promise<readonly (number | undefined)[]>

/**
 * The libraries of codec-libraries.ts, called in the threads of Node's pool. Each call has a context of its own out of
 * a few, which are kept: making one costs as much as a unit.
 */
export interface PoolLibraries {
  /** Raw deflate by libdeflate. */
  readonly inflate?: PoolDecoder
  /** The same with zlib's header and checksum, which it compares. */
  readonly inflateZlib?: PoolDecoder
  /** Raw deflate by ISA-L, to the same bytes. */
  readonly deflate?: PoolEncoder
  /** The Zstandard frame at the start of each input by libzstd. */
  readonly zstdDecode?: PoolDecoder
  /** Frames that fill all of `stored`, one behind the other: whether they filled `target`. */
  readonly zstdDecodeFrames?: (stored: Uint8Array, target: Uint8Array) => Promise<boolean>
  readonly zstdEncode?: (units: readonly PoolUnit[], level: number) => ReturnType<PoolEncoder>
  /** The libzstd that compresses, as a number: another version gives other bytes. */
  readonly zstdVersion?: number
}

let loaded: PoolLibraries | undefined

/** The libraries of this system, for the threads of the pool; none with VDISK_NO_NATIVE_CODECS set. */
export function poolLibraries(): PoolLibraries {
  return (loaded ??= load())
}

function load(): PoolLibraries {
  const koffi = codecKoffi()
  if (koffi === undefined) return {}
  const decoders = once(() => ifInstalled(() => poolZstdDecoders(koffi)))
  const encoder = once(() => ifInstalled(() => poolZstdEncode(koffi)))
  return boundLater<PoolLibraries>({
    inflate: () => poolInflate(koffi, 'deflate'),
    inflateZlib: () => poolInflate(koffi, 'zlib'),
    deflate: () => poolDeflate(koffi),
    zstdDecode: () => decoders()?.zstdDecode,
    zstdDecodeFrames: () => decoders()?.zstdDecodeFrames,
    zstdEncode: () => encoder()?.zstdEncode,
    zstdVersion: () => encoder()?.zstdVersion,
  })
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
