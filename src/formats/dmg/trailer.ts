import { beginsWith } from '../../binary/begins-with.js'
import { safeNumber } from '../../binary/integers.js'
import type { FieldRow } from '../../binary/struct.js'
import type { ByteStore, Note } from '../../block/types.js'
import { corrupt } from '../../errors.js'
import { trailer as layout, type TrailerValues } from './structs.js'

const searchedLength = 65536

/** A judged trailer. Positions and lengths in bytes. */
export interface Trailer {
  readonly values: TrailerValues
  readonly position: number
  readonly dataFork: number
  readonly dataForkLength: number
  readonly plist?: { readonly position: number; readonly length: number }
  readonly resources?: { readonly position: number; readonly length: number }
  readonly notes: readonly Note[]
  readonly rows: readonly FieldRow[]
}

/** Where the trailer begins in the last bytes of a file, counted from their end; undefined where there is none. */
export function trailerFromEnd(tail: Uint8Array): number | undefined {
  const bytes = Buffer.from(tail.buffer, tail.byteOffset, tail.length)
  let at = bytes.lastIndexOf('koly')
  while (at >= 0 && (at + layout.size > tail.length || !isTrailer(tail.subarray(at, at + 12))))
    at = at === 0 ? -1 : bytes.lastIndexOf('koly', at - 1)
  return at < 0 ? undefined : tail.length - at
}

/** Very old images have it at the start. */
export function isTrailer(bytes: Uint8Array): boolean {
  if (!beginsWith(bytes, 'koly') || bytes.length < 12) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return view.getUint32(4) === 4 && view.getUint32(8) === layout.size
}

/** @throws ImageError corrupt E_NOT_DMG, E_TRUNCATED, E_TOO_LARGE. */
export function readTrailer(store: ByteStore): Trailer {
  const { name, size } = store
  const tail = new Uint8Array(Math.min(searchedLength, size))
  store.read(size - tail.length, tail)
  const head = new Uint8Array(Math.min(12, size))
  store.read(0, head)
  const fromEnd = trailerFromEnd(tail)
  const position = fromEnd === undefined ? (isTrailer(head) && size >= layout.size ? 0 : undefined) : size - fromEnd
  if (position === undefined)
    throw corrupt('E_NOT_DMG', `${name}: no trailer of a DMG in its last ${tail.length} bytes`, {
      hint: 'The file may be incomplete, or a raw disk: --from raw reads its bytes as they are.',
    })
  const bytes = new Uint8Array(layout.size)
  store.read(position, bytes)
  const values = layout.read(bytes)
  const range = (offset: bigint, length: bigint, what: string): { position: number; length: number } | undefined => {
    if (length === 0n) return undefined
    const found = { position: safeNumber(offset, `${name}: ${what}`), length: safeNumber(length, `${name}: ${what}`) }
    if (found.position + found.length <= size) return found
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the ${what} takes bytes ${found.position} to ${found.position + found.length}, but the file ends at ` +
        `byte ${size}`,
      { details: { position, size } },
    )
  }
  const behind = size - position - layout.size
  return {
    values,
    position,
    dataFork: safeNumber(values.dataForkOffset, `${name}: data fork offset`),
    dataForkLength: safeNumber(values.dataForkLength, `${name}: data fork length`),
    plist: range(values.plistOffset, values.plistLength, 'property list'),
    resources: range(values.resourceForkOffset, values.resourceForkLength, 'resource fork'),
    notes:
      behind > 0 && position > 0
        ? [{ code: 'W_TRAILING', message: `${name}: ${behind} bytes follow the trailer at byte ${position}` }]
        : [],
    rows: layout.rows(bytes, position),
  }
}
