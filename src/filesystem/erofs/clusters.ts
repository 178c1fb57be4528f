import { roundDown, roundUp, viewOf } from '../../binary/integers.js'
import { unsupported } from '../../errors.js'
import type { VolumeReader } from '../volume-reader.js'
import { clusterWord, compactWord, mapHeader, type StoredMap } from './entries.js'

/** What a logical cluster of a compressed file is (fs/erofs/erofs_fs.h, Z_EROFS_LCLUSTER_TYPE). */
export const clusterKinds = { plain: 0, head: 1, inner: 2, secondHead: 3 } as const

/** One logical cluster of a file, as its index says. */
export interface Cluster {
  readonly kind: number
  /** Of what begins in it: where, counted from its first byte. */
  readonly offset: number
  /** The block where that is stored. */
  readonly block: number
  /** Of the second cluster of what is stored in several blocks: how many. */
  readonly blocks?: number
  /** Whether only a part of what is stored belongs to the file. */
  readonly isPartial: boolean
}

/** The index of a compressed file, and where it ends. */
export interface ClusterIndex {
  readonly header: StoredMap
  readonly clusters: Iterable<Cluster>
  /** The byte of the volume behind the index: what is stored inline lies there. */
  readonly end: number
  /** Whether a place of 64 bits continues in the block of the last cluster. */
  readonly isLong: boolean
}

interface IndexPlace {
  /** Behind the inode and its attributes. */
  readonly end: number
  readonly count: number
  /** The logarithm of the block size. */
  readonly shift: number
}

/** Where the map header of a compressed file lies. @param end behind the inode and its attributes. */
export function mapHeaderPlace(end: number): number {
  return roundUp(end, 8)
}

const indexSize = 8
/** Long indexes lie this far behind the header (Z_EROFS_FULL_INDEX_ALIGN). */
const longPadding = 8
const initial = 4

/** Indexes of eight bytes a cluster (EROFS_INODE_COMPRESSED_FULL). @throws ImageError unsupported E_FS_FEATURE. */
export function longIndex(reader: VolumeReader, { end, count }: IndexPlace): ClusterIndex {
  const place = mapHeaderPlace(end)
  const start = place + mapHeader.size + longPadding
  const header = mapHeader.read(reader.bytes(place, mapHeader.size))
  // The same bit of short indexes (Z_EROFS_ADVISE_EXTENTS).
  if (header.isShort) throw unsupported('E_FS_FEATURE', 'the EROFS filesystem lists extents, which are not read')
  return {
    header,
    clusters: long(reader, start, count),
    end: start + count * indexSize,
    isLong: true,
  }
}

function* long(reader: VolumeReader, start: number, count: number): Generator<Cluster> {
  for (let index = 0; index < count; index++) {
    const view = viewOf(reader.bytes(start + index * indexSize, indexSize))
    const { kind, isPartial } = clusterWord(view.getUint16(0, true))
    if (kind === clusterKinds.inner) yield inner(view.getUint16(4, true))
    else yield { kind, offset: view.getUint16(2, true), block: view.getUint32(4, true), isPartial }
  }
}

/** @param distance to its head, or the number of blocks with a mark. */
function inner(distance: number): Cluster {
  const { blocks } = compactWord(distance, 12)
  return { kind: clusterKinds.inner, offset: 0, block: 0, blocks, isPartial: false }
}

/**
 * Indexes of four bytes a cluster, and of two between those where the file has many (EROFS_INODE_COMPRESSED_COMPACT):
 * packs of clusters, each with the block of its first, from which those of the others are counted.
 */
export function compactIndex(reader: VolumeReader, { end, count, shift }: IndexPlace): ClusterIndex {
  const place = mapHeaderPlace(end)
  const header = mapHeader.read(reader.bytes(place, mapHeader.size))
  const start = place + mapHeader.size
  // Packs of 16 clusters in 32 bytes are aligned to their size.
  const before = Math.min(count, ((32 - (start % 32)) / initial) % 8)
  const small = header.isShort && before < count ? roundDown(count - before, 16) : 0
  const parts = [
    { from: start, count: before, width: 4 },
    { from: start + before * 4, count: small, width: 2 },
    { from: start + before * 4 + small * 2, count: count - before - small, width: 4 },
  ]
  const last = parts.findLast((part) => part.count > 0)
  const behind = last === undefined ? start : roundUp(last.from + last.count * last.width, last.width === 2 ? 32 : 8)
  return { header, clusters: compact(reader, parts, header, shift), end: behind, isLong: false }
}

interface IndexPart {
  readonly from: number
  readonly count: number
  readonly width: number
}

function* compact(
  reader: VolumeReader,
  parts: readonly IndexPart[],
  header: StoredMap,
  shift: number,
): Generator<Cluster> {
  for (const { from, count, width } of parts) {
    const [perPack, bits] = width === 2 ? [16, 14] : [2, 16]
    for (let done = 0; done < count; done += perPack)
      yield* pack(reader.bytes(from + done * width, perPack * width), {
        bits,
        low: Math.max(12, shift),
        used: Math.min(perPack, count - done),
        hasLarge: header.hasLarge,
      })
  }
}

interface PackShape {
  /** Of each cluster. */
  readonly bits: number
  /** Of those, for an offset or a distance. */
  readonly low: number
  readonly used: number
  /** Whether something may be stored in several blocks. */
  readonly hasLarge: boolean
}

function* pack(bytes: Uint8Array, { bits, low, used, hasLarge }: PackShape): Generator<Cluster> {
  const view = viewOf(bytes)
  const base = view.getUint32(bytes.length - 4, true)
  const word = (index: number): ReturnType<typeof compactWord> => {
    const at = index * bits
    return compactWord(view.getUint32(Math.floor(at / 8), true), low, at % 8)
  }
  const count = ((bytes.length - 4) * 8) / bits
  let block = base + (hasLarge ? 0 : 1)
  for (let index = 0; index < used; index++) {
    const { kind, value, blocks } = word(index)
    if (kind === clusterKinds.inner) yield { kind, offset: 0, block: 0, blocks, isPartial: false }
    else yield { kind, offset: value, block, isPartial: false }
    if (kind === clusterKinds.inner) block += hasLarge ? (blocks ?? 0) : 0
    else if (!hasLarge) block++
    else {
      const next = index + 1 < count ? word(index + 1) : undefined
      if (next?.kind !== clusterKinds.inner || next.blocks === undefined) block++
    }
  }
}
