import { printable, usage, type HostPath } from '../errors.js'
import { hostName, nameBytes } from './host-fs.js'

/** Bytes of a percent-encoded text (RFC 3986); undefined where an encoding is broken. */
export function percentBytes(text: string): Buffer | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined
  const bytes = nameBytes(text)
  const result: number[] = []
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== 0x25) result.push(bytes[at] ?? 0)
    else {
      result.push(Number.parseInt(bytes.toString('latin1', at + 1, at + 3), 16))
      at += 2
    }
  }
  return Buffer.from(result)
}

/** A text with its percent-encodings resolved (RFC 3986); as it stands where they are none, or of no UTF-8. */
export function percentText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A path percent-encoded: whatever shell takes it, it is a word that means itself. */
export function percentEncoded(path: HostPath): string {
  return nameBytes(path)
    .toString('latin1')
    .replace(/[^A-Za-z0-9/._-]/g, (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** The inverse of {@link percentEncoded}. @throws ImageError usage E_FILE_NAME. */
export function percentDecoded(text: string): HostPath {
  const bytes = percentBytes(text)
  if (bytes === undefined || bytes.includes(0))
    throw usage('E_FILE_NAME', `${printable(text)} is no name that is percent-encoded`)
  return hostName(bytes)
}
