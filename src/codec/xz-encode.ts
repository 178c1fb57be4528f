import { unsupported } from '../errors.js'
import { ifInstalled, loadLibrary, nativeKoffi } from '../sys/koffi.js'

/** LZMA_CHECK_CRC64. */
const crc64 = 4
const headerLength = 12
const names = ['liblzma.so.5', 'liblzma.5.dylib', '/opt/homebrew/lib/liblzma.5.dylib', 'liblzma.dll']

/** lzma_filter (lzma/filter.h): an id and a pointer, with LZMA_FILTER_LZMA2 and the end of a list. */
const filter = { length: 16, lzma2: 0x21n, end: 2n ** 64n - 1n } as const
/** lzma_options_lzma (lzma/lzma12.h) with room; its first member is the size of the dictionary. */
const optionsLength = 256
const leastDictionary = 4096

type EncodeXz = (bytes: Uint8Array, level: number) => Uint8Array

let encoder: EncodeXz | undefined

/**
 * One block of an .xz file with a CRC-64, made by liblzma, which is on nearly every system.
 * @throws ImageError unsupported E_CODEC where it is not.
 */
export function encodeXzBlock(bytes: Uint8Array, level = 6): Uint8Array {
  encoder ??= loadLiblzma()
  if (encoder === undefined)
    throw unsupported('E_CODEC', 'writing .xz needs the library liblzma, which was not found on this computer', {
      hint: 'Install it (Debian: liblzma5), or write a .zst or .gz file.',
    })
  return encoder(bytes, level)
}

function loadLiblzma(): EncodeXz | undefined {
  // Asked for also with VDISK_NO_NATIVE_CODECS set: nothing else writes .xz.
  const koffi = nativeKoffi()
  if (koffi === undefined) return undefined
  let library: ReturnType<typeof loadLibrary> | undefined
  for (const name of names) library ??= ifInstalled(() => loadLibrary(koffi, name))
  if (library === undefined) return undefined
  const preset = library.func('bool lzma_lzma_preset(void *options, uint32_t preset)')
  const encode = library.func(
    'int lzma_stream_buffer_encode(void *filters, int check, void *allocator, const uint8_t *in, size_t in_size, ' +
      '_Out_ uint8_t *out, _Inout_ size_t *out_pos, size_t out_size)',
  )
  const options = new DataView(new ArrayBuffer(optionsLength))
  const filters = new DataView(new ArrayBuffer(2 * filter.length))
  const [optionBytes, filterBytes] = [new Uint8Array(options.buffer), new Uint8Array(filters.buffer)]
  filters.setBigUint64(0, filter.lzma2, true)
  filters.setBigUint64(8, koffi.address(optionBytes), true)
  filters.setBigUint64(filter.length, filter.end, true)
  return (bytes, level) => {
    if (Boolean(preset(optionBytes, level))) throw new RangeError(`liblzma knows no level ${level}`)
    // More than there is content is of no use, and the encoder's memory is ten times the dictionary.
    const most = Math.max(leastDictionary, bytes.length)
    options.setUint32(0, Math.min(options.getUint32(0, true), most), true)
    const out = Buffer.alloc(bytes.length + Math.ceil(bytes.length / 16) + 4096)
    const end = [0]
    const code = encode(filterBytes, crc64, null, bytes, bytes.length, out, end, out.length)
    if (code !== 0) throw new Error(`liblzma fails with code ${code}`)
    const length = Number(end[0])
    // A stream of one block: its header, the block, the index, whose length is in the footer, the footer.
    const indexLength = (out.readUInt32LE(length - 8) + 1) * 4
    return out.subarray(headerLength, length - headerLength - indexLength)
  }
}
