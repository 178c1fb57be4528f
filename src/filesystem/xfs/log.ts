import { ceilDivide, viewOf } from '../../binary/integers.js'
import type { VolumeReader } from '../volume-reader.js'
import { logRecord, logRecordMagic } from './structs.js'

const basicBlock = 512
const headerCovers = 32768
/** Byte of an operation that has its flags, and the flag of an unmount. */
const operationFlags = 9
const unmountFlag = 0x20
/** Records are at most this long. */
const longestRecord = 256 * 1024

/**
 * Whether the last thing in the log is an unmount: nothing is to be replayed then.
 * @param start byte of the volume where the log begins. @param length its bytes. @throws ImageError corrupt
 * E_FS_CORRUPT.
 */
export function isLogEmpty(reader: VolumeReader, start: number, length: number): boolean {
  const blocks = Math.floor(length / basicBlock)
  if (blocks < 2) return false
  const word = (block: number, at: number): number =>
    viewOf(reader.bytes(start + block * basicBlock + at, 4)).getUint32(0)
  // Every block begins with the number of its round through the log; in a record's head it comes second.
  const cycle = (block: number): number => (word(block, 0) === logRecordMagic ? word(block, 4) : word(block, 0))
  const first = cycle(0)
  // The head: where the round before begins.
  let low = 1
  let high = blocks
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (cycle(middle) === first) low = middle + 1
    else high = middle
  }
  const head = low
  for (let block = head - 1; block >= Math.max(0, head - longestRecord / basicBlock - 8); block--) {
    if (word(block, 0) !== logRecordMagic) continue
    const record = logRecord.read(reader.bytes(start + block * basicBlock, basicBlock))
    const headers = record.version >= 2 && record.size > headerCovers ? ceilDivide(record.size, headerCovers) : 1
    const data = block + headers
    if (record.operations !== 1 || data >= blocks || data + ceilDivide(record.length, basicBlock) !== head) return false
    const [flags = 0] = reader.bytes(start + data * basicBlock + operationFlags, 1)
    return Math.floor(flags / unmountFlag) % 2 === 1
  }
  return false
}
