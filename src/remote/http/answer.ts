import type { IncomingHttpHeaders } from 'node:http'

/** By what a server says that a file is still the same. */
export interface FileVersion {
  /** Sent with every request: the answer is refused, or of another kind, when the file has changed. */
  readonly header: 'If-Match' | 'If-Range'
  readonly value: string
}

/** A range of bytes as an answer has it (RFC 9110, section 14.4); without a size where the server does not say it. */
export interface ContentRange {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  readonly size?: number
}

/** How old a time must be to name one version of a file (RFC 9110, section 8.8.2.2), in milliseconds. */
const settled = 2000

/** What names this version of the file: a strong ETag, or a time that is old enough. */
export function versionOf({ etag, ...headers }: IncomingHttpHeaders): FileVersion | undefined {
  if (etag !== undefined && /^"[\x21\x23-\x7e]*"$/.test(etag)) return { header: 'If-Match', value: etag }
  const modified = headers['last-modified']
  const [changed, now] = [Date.parse(modified ?? ''), Date.parse(headers.date ?? '')]
  return modified !== undefined && now - changed >= settled ? { header: 'If-Range', value: modified } : undefined
}

/** What an answer says of the version of a file, whether or not a server can be asked for that one. */
export interface VersionMarks {
  readonly etag?: string
  readonly modified?: string
}

export function versionMarks({ etag, 'last-modified': modified }: IncomingHttpHeaders): VersionMarks {
  return { etag, modified }
}

/**
 * Whether two answers are of two versions, as far as they say. Servers that look at no condition, and those that name
 * no version that can be asked for (a weak tag, a time that is too new), show a change in this way alone. A time does
 * not matter beside a strong tag: copies of one file on several servers have several.
 */
export function isOtherVersion(one: VersionMarks, other: VersionMarks): boolean {
  const differ = (a: string | undefined, b: string | undefined): boolean =>
    a !== undefined && b !== undefined && a !== b
  return differ(one.etag, other.etag) || (one.etag?.startsWith('"') !== true && differ(one.modified, other.modified))
}

/** How the bytes of an answer are encoded; undefined where they are those of the file. */
export function encodingOf({
  'content-encoding': content = '',
  'transfer-encoding': transfer = '',
}: IncomingHttpHeaders): string | undefined {
  const codings = `${content},${transfer}`.split(',').map((coding) => coding.trim().toLowerCase())
  // Chunks are put together by Node's http. Some stores still say of an object how it was uploaded (aws-chunked).
  return codings.find((coding) => !['', 'identity', 'chunked', 'aws-chunked'].includes(coding))
}

/** The range of a 206, undefined where the header is not one. */
export function contentRange(header: string | undefined): ContentRange | undefined {
  const [, first, last, size] = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(header?.trim() ?? '') ?? []
  if (first === undefined || last === undefined || size === undefined) return undefined
  const [start, end] = [Number(first), Number(last) + 1]
  const total = size === '*' ? undefined : Number(size)
  if (end <= start || (total !== undefined && (end > total || !Number.isSafeInteger(total)))) return undefined
  return { start, end, size: total }
}

/** The size that a 416 names. */
export function sizeOfUnsatisfied(header: string | undefined): number | undefined {
  const size = /^bytes \*\/(\d{1,15})$/i.exec(header?.trim() ?? '')?.[1]
  return size === undefined ? undefined : Number(size)
}

/** Milliseconds of a Retry-After header (RFC 9110, section 10.2.3), where it is one. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,6}$/.test(header.trim())) return Number(header) * 1000
  const time = Date.parse(header)
  return Number.isNaN(time) ? undefined : Math.max(0, time - now)
}
