// A codec: the default export of a module of its own, so that vdisk's threads can import it. Errors may be any: vdisk
// reports which unit of which file did not decode.
import zlib from 'node:zlib'

const quality = zlib.constants.BROTLI_PARAM_QUALITY

export default {
  id: 'brotli',
  module: import.meta.url,
  /** Fills `target` whole; `stored` may carry bytes behind the stream. */
  decode(stored, target) {
    const plain = zlib.brotliDecompressSync(stored, { maxOutputLength: target.length })
    if (plain.length !== target.length) throw new Error(`${plain.length} bytes instead of ${target.length}`)
    target.set(plain)
  },
  encode: (bytes, level = 5) => zlib.brotliCompressSync(bytes, { params: { [quality]: level } }),
}
