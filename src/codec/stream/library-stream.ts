import type { LibraryStream } from '../../sys/stream-libraries.js'
import { unsupported } from '../../errors.js'
import type { Input } from './input.js'

/** Bytes of a piece. */
export const decodedPieceLength = 1048576
/** Of compressed bytes that a library is given at a time. */
const sliceLength = 65536

/**
 * The content of one stream that a library decodes, from where the input stands; leaves the input behind its last
 * byte. @param what for messages: `an xz stream`. @param target memory of the pieces. @throws ImageError corrupt
 * E_COMPRESSED, E_TRUNCATED; unsupported E_CODEC.
 */
export function* decodedBy(
  open: () => LibraryStream,
  input: Input,
  what: string,
  target: Uint8Array = new Uint8Array(decodedPieceLength),
): Generator<Uint8Array> {
  using stream = open()
  let filled = 0
  for (;;) {
    const start = input.position
    const stored = input.some(sliceLength)
    const { taken, given, state } = stream.step(stored, target.subarray(filled), input.remaining === 0)
    input.position = start + taken
    filled += given
    if (state === 'damaged') throw input.damaged(`${what} does not decode, or its checksum is wrong`)
    if (state === 'refused')
      throw unsupported('E_CODEC', `${input.name} needs a filter, or more memory, than vdisk has for ${what}`, {
        hint: 'Unpack the file first, and then read the image.',
      })
    if (filled === target.length || (state === 'ended' && filled > 0)) {
      yield target.subarray(0, filled)
      filled = 0
    }
    if (state === 'ended') return
    if (taken === 0 && given === 0 && input.remaining === 0) throw input.cut(what)
  }
}
