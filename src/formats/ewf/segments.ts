import { headerBytes } from '../../block/header-bytes.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, isImageError, printable, reference, unsupported, type ImageError } from '../../errors.js'
import type { OpenContext } from '../driver.js'
import { readSections1, readSections2, type SegmentSection } from './sections.js'
import { findSegment, firstSegmentName } from './segment-names.js'
import { fileHeader1, fileHeader2, signature1, signature2 } from './structs.js'
import { beginsWith } from '../../binary/begins-with.js'

/** One file of a set. */
export interface Segment {
  readonly version: 1 | 2
  readonly store: ByteStore
  readonly number: number
  readonly sections: readonly SegmentSection[]
  /** Version 2: 0 none, 1 deflate, 2 bzip2. */
  readonly compression: number
  readonly setIdentifier: string | undefined
}

export interface Segments {
  readonly list: readonly Segment[]
  /** What the further files are called, in order. */
  readonly names: readonly string[]
  /** Set where a segment is missing, and the caller wants only to look. */
  readonly missing?: ImageError
}

/**
 * Opens the segments that follow the first. `opened` gets each store that is opened here, at once, so that the caller
 * can close them when this fails.
 * @throws ImageError reference E_PART_MISSING, E_PART_ORDER, E_PART_OTHER_SET; corrupt; unsupported.
 */
export function openSegments(first: ByteStore, context: OpenContext, opened: ByteStore[]): Segments {
  const { self } = context
  const start = readSegment(first)
  const list = [start]
  const names: string[] = []
  if (start.number !== 1) throw notFirst(first, start.number, self.name)
  while (list.at(-1)?.sections.at(-1)?.type === 'next') {
    const number = list.length + 1
    const { name, place } = findSegment(self, number)
    if (name === undefined || place === undefined) {
      const error = missingSegment(first, number, name)
      // Only a caller that wants to look at the image gets nothing for a file that is not there.
      if (isRequired(context, name)) throw error
      return { list, names, missing: error }
    }
    names.push(name)
    const store = context.openReference({ role: 'extent', path: place.address }, place)
    if (store === undefined) return { list, names, missing: missingSegment(first, number, name) }
    opened.push(store)
    const segment = readSegment(store)
    list.push(segment)
    if (segment.number !== number)
      throw reference('E_PART_ORDER', `${store.name} is segment ${segment.number} of a set, not ${number}`, {
        hint: 'Give the segments their own names again.',
        details: { segment: segment.number, expected: number },
      })
    if (segment.version !== start.version || segment.setIdentifier !== start.setIdentifier) throw otherSet(store, first)
  }
  return { list, names }
}

/** A segment of another acquisition. */
export function otherSet({ name }: ByteStore, first: ByteStore): ImageError {
  return reference('E_PART_OTHER_SET', `${name} is a segment of another set than ${first.name}: their ids differ`, {
    hint: 'Put the segment of this set in its place.',
  })
}

function isRequired(context: OpenContext, name: string | undefined): boolean {
  try {
    return context.openReference({ role: 'extent', path: name ?? 'the next segment' }) !== undefined
  } catch (error) {
    if (isImageError(error)) return true
    throw error
  }
}

function readSegment(store: ByteStore): Segment {
  const start = new Uint8Array(Math.min(8, store.size))
  store.read(0, start)
  if (beginsWith(start, signature2)) {
    const { major, compression, segmentNumber, setIdentifier } = fileHeader2.read(
      headerBytes(store, fileHeader2.size, 'the header of an Ex01 segment'),
    )
    if (major !== 2 || compression > 2)
      throw unsupported(
        'E_UNSUPPORTED_FEATURE',
        `${store.name} is version ${major} of EWF with compression method ${compression}, which vdisk does not read`,
      )
    const sections = readSections2(store)
    return { version: 2, store, number: segmentNumber, compression, setIdentifier, sections }
  }
  if (!beginsWith(start, signature1))
    throw corrupt('E_HEADER', `${store.name} is no segment of an EWF image: it begins with other bytes (header byte 0)`)
  const { segmentNumber } = fileHeader1.read(headerBytes(store, fileHeader1.size, 'the header of an EWF segment'))
  return {
    version: 1,
    store,
    number: segmentNumber,
    compression: 1,
    setIdentifier: undefined,
    sections: readSections1(store),
  }
}

function notFirst({ name }: ByteStore, number: number, own: string | undefined): ImageError {
  const first = own === undefined ? undefined : firstSegmentName(own)
  return reference('E_PART_ORDER', `${name} is segment ${number} of a set, not the first`, {
    hint:
      first === undefined || first === own
        ? 'Open the first segment; the others are found beside it.'
        : `Open the first segment, ${printable(first)}; the others are found beside it.`,
    details: { segment: number, expected: 1 },
  })
}

function missingSegment({ name }: ByteStore, number: number, wanted: string | undefined): ImageError {
  return reference(
    'E_PART_MISSING',
    wanted === undefined
      ? `${name}: segment ${number} is missing, and its name does not say what that is called`
      : `${name}: segment ${number}, ${printable(wanted)}, is missing`,
    { hint: 'Put all segments of the set into one folder, under the names that they were made with.' },
  )
}
