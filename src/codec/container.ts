import zlib from 'node:zlib'
import type { UnitList } from '../block/unit-source.js'
import { xzHeader } from './stream/xz.js'

/** A compressed file that is made of units: what comes before, and behind them. */
export interface Container {
  /** The codec of its units, and the bytes of content that each has. */
  readonly codec: string
  readonly unitLength: number
  readonly levels: readonly [lowest: number, highest: number, usual: number]
  readonly head: Uint8Array
  /** @param units where each stands in the file. @param unit its first bytes, for what it records itself. */
  tail(units: UnitList, heads: readonly Uint8Array[]): Uint8Array
}

/** The block at the end of BGZF files (SAM specification, 4.1.2). */
const bgzfEnd = Buffer.from('1f8b08040000000000ff0600424302001b0003000000000000000000', 'hex')

/** Compressed files that can be made, by the last extension of their names. */
export const containers: Readonly<Record<string, Container>> = {
  gz: {
    codec: 'gzip-member',
    unitLength: 1048576,
    levels: [0, 9, 6],
    head: new Uint8Array(0),
    tail: () => bgzfEnd,
  },
  zst: {
    codec: 'zstd-frame',
    unitLength: 1048576,
    levels: [1, 19, 3],
    head: new Uint8Array(0),
    tail: seekTable,
  },
  xz: {
    codec: 'xz-block-4',
    unitLength: 4194304,
    levels: [0, 9, 6],
    get head() {
      return xzHeader(4)
    },
    tail: xzTail,
  },
}

/** The seek table of zstd's seekable format (contrib/seekable_format), without checksums: frames have their own. */
function seekTable(units: UnitList): Uint8Array {
  const table = Buffer.alloc(8 + units.count * 8 + 9)
  table.writeUInt32LE(0x184d2a5e, 0)
  table.writeUInt32LE(table.length - 8, 4)
  for (let index = 0; index < units.count; index++) {
    table.writeUInt32LE(units.stored(index), 8 + index * 8)
    table.writeUInt32LE(units.length(index), 12 + index * 8)
  }
  table.writeUInt32LE(units.count, table.length - 9)
  table.writeUInt32LE(0x8f92eab1, table.length - 4)
  return table
}

/** Bytes and their CRC-32. */
function checked(bytes: Uint8Array): Buffer {
  const crc = Buffer.alloc(4)
  crc.writeUInt32LE(zlib.crc32(bytes), 0)
  return Buffer.concat([bytes, crc])
}

/** The index and the footer of an .xz stream (xz-file-format.txt, 4 and 2.1.2). */
function xzTail(units: UnitList, heads: readonly Uint8Array[]): Uint8Array {
  const parts: number[] = [0, ...variable(units.count)]
  for (let index = 0; index < units.count; index++)
    parts.push(...variable(unpaddedLength(heads[index] ?? new Uint8Array(0))), ...variable(units.length(index)))
  while (parts.length % 4 !== 0) parts.push(0)
  const index = checked(Uint8Array.from(parts))
  const footer = Buffer.alloc(6)
  footer.writeUInt32LE(index.length / 4 - 1, 0)
  footer[5] = 4
  return Buffer.concat([index, checkedFirst(footer), Buffer.from('YZ')])
}

function checkedFirst(bytes: Uint8Array): Buffer {
  const both = checked(bytes)
  return Buffer.concat([both.subarray(bytes.length), bytes])
}

/** A block's length without its padding: its header says how long its data is, and eight bytes of check follow. */
function unpaddedLength(head: Uint8Array): number {
  let value = 0
  let weight = 1
  for (let at = 2; ; at++, weight *= 128) {
    const byte = head[at] ?? 0
    value += (byte % 128) * weight
    if (byte < 128) break
  }
  return ((head[0] ?? 0) + 1) * 4 + value + 8
}

function variable(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return [...bytes, rest]
}
