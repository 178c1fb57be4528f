import type { ByteStore } from '../../../block/types.js'
import type { RepairAction } from '../../driver.js'
import { bitsOf, withBits } from '../../../binary/flags.js'
import type { Header } from '../format/header.js'
import { editHeader, type HeaderChanges } from '../format/header-editor.js'
import { extensionHeader, extensionTypes, headerV3, incompatible } from '../format/structs.js'
import type { ImageParts } from '../format/owners.js'

/** Changes fields of the header, durably. */
export function changeHeader({ store }: ImageParts, changes: HeaderChanges): void {
  editHeader(store, changes)
  store.flush()
}

function without(word: bigint, bits: readonly number[]): bigint {
  return withBits(bitsOf(word).filter((bit) => !bits.includes(bit)))
}

/**
 * Clears autoclear features. `code` and `why` say what it mends: what they stand for is not so, or is not known to be
 * so after a repair.
 */
export function* clearAutoclear(
  imageParts: ImageParts,
  bits: readonly number[],
  code: string,
  why: string,
): Generator<RepairAction> {
  changeHeader(imageParts, { autoclearFeatures: without(imageParts.header.autoclearFeatures, bits) })
  yield {
    code,
    structure: 'header',
    position: headerV3.fields.autoclearFeatures.offset,
    message: `clear the autoclear feature ${bits.length === 1 ? 'bit' : 'bits'} ${bits.join(', ')}: ${why}`,
  }
}

/**
 * Takes the bitmaps extension out of the header: they are not to be trusted, and an incremental backup begins with a
 * full one.
 */
export function* dropBitmaps({ store, header }: ImageParts, code: string): Generator<RepairAction, boolean> {
  const found = takeOutBitmaps(store, header)
  if (found === undefined) return false
  const [which, them] =
    header.extensions.bitmaps?.count === 1 ? ['the bitmap, which is', 'it'] : ['the bitmaps, which are', 'them']
  yield {
    code,
    structure: 'bitmaps',
    position: found,
    message: `drop ${which} not to be trusted: the next backup that goes by ${them} must be a full one`,
  }
  return true
}

/** Takes the extension out, durably. @returns where it stood; undefined where it cannot be taken out. */
export function takeOutBitmaps(store: ByteStore, header: Header): number | undefined {
  const { list, count } = header.extensions
  const found = list.find(({ type }) => type === extensionTypes.bitmaps)
  const last = list.at(-1)
  // Beyond the extensions that are listed it is not known where they end.
  if (found === undefined || last === undefined || count > list.length) return undefined
  const endOf = (extension: { readonly position: number; readonly length: number }): number =>
    extension.position + extensionHeader.size + extension.length + ((8 - (extension.length % 8)) % 8)
  const rest = new Uint8Array(endOf(last) - endOf(found))
  store.read(endOf(found), rest.subarray(0, Math.max(0, Math.min(rest.length, store.size - endOf(found)))))
  const bytes = new Uint8Array(endOf(last) - found.position)
  bytes.set(rest)
  store.write(found.position, bytes)
  store.flush()
  return found.position
}

/**
 * Ends the header extensions before one that is damaged. Not where the format of the parent or the name of the data
 * file may stand in what is left out.
 */
export function* endExtensions({ store, header }: ImageParts): Generator<RepairAction, boolean> {
  const { fault, backingFormat, dataFile } = header.extensions
  if (fault === undefined) return false
  if ((header.backingFile !== undefined && backingFormat === undefined) || (header.dataFile && dataFile === undefined))
    return false
  store.write(fault.position, extensionHeader.write({ type: extensionTypes.end, length: 0 }))
  store.flush()
  yield {
    code: 'E_HEADER_EXTENSION',
    structure: 'header',
    position: fault.position,
    message: 'end the header extensions before the damaged one',
  }
  return true
}

/** Clears the marks of an image that was not closed, and of one that is damaged, where they are no longer true. */
export function* clearStates(
  imageParts: ImageParts,
  clear: { readonly dirty: boolean; readonly corrupt: boolean },
): Generator<RepairAction> {
  const { header } = imageParts
  let features = header.incompatibleFeatures
  const position = headerV3.fields.incompatibleFeatures.offset
  if (header.dirty && clear.dirty) {
    features = without(features, [incompatible.dirty])
    changeHeader(imageParts, { incompatibleFeatures: features })
    yield {
      code: 'W_DIRTY',
      structure: 'header',
      position,
      message: 'clear the mark of an image that was not closed: its refcounts are right',
    }
  }
  if (header.corrupt && clear.corrupt) {
    features = without(features, [incompatible.corrupt])
    changeHeader(imageParts, { incompatibleFeatures: features })
    yield {
      code: 'W_CORRUPT',
      structure: 'header',
      position,
      message: 'clear the mark of a damaged image: no error is left',
    }
  }
}
