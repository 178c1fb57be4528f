/**
 * The text of a label or a path up to its first NUL; undefined when there is none. Bytes that are no UTF-8 become
 * U+FFFD.
 */
export function utf8Label(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0)
  const text = Buffer.from(end < 0 ? bytes : bytes.subarray(0, end))
    .toString('utf8')
    .trimEnd()
  return text === '' ? undefined : text
}

/** A UUID that is not all zero. */
export function setUuid(uuid: string): string | undefined {
  return /^[0-]+$/.test(uuid) ? undefined : uuid
}

/** A time in seconds since 1970 for people; undefined for 0, which says none. */
export function secondsText(seconds: number): string | undefined {
  return seconds === 0 ? undefined : new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
