import { hex32 } from '../../../binary/hex.js'
import { isZero } from '../../../binary/zero.js'
import { nilUuid } from '../../../binary/struct.js'
import type { ByteStore } from '../../../block/types.js'
import type { Finding } from '../../driver.js'
import { featureBits, unknownFeatures } from '../format/entries.js'
import { type FoundFooter } from '../format/footer.js'
import { geometryBytes, geometryOf, isLargestGeometry, type Geometry } from '../format/layout.js'
import {
  footer as footerStruct,
  footerChecksum,
  noOffset,
  sectorLength,
  version1,
  type FooterValues,
} from '../format/structs.js'
import type { Structures } from '../format/structures.js'

/** Where a footer's declared fields end; what follows is reserved (VHD specification, "Hard Disk Footer Format"). */
const reservedAt = 85

/** The footer, its copy, and what stands around them. */
export function* checkFooters(store: ByteStore, structures: Structures): Generator<Finding> {
  const {
    chosen: { footer, place },
    subformat,
    capacity,
  } = structures
  yield* checkCopies(store, structures)
  const structure = place === 'copy' ? 'footer copy' : 'footer'
  const { values, position } = footer
  const at = (field: number): { structure: string; position: number } => ({ structure, position: position + field })
  yield* checkFields(footer, subformat, at)
  yield* checkGeometry(values, capacity, at(56))
  if (subformat === 'fixed' && position > capacity) {
    yield {
      severity: 'leak',
      code: 'L_SLACK',
      structure: 'data',
      position: capacity,
      message:
        `${position - capacity} bytes between the end of the disk and the footer at byte ${position} ` +
        'belong to no sector',
    }
  }
}

/** Fields that are odd, and do not keep the footer from being used. */
function* checkFields(
  { values, bytes }: FoundFooter,
  subformat: Structures['subformat'],
  at: (field: number) => { structure: string; position: number },
): Generator<Finding> {
  if (values.fileFormatVersion !== version1)
    yield {
      severity: 'warning',
      code: 'W_MINOR_VERSION',
      ...at(12),
      message: `the version is 0x${hex32(values.fileFormatVersion)}, only 0x${hex32(version1)} is known`,
    }
  if (!featureBits(values.features).reserved)
    yield {
      severity: 'warning',
      code: 'W_FEATURES',
      ...at(8),
      message: 'bit 1 of the features is clear; by the specification it is always set',
    }
  if (unknownFeatures(values.features))
    yield {
      severity: 'warning',
      code: 'W_FEATURES_UNKNOWN',
      ...at(8),
      message: `reserved bits of the features are set (0x${values.features.toString(16)})`,
    }
  if (subformat === 'fixed' && values.dataOffset !== noOffset)
    yield {
      severity: 'warning',
      code: 'W_DATA_OFFSET',
      ...at(16),
      message: `data_offset is 0x${values.dataOffset.toString(16)}; a fixed disk has no dynamic header to point at`,
    }
  if (values.savedState !== 0)
    yield {
      severity: 'warning',
      code: 'W_SAVED_STATE',
      ...at(84),
      message: 'a virtual machine was saved while it used the disk: what is in its memory is not on the disk',
    }
  if (values.uniqueId === nilUuid)
    yield {
      severity: 'warning',
      code: 'W_UUID_ZERO',
      ...at(68),
      message: 'the unique id is all zero: children cannot recognise the disk',
    }
  if (!isZero(bytes, reservedAt))
    yield {
      severity: 'warning',
      code: 'W_RESERVED',
      ...at(reservedAt + bytes.subarray(reservedAt).findIndex((byte) => byte !== 0)),
      message: 'reserved bytes of the footer are not zero',
    }
}

