import { nilUuid } from '../../../binary/struct.js'
import type { ByteStore } from '../../../block/types.js'
import { unsupported, usage } from '../../../errors.js'
import type { ParentShape } from '../../driver.js'
import type { DynamicLayout } from '../format/dynamic.js'
import { vhdTime } from '../format/layout.js'
import { buildLocators, leafOf, pathsOf } from '../format/parent-locators.js'
import {
  diskType,
  dynamicHeader,
  sealedDynamicHeader,
  sealedFooter,
  sectorLength,
  type FooterValues,
} from '../format/structs.js'
import type { Structures } from '../format/structures.js'
import type { WordTable } from '../format/bat.js'

/** What the record of a parent needs: its paths and what else the dynamic header says of it. */
export interface NewLink {
  readonly paths: Parameters<typeof buildLocators>[0]
  readonly uniqueId: string
  readonly time: number
  readonly name: string
}

/** @throws ImageError usage E_PARENT_FORMAT, E_PARENT_PATH where a VHD cannot be the child of this. */
export function linkTo(parent: ParentShape): NewLink {
  const { image, path } = parent
  if (image.format !== 'vhd' || image.identity === undefined) {
    throw usage('E_PARENT_FORMAT', `${path}: the parent of a VHD must be a VHD, this is ${image.format}`, {
      hint: 'Convert the parent to VHD first, or make a qcow2 child.',
    })
  }
  return { paths: pathsOf(parent), uniqueId: image.identity, time: vhdTime(parent.time), name: leafOf(parent) }
}

/**
 * Writes another dynamic header, and another kind of disk where there is no parent any more. The header has two
 * sectors, which a power cut
 * can part. So a new one is put behind everything, the footer, which is one sector, leads to it, and then back to the
 * old place, where the
 * same header has been written meanwhile. Both footers lead to a whole header at any moment.
 */
export function writeLink(
  store: ByteStore,
  { chosen: { footer } }: Structures,
  dynamic: DynamicLayout,
  table: WordTable,
  link: NewLink | undefined,
): void {
  const end = footer.position
  const temporary = end + sectorLength
  const values = { ...footer.values, diskType: link === undefined ? diskType.dynamic : diskType.differencing }
  const textsLength = link === undefined ? 0 : buildLocators(link.paths, 0).texts.length
  const last = temporary + dynamicHeader.size + textsLength
  if (!store.growable)
    throw unsupported('E_NOT_WRITABLE', `${store.name} cannot grow, and there is no other place for a new header`)

  // The file ends in a whole footer at any moment.
  const old = new Uint8Array(sectorLength)
  store.read(end, old)
  store.write(last, old)
  store.flush()
  putHeader(store, dynamic, link, temporary, temporary + dynamicHeader.size)
  leadTo(store, values, temporary, last)

  const room = roomBehind(dynamic, table, end)
  const stays = room >= textsLength
  putHeader(
    store,
    dynamic,
    link,
    dynamic.position,
    stays ? dynamic.position + dynamicHeader.size : temporary + dynamicHeader.size,
  )
  leadTo(store, values, dynamic.position, last)
  if (!stays) return
  store.write(end, footerFor(values, dynamic.position))
  store.flush()
  store.truncate(end + sectorLength)
  store.flush()
}

/** A header, and the texts that it leads to. */
function putHeader(
  store: ByteStore,
  dynamic: DynamicLayout,
  link: NewLink | undefined,
  position: number,
  textsAt: number,
): void {
  const { entries, texts } =
    link === undefined ? { entries: new Uint8Array(192), texts: new Uint8Array(0) } : buildLocators(link.paths, textsAt)
  if (texts.length > 0) store.write(textsAt, texts)
  store.write(
    position,
    sealedDynamicHeader({
      ...dynamic.values,
      parentLocators: entries,
      parentUniqueId: link?.uniqueId ?? nilUuid,
      parentTimeStamp: link?.time ?? 0,
      parentUnicodeName: link?.name ?? '',
    }),
  )
  store.flush()
}

/** The footer at the file's end first, then its copy. */
function leadTo(store: ByteStore, values: FooterValues, header: number, end: number): void {
  for (const position of [end, 0]) {
    store.write(position, footerFor(values, header))
    store.flush()
  }
}

function footerFor(values: FooterValues, header: number): Uint8Array {
  return sealedFooter({ ...values, dataOffset: BigInt(header) })
}

/** Bytes behind the dynamic header up to the next thing that is neither it nor the text of a locator. */
function roomBehind(dynamic: DynamicLayout, table: WordTable, end: number): number {
  const start = dynamic.position + dynamicHeader.size
  let next = end
  for (const { position, length } of dynamic.structures)
    if (length > 0 && position >= start) next = Math.min(next, position)
  for (const word of table.words) if (word * sectorLength >= start) next = Math.min(next, word * sectorLength)
  return next - start
}
