import { roundUp } from '../binary/integers.js'
import { unsupported, type ImageError } from '../errors.js'
import type { FileMap } from './file-map.js'
import type { FilePatch, VolumeWrite } from './types.js'

const lineFeed = 0x0a

/** Why a file cannot be changed in its place. */
export function fixed(title: string, why: string): ImageError {
  return unsupported('E_FILE_FIXED', `a file of the ${title} filesystem cannot be changed in its place: ${why}`)
}

/** A file whose content lies in blocks of the volume. */
export interface MappedFile {
  readonly title: string
  readonly map: FileMap
  /** Bytes it has now. */
  readonly size: number
  /** Bytes of a block: the file may grow to the end of its last one. */
  readonly unit: number
  /** What records another size: one sector, so that it is the old or the new one. */
  readonly resized: (size: number) => VolumeWrite[]
}

/**
 * The writes of {@link FileTree.rewrite} for a file in blocks. A file that grows in its middle is first filled up with
 * empty lines, which are no harm in any text: a stop leaves it with them, or with its new content.
 * @throws ImageError unsupported E_FILE_FIXED.
 */
export function mappedRewrite(file: MappedFile, patches: readonly FilePatch[], size: number): VolumeWrite[][] {
  const { title, map, size: old, unit, resized } = file
  if (size < old) throw new RangeError(`a file of ${old} bytes is not cut down to ${size}`)
  if (size === old) return [writesOf(file, patches)]
  const room = Math.min(roundUp(old, unit), map.length)
  if (size > room) throw fixed(title, `it has ${old} bytes, its blocks have room for ${room}, and ${size} are needed`)
  const [only] = patches
  const appended = patches.length === 1 && only?.offset === old && only.bytes.length === size - old
  if (appended) return [writesOf(file, patches), resized(size)]
  const lines = new Uint8Array(size - old).fill(lineFeed)
  return [writesOf(file, [{ offset: old, bytes: lines }]), resized(size), writesOf(file, patches)]
}

function writesOf({ title, map }: MappedFile, patches: readonly FilePatch[]): VolumeWrite[] {
  return patches.flatMap(({ offset, bytes }) => {
    const writes: VolumeWrite[] = []
    for (let done = 0; done < bytes.length;) {
      if (offset + done >= map.length) throw fixed(title, `byte ${offset + done} lies behind its blocks`)
      const { length, position } = map.at(offset + done)
      if (position === undefined) throw fixed(title, `byte ${offset + done} lies in a hole, or was never written`)
      const piece = bytes.subarray(done, done + length)
      writes.push({ position, bytes: piece })
      done += piece.length
    }
    return writes
  })
}
