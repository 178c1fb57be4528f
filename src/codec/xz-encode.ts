import { unsupported } from '../errors.js'
import { ifInstalled, loadLibrary, nativeKoffi } from '../sys/koffi.js'

/** LZMA_CHECK_CRC64. */
const crc64 = 4
const headerLength = 12
const names = ['liblzma.so.5', 'liblzma.5.dylib', '/opt/homebrew/lib/liblzma.5.dylib', 'liblzma.dll']

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
  const encode = library.func(
    'int lzma_easy_buffer_encode(uint32_t preset, int check, void *allocator, const uint8_t *in, size_t in_size, ' +
      '_Out_ uint8_t *out, _Inout_ size_t *out_pos, size_t out_size)',
  )
  return (bytes, level) => {
    const out = Buffer.alloc(bytes.length + Math.ceil(bytes.length / 16) + 4096)
    const end = [0]
    const code = encode(level, crc64, null, bytes, bytes.length, out, end, out.length)
    if (code !== 0) throw new Error(`liblzma fails with code ${code}`)
    const length = Number(end[0])
    // A stream of one block: its header, the block, the index, whose length is in the footer, the footer.
    const indexLength = (out.readUInt32LE(length - 8) + 1) * 4
    return out.subarray(headerLength, length - headerLength - indexLength)
  }
}
