import { lzmaSize } from '../../codec/stream/lzma-alone.js'
import { lzmaHeaderLength } from '../../codec/stream/marks.js'
import type { WrapperDriver } from '../driver.js'
import { wholeStream } from './whole-stream.js'

/** Compressed files without an index: LZMA, LZ4. */

const streamed = 'as a stream, or unpacked'

export const lzma: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'lzma',
  title: 'LZMA (old .lzma files)',
  extensions: ['lzma'],
  access: streamed,
  probe: isLzma,
  *open(store) {
    yield { done: 0, total: store.size }
    const header = new Uint8Array(lzmaHeaderLength)
    store.read(0, header)
    return wholeStream('lzma', store, lzmaSize(header))
  },
}

export const lz4: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'lz4',
  title: 'LZ4',
  extensions: ['lz4'],
  access: streamed,
  probe: (head) => (['\x04\x22\x4d\x18', '\x02\x21\x4c\x18'].includes(text(head, 4)) ? 'certain' : 'no'),
  *open(store) {
    yield { done: 0, total: store.size }
    return wholeStream('lz4', store)
  },
}

function text(head: Uint8Array, length: number): string {
  return Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, length)).toString('latin1')
}

/**
 * The old .lzma header has no magic: usual properties, a dictionary of 2^n or 3·2^n bytes, and a length that is unknown
 * or sane.
 */
function isLzma(head: Uint8Array): 'certain' | 'no' {
  if (head.length < 18 || head[0] !== 0x5d || head[13] !== 0) return 'no'
  const view = new DataView(head.buffer, head.byteOffset)
  const dictionary = view.getUint32(1, true)
  const low = view.getUint32(5, true)
  const high = view.getUint32(9, true)
  const usual = dictionary >= 4096 && [dictionary, dictionary / 3].some((size) => Number.isInteger(Math.log2(size)))
  return usual && ((low === 0xffffffff && high === 0xffffffff) || (high < 256 && low + high > 0)) ? 'certain' : 'no'
}
