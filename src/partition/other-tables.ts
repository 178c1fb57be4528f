import { viewOf } from '../binary/integers.js'
import type { BlockSource } from '../block/types.js'

/**
 * Bytes at the start of a disk in which the marks of these tables lie: the Amiga's may be in any of its first 16
 * sectors.
 */
const searched = 16 * 512

/** Tables that are recognised by their marks and not read. */
const marks: readonly (readonly [title: string, matches: (start: Uint8Array, view: DataView) => boolean])[] = [
  ['Sun disk label', (start, view) => start.length >= 512 && view.getUint16(508) === 0xdabe],
  ['SGI disk label', (start, view) => start.length >= 512 && view.getUint32(0) === 0x0be5a941],
  [
    'Amiga rigid disk block',
    (start, view) => sectorsOf(start).some((at) => view.getUint32(at) === 0x5244534b && view.getUint32(at + 4) <= 128),
  ],
  ['PC-98 partition table', (start) => start.length >= 512 && text(start, 4, 4) === 'IPL1'],
  ['DragonFly BSD disklabel64', (start, view) => start.length >= 516 && view.getUint32(512, true) === 0xc4464c59],
  // IBMA in EBCDIC.
  ['AIX boot record', (start) => hex(start, 0, 4) === 'c9c2d4c1'],
  [
    'IBM DASD volume label',
    (start) =>
      start.length >= 4096 &&
      [1024, 4096, 8192].some(
        (at) => at + 8 <= start.length && ['e5d6d3f1', 'd3d5e7f1', 'c3d4e2f1'].includes(hex(start, at, 4)),
      ),
  ],
]

/** The name of a table that vdisk knows and does not read; undefined when there is none. */
export function otherTable(source: BlockSource): string | undefined {
  const start = new Uint8Array(Math.min(searched, source.capacity))
  source.read(0, start)
  const view = viewOf(start)
  return marks.find(([, matches]) => matches(start, view))?.[0]
}

function sectorsOf(start: Uint8Array): number[] {
  return Array.from({ length: Math.floor(start.length / 512) }, (_, index) => index * 512)
}

function text(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.subarray(at, at + length)).toString('latin1')
}

function hex(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.subarray(at, at + length)).toString('hex')
}
