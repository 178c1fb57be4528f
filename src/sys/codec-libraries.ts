import { boundLater, deflateLibrary, isaLibrary, IsaStream, zstdToEncode } from './codec-bindings.js'
import { codecKoffi, loadLibrary, type Koffi } from './koffi.js'

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

let loaded: CodecLibraries | undefined

/** The libraries of this system; none with VDISK_NO_NATIVE_CODECS set. */
export function codecLibraries(): CodecLibraries {
  return (loaded ??= load())
}

function load(): CodecLibraries {
  const koffi = codecKoffi()
  if (koffi === undefined) return {}
  return boundLater<CodecLibraries>({
    inflate: () => libdeflate(koffi, 'deflate'),
    inflateZlib: () => libdeflate(koffi, 'zlib'),
    deflate: () => isaL(koffi),
    zstdDecode: () => zstdDecoder(koffi),
    zstdEncode: () => zstdEncoder(koffi),
    zstdEncodeChecked: () => zstdCheckedEncoder(koffi),
  })
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

/** What a unit that cannot be compressed takes besides its bytes, at most: headers of stored blocks. */
const overhead = 4096

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
