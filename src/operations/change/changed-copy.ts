import fs from '../../sys/host-fs.js'
import { writeError } from '../../block/file-store.js'
import { firstError } from '../../errors.js'
import type { Progress } from '../../engine/index.js'
import { Registry } from '../../formats/registry.js'
import { fileId } from '../../location/location.js'
import { convert } from '../transfer/convert.js'
import { HeldFolder } from '../../location/folder.js'
import { moveWithoutReplacing, partialName, removePartial } from '../../location/partial.js'
import { folderPart, lastPart } from '../../sys/host-path.js'
import type { InUseOptions } from '../in-use/guard.js'
import { lockReplaced } from '../in-use/replacing.js'
import { checkTarget } from '../transfer/target.js'

/**
 * Copies the file of an image, byte for byte and with its holes, lets `change` work on the copy, and gives it its name
 * when that is done.
 * On any failure nothing new is left, and what stood there is untouched.
 * @throws ImageError those of a target, and of `change`.
 */
export async function changedCopy<Result>(
  path: string,
  output: string,
  change: (copy: string) => Promise<Result>,
  options: InUseOptions & {
    readonly force?: boolean
    readonly signal?: AbortSignal
    readonly onProgress?: (progress: Progress) => void
  } = {},
): Promise<Result> {
  const { plain } = new Registry()
  const place = checkTarget(output, options.force === true, [imageFileOf(path)], options)
  const replaced = place.replaces ? lockReplaced(place.path) : undefined
  using folder = new HeldFolder(folderPart(place.path))
  const copy = folder.at(partialName(lastPart(place.path)))
  const final = folder.at(lastPart(place.path))
  try {
    await convert(path, copy, {
      from: plain.id,
      fromOptions: { parts: false },
      to: plain.id,
      signal: options.signal,
      onProgress: options.onProgress,
    })
    const result = await change(copy)
    try {
      if (place.replaces) fs.renameSync(copy, final)
      else moveWithoutReplacing(copy, final)
    } catch (cause) {
      throw writeError(place.path, 'cannot be given its name', cause)
    }
    return result
  } catch (error) {
    try {
      removePartial(copy)
    } catch {
      // The first error is the cause.
    }
    throw firstError(error)
  } finally {
    replaced?.[Symbol.dispose]()
  }
}

function imageFileOf(path: string): Parameters<typeof checkTarget>[2][number] {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return {
    path,
    id: fileId({ device: stat?.dev ?? -1n, inode: stat?.ino ?? -1n }),
    role: 'image',
    size: Number(stat?.size ?? 0),
    allocated: 0,
    device: stat?.dev ?? -1n,
    inode: stat?.ino ?? -1n,
  }
}
