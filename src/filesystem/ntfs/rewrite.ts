import { fixed, mappedRewrite } from '../rewrite.js'
import type { FilePatch, VolumeWrite } from '../types.js'
import type { Mft } from './mft.js'
import { attributeTypes, firstUserRecord, storedPlace, type FileRecord } from './record.js'

const title = 'NTFS'

/**
 * What is to be written so that a file has other bytes, of the same length: its size stands in its folder too. Content
 * inside the record is written around the fixups, whose stamp stays: a change within one sector is whole or not there.
 * @throws ImageError unsupported E_FILE_FIXED; corrupt E_FS_CORRUPT.
 */
export function rewriteNtfsFile(
  mft: Mft,
  record: FileRecord,
  patches: readonly FilePatch[],
  size: number,
): VolumeWrite[] {
  if (record.number < firstUserRecord) throw fixed(title, 'it belongs to the filesystem itself')
  const parts = mft.attributes(record, attributeTypes.data)
  const [first] = parts
  if (first === undefined) throw fixed(title, 'it has no content')
  if (first.isCompressed || first.isEncrypted || first.isSparse)
    throw fixed(title, 'it is compressed, encrypted or sparse')
  const { content } = first
  const old = content.resident ? content.value.length : content.realSize
  if (size !== old)
    throw fixed(title, `it has ${old} bytes, ${size} are needed, and files of NTFS keep their size here`)
  if (!content.resident) {
    const beyond = patches.find(({ offset, bytes }) => offset + bytes.length > content.initializedSize)
    if (beyond !== undefined) throw fixed(title, `byte ${beyond.offset} was never written`)
    return mappedRewrite({ title, map: mft.clusters(parts), size, unit: 1, resized: () => [] }, patches, size).flat()
  }
  if (!record.attributes.includes(first)) throw fixed(title, 'its content lies in a further record')
  const start = content.value.byteOffset - record.bytes.byteOffset
  return patches.flatMap((patch) => residentWrites(mft, record, start, patch))
}

/** Bytes that stand behind each other on the disk are one write. */
function residentWrites(mft: Mft, record: FileRecord, start: number, { offset, bytes }: FilePatch): VolumeWrite[] {
  const writes: VolumeWrite[] = []
  let first = 0
  const places = Array.from(bytes, (_byte, index) =>
    mft.place(record.number, storedPlace(record.bytes, start + offset + index)),
  )
  for (let index = 1; index <= bytes.length; index++) {
    if (index < bytes.length && places[index] === (places[index - 1] ?? 0) + 1) continue
    writes.push({ position: places[first] ?? 0, bytes: bytes.subarray(first, index) })
    first = index
  }
  return writes
}
