import { crc32 } from 'node:zlib'
import { adler32 } from '../../binary/adler32.js'
import { viewOf } from '../../binary/integers.js'
import { beginsWith } from '../../binary/begins-with.js'
import { unsupported } from '../../errors.js'
import { decodeLzopBlock, lzopBlockHeader, lzopFlags } from '../lzop.js'
import type { Input } from './input.js'
import { largestLzopBlock, lzopMagic } from './marks.js'
import type { StreamCodec } from './types.js'

/** A file of lzop: a header, and blocks up to an empty one. */
export const lzopStream: StreamCodec = { id: 'lzop', decode: decodeLzop }

/**
 * Takes the header of a file. @returns which checksums its blocks have.
 * @throws ImageError corrupt E_COMPRESSED, E_TRUNCATED; unsupported E_CODEC.
 */
export function takeLzopHeader(input: Input): number {
  const start = input.position
  const what = 'an lzop header'
  const number = (length: number): number => Buffer.from(input.take(length, what)).readUIntBE(0, length)
  if (!beginsWith(input.take(lzopMagic.length, what), lzopMagic))
    throw input.damaged('no lzop header begins here', start)
  const isNew = number(2) >= 0x940
  input.skip(isNew ? 4 : 2, what)
  const method = number(1)
  if (isNew) input.skip(1, what)
  const flags = number(4)
  const { sums, headerCrc, extraField, unread } = lzopFlags(flags)
  if (unread || method < 1 || method > 3)
    throw unsupported(
      'E_CODEC',
      `${input.name}: lzop's method ${method} with flags 0x${flags.toString(16)} is not read`,
      { hint: 'Unpack it with lzop -d first.' },
    )
  input.skip(isNew ? 12 : 8, what)
  input.skip(number(1), what)
  const end = input.position
  input.position = start + lzopMagic.length
  const content = input.take(end - input.position, what)
  const sum = headerCrc ? crc32(content) : adler32(content)
  if (number(4) !== sum) throw input.damaged('the checksum of its header is wrong', end)
  if (extraField) input.skip(number(4) + 4, what)
  return sums
}

function* decodeLzop(input: Input): Generator<Uint8Array> {
  const sums = takeLzopHeader(input)
  for (;;) {
    const start = input.position
    const length = viewOf(input.take(4, 'an lzop block')).getUint32(0)
    if (length === 0) break
    const stored = viewOf(input.take(4, 'an lzop block')).getUint32(0)
    if (length > largestLzopBlock || stored === 0 || stored > length)
      throw input.damaged(`a block of ${length} bytes takes ${stored}`, start)
    input.position = start
    const block = input.takeCopy(lzopBlockHeader(sums, stored < length) + stored, 'an lzop block')
    const content = new Uint8Array(length)
    decodeLzopBlock(block, content, sums)
    yield content
  }
  if (input.remaining > 0 && !input.onlyZeros()) throw input.trailing('lzop')
}
