import { isRelativeLink } from './entries.js'
import { utf16Text } from './record.js'
import { junction, reparseHead, symbolicLink } from './structs.js'

/** What a reparse point makes of its file. */
export type Reparse =
  | { readonly kind: 'link'; readonly target: string }
  /** Sockets, pipes and devices of Linux programs under Windows; their content is empty. */
  | { readonly kind: 'special' }
  /**
   * Content that is fetched from elsewhere when it is not here: the file's own bytes are true while it is not marked as
   * offline.
   */
  | { readonly kind: 'cloud' }
  /** The content lies elsewhere or in another form: the file's own bytes are not it. `what` is for people. */
  | { readonly kind: 'redirected'; readonly what: string }

const tags = { mountPoint: 0xa0000003, symbolicLink: 0xa000000c, linuxLink: 0xa000001d }
const specialTags = new Set([0x80000023, 0x80000024, 0x80000025, 0x80000026])
const redirections: Readonly<Record<number, string>> = {
  0x80000013: 'deduplicated by Windows',
  0x80000017: 'compressed by Windows for its system files (WOF, "compact /exe")',
  0x8000001b: 'an alias of a store app',
  0xc0000004: 'moved to remote storage',
  0x80000006: 'moved to remote storage',
}

/** Decodes a reparse point; undefined when it is not valid. */
export function readReparse(bytes: Uint8Array): Reparse | undefined {
  if (bytes.length < reparseHead.size) return undefined
  const { tag } = reparseHead.read(bytes)
  switch (tag) {
    case tags.symbolicLink: {
      if (bytes.length < symbolicLink.size) return undefined
      const { flags, ...names } = symbolicLink.read(bytes)
      const target = linkTarget(bytes, symbolicLink.size, names)
      return target === undefined
        ? undefined
        : { kind: 'link', target: isRelativeLink(flags) ? target.replaceAll('\\', '/') : target }
    }
    case tags.mountPoint: {
      if (bytes.length < junction.size) return undefined
      const target = linkTarget(bytes, junction.size, junction.read(bytes))
      return target === undefined ? undefined : { kind: 'link', target }
    }
    case tags.linuxLink:
      // Four bytes of a version, then UTF-8.
      return bytes.length > 12 ? { kind: 'link', target: Buffer.from(bytes.subarray(12)).toString('utf8') } : undefined
    default:
      if (specialTags.has(tag)) return { kind: 'special' }
      // Fifteen tags, one for each kind of synchronised folder: 0x9000x01A.
      if (tag - (tag % 0x10000) === 0x90000000 && tag % 0x1000 === 0x1a) return { kind: 'cloud' }
      return {
        kind: 'redirected',
        what: redirections[tag] ?? `a reparse point of an unknown kind (0x${tag.toString(16)})`,
      }
  }
}

/** The name for people, or the one for the system without its prefix. */
function linkTarget(
  bytes: Uint8Array,
  start: number,
  {
    substituteOffset,
    substituteLength,
    printOffset,
    printLength,
  }: { substituteOffset: number; substituteLength: number; printOffset: number; printLength: number },
): string | undefined {
  const text = (offset: number, length: number): string | undefined =>
    start + offset + length > bytes.length
      ? undefined
      : utf16Text(bytes.subarray(start + offset, start + offset + length))
  const shown = text(printOffset, printLength)
  if (shown === undefined || shown !== '') return shown
  const target = text(substituteOffset, substituteLength)?.replace(/^\\\?\?\\/, '')
  return target === '' ? undefined : target
}
