import { nativeKoffi } from './koffi.js'

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
  /** Raw deflate by ISA-L with a window of 2^12 bytes. It has levels of its own. */
  readonly deflate?: LibraryEncoder
  /** One Zstandard frame by libzstd: how many bytes it gave; undefined where it is damaged or gives more. */
  readonly zstdDecode?: (frame: Uint8Array, target: Uint8Array) => number | undefined
  readonly zstdEncode?: LibraryEncoder
}

type Loader = NonNullable<ReturnType<typeof nativeKoffi>>

let loaded: CodecLibraries | undefined

/** The libraries of this system, loaded at the first call; none with VDISK_NO_NATIVE_CODECS set. */
export function codecLibraries(): CodecLibraries {
  if (loaded !== undefined) return loaded
  const koffi = process.env['VDISK_NO_NATIVE_CODECS'] === undefined ? nativeKoffi() : undefined
  // Structures are laid out as on 64-bit systems with the low byte first.
  if (koffi === undefined || process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) loaded = {}
  else
    loaded = {
      inflate: bound(() => libdeflate(koffi)),
      deflate: bound(() => isaL(koffi)),
      zstdDecode: bound(() => zstdDecoder(koffi)),
      zstdEncode: bound(() => zstdEncoder(koffi)),
    }
  return loaded
}

/** Undefined where the library is not installed, or not with these functions. */
function bound<Call>(bind: () => Call): Call | undefined {
  try {
    return bind()
  } catch {
    return undefined
  }
}

function libdeflate(koffi: Loader): LibraryDecoder {
  const library = koffi.load('libdeflate.so.0')
  const make = library.func('void *libdeflate_alloc_decompressor(void)')
  const free = library.func('void libdeflate_free_decompressor(void *decompressor)')
  const decompress = library.func(
    'int libdeflate_deflate_decompress(void *d, void *in, size_t in_length, void *out, size_t ' +
      'out_length, void *actual)',
  )
  return (stored, target) => {
    // Made for each unit: a thread that is ended frees nothing, and this takes no time worth keeping it for.
    const decompressor = make()
    // Without a place for the actual length anything but the full length is a failure.
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

function isaL(koffi: Loader): LibraryEncoder {
  const library = koffi.load('libisal.so.2')
  const initialize = library.func('void isal_deflate_init(void *stream)')
  const deflate = library.func('int isal_deflate(void *stream)')
  const stream = new Uint8Array(streamLength)
  const fields = new DataView(stream.buffer)
  const levelBuffer = new Uint8Array(levelBufferLength)
  let output = new Uint8Array(0)
  return (bytes) => {
    if (output.length < bytes.length + overhead) output = new Uint8Array(bytes.length + overhead)
    // Sets everything that is not set here: no flush, no header, no dictionary.
    initialize(stream)
    fields.setBigUint64(members.nextIn, koffi.address(bytes), true)
    fields.setUint32(members.availableIn, bytes.length, true)
    fields.setBigUint64(members.nextOut, koffi.address(output), true)
    fields.setUint32(members.availableOut, output.length, true)
    fields.setUint32(members.level, 1, true)
    fields.setUint32(members.levelBufferSize, levelBufferLength, true)
    fields.setBigUint64(members.levelBuffer, koffi.address(levelBuffer), true)
    fields.setUint16(members.endOfStream, 1, true)
    fields.setUint16(members.windowBits, windowBits, true)
    const failed = deflate(stream) !== 0
    const free = fields.getUint32(members.availableOut, true)
    // With no byte left it may have more to say.
    if (failed || free === 0 || fields.getUint32(members.availableIn, true) !== 0) return undefined
    return output.slice(0, output.length - free)
  }
}

function zstdEncoder(koffi: Loader): LibraryEncoder {
  const library = koffi.load('libzstd.so.1')
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

function zstdDecoder(koffi: Loader): (frame: Uint8Array, target: Uint8Array) => number | undefined {
  const library = koffi.load('libzstd.so.1')
  const isError = library.func('unsigned int ZSTD_isError(size_t code)')
  const decompress = library.func('size_t ZSTD_decompress(void *out, size_t out_length, void *in, size_t in_length)')
  return (frame, target) => {
    const length = decompress(target, target.length, frame, frame.length)
    return isError(length) === 0 ? length : undefined
  }
}
