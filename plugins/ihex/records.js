// The file format: Intel, Hexadecimal Object File Format Specification, revision A (1988).

/** Bytes of the largest file that is read: it is read whole. */
export const longestFile = 256 * 2 ** 20

/** The highest address that a record may fill, exclusive: addresses have 32 bits. */
const addressEnd = 2 ** 32

/**
 * The bytes that the records fill, with their addresses, in the order of the file.
 * @param fail makes the error of a line: `fail(what, position)`.
 */
export function* dataRecords(text, fail) {
  let base = 0
  let position = 0
  let ended = false
  for (const line of text.split('\n')) {
    const record = line.trim()
    const at = position
    position += line.length + 1
    if (record === '') continue
    if (ended) throw fail('there is text behind the end record', at)
    if (!/^:(?:[0-9a-f]{2}){5,}$/i.test(record)) throw fail('this line is no record', at)
    const bytes = Buffer.from(record.slice(1), 'hex')
    const [count] = bytes
    const type = bytes[3]
    const content = bytes.subarray(4, -1)
    if (content.length !== count) throw fail(`the record has ${content.length} bytes, and says ${count}`, at)
    if (bytes.reduce((sum, byte) => sum + byte, 0) % 256 !== 0) throw fail('the checksum of the record is wrong', at)
    const wanted = [undefined, 0, 2, 4, 2, 4][type]
    if (type > 5) throw fail(`records of type ${type} are not known`, at)
    if (wanted !== undefined && wanted !== count) throw fail(`a record of type ${type} has ${wanted} bytes`, at)
    if (type === 1) ended = true
    else if (type === 2) base = content.readUInt16BE(0) * 16
    else if (type === 4) base = content.readUInt16BE(0) * 65536
    else if (type === 0) {
      const address = base + bytes.readUInt16BE(1)
      if (address + count > addressEnd) throw fail('the record leaves the 32 bits of addresses', at)
      yield { address, bytes: content }
    }
  }
  if (!ended) throw fail('the end record is missing: the file is incomplete', text.length)
}

/** Ranges of addresses that records fill, sorted and joined. */
export function rangesOf(records) {
  const ranges = []
  const sorted = [...records]
    .map(({ address, bytes }) => ({ start: address, end: address + bytes.length }))
    .filter(({ start, end }) => end > start)
    .sort((a, b) => a.start - b.start)
  for (const { start, end } of sorted) {
    const last = ranges.at(-1)
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end)
    else ranges.push({ start, end })
  }
  return ranges
}
