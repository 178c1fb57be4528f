import { ifInstalled, loadLibrary, type Koffi, type NativeFunction } from './koffi.js'
import { once } from './once.js'

/** An object whose members are made when they are first asked for; undefined where a library is not installed. */
export function boundLater<Bound extends object>(make: {
  readonly [Name in keyof Bound]-?: () => Bound[Name] | undefined
}): Bound {
  const bound = {}
  for (const [name, member] of Object.entries<() => unknown>(make))
    Object.defineProperty(bound, name, { enumerable: true, get: once(() => ifInstalled(member)) })
  return bound as Bound
}

/** libdeflate. @param wrapping what is around the deflate stream. */
export function deflateLibrary(
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

/** A stream of ISA-L with its memory. */
export class IsaStream {
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

/** ISA-L. */
export function isaLibrary(koffi: Koffi): Record<'initialize' | 'deflate', NativeFunction> {
  const library = loadLibrary(koffi, 'libisal.so.2')
  return {
    initialize: library.func('void isal_deflate_init(void *stream)'),
    deflate: library.func('int isal_deflate(void *stream)'),
  }
}

/**
 * The libzstd that compresses: Node's own where it has one (from 22.15 on), which is newer than that of most systems
 * and a quarter faster at the levels in use. The system's decodes as fast or faster.
 */
export function zstdToEncode(koffi: Koffi): ReturnType<Koffi['load']> {
  return process.versions['zstd'] === undefined ? loadLibrary(koffi, 'libzstd.so.1') : koffi.load(null)
}
