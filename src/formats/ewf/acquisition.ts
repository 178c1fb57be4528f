import { adler32 } from '../../binary/adler32.js'
import { viewOf } from '../../binary/integers.js'
import type { ByteStore, Fact, Note } from '../../block/types.js'
import { corrupt, unsupported } from '../../errors.js'
import type { Table, TableCopy } from './chunk-tables.js'
import { mostEntries } from './chunk-tables.js'
import { mediaOfTexts, readVolume, type Media } from './media.js'
import { sectionBytes, type SegmentSection } from './sections.js'
import { otherSet, type Segment } from './segments.js'
import { errorHeader1, errorHeader2, tableHeader1, tableHeader2 } from './structs.js'
import { acquisitionFacts, headerValues, type HeaderValues } from './text.js'

/** Sectors that could not be read when the image was made. */
export interface BadRange {
  readonly sector: number
  readonly count: number
}

/** What the segments of a set say together. */
export interface Acquisition {
  readonly media: Media
  readonly tables: readonly Table[]
  readonly facts: readonly Fact[]
  readonly badRanges: readonly BadRange[]
  /** Digests of the whole media, lower-case hexadecimal, as far as they are recorded. */
  readonly md5?: string
  readonly sha1?: string
  readonly notes: readonly Note[]
}

const longestText = 1024 * 1024
const longestErrors = 16 * 1024 * 1024
const longestDigest = 4096

/** Reads everything but the tables' entries. @throws ImageError corrupt E_HEADER, E_CHECKSUM, E_MAP; unsupported. */
export function readAcquisition(segments: readonly Segment[]): Acquisition {
  const collected = new Collector(segments)
  for (const segment of segments) collected.add(segment)
  return collected.finish()
}

class Collector {
  readonly #first: Segment
  readonly #tables: Table[] = []
  readonly #notes: Note[] = []
  readonly #badRanges: BadRange[] = []
  #media: Media | undefined
  #texts: { facts?: Fact[]; device?: HeaderValues; about?: HeaderValues } = {}
  #md5: string | undefined
  #sha1: string | undefined
  #chunks = 0

  constructor([first]: readonly Segment[]) {
    if (first === undefined) throw new RangeError('a set has at least one segment')
    this.#first = first
  }

  add(segment: Segment): void {
    const { store, sections, version } = segment
    const encrypted = sections.find((section) => section.encrypted === true || section.type === 'keys')
    if (encrypted !== undefined)
      throw unsupported('E_ENCRYPTED', `${store.name} is encrypted, and how is not published`, {
        hint: 'Decrypt it with EnCase, and read what that writes.',
      })
    let data: SegmentSection | undefined
    for (const [index, section] of sections.entries()) {
      if (section.type === 'sectors') data = section
      if (section.type === 'table') {
        const next = sections[index + 1]
        if (version === 2) this.#addTable2(store, section, data)
        else this.#addTable1(store, section, next?.type === 'table2' ? next : undefined, data)
        data = undefined
      }
      if (version === 1) this.#addFacts1(store, section)
      else this.#addFacts2(segment, section)
    }
  }

