import { codecKoffi, ifInstalled, loadLibrary, type Koffi, type NativeFunction } from './koffi.js'

/** What one call of a library did: bytes taken and given, and how the stream stands. */
export interface LibraryStep {
  readonly taken: number
  readonly given: number
  /** `damaged`: it does not decode; `refused`: a filter or an amount of memory that the library does not give. */
  readonly state: 'more' | 'ended' | 'damaged' | 'refused'
}

/** One compressed stream that is being decoded. Memory of the library is freed when it is disposed. */
export interface LibraryStream extends Disposable {
  /** Decodes what it can. @param last nothing follows these bytes. */
  step(stored: Uint8Array, target: Uint8Array, last: boolean): LibraryStep
  /**
   * The same in a thread of Node's pool, of a stream that goes on behind `stored`. Absent: only here. One call at a
   * time, and the stream is not disposed meanwhile.
   */
  stepInPool?(stored: Uint8Array, target: Uint8Array): Promise<LibraryStep>
}

export type OpenLibraryStream = () => LibraryStream

/**
 * Decoders of whole streams in libraries that the system has installed, each undefined where it has not. They decode
 * several times as fast as JavaScript.
 */
export interface StreamLibraries {
  /** One .xz stream, or the old .lzma, by liblzma. */
  readonly xz?: OpenLibraryStream
  readonly lzma?: OpenLibraryStream
  /** One bzip2 stream by libbz2. */
  readonly bzip2?: OpenLibraryStream
  /** One Zstandard frame by libzstd, its checksum verified. */
  readonly zstd?: OpenLibraryStream
}

/** Dictionaries up to 1 GiB, as without a library, and what liblzma needs besides. */
const lzmaMemory = 1024 * 1024 * 1024 + 16 * 1024 * 1024
/** Frames with larger windows (2^28) are refused before. */
const largestWindowLog = 28

let loaded: StreamLibraries | undefined

/** The libraries of this system, loaded at the first call; none with VDISK_NO_NATIVE_CODECS set. */
export function streamLibraries(): StreamLibraries {
  return (loaded ??= load())
}

function load(): StreamLibraries {
  const koffi = codecKoffi()
  if (koffi === undefined) return {}
  return {
    ...ifInstalled(() => liblzma(koffi)),
    ...ifInstalled(() => libbz2(koffi)),
    ...ifInstalled(() => libzstd(koffi)),
  }
}

/** A structure of C: memory that does not move. */
function structure(length: number): DataView {
  return new DataView(new ArrayBuffer(length))
}

function bytesOf({ buffer }: DataView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer)
}

/** Memory that calls under way read and write. */
const alive = new Set<readonly Uint8Array[]>()

/** Calls a function of a library in the pool. @param memory what it reads and writes besides its values. */
function inPool(call: NativeFunction, values: readonly unknown[], ...memory: readonly Uint8Array[]): Promise<number> {
  alive.add(memory)
  return new Promise((resolve, reject) => {
    call.async(...values, (failure: Error | null, returned: number) => {
      alive.delete(memory)
      if (failure === null) resolve(returned)
      else reject(failure)
    })
  })
}

/** lzma_stream (lzma/base.h) by its bytes, and those of lzma_ret that do not mean damage. */
const lzmaStream = { nextIn: 0, availableIn: 8, nextOut: 24, availableOut: 32, length: 136 } as const
const lzmaFinish = 3
const lzmaReturns: Readonly<Record<number, LibraryStep['state']>> = {
  0: 'more',
  1: 'ended',
  // No check, a check that is not known, which one it is: only where these were asked for.
  2: 'more',
  3: 'refused',
  4: 'more',
  // No memory; more than the limit; filters that it does not have.
  5: 'refused',
  6: 'refused',
  8: 'refused',
  // No progress is possible: more input, or more room, is needed.
  10: 'more',
}

function liblzma(koffi: Koffi): StreamLibraries {
  const library = loadLibrary(koffi, 'liblzma.so.5')
  const decodeXz = library.func('int lzma_stream_decoder(void *stream, uint64_t memory, uint32_t flags)')
  const decodeAlone = library.func('int lzma_alone_decoder(void *stream, uint64_t memory)')
  const code = library.func('int lzma_code(void *stream, int action)')
  const end = library.func('void lzma_end(void *stream)')
  const start = (begin: (stream: Uint8Array) => number): LibraryStream => {
    const fields = structure(lzmaStream.length)
    const stream = bytesOf(fields)
    const begun = begin(stream)
    const prepare = (stored: Uint8Array, target: Uint8Array): void => {
      fields.setBigUint64(lzmaStream.nextIn, koffi.address(stored), true)
      fields.setBigUint64(lzmaStream.availableIn, BigInt(stored.length), true)
      fields.setBigUint64(lzmaStream.nextOut, koffi.address(target), true)
      fields.setBigUint64(lzmaStream.availableOut, BigInt(target.length), true)
    }
    const result = (returned: number, stored: Uint8Array, target: Uint8Array): LibraryStep => ({
      taken: stored.length - Number(fields.getBigUint64(lzmaStream.availableIn, true)),
      given: target.length - Number(fields.getBigUint64(lzmaStream.availableOut, true)),
      state: lzmaReturns[returned] ?? 'damaged',
    })
    return {
      step(stored, target, last) {
        if (begun !== 0) return { taken: 0, given: 0, state: 'refused' }
        prepare(stored, target)
        return result(code(stream, last ? lzmaFinish : 0), stored, target)
      },
      async stepInPool(stored, target) {
        if (begun !== 0) return { taken: 0, given: 0, state: 'refused' }
        prepare(stored, target)
        return result(await inPool(code, [stream, 0], stream, stored, target), stored, target)
      },
      [Symbol.dispose]: () => void end(stream),
    }
  }
  return {
    xz: () => start((stream) => decodeXz(stream, lzmaMemory, 0)),
    lzma: () => start((stream) => decodeAlone(stream, lzmaMemory)),
  }
}

