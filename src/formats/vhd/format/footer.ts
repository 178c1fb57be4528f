import {
  dynamicCookie,
  diskType,
  footer,
  footerChecksum,
  footerCookie,
  sectorLength,
  type FooterValues,
} from './structs.js'

/**
 * How much of a file's start and end is looked at: what `probe` is given, so that `open` finds exactly what it
 * promised.
 */
export const windowLength = 65536

/** A footer found in the file. `length` is 511 for those of Virtual PC before 2004, whose last byte is missing. */
export interface FoundFooter {
  readonly position: number
  readonly length: 512 | 511
  readonly bytes: Uint8Array
  readonly values: FooterValues
  readonly intact: boolean
}

/** Everything in a file that looks like a footer. */
export interface Footers {
  /** In the last 512 or 511 bytes. */
  readonly end?: FoundFooter
  /** At byte 0 (also when a fixed disk merely begins with such bytes). */
  readonly copy?: FoundFooter
  /** Intact and in accord with its own place, but with other bytes after it. */
  readonly inside?: FoundFooter
  /** The beginning of a footer that the end of the file cuts off. */
  readonly cut?: { readonly position: number; readonly available: number; readonly size: number | undefined }
  /** Whether the dynamic header's cookie stands where one of the footers says; undefined when that is out of sight. */
  readonly header?: boolean
}

/**
 * Looks for footers. Pure and total.
 * @param head the file's first bytes, @param tail its last ones (64 KiB each, or the whole file), @param size of the
 * file.
 */
export function findFooters(head: Uint8Array, tail: Uint8Array, size: number): Footers {
  const start = size - tail.length
  const end = footerAt(tail, tail.length - footer.size, start) ?? footerAt(tail, tail.length - 511, start)
  const copy = end?.position === 0 ? undefined : footerAt(head, 0, 0)
  const inside = end === undefined ? footerInside(tail, start, copy) : undefined
  const cut = end === undefined && inside === undefined ? cutFooter(tail, start) : undefined
  const header = headerInSight(head, [copy, end, inside])
  return {
    end,
    copy,
    inside,
    cut,
    header,
  }
}

/** Whether the type is one with a dynamic header and a BAT. */
export function isSparse(values: FooterValues): boolean {
  return values.diskType === diskType.dynamic || values.diskType === diskType.differencing
}

/** The size in whole sectors that a fixed disk's footer states, as a number good enough to compare with. */
function wholeSectors(values: FooterValues): number {
  return Number(values.currentSize - (values.currentSize % BigInt(sectorLength)))
}

/** Whether a fixed disk's footer stands right behind the data it describes. */
export function isBehindItsData({ values, position }: FoundFooter): boolean {
  return (
    values.diskType === diskType.fixed && (wholeSectors(values) === position || Number(values.currentSize) === position)
  )
}

function footerAt(bytes: Uint8Array, at: number, start: number): FoundFooter | undefined {
  if (at < 0 || bytes.length - at < 511 || !hasCookie(bytes, at, footerCookie)) return undefined
  const length = bytes.length - at >= footer.size ? 512 : 511
  const own = new Uint8Array(footer.size)
  own.set(bytes.subarray(at, at + length))
  const values = footer.read(own)
  return { position: start + at, length, bytes: own, values, intact: values.checksum === footerChecksum(own) }
}

/** The last footer of the tail that fits its place: nothing that merely lies in guest data does. */
function footerInside(tail: Uint8Array, start: number, copy: FoundFooter | undefined): FoundFooter | undefined {
  for (const at of cookiesFromEnd(tail)) {
    if (start + at === 0) continue
    const found = footerAt(tail, at, start)
    if (found?.intact !== true) continue
    if (isBehindItsData(found)) return found
    if (isSparse(found.values) && copy?.intact === true && copy.values.uniqueId === found.values.uniqueId) return found
  }
  return undefined
}

function cutFooter(tail: Uint8Array, start: number): Footers['cut'] {
  for (const at of cookiesFromEnd(tail)) {
    const available = tail.length - at
    if (available >= 511) return undefined
    const own = new Uint8Array(footer.size)
    own.set(tail.subarray(at))
    const values = footer.read(own)
    if (available >= 16 && values.fileFormatVersion !== 0x00010000) continue
    return { position: start + at, available, size: available >= 56 ? Number(values.currentSize) : undefined }
  }
  return undefined
}

function* cookiesFromEnd(tail: Uint8Array): Generator<number> {
  const buffer = Buffer.from(tail.buffer, tail.byteOffset, tail.length)
  for (
    let at = buffer.lastIndexOf(footerCookie, undefined, 'latin1');
    at >= 0;
    at = at === 0 ? -1 : buffer.lastIndexOf(footerCookie, at - 1, 'latin1')
  )
    yield at
}

function headerInSight(head: Uint8Array, found: readonly (FoundFooter | undefined)[]): boolean | undefined {
  const places = found
    .flatMap((each) => (each === undefined ? [] : [each.values.dataOffset]))
    .filter((at) => at + 8n <= BigInt(head.length))
  return places.length === 0 ? undefined : places.some((at) => hasCookie(head, Number(at), dynamicCookie))
}

function hasCookie(bytes: Uint8Array, at: number, cookie: string): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1', at, at + cookie.length) === cookie
}
