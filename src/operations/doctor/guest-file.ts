import type { FileNode } from '../../filesystem/types.js'
import type { VolumeFiles } from '../files/volume-files.js'

/** A file of the guest, where it lies. */
export interface GuestFile {
  readonly files: VolumeFiles
  /** For people, where it is a part of a file. */
  readonly path: string
  readonly node: FileNode
  /** The part of the file that is meant, in bytes, as its headers have it; the whole file when left out. */
  readonly part?: { readonly offset: number; readonly length: number }
}

export function guestFileSize({ node, part }: GuestFile): number {
  return part?.length ?? node.size
}

/** Fills `target` with content. @returns whether it could be read. */
export function fillFromGuestFile({ files, node, part }: GuestFile, position: number, target: Uint8Array): boolean {
  const start = (part?.offset ?? 0) + position
  // A part may reach past the end of a file that is cut off.
  return start + target.length <= node.size && files.fill(node, start, target)
}

/** The first bytes, at most `length` of them; undefined where they cannot be read. */
export function guestFileHead(file: GuestFile, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.min(length, guestFileSize(file)))
  return fillFromGuestFile(file, 0, bytes) ? bytes : undefined
}