/** bz_stream (bzlib.h) by its bytes, BZ_STREAM_END and BZ_MEM_ERROR. */
const bz2Stream = { nextIn: 0, availableIn: 8, nextOut: 24, availableOut: 32, length: 80 } as const
const bz2Returns: Readonly<Record<number, LibraryStep['state']>> = { 0: 'more', 4: 'ended', [-3]: 'refused' }

function libbz2(koffi: Koffi): StreamLibraries {
  const library = loadLibrary(koffi, 'libbz2.so.1.0')
  const begin = library.func('int BZ2_bzDecompressInit(void *stream, int verbosity, int small)')
  const decompress = library.func('int BZ2_bzDecompress(void *stream)')
  const end = library.func('int BZ2_bzDecompressEnd(void *stream)')
  return {
    bzip2() {
      const fields = structure(bz2Stream.length)
      const stream = bytesOf(fields)
      const begun = begin(stream, 0, 0)
      return {
        step(stored, target) {
          if (begun !== 0) return { taken: 0, given: 0, state: 'refused' }
          fields.setBigUint64(bz2Stream.nextIn, koffi.address(stored), true)
          fields.setUint32(bz2Stream.availableIn, stored.length, true)
          fields.setBigUint64(bz2Stream.nextOut, koffi.address(target), true)
          fields.setUint32(bz2Stream.availableOut, target.length, true)
          const state = bz2Returns[decompress(stream)] ?? 'damaged'
          return {
            taken: stored.length - fields.getUint32(bz2Stream.availableIn, true),
            given: target.length - fields.getUint32(bz2Stream.availableOut, true),
            state,
          }
        },
        [Symbol.dispose]: () => void end(stream),
      }
    },
  }
}

/** ZSTD_inBuffer and ZSTD_outBuffer (zstd.h): a pointer, a length, and a place in it. */
const zstdBuffer = { memory: 0, size: 8, position: 16, length: 24 } as const
/** ZSTD_d_windowLogMax. */
const windowLogParameter = 100

function libzstd(koffi: Koffi): StreamLibraries {
  const library = loadLibrary(koffi, 'libzstd.so.1')
  const create = library.func('void *ZSTD_createDStream(void)')
  const free = library.func('size_t ZSTD_freeDStream(void *stream)')
  const setParameter = library.func('size_t ZSTD_DCtx_setParameter(void *stream, int parameter, int value)')
  const decompress = library.func('size_t ZSTD_decompressStream(void *stream, void *output, void *input)')
  const isError = library.func('unsigned int ZSTD_isError(size_t code)')
  const fill = (buffer: DataView, memory: Uint8Array): void => {
    buffer.setBigUint64(zstdBuffer.memory, koffi.address(memory), true)
    buffer.setBigUint64(zstdBuffer.size, BigInt(memory.length), true)
    buffer.setBigUint64(zstdBuffer.position, 0n, true)
  }
  return {
    zstd() {
      const stream = create()
      setParameter(stream, windowLogParameter, largestWindowLog)
      const [input, output] = [structure(zstdBuffer.length), structure(zstdBuffer.length)]
      const [taking, giving] = [bytesOf(input), bytesOf(output)]
      const result = (code: number): LibraryStep => ({
        taken: Number(input.getBigUint64(zstdBuffer.position, true)),
        given: Number(output.getBigUint64(zstdBuffer.position, true)),
        state: isError(code) !== 0 ? 'damaged' : code === 0 ? 'ended' : 'more',
      })
      return {
        step(stored, target) {
          fill(input, stored)
          fill(output, target)
          return result(decompress(stream, giving, taking))
        },
        async stepInPool(stored, target) {
          fill(input, stored)
          fill(output, target)
          return result(await inPool(decompress, [stream, giving, taking], giving, taking, stored, target))
        },
        [Symbol.dispose]: () => void free(stream),
      }
    },
  }
}
