import { hex32 } from '../../../binary/hex.js'
import { nilUuid } from '../../../binary/struct.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, unsupported } from '../../../errors.js'
import type { OpenContext } from '../../driver.js'
import { chooseFooter, unknownType, type ChosenFooter } from './choose-footer.js'
import { readDynamicHeader, type DynamicLayout } from './dynamic.js'
import { featureBits, majorVersion } from './entries.js'
import { windowLength } from './footer.js'
import { locatorNotes, readLocators, type ParentLocator } from './parent-locators.js'
import { capacityOf, fixedNotes } from './sizes.js'
import { diskType, version1, type FooterValues } from './structs.js'

/** Everything that is read when an image is opened. */
export interface Structures {
  readonly chosen: ChosenFooter
  readonly subformat: 'fixed' | 'dynamic' | 'differencing'
  readonly capacity: number
  readonly dynamic?: DynamicLayout
  readonly locators: readonly ParentLocator[]
  readonly notes: readonly Note[]
}

const subformats: Readonly<Record<number, 'fixed' | 'dynamic' | 'differencing'>> = {
  2: 'fixed',
  3: 'dynamic',
  4: 'differencing',
}

/**
 * Reads everything but the BAT's entries.
 * @throws ImageError corrupt E_NOT_VHD, E_CHECKSUM, E_TRUNCATED, E_SIZE, and those of the dynamic header; unsupported
 * E_TYPE, E_VERSION.
 */
export function readStructures(store: ByteStore, context: Pick<OpenContext, 'options'>): Structures {
  const { name, size } = store
  const ignoreChecksums = context.options['ignore-checksums'] === true
  const length = Math.min(size, windowLength)
  const head = new Uint8Array(length)
  const tail = new Uint8Array(length)
  store.read(0, head)
  store.read(size - length, tail)

  const chosen = chooseFooter({ name, head, tail, size, ignoreChecksums })
  const { footer } = chosen
  const { values } = footer
  if (majorVersion(values.fileFormatVersion) !== 1) {
    throw unsupported(
      'E_VERSION',
      `${name}: the footer at byte ${footer.position} has file format version ` +
        `0x${hex32(values.fileFormatVersion)}, only 0x${hex32(version1)} is known`,
      { details: { position: footer.position + 12, found: values.fileFormatVersion } },
    )
  }
  const subformat = subformats[values.diskType]
  if (subformat === undefined) throw unknownType(name, footer)
  const { capacity, notes: sizeNotes } = capacityOf(
    name,
    values,
    context.options['vhd-size'] === 'chs' ? 'chs' : 'footer',
  )
  const notes = [...chosen.notes, ...sizeNotes, ...footerNotes(name, values)]
  if (values.diskType === diskType.fixed) {
    if (chosen.place === 'copy')
      throw corrupt('E_NOT_VHD', `${name}: a fixed disk's footer stands at its end, there is one at byte 0 only`)
    return {
      chosen,
      subformat,
      capacity,
      locators: [],
      notes: [...notes, ...fixedNotes(name, capacity, footer.position)],
    }
  }
  const dynamic = readDynamicHeader(
    store,
    footer,
    chosen.place === 'copy' ? undefined : footer,
    capacity,
    ignoreChecksums,
  )
  notes.push(...dynamic.notes)
  if (values.diskType === diskType.dynamic) return { chosen, subformat, capacity, dynamic, locators: [], notes }
  const { locators, problems } = readLocators(store, dynamic.bytes)
  return {
    chosen,
    subformat,
    capacity,
    dynamic,
    locators,
    notes: [...notes, ...locatorNotes(name, dynamic.position, problems)],
  }
}

/** What is wrong with a footer that is still used. */
function footerNotes(name: string, values: FooterValues): Note[] {
  const notes: Note[] = []
  if (values.fileFormatVersion !== version1)
    notes.push({
      code: 'W_MINOR_VERSION',
      message:
        `${name}: the footer has version 0x${hex32(values.fileFormatVersion)}; it is read as ` + `0x${hex32(version1)}`,
    })
  if (!featureBits(values.features).reserved)
    notes.push({
      code: 'W_FEATURES',
      message: `${name}: bit 1 of the footer's features is clear; by the specification it is always set`,
    })
  if (values.savedState !== 0)
    notes.push({
      code: 'W_SAVED_STATE',
      message: `${name}: a virtual machine was saved while it used the disk: what is in its memory is not on the disk`,
    })
  if (values.uniqueId === nilUuid)
    notes.push({
      code: 'W_UUID_ZERO',
      message: `${name}: the unique id is all zero: children cannot recognise it`,
    })
  return notes
}
