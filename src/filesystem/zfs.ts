import { viewOf } from '../binary/integers.js'
import type { BlockSource, Fact } from '../block/types.js'
import type { Filesystem, FilesystemFamily, ByteRun } from './types.js'
import { bytesAt } from './volume-reader.js'

const labelSize = 256 * 1024
const listStart = 16 * 1024
const listSize = 112 * 1024
const uberblockStart = 128 * 1024
const uberblockMagic = 0x00bab10cn
/** Types of values in a list of pairs (OpenZFS, include/sys/nvpair.h). */
const types = { number: 8, text: 9, list: 19 }
const mostPairs = 512

/** Members of ZFS pools: four labels, two at each end. */
export const zfs: FilesystemFamily = {
  id: 'zfs',
  identify: (volume) => {
    const end = volume.capacity - (volume.capacity % labelSize)
    let first: { readonly pairs: ReadonlyMap<string, string | bigint>; readonly version: string } | undefined
    const marks: ByteRun[] = []
    for (const position of new Set([0, labelSize, end - 2 * labelSize, end - labelSize])) {
      const version = uberblockVersion(volume, position)
      if (version === undefined) continue
      const list = bytesAt(volume, position + listStart, listSize)
      const pairs = list === undefined ? undefined : readList(list)
      if (pairs === undefined) continue
      first ??= { pairs, version }
      marks.push({ offset: position, length: labelSize })
    }
    return first === undefined ? [] : [{ ...describe(first.pairs, first.version), marks }]
  },
}

/** The version that the first uberblock of a label records, in either byte order. */
function uberblockVersion(volume: BlockSource, label: number): string | undefined {
  const ring = bytesAt(volume, label + uberblockStart, labelSize - uberblockStart)
  if (ring === undefined) return undefined
  const view = viewOf(ring)
  for (let at = 0; at + 1024 <= ring.length; at += 1024) {
    for (const little of [true, false])
      if (view.getBigUint64(at, little) === uberblockMagic) return String(view.getBigUint64(at + 8, little))
  }
  return undefined
}

function describe(pairs: ReadonlyMap<string, string | bigint>, version: string): Filesystem {
  const value = (name: string): string | undefined => pairs.get(name)?.toString()
  const [label, uuid, shift, member, host] = ['name', 'pool_guid', 'ashift', 'guid', 'hostname'].map(value)
  const facts: Fact[] = [
    ...(member === undefined ? [] : [{ name: 'memberGuid', label: 'member GUID', value: member }]),
    ...(host === undefined ? [] : [{ name: 'host', value: host }]),
  ]
  return {
    type: 'zfs_member',
    title: 'ZFS',
    kind: 'container',
    version,
    state: 'unknown',
    facts,
    issues: [],
    label,
    uuid,
    ...(shift === undefined || Number(shift) < 9 || Number(shift) > 16 ? {} : { blockSize: 2 ** Number(shift) }),
  }
}

/**
 * The numbers and texts of a list in XDR (RFC 4506), and of lists in it where the outer one does not have them.
 * Undefined: it is none.
 */
function readList(bytes: Uint8Array): Map<string, string | bigint> | undefined {
  // Encoding 1 is XDR, whose numbers are big-endian.
  if (bytes[0] !== 1) return undefined
  const found = new Map<string, string | bigint>()
  const view = viewOf(bytes)
  const text = (at: number, length: number): string => Buffer.from(bytes.subarray(at, at + length)).toString('utf8')
  // Lists in a list begin behind the head of their pair: with it read as a pair without a value, one loop reads all.
  let at = 12
  for (let pairs = 0; pairs < mostPairs && at + 12 <= bytes.length; pairs++) {
    const size = view.getUint32(at)
    if (size === 0) {
      // The end of a list: eight bytes, behind which the outer one goes on.
      at += 8
      continue
    }
    const nameLength = view.getUint32(at + 8)
    const value = at + 12 + Math.ceil(nameLength / 4) * 4 + 8
    if (size < 20 || nameLength > 256 || value > bytes.length) break
    const name = text(at + 12, nameLength)
    const type = view.getUint32(value - 8)
    if (!found.has(name) && type === types.number && value + 8 <= bytes.length)
      found.set(name, view.getBigUint64(value))
    if (!found.has(name) && type === types.text && value + 4 <= bytes.length)
      found.set(name, text(value + 4, Math.min(view.getUint32(value), 256)))
    at = type === types.list ? value + 8 : at + size
  }
  return found.has('pool_guid') ? found : undefined
}
