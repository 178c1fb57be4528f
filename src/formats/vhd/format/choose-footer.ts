import { hex32 } from '../../../binary/hex.js'
import { ignoreChecksumsHint } from '../../driver.js'
import type { Note } from '../../../block/types.js'
import { corrupt, unsupported } from '../../../errors.js'
import { findFooters, isBehindItsData, isSparse, type Footers, type FoundFooter } from './footer.js'
import { diskType, footerChecksum } from './structs.js'

/** The footer that an image is read by, and what was noticed on the way. */
export interface ChosenFooter {
  readonly footer: FoundFooter
  /** `copy`: the one at byte 0. */
  readonly place: 'end' | 'copy' | 'inside'
  readonly footers: Footers
  readonly notes: readonly Note[]
}

export interface FooterSearch {
  /** For messages. */
  readonly name: string
  readonly head: Uint8Array
  readonly tail: Uint8Array
  readonly size: number
  /** Read on although a checksum is wrong. */
  readonly ignoreChecksums: boolean
}

/**
 * The footer to believe: the one at the end when it is intact, for that is the one that tools write last; else the copy
 * at byte 0.
 * @throws ImageError corrupt E_NOT_VHD, E_TRUNCATED, E_CHECKSUM.
 */
export function chooseFooter(search: FooterSearch): ChosenFooter {
  const footers = findFooters(search.head, search.tail, search.size)
  const { end, copy, inside } = footers
  const usableCopy = copy?.intact === true && copy.values.diskType !== diskType.fixed ? copy : undefined
  if (end?.intact === true) {
    // A dynamic disk that lost its end while its last block was appended may end with a footer that belongs to guest
    // data.
    const isGuestData =
      end.values.diskType === diskType.fixed &&
      !isBehindItsData(end) &&
      usableCopy !== undefined &&
      footers.header === true
    if (!isGuestData)
      return {
        footer: end,
        place: 'end',
        footers,
        notes: [...legacyNote(search, end), ...copyNotes(search, end, copy)],
      }
  }
  if (inside !== undefined) {
    const after = search.size - inside.position - inside.length
    const note = {
      code: 'W_FOOTER_NOT_AT_END',
      message:
        `${search.name}: the footer stands at byte ${inside.position}, and ${after} bytes follow it that ` +
        'do not belong to the image: something was appended to the file',
    }
    return { footer: inside, place: 'inside', footers, notes: [note, ...copyNotes(search, inside, copy)] }
  }
  if (usableCopy !== undefined) {
    const note = {
      code: 'W_FOOTER_COPY_USED',
      message:
        `${search.name}: ${endProblem(search, footers)}, so its copy at byte 0 is used; the file may ` +
        'have been cut off, or its last write interrupted',
    }
    return { footer: usableCopy, place: 'copy', footers, notes: [note] }
  }
  return damaged(search, footers)
}

function damaged(search: FooterSearch, footers: Footers): ChosenFooter {
  const { end, copy, cut } = footers
  const { name, size } = search
  const found = end ?? (copy !== undefined && isSparse(copy.values) ? copy : undefined)
  if (found !== undefined) {
    const what =
      `${name}: the footer at byte ${found.position} has the checksum 0x${hex32(found.values.checksum)}, ` +
      `its bytes give 0x${hex32(footerChecksum(found.bytes))}`
    if (search.ignoreChecksums)
      return {
        footer: found,
        place: found === end ? 'end' : 'copy',
        footers,
        notes: [{ code: 'W_CHECKSUM', message: what }, ...legacyNote(search, found)],
      }
    const others =
      found === end && copy === undefined
        ? 'there is no copy of it at byte 0'
        : found === end
          ? 'its copy at byte 0 is damaged too'
          : 'there is none at the end of the file'
    throw corrupt('E_CHECKSUM', `${what}, and ${others}`, {
      hint: ignoreChecksumsHint,
      details: { position: found.position, expected: footerChecksum(found.bytes), found: found.values.checksum },
    })
  }
  if (cut !== undefined) {
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the file ends at byte ${size}, ${cut.available} bytes into the footer of 512 bytes that ` +
        `begins at byte ${cut.position}`,
      { details: { position: cut.position, size } },
    )
  }
  if (size < 512)
    throw corrupt('E_TRUNCATED', `${name}: ${size} bytes are too few for a VHD, whose footer alone has 512`, {
      details: { size },
    })
  throw corrupt('E_NOT_VHD', `${name}: no VHD footer ("conectix") in its last 64 KiB, nor a copy at byte 0`, {
    hint: 'It is no VHD, or its end is missing.',
    details: { size },
  })
}

function legacyNote({ name }: FooterSearch, { length, position }: FoundFooter): Note[] {
  return length === 512
    ? []
    : [
        {
          code: 'W_FOOTER_511',
          message: `${name}: the footer at byte ${position} has only 511 bytes, as Virtual PC before 2004 wrote it`,
        },
      ]
}

/** What is to be said of the copy at byte 0 when the disk is read by another footer. */
function copyNotes({ name }: FooterSearch, used: FoundFooter, copy: FoundFooter | undefined): Note[] {
  if (!isSparse(used.values)) return []
  if (copy === undefined)
    return [
      {
        code: 'W_FOOTER_COPY_DAMAGED',
        message: `${name}: there is no copy of the footer at byte 0; QEMU cannot open such a file`,
      },
    ]
  if (!copy.intact)
    return [
      {
        code: 'W_FOOTER_COPY_DAMAGED',
        message:
          `${name}: the copy of the footer at byte 0 has the checksum 0x${hex32(copy.values.checksum)}, its ` +
          `bytes give 0x${hex32(footerChecksum(copy.bytes))}`,
      },
    ]
  const same = Buffer.compare(copy.bytes, used.bytes) === 0
  return same
    ? []
    : [
        {
          code: 'W_FOOTERS_DIFFER',
          message: `${name}: the footer at byte ${used.position} and its copy at byte 0 differ; the former is used`,
        },
      ]
}

function endProblem({ size }: FooterSearch, { end, cut }: Footers): string {
  if (cut !== undefined) return `the footer at byte ${cut.position} is cut off after ${cut.available} bytes`
  if (end === undefined) return `there is no footer at the end of the file (byte ${size})`
  return end.intact
    ? `the footer at byte ${end.position} describes another disk`
    : `the footer at byte ${end.position} is damaged (checksum 0x${hex32(end.values.checksum)} instead of ` +
        `0x${hex32(footerChecksum(end.bytes))})`
}

export function unknownType(name: string, { values, position }: FoundFooter): Error {
  const reserved: Readonly<Record<number, string>> = {
    0: 'none',
    1: 'reserved (deprecated)',
    5: 'reserved (deprecated)',
    6: 'reserved (deprecated)',
  }
  return unsupported(
    'E_TYPE',
    `${name}: the footer at byte ${position} says disk type ${values.diskType}, ` +
      `${reserved[values.diskType] ?? 'which is unknown'}; fixed (2), dynamic (3) or differencing (4) was expected`,
    {
      details: { position: position + 60, found: values.diskType },
    },
  )
}
