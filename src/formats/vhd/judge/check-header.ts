import { hex32 } from '../../../binary/hex.js'
import { roundUp } from '../../../binary/integers.js'
import { nilUuid } from '../../../binary/struct.js'
import { isZero } from '../../../binary/zero.js'
import type { ByteStore } from '../../../block/types.js'
import { printable } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import { overlaps, type DynamicLayout, type Structure } from '../format/dynamic.js'
import { parentPaths, readLocators } from '../format/parent-locators.js'
import {
  dynamicHeaderChecksum,
  locatorCount,
  locatorEntry,
  locatorsAt,
  noOffset,
  sectorLength,
} from '../format/structs.js'
import type { Structures } from '../format/structures.js'

const structure = 'dynamic header'
/** Reserved ranges of the dynamic header (VHD specification, "Dynamic Disk Header Format"). */
const reserved = [
  [60, 64],
  [768, 1024],
] as const
const knownCodes = ['W2ru', 'W2ku', 'Wi2r', 'Wi2k', 'Mac ', 'MacX']

/**
 * The dynamic header's own fields; where header and BAT lie was checked when the image was opened. @param ownId the
 * footer's unique id.
 */
export function* checkDynamicHeader(dynamic: DynamicLayout, subformat: string, ownId: string): Generator<Finding> {
  const { values, position, bytes } = dynamic
  if (!dynamic.intact)
    yield {
      severity: 'error',
      code: 'E_CHECKSUM',
      structure,
      position: position + 36,
      message: `the checksum is 0x${hex32(values.checksum)}, the bytes give 0x${hex32(dynamicHeaderChecksum(bytes))}`,
    }
  if (values.dataOffset !== noOffset)
    yield {
      severity: 'warning',
      code: 'W_DATA_OFFSET',
      structure,
      position: position + 8,
      message:
        `data_offset is 0x${values.dataOffset.toString(16)}; all ones were expected, nothing follows ` + 'this header',
    }
  for (const [from, to] of reserved) {
    if (!isZero(bytes, from, to - from))
      yield {
        severity: 'warning',
        code: 'W_RESERVED',
        structure,
        position: position + from,
        message: `reserved bytes ${from} to ${to - 1} of the dynamic header are not all zero`,
      }
  }
  if (subformat === 'differencing') {
    if (values.parentUniqueId === nilUuid)
      yield {
        severity: 'error',
        code: 'E_PARENT_ID',
        structure,
        position: position + 40,
        message:
          "the disk has a parent by its type, but the parent's unique id is all zero: no file can be " +
          'verified as the parent',
      }
    else if (values.parentUniqueId === ownId)
      yield {
        severity: 'error',
        code: 'E_PARENT_ID',
        structure,
        position: position + 40,
        message: `the parent's unique id is the disk's own (${ownId})`,
      }
  } else if (values.parentUniqueId !== nilUuid || values.parentUnicodeName !== '') {
    yield {
      severity: 'warning',
      code: 'W_PARENT_UNUSED',
      structure,
      position: position + 40,
      message:
        `a parent is named ("${printable(values.parentUnicodeName)}", ${values.parentUniqueId}), but the ` +
        'disk has none by its type',
    }
  }
}

/** The parent locators of a differencing disk. Gives the ranges of the file that their texts take. */
export function* checkLocators(
  store: ByteStore,
  { subformat, locators }: Structures,
  dynamic: DynamicLayout,
): Generator<Finding, Structure[]> {
  const taken: Structure[] = []
  if (subformat !== 'differencing') return taken
  for (const { index, code, message } of readLocators(store, dynamic.bytes).problems) {
    yield {
      severity: 'error',
      code: 'E_PARENT_LOCATOR',
      structure: `parent locator ${index}`,
      position: dynamic.position + locatorsAt + index * locatorEntry.size,
      message: `"${printable(code)}" ${message}`,
    }
  }
  for (let index = 0; index < locatorCount; index++) {
    const text = yield* checkLocator(store, dynamic, index, taken)
    if (text !== undefined) taken.push(text)
  }
  if (parentPaths(locators, dynamic.values.parentUnicodeName).length === 0) {
    yield {
      severity: 'error',
      code: 'E_PARENT_MISSING',
      structure: 'parent locators',
      position: dynamic.position + locatorsAt,
      message: 'the disk has a parent by its type, but neither a locator nor the header names a file',
    }
  }
  return taken
}

/** One of the locators. Gives the range of the file that its text takes; undefined where it has none. */
function* checkLocator(
  store: ByteStore,
  dynamic: DynamicLayout,
  index: number,
  taken: readonly Structure[],
): Generator<Finding, Structure | undefined> {
  const at = locatorsAt + index * locatorEntry.size
  const entry = locatorEntry.read(dynamic.bytes, at)
  if (entry.platformCode === '') return undefined
  const place = { structure: `parent locator ${index}`, position: dynamic.position + at }
  if (!knownCodes.includes(entry.platformCode))
    yield {
      severity: 'warning',
      code: 'W_PARENT_LOCATOR_CODE',
      ...place,
      message: `the platform code "${printable(entry.platformCode)}" is unknown`,
    }
  const { platformDataLength: textLength, platformDataSpace } = entry
  // The specification counts the space in sectors, Windows in bytes.
  const space = platformDataSpace < sectorLength ? platformDataSpace * sectorLength : platformDataSpace
  if (space < textLength)
    yield {
      severity: 'warning',
      code: 'W_PARENT_LOCATOR_SPACE',
      ...place,
      message: `its text has ${textLength} bytes, the space set aside for it ${space}`,
    }
  const position = Number(entry.platformDataOffset)
  const length = roundUp(textLength, sectorLength)
  if (length === 0 || position + textLength > store.size) return undefined
  const hit = [...dynamic.structures, ...taken].find((other) => overlaps(other, position, textLength))
  if (hit !== undefined)
    yield {
      severity: 'error',
      code: 'E_OVERLAP',
      ...place,
      message:
        `its text (bytes ${position} to ${position + textLength}) lies upon ${hit.what} at byte ` + `${hit.position}`,
    }
  const what = `the text of parent locator ${index}`
  return { what, position, length: Math.max(length, Math.min(space, store.size - position)) }
}
