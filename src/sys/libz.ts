import { codecKoffi, ifInstalled, loadLibrary, type Koffi } from './koffi.js'
import { once } from './once.js'

/** What one call did: bytes taken and given, and where the stream stands. */
export interface InflateStep {
  readonly taken: number
  readonly given: number
  /** `between`: a deflate block has ended and another follows, so that decoding can begin there. */
  readonly state: 'more' | 'between' | 'ended' | 'damaged'
  /** Of the last byte taken: how many of its highest bits belong to what follows. */
  readonly bits: number
}

/** One raw deflate stream (RFC 1951) that stops between its blocks. Memory of the library is freed with it. */
export interface BlockInflate extends Disposable {
  /** Decodes up to the end of a block, of what is stored, or of the room. */
  step(stored: Uint8Array, target: Uint8Array): InflateStep
}

/** Where a stream is begun that is not decoded from its start. */
export interface InflateStart {
  /** Bits of the byte before, which come first, and how many these are. */
  readonly bits: number
  readonly value: number
  /** What the content has before that place: up to 32 KiB. */
  readonly window: Uint8Array
}

export type OpenBlockInflate = (start?: InflateStart) => BlockInflate

/** z_stream (zlib.h) by its bytes on 64-bit systems. */
const zStream = { nextIn: 0, availableIn: 8, nextOut: 24, availableOut: 32, dataType: 88, length: 112 } as const
const rawDeflate = -15
/** Z_BLOCK: stop at the end of a block. */
const stopBetween = 5
/** Z_STREAM_END; Z_OK; Z_BUF_ERROR, which only means that more input or room is needed. */
const streamEnd = 1
const goodReturns = [0, -5]
const load = once((): OpenBlockInflate | undefined => {
  const koffi = codecKoffi()
  return koffi === undefined ? undefined : ifInstalled(() => bind(koffi))
})

/** The system's zlib; undefined where it is not installed, or with VDISK_NO_NATIVE_CODECS set. */
export function blockInflate(): OpenBlockInflate | undefined {
  return load()
}

function bind(koffi: Koffi): OpenBlockInflate {
  const library = loadLibrary(koffi, 'libz.so.1')
  const begin = library.func('int inflateInit2_(void *stream, int bits, const char *version, int size)')
  const inflate = library.func('int inflate(void *stream, int flush)')
  const prime = library.func('int inflatePrime(void *stream, int bits, int value)')
  const setDictionary = library.func('int inflateSetDictionary(void *stream, void *bytes, unsigned int length)')
  const end = library.func('int inflateEnd(void *stream)')
  return (start) => {
    const fields = new DataView(new ArrayBuffer(zStream.length))
    const stream = new Uint8Array(fields.buffer)
    let begun = begin(stream, rawDeflate, '1.2.11', zStream.length)
    if (begun === 0 && start !== undefined) {
      if (start.bits > 0) begun = prime(stream, start.bits, start.value)
      if (begun === 0 && start.window.length > 0) begun = setDictionary(stream, start.window, start.window.length)
    }
    return {
      step(stored, target) {
        if (begun !== 0) return { taken: 0, given: 0, state: 'damaged', bits: 0 }
        fields.setBigUint64(zStream.nextIn, koffi.address(stored), true)
        fields.setUint32(zStream.availableIn, stored.length, true)
        fields.setBigUint64(zStream.nextOut, koffi.address(target), true)
        fields.setUint32(zStream.availableOut, target.length, true)
        const code = inflate(stream, stopBetween)
        const type = fields.getInt32(zStream.dataType, true)
        // 128 is set where a block has ended, 64 besides where it was the last one; the rest counts bits.
        const between = type >= 128 && type % 128 < 64
        return {
          taken: stored.length - fields.getUint32(zStream.availableIn, true),
          given: target.length - fields.getUint32(zStream.availableOut, true),
          state: code === streamEnd ? 'ended' : !goodReturns.includes(code) ? 'damaged' : between ? 'between' : 'more',
          bits: type % 8,
        }
      },
      [Symbol.dispose]: () => void end(stream),
    }
  }
}