  finish(): Acquisition {
    const { store } = this.#first
    const media = this.#media
    if (media === undefined)
      throw corrupt('E_HEADER', `${store.name}: nothing in it describes the media that was imaged`)
    if (this.#chunks !== media.chunks)
      this.#notes.push({
        code: this.#chunks < media.chunks ? 'W_CHUNKS_MISSING' : 'W_CHUNKS_BEYOND',
        message: `${store.name}: its tables have ${this.#chunks} chunks, the media has ${media.chunks}`,
      })
    const sectors = media.capacity / media.bytesPerSector
    const lost = this.#badRanges.reduce((sum, { count }) => sum + count, 0)
    if (lost > 0)
      this.#notes.push({
        code: 'W_BAD_SECTORS',
        message:
          `${store.name}: ${lost} of ${sectors} sectors could not be read when the image was made, and hold what its ` +
          `maker put in their place (zeros, as a rule): ${rangesText(this.#badRanges)}`,
      })
    return {
      media,
      tables: this.#tables,
      facts: this.#texts.facts ?? [],
      badRanges: this.#badRanges,
      md5: this.#md5,
      sha1: this.#sha1,
      notes: this.#notes,
    }
  }

  /** A table with the chunks before it, or in it where there is no `sectors` section (EnCase 1, SMART). */
  #addTable1(
    store: ByteStore,
    section: SegmentSection,
    second: SegmentSection | undefined,
    data: SegmentSection | undefined,
  ): void {
    const copies: TableCopy[] = []
    let count: number | undefined
    let end = section.end
    for (const copy of second === undefined ? [section] : [section, second]) {
      const header = new Uint8Array(tableHeader1.size)
      if (copy.start + header.length <= copy.end) store.read(copy.start, header)
      const { entryCount, baseOffset, checksum } = tableHeader1.read(header)
      const summed = this.#media?.kind !== 'smart'
      const position = copy.start + header.length
      const stop = position + entryCount * 4 + (summed ? 4 : 0)
      const isSound =
        adler32(header, 0, 20) === checksum &&
        entryCount > 0 &&
        entryCount <= mostEntries &&
        stop <= copy.end &&
        baseOffset <= BigInt(store.size) &&
        (count === undefined || count === entryCount)
      if (!isSound) continue
      count = entryCount
      end = stop
      copies.push({ position, base: Number(baseOffset), summed })
    }
    if (count === undefined) throw badTable(store, section)
    if (second !== undefined && copies.length < 2)
      this.#notes.push({
        code: 'W_TABLE_COPY',
        message: `${store.name}: of the two tables at bytes ${section.position} and ${second.position} one is damaged`,
      })
    this.#tables.push({
      version: 1,
      store,
      first: this.#chunks,
      count,
      copies,
      dataStart: data?.start ?? end,
      dataEnd: data?.end ?? section.end,
    })
    this.#chunks += count
  }

  #addTable2(store: ByteStore, section: SegmentSection, data: SegmentSection | undefined): void {
    const header = new Uint8Array(tableHeader2.size)
    if (section.start + header.length <= section.end) store.read(section.start, header)
    const { firstChunk, entryCount, checksum } = tableHeader2.read(header)
    const position = section.start + header.length
    const isSound =
      adler32(header, 0, 16) === checksum &&
      entryCount > 0 &&
      entryCount <= mostEntries &&
      position + entryCount * 16 + 4 <= section.end &&
      firstChunk === BigInt(this.#chunks)
    if (!isSound || data === undefined) throw badTable(store, section)
    this.#tables.push({
      version: 2,
      store,
      first: this.#chunks,
      count: entryCount,
      copies: [{ position, base: 0, summed: true }],
      dataStart: data.start,
      dataEnd: data.end,
    })
    this.#chunks += entryCount
  }

  #addFacts1(store: ByteStore, section: SegmentSection): void {
    switch (section.type) {
      case 'volume':
      case 'disk':
      case 'data': {
        const media = readVolume(store, section)
        if (media === undefined)
          this.#notes.push({
            code: 'W_VOLUME_CHECKSUM',
            message:
              `${store.name}: the checksum of the description of the media at byte ${section.start} is wrong; ` +
              'another copy is needed',
          })
        else this.#addMedia(store, media)
        return
      }
      case 'header2':
      case 'header': {
        const values = headerValues(sectionBytes(store, section, longestText))
        // The first `header2` has all of Unicode; SMART and old EnCase have `header` only.
        if (values !== undefined) this.#texts.facts ??= acquisitionFacts(values)
        return
      }
      case 'error2':
        this.#addErrors(store, section, errorHeader1.size, 516, 8)
        return
      case 'hash':
        this.#md5 = this.#digest(store, section, { at: 0, length: 16, sum: 32 }, this.#md5)
        return
      case 'digest':
        this.#md5 = this.#digest(store, section, { at: 0, length: 16, sum: 76 }, this.#md5)
        this.#sha1 = this.#digest(store, section, { at: 16, length: 20, sum: 76 }, this.#sha1)
    }
  }

  #addMedia(store: ByteStore, media: Media): void {
    const known = this.#media
    this.#media ??= media
    if (known === undefined) return
    // SMART records no id: there the disk alone distinguishes sets.
    const isSame =
      known.capacity === media.capacity &&
      known.chunkSize === media.chunkSize &&
      known.setIdentifier === media.setIdentifier
    if (!isSame) throw otherSet(store, this.#first.store)
  }

  #addFacts2({ store, compression, setIdentifier }: Segment, section: SegmentSection): void {
    switch (section.type) {
      case 'device':
        this.#texts.device ??= headerValues(sectionBytes(store, section, longestText))
        break
      case 'case': {
        const about = headerValues(sectionBytes(store, section, longestText))
        this.#texts.about ??= about
        break
      }
      case 'error2':
        this.#addErrors(store, section, errorHeader2.size, 16, 16)
        return
      case 'md5':
        this.#md5 = this.#digest(store, section, { at: 0, length: 16, sum: 16 }, this.#md5)
        return
      case 'sha1':
        this.#sha1 = this.#digest(store, section, { at: 0, length: 20, sum: 20 }, this.#sha1)
        return
      default:
        return
    }
    const { device, about } = this.#texts
    if (device === undefined || about === undefined || this.#media !== undefined) return
    this.#texts.facts = acquisitionFacts(new Map([...device, ...about]))
    this.#media = mediaOfTexts(store, section.start, device, about, { setIdentifier: setIdentifier ?? '', compression })
  }

  /** Ranges of sectors: a header with its Adler-32 at `sumAt`, entries, the Adler-32 of the entries. */
  #addErrors(
    store: ByteStore,
    section: SegmentSection,
    headerLength: number,
    sumAt: number,
    entryLength: number,
  ): void {
    const bytes = sectionBytes(store, section, longestErrors)
    const view = viewOf(bytes)
    const count = bytes.length >= headerLength ? view.getUint32(0, true) : 0
    const end = headerLength + count * entryLength
    const isSound =
      end + 4 <= bytes.length &&
      adler32(bytes, 0, sumAt) === view.getUint32(sumAt, true) &&
      adler32(bytes, headerLength, end) === view.getUint32(end, true)
    if (!isSound) {
      this.#notes.push({
        code: 'W_ERROR_TABLE',
        message: `${store.name}: the list of unreadable sectors at byte ${section.start} is damaged, and not used`,
      })
      return
    }
    for (let at = headerLength; at < end; at += entryLength) {
      const sector = entryLength === 8 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true))
      this.#badRanges.push({ sector, count: view.getUint32(at + entryLength / 2, true) })
    }
  }

  #digest(
    store: ByteStore,
    section: SegmentSection,
    { at, length, sum }: { readonly at: number; readonly length: number; readonly sum: number },
    known: string | undefined,
  ): string | undefined {
    const bytes = sectionBytes(store, section, longestDigest)
    if (bytes.length < sum + 4 || adler32(bytes, 0, sum) !== viewOf(bytes).getUint32(sum, true)) {
      this.#notes.push({
        code: 'W_DIGEST',
        message: `${store.name}: the digest at byte ${section.start} is damaged, and not compared`,
      })
      return known
    }
    const digest = Buffer.from(bytes.subarray(at, at + length))
    if (digest.every((byte) => byte === 0)) return known
    const text = digest.toString('hex')
    if (known !== undefined && known !== text)
      this.#notes.push({
        code: 'W_DIGEST',
        message: `${store.name}: two digests are recorded, ${known} and ${text}; the first is compared`,
      })
    return known ?? text
  }
}

function badTable({ name }: ByteStore, { start }: SegmentSection): Error {
  return corrupt('E_CHECKSUM', `${name}: the header of the table of chunks at byte ${start} is damaged`, {
    details: { position: start },
  })
}

function rangesText(ranges: readonly BadRange[]): string {
  const shown = ranges.slice(0, 10).map(({ sector, count }) => (count === 1 ? `${sector}` : `${sector}+${count}`))
  return `sectors ${shown.join(', ')}${ranges.length > 10 ? ` and ${ranges.length - 10} more ranges` : ''}`
}
