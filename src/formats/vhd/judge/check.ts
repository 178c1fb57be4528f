import type { Work } from '../../../block/work.js'
import type { ByteStore } from '../../../block/types.js'
import type { Finding } from '../../driver.js'
import { checkBlocks } from './check-blocks.js'
import { checkDynamicHeader, checkLocators } from './check-header.js'
import { checkFooters } from './check-footers.js'
import type { Structures } from '../format/structures.js'

/** Bitmaps that are looked at where reading looks at the others: they lie all over the file. */
const fewBitmaps = 256

/**
 * Everything that is wrong with an opened VHD: footers, dynamic header, parent locators, BAT, sector bitmaps, and who
 * owns what of the file.
 * @param limit where blocks end. @param deep also reads all that the bitmaps say was never written.
 * @param tables leaves all but the first sector bitmaps to reading.
 */
export function* checkVhd(
  store: ByteStore,
  structures: Structures,
  { limit, deep, tables = false }: { readonly limit: number; readonly deep: boolean; readonly tables?: boolean },
): Work<void, Finding> {
  yield* checkFooters(store, structures)
  const { dynamic, subformat, capacity } = structures
  if (dynamic === undefined) return
  yield* checkDynamicHeader(dynamic, subformat, structures.chosen.footer.values.uniqueId)
  const locators = yield* checkLocators(store, structures, dynamic)
  yield* checkBlocks(store, {
    layout: dynamic,
    capacity,
    limit,
    differencing: subformat === 'differencing',
    others: locators,
    deep,
    mostBitmaps: tables ? fewBitmaps : Infinity,
  })
}
