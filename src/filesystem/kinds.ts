import type { BlockSource } from '../block/types.js'
import { Issues } from './identification.js'
import { utf8Label } from './labels.js'
import type { Filesystem, FilesystemFamily } from './types.js'
import { bytesAt } from './volume-reader.js'

/**
 * What is read of a volume of a kind that is only recognised: neither its map of used blocks nor its files are read.
 */
export interface Recognised extends Partial<
  Pick<Filesystem, 'version' | 'label' | 'uuid' | 'blockSize' | 'size' | 'facts' | 'marks'>
> {
  /** Whether the checksum of its superblock is right; undefined where there is none. */
  readonly checksum?: boolean
}

/** A kind of content that is recognised by marks. */
export interface Kind {
  /** As blkid names it. */
  readonly type: string
  readonly title: string
  readonly kind: Filesystem['kind']
  /** Bytes of the smallest volume that is looked at. */
  readonly smallest?: number
  /** Undefined: the volume is none of this kind. */
  readonly look: (volume: BlockSource) => Recognised | undefined
}

/** The family of some kinds, in the order in which they are looked for. */
export function familyOf(id: string, kinds: readonly Kind[]): FilesystemFamily {
  return {
    id,
    identify: (volume) =>
      kinds.flatMap(({ type, title, kind, smallest = 0, look }) => {
        const found = volume.capacity < smallest ? undefined : look(volume)
        return found === undefined ? [] : [described(volume, { type, title, kind }, found)]
      }),
  }
}

function described(
  volume: BlockSource,
  names: Pick<Filesystem, 'type' | 'title' | 'kind'>,
  { checksum, size, blockSize, facts, ...found }: Recognised,
): Filesystem {
  const issues = new Issues(names.title)
  if (checksum === false)
    issues.list.push({
      code: 'E_FS_CHECKSUM',
      severity: 'error',
      message: `the checksum of the ${names.title} superblock is wrong`,
    })
  const known = size !== undefined && Number.isSafeInteger(size) && size > 0 ? size : undefined
  if (known !== undefined) issues.checkSize(known, volume.capacity)
  return {
    ...names,
    ...found,
    facts: facts ?? [],
    size: known,
    blockSize: blockSize !== undefined && blockSize > 0 ? blockSize : undefined,
    state: 'unknown',
    issues: issues.list,
  }
}

/** The bytes at a position, where they begin with a mark (`at` bytes into them); undefined else. */
export function marked(
  volume: BlockSource,
  position: number,
  length: number,
  mark: string | number,
  at = 0,
): Buffer | undefined {
  const bytes = bytesAt(volume, position, length)
  if (bytes === undefined) return undefined
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const is =
    typeof mark === 'number'
      ? buffer.readUInt32LE(at) === mark
      : buffer.toString('latin1', at, at + mark.length) === mark
  return is ? buffer : undefined
}

/** A UUID of 16 bytes as it is stored; undefined when it is all zero. */
export function storedUuid(bytes: Buffer, at: number): string | undefined {
  const hex = bytes.toString('hex', at, at + 16)
  return /^0+$/.test(hex) ? undefined : hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** A power of two that is stored by its exponent; undefined where that is beyond reason. */
export function powerOfTwo(exponent: number): number | undefined {
  return exponent <= 31 ? 2 ** exponent : undefined
}

/** Fields of a superblock, in its byte order. */
export interface Fields {
  readonly u16: (at: number) => number
  readonly u32: (at: number) => number
  readonly u64: (at: number) => bigint
}

export function fieldsOf(bytes: Buffer, order: ByteOrder): Fields {
  return order === 'little-endian'
    ? {
        u16: (at) => bytes.readUInt16LE(at),
        u32: (at) => bytes.readUInt32LE(at),
        u64: (at) => bytes.readBigUInt64LE(at),
      }
    : {
        u16: (at) => bytes.readUInt16BE(at),
        u32: (at) => bytes.readUInt32BE(at),
        u64: (at) => bytes.readBigUInt64BE(at),
      }
}

export type ByteOrder = 'little-endian' | 'big-endian'

/** A place where a superblock may lie, and how it is known there: by a mark, `at` bytes into it. */
export interface MarkPlace {
  readonly position: number
  /** A number is read in little-endian order, whatever the order of the fields. */
  readonly mark: string | number
  readonly at?: number
  /** Of the fields, when the superblock lies here; little-endian when left out. */
  readonly order?: ByteOrder
  readonly version?: string
}

/** A superblock that was found by its mark. */
export interface Superblock extends Fields {
  readonly bytes: Buffer
  readonly order: ByteOrder
  readonly place: MarkPlace
}

/**
 * A kind that is known by a superblock at fixed places, with what is read of it. Numbers are bytes of the superblock.
 */
export interface SuperblockKind {
  readonly type: string
  readonly title: string
  /** Bytes of the smallest volume that is looked at. */
  readonly smallest?: number
  /** The first place where it is found counts. */
  readonly places: readonly MarkPlace[]
  /** How much of it is read. */
  readonly length: number
  readonly label?: readonly [from: number, to: number]
  readonly uuid?: number
  readonly blockSize?: number | ((superblock: Superblock) => number | undefined)
  readonly version?: (superblock: Superblock) => string
  readonly size?: (superblock: Superblock) => number | undefined
  /** What else is read. Undefined: it is none of this kind, at this place. */
  readonly rest?: (superblock: Superblock, volume: BlockSource) => Recognised | undefined
}

/** A row of a table of kinds, as one that is looked for. */
export function superblockKind(row: SuperblockKind): Kind {
  const { type, title, smallest, places } = row
  return {
    type,
    title,
    kind: 'filesystem',
    ...(smallest === undefined ? {} : { smallest }),
    look: (volume) => {
      for (const place of places) {
        const found = lookAt(volume, row, place)
        if (found !== undefined) return found
      }
      return undefined
    },
  }
}

function lookAt(volume: BlockSource, row: SuperblockKind, place: MarkPlace): Recognised | undefined {
  const bytes = marked(volume, place.position, row.length, place.mark, place.at)
  if (bytes === undefined) return undefined
  const order = place.order ?? 'little-endian'
  const superblock = { ...fieldsOf(bytes, order), bytes, order, place }
  const rest = row.rest === undefined ? {} : row.rest(superblock, volume)
  if (rest === undefined) return undefined
  const { blockSize, label, uuid } = row
  return {
    version: row.version === undefined ? place.version : row.version(superblock),
    blockSize: typeof blockSize === 'function' ? blockSize(superblock) : blockSize,
    size: row.size?.(superblock),
    label: label === undefined ? undefined : utf8Label(bytes.subarray(...label)),
    uuid: uuid === undefined ? undefined : storedUuid(bytes, uuid),
    ...rest,
  }
}