/** What Windows, QEMU and we write: the specification's geometry, the largest, or one whose product is the size. */
function* checkGeometry(
  values: FooterValues & Geometry,
  capacity: number,
  at: { structure: string; position: number },
): Generator<Finding> {
  const bytes = geometryBytes(values)
  const expected = geometryOf(capacity / sectorLength)
  const same =
    values.cylinders === expected.cylinders &&
    values.heads === expected.heads &&
    values.sectorsPerTrack === expected.sectorsPerTrack
  if (same || bytes === capacity || isLargestGeometry(values)) return
  yield {
    severity: 'warning',
    code: 'W_GEOMETRY',
    ...at,
    message:
      `the geometry ${values.cylinders}/${values.heads}/${values.sectorsPerTrack} stands for ${bytes} ` +
      (`bytes, the disk has ${capacity} (for which the specification computes ` +
        (`${expected.cylinders}/${expected.heads}/${expected.sectorsPerTrack}): readers that go by the ` +
          'geometry see another size')),
  }
}

function* checkCopies({ size }: ByteStore, structures: Structures): Generator<Finding> {
  const {
    chosen: { footer, place },
    subformat,
  } = structures
  if (place === 'inside') {
    const end = footer.position + footer.length
    yield {
      severity: 'error',
      code: 'E_FOOTER_NOT_AT_END',
      structure: 'footer',
      position: end,
      message:
        `${size - end} bytes follow the footer, which should be the file's last ${footer.length}: most ` +
        'readers will not find it',
    }
  }
  if (footer.length === 511)
    yield {
      severity: 'warning',
      code: 'W_FOOTER_511',
      structure: 'footer',
      position: footer.position,
      message: 'the footer has only 511 bytes, as Virtual PC before 2004 wrote it; others refuse it',
    }
  if (!footer.intact)
    yield {
      severity: 'error',
      code: 'E_CHECKSUM',
      structure: place === 'copy' ? 'footer copy' : 'footer',
      position: footer.position + 64,
      message: checksumText(footer),
    }
  if (subformat === 'fixed') return
  yield* place === 'copy' ? checkLastFooter(size, structures) : checkCopy(structures)
}

/** The copy is used, since the footer at the end of the file is not there or not good. */
function* checkLastFooter(size: number, { chosen: { footers } }: Structures): Generator<Finding> {
  const found =
    footers.end === undefined
      ? 'there is none'
      : footers.end.intact
        ? 'the one there describes another disk'
        : `the one there is damaged: ${checksumText(footers.end)}`
  yield {
    severity: 'error',
    code: 'E_FOOTER_COPY_USED',
    structure: 'footer',
    position: Math.max(0, size - 512),
    message: `the footer should be the file's last 512 bytes; ${found}. The copy at byte 0 is used`,
  }
}

/** The copy at the start of the file, beside the footer that is used. */
function* checkCopy({ chosen: { footer, footers } }: Structures): Generator<Finding> {
  const { copy } = footers
  const damaged = (position: number, message: string): Finding => ({
    severity: 'error',
    code: 'E_FOOTER_COPY_DAMAGED',
    structure: 'footer copy',
    position,
    message,
  })
  if (copy === undefined) yield damaged(0, 'there is no copy of the footer at byte 0; QEMU cannot open the file')
  else if (!copy.intact) yield damaged(64, checksumText(copy))
  else if (Buffer.compare(copy.bytes, footer.bytes) !== 0) {
    yield {
      severity: 'error',
      code: 'E_FOOTERS_DIFFER',
      structure: 'footer copy',
      position: copy.bytes.findIndex((byte, index) => byte !== footer.bytes[index]),
      message: `it differs from the footer at byte ${footer.position} in ${differences(copy, footer)}`,
    }
  }
}

function checksumText({ values, bytes }: FoundFooter): string {
  return `the checksum is 0x${hex32(values.checksum)}, the bytes give 0x${hex32(footerChecksum(bytes))}`
}

function differences(one: FoundFooter, other: FoundFooter): string {
  const rows = footerStruct.rows(other.bytes, 0)
  const fields = footerStruct
    .rows(one.bytes, 0)
    .filter((row, index) => row.value !== rows[index]?.value && row.name !== 'checksum')
    .map(({ name }) => name)
  return fields.length > 0 ? fields.join(', ') : 'reserved bytes'
}
