import { utf16Text } from './record.js'

/** Longest target of a link, and the mark before it, in bytes. */
export const maximumInterix = 8 + 4096 * 2

const marks = { link: 'IntxLNK\u0001', character: 'IntxCHR\0', block: 'IntxBLK\0' }

/**
 * What a system file says of itself that Services for Unix or ntfs-3g made: a link, or a device. Undefined: it is an
 * ordinary file.
 */
export function readInterix(
  content: Uint8Array,
): { readonly kind: 'link'; readonly target: string } | { readonly kind: 'device' } | undefined {
  switch (Buffer.from(content.subarray(0, 8)).toString('latin1')) {
    case marks.link: {
      const target = utf16Text(content.subarray(8)).replace(/\0.*$/s, '')
      return target === '' ? undefined : { kind: 'link', target }
    }
    case marks.character:
    case marks.block:
      return { kind: 'device' }
    default:
      return undefined
  }
}
