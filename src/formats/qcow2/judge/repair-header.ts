import type { RepairAction } from '../../driver.js'
import { bitsOf, withBits } from '../format/entries.js'
import { editHeader, type HeaderChanges } from '../format/header-editor.js'
import { extensionHeader, extensionTypes, headerV3, incompatible } from '../format/structs.js'
import type { Anatomy } from '../format/use.js'

/** Changes fields of the header, durably. */
export function changeHeader({ store }: Anatomy, changes: HeaderChanges): void {
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
  anatomy: Anatomy,
  bits: readonly number[],
  code: string,
  why: string,
): Generator<RepairAction> {
  changeHeader(anatomy, { autoclearFeatures: without(anatomy.header.autoclearFeatures, bits) })
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
export function* dropBitmaps({ store, header }: Anatomy, code: string): Generator<RepairAction, boolean> {
  const { list, count } = header.extensions
  const index = list.findIndex(({ type }) => type === extensionTypes.bitmaps)
  const found = list[index]
  const last = list.at(-1)
  // Beyond the extensions that are listed it is not known where they end.
  if (found === undefined || last === undefined || count > list.length) return false
  const endOf = (extension: { readonly position: number; readonly length: number }): number =>
    extension.position + extensionHeader.size + extension.length + ((8 - (extension.length % 8)) % 8)
  const rest = new Uint8Array(endOf(last) - endOf(found))
  store.read(endOf(found), rest.subarray(0, Math.max(0, Math.min(rest.length, store.size - endOf(found)))))
  const bytes = new Uint8Array(endOf(last) - found.position)
  bytes.set(rest)
  store.write(found.position, bytes)
  store.flush()
  yield {
    code,
    structure: 'bitmaps',
    position: found.position,
    message: `drop ${header.extensions.bitmaps?.count === 1 ? 'the bitmap, which is' : 'the bitmaps, which are'} not to be trusted: the next backup that goes by ${header.extensions.bitmaps?.count === 1 ? 'it' : 'them'} must be a full one`,
  }
  return true
}

/** Clears the marks of an image that was not closed, and of one that is damaged, where they are no longer true. */
export function* clearStates(
  anatomy: Anatomy,
  clear: { readonly dirty: boolean; readonly corrupt: boolean },
): Generator<RepairAction> {
  const { header } = anatomy
  let features = header.incompatibleFeatures
  const position = headerV3.fields.incompatibleFeatures.offset
  if (header.dirty && clear.dirty) {
    features = without(features, [incompatible.dirty])
    changeHeader(anatomy, { incompatibleFeatures: features })
    yield {
      code: 'W_DIRTY',
      structure: 'header',
      position,
      message: 'clear the mark of an image that was not closed: its refcounts are right',
    }
  }
  if (header.corrupt && clear.corrupt) {
    features = without(features, [incompatible.corrupt])
    changeHeader(anatomy, { incompatibleFeatures: features })
    yield {
      code: 'W_CORRUPT',
      structure: 'header',
      position,
      message: 'clear the mark of a damaged image: no error is left',
    }
  }
}
