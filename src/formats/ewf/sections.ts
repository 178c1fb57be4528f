import { hex32 } from '../../binary/hex.js'
import { adler32 } from '../../binary/adler32.js'
import { safeNumber } from '../../binary/integers.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints, printable, type ImageError } from '../../errors.js'
import { fileHeader1, fileHeader2, sectionDescriptor2, sectionHeader1, sectionTypes2 } from './structs.js'

/** A section of a segment file. Positions are bytes of that file; the data lies from `start` to `end`. */
export interface SegmentSection {
  readonly type: string
  /** Where its header, or its descriptor, is. */
  readonly position: number
  readonly start: number
  readonly end: number
  /** Only of version 2: the data is encrypted. */
  readonly encrypted?: boolean
}

/** More sections than any writer makes: one table for each 2 GiB would be 4 EiB. */
const mostSections = 65536

/** @throws ImageError corrupt E_SECTION, with the section's place. */
function badSection(store: ByteStore, position: number, why: string): ImageError {
  return corrupt('E_SECTION', `${store.name}: the section at byte ${position} is damaged: ${why}`, {
    details: { position },
  })
}

function cutOff(store: ByteStore, position: number, what: string): ImageError {
  return corrupt('E_TRUNCATED', `${store.name}: ${what}, but the file ends at byte ${store.size}`, {
    details: { position, size: store.size },
    hint: hints.incomplete,
  })
}

/**
 * The sections of a segment file of version 1, in order; the last is `next` or `done`.
 * @throws ImageError corrupt E_SECTION, E_TRUNCATED.
 */
export function readSections1(store: ByteStore): SegmentSection[] {
  const sections: SegmentSection[] = []
  const bytes = new Uint8Array(sectionHeader1.size)
  for (let position = fileHeader1.size; ;) {
    if (position + bytes.length > store.size)
      throw cutOff(store, position, `a section begins at byte ${position}, before one that ends the segment`)
    store.read(position, bytes)
    const { type, nextOffset, size, checksum } = sectionHeader1.read(bytes)
    const sum = adler32(bytes, 0, 72)
    if (sum !== checksum)
      throw badSection(store, position, `its checksum is 0x${hex32(checksum)}, its header has 0x${hex32(sum)}`)
    const start = position + bytes.length
    if (type === 'next' || type === 'done') {
      sections.push({ type, position, start, end: start })
      return sections
    }
    const next = safeNumber(nextOffset, `${store.name}: where section ${printable(type)} ends`)
    if (next > store.size) throw cutOff(store, position, `section ${printable(type)} goes on to byte ${next}`)
    if (next < start) throw badSection(store, position, `${printable(type)} is followed by byte ${next}`)
    const length = safeNumber(size, `${store.name}: the size of section ${printable(type)}`)
    if (position + length > next || (length !== 0 && length < bytes.length))
      throw badSection(store, position, `${printable(type)} has ${length} bytes, and the next is at byte ${next}`)
    sections.push({ type, position, start, end: length === 0 ? next : position + length })
    if (sections.length > mostSections) throw badSection(store, position, `more than ${mostSections} sections`)
    position = next
  }
}

/**
 * The same of version 2, where each section's descriptor stands behind its data and leads to the one before.
 * @throws ImageError corrupt E_SECTION, E_TRUNCATED.
 */
export function readSections2(store: ByteStore): SegmentSection[] {
  const sections: SegmentSection[] = []
  const bytes = new Uint8Array(sectionDescriptor2.size)
  for (let position = store.size - bytes.length; ;) {
    if (position < fileHeader2.size) throw cutOff(store, 0, 'it holds no sections')
    store.read(position, bytes)
    const { type, flags, previousOffset, dataSize, descriptorSize, checksum } = sectionDescriptor2.read(bytes)
    const sum = adler32(bytes, 0, 60)
    const isLast = sections.length === 0
    if (sum !== checksum || descriptorSize !== bytes.length) {
      if (isLast) throw cutOff(store, position, 'the section that ends the segment is not there')
      throw badSection(store, position, `its checksum is 0x${hex32(checksum)}, its descriptor has 0x${hex32(sum)}`)
    }
    const name = sectionTypes2.get(type) ?? `type ${type}`
    if (isLast && name !== 'next' && name !== 'done')
      throw cutOff(store, position, 'the section that ends the segment is not there')
    const size = safeNumber(dataSize, `${store.name}: the size of section ${name}`)
    const previous = safeNumber(previousOffset, `${store.name}: what is before section ${name}`)
    const floor = previous === 0 ? fileHeader2.size : previous + bytes.length
    const start = position - size
    if (start < floor)
      throw badSection(store, position, `${name} has ${size} bytes, and the one before is at byte ${previous}`)
    sections.unshift({ type: name, position, start, end: position, encrypted: Math.floor(flags / 2) % 2 === 1 })
    if (previous === 0) return sections
    if (sections.length > mostSections) throw badSection(store, position, `more than ${mostSections} sections`)
    position = previous
  }
}

/** The data of a section that is small by its nature. @param most bytes. @throws ImageError corrupt E_SECTION. */
export function sectionBytes(
  store: ByteStore,
  { type, position, start, end }: SegmentSection,
  most: number,
): Uint8Array {
  if (end - start > most)
    throw badSection(store, position, `${type} has ${end - start} bytes, at most ${most} are read`)
  const bytes = new Uint8Array(end - start)
  store.read(start, bytes)
  return bytes
}
