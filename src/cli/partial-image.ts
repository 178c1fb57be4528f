import type { ImageDiskResult } from '../operations/imaging/image-result.js'

/** Whether something is left to do: ranges that could not be read, or a snapshot that could not be removed. */
export function isPartial({ unreadable, snapshot }: ImageDiskResult): boolean {
  return unreadable.bytes > 0 || (snapshot?.left.length ?? 0) > 0
}
