import type { ByteStore } from '../../block/types.js'
import { UnitList, UnitSource } from '../../block/unit-source.js'
import type { Work } from '../../block/work.js'
import { Input } from '../../codec/stream/input.js'
import { isXzFooter, takeXzFooter, takeXzHeader, takeXzIndex, type XzRecord } from '../../codec/stream/xz.js'
import { xzHeaderLength, xzMagic } from '../../codec/stream/marks.js'
import { codecFor } from '../../codec/registry.js'
import type { WrapperDriver } from '../driver.js'
import { wholeStream } from './whole-stream.js'

/** Larger blocks are not decoded for a single read: the whole file is unpacked instead. */
const largestBlock = 4 * 1024 * 1024
/** Blocks up to this ("xz -T0" makes them of 24 MiB) are decoded side by side where they are read one by one. */
const largestUnit = 32 * 1024 * 1024

export const xz: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'xz',
  title: 'xz',
  extensions: ['xz'],
  access: 'by its blocks of up to 4 MiB (32 MiB in order), as a stream, or unpacked',
  probe: (head) => (xzMagic.every((byte, index) => head[index] === byte) ? 'certain' : 'no'),
  *open(store) {
    // Decoding says whether it is cut off, or something else follows.
    if (!endsWithFooter(store)) return wholeStream('xz', store)
    const { units, checks } = yield* readIndex(store)
    const [check = 0, ...others] = checks
    const whole = wholeStream('xz', store, units.capacity)
    if (units.largest > largestUnit || (units.count < 2 && units.largest > largestBlock) || others.length > 0)
      return whole
    if (units.count === 0) return whole
    const source = new UnitSource(store, codecFor(`xz-block-${check}`), units)
    if (units.largest <= largestBlock) return { members: [{ size: units.capacity, source }] }
    return { members: whole.members.map((member) => ({ ...member, source })) }
  },
}

/** Whether the file ends with the footer of a stream, and padding. */
function endsWithFooter(store: ByteStore): boolean {
  const input = inputOf(store)
  const end = store.size - paddingBefore(input, store.size)
  if (end < xzHeaderLength) return false
  input.position = end - xzHeaderLength
  return isXzFooter(input.peek(xzHeaderLength))
}

function inputOf(store: ByteStore): Input {
  return new Input(store.name, (position, target) => store.read(position, target), 0, store.size)
}

/**
 * The blocks of all streams, from the end backwards: only indexes, footers and headers are read. @throws ImageError
 * corrupt.
 */
function* readIndex(store: ByteStore): Work<{ readonly units: UnitList; readonly checks: readonly number[] }> {
  const input = inputOf(store)
  const streams: { readonly start: number; readonly records: readonly XzRecord[] }[] = []
  const checks = new Set<number>()
  let end = store.size
  while (end > 0) {
    yield { done: store.size - end, total: store.size }
    end -= paddingBefore(input, end)
    if (end < 2 * xzHeaderLength + 8) throw input.cut('an xz stream')
    input.position = end - xzHeaderLength
    const { check, indexLength } = takeXzFooter(input)
    const indexStart = end - xzHeaderLength - indexLength
    if (indexStart < xzHeaderLength) throw input.damaged('an xz footer leads outside its file', end - xzHeaderLength)
    input.position = indexStart
    const records = takeXzIndex(input)
    if (input.position !== end - xzHeaderLength)
      throw input.damaged('an xz footer does not lead to the index', end - xzHeaderLength)
    const stored = records.reduce((sum, { unpadded }) => sum + roundUpFour(unpadded), 0)
    const start = indexStart - stored - xzHeaderLength
    if (start < 0) throw input.damaged('an xz index describes more than its file has', indexStart)
    input.position = start
    if (takeXzHeader(input, false) !== check)
      throw input.damaged('the footer of an xz stream does not agree with its header', end - xzHeaderLength)
    checks.add(check)
    streams.push({ start, records })
    end = start
  }
  const units = new UnitList()
  for (const { start, records } of streams.reverse()) {
    let position = start + xzHeaderLength
    for (const { unpadded, size } of records) {
      units.add(position, roundUpFour(unpadded), size)
      position += roundUpFour(unpadded)
    }
  }
  return { units, checks: [...checks] }
}

function roundUpFour(length: number): number {
  return Math.ceil(length / 4) * 4
}

/** Bytes of zeros before a position, in groups of four. */
function paddingBefore(input: Input, end: number): number {
  let padding = 0
  while (padding + 4 <= end) {
    input.position = end - padding - 4
    if (input.peek(4).some((byte) => byte !== 0)) break
    padding += 4
  }
  return padding
}
