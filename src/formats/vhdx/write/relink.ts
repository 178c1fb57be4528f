import { roundUp } from '../../../binary/integers.js'
import type { StructValues } from '../../../binary/struct.js'
import { targetError, usage } from '../../../errors.js'
import type { ParentShape } from '../../driver.js'
import type { BlockWriter } from './block-writer.js'
import { bitmapState } from '../format/entries.js'
import { locatorOf } from './metadata-builder.js'
import {
  fileParameters,
  itemGuids,
  mebibyte,
  metadataEntry,
  metadataTableHeader,
  tableSize,
} from '../format/structs.js'
import type { WriteSession } from './write-session.js'

const zeros = new Uint8Array(mebibyte)
const hasParent = 2n

/**
 * Another parent locator, or none, in one log entry: a crash leaves the old one or the new one. Without a parent the
 * disk is a dynamic one.
 * @throws ImageError usage E_NOT_A_CHILD, E_PARENT_FORMAT, E_SECTOR_SIZE, E_PARENT_PATH; target E_NO_SPACE when the
 * metadata region is full
 */
export function relinkDisk(session: WriteSession, blocks: BlockWriter, parent: ParentShape | undefined): () => void {
  const {
    image,
    structures: { metadata },
  } = session.layer
  if (!metadata.hasParent)
    throw usage('E_NOT_A_CHILD', `${session.file.name} has no parent: it is a ${image.subformat} disk`)
  const item = parent === undefined ? undefined : locatorOf(parent, image.sectorSize)
  const changes = planMetadata(session, item)
  return () => {
    session.begin(false)
    if (item === undefined) {
      fillBlocks(session, blocks)
      dropBitmaps(session)
    }
    session.commit()
    for (const { position, bytes } of changes) session.journal.write(position, bytes)
    session.commit()
    session.reload()
  }
}

/** What blocks that are partly in this file leave to the parent reads as zero from now on. */
function fillBlocks(session: WriteSession, blocks: BlockWriter): void {
  const {
    table,
    image,
    structures: {
      geometry: { blockSize, capacity },
    },
  } = session.layer
  const partial: number[] = []
  table.eachPlace((kind, index) => {
    if (kind === 'payload' && table.payload(index).kind === 'partial') partial.push(index)
  })
  for (const block of partial) {
    const start = block * blockSize
    const end = Math.min(capacity, start + blockSize)
    for (let offset = start; offset < end;) {
      const { kind, length } = image.extentAt(offset, Math.min(mebibyte, end - offset))
      if (kind === 'absent') blocks.write(block, offset - start, zeros.subarray(0, length))
      offset += length
      if (session.journal.pendingSectors > 100) session.commit()
    }
  }
}

/** Sector bitmaps say nothing any more where every block is whole. */
function dropBitmaps(session: WriteSession): void {
  const { table } = session.layer
  const bitmaps: { readonly chunk: number; readonly position: number }[] = []
  table.eachPlace((kind, chunk, position) => {
    if (kind === 'bitmap') bitmaps.push({ chunk, position })
  })
  if (bitmaps.length === 0) return
  session.commit()
  for (const { chunk } of bitmaps) {
    table.setBitmap(chunk, bitmapState.notPresent, 0)
    if (session.journal.pendingSectors > 100) session.commit()
  }
  // They were in the log perhaps.
  session.settle()
  for (const { position } of bitmaps) session.space.release(position, mebibyte)
}

/** Bytes that change. Positions are the file's. */
interface Change {
  readonly position: number
  readonly bytes: Uint8Array
}

/** An entry of the metadata table. `at`: its byte in the table. */
type TableEntry = { readonly at: number } & StructValues<typeof metadataEntry>

/** The bytes of the metadata region that change. */
function planMetadata({ journal, file, layer }: WriteSession, item: Uint8Array | undefined): readonly Change[] {
  const region = layer.structures.regions.metadata
  const table = new Uint8Array(tableSize)
  journal.read(region.position, table)
  const header = metadataTableHeader.read(table)
  const entries = Array.from({ length: header.entryCount }, (_, index): TableEntry => {
    const at = metadataTableHeader.size + index * metadataEntry.size
    return { at, ...metadataEntry.read(table, at) }
  })
  const systemItem = (guid: string): TableEntry | undefined =>
    entries.find((entry) => entry.itemId === guid && entry.flags % 2n === 0n)
  const old = systemItem(itemGuids.parentLocator)
  const parameters = systemItem(itemGuids.fileParameters)
  if (old === undefined || parameters === undefined)
    throw new TypeError(`${file.name}: a differencing disk without parent locator was opened`)
  const others = entries.filter((entry) => entry !== old)
  if (item === undefined) {
    const shorter = withoutLocator(table, others)
    return [{ position: region.position, bytes: shorter }, withoutParent(journal, region.position + parameters.offset)]
  }
  const offset = roomFor(
    item.length,
    region.length,
    others.filter((entry) => entry.length > 0),
  )
  if (offset === undefined)
    throw targetError(
      'E_NO_SPACE',
      `${file.name}: the metadata region of ${region.length} bytes has no room for a parent locator of ` +
        `${item.length} bytes`,
    )
  return [
    { position: region.position + offset, bytes: item },
    {
      position: region.position + old.at,
      bytes: metadataEntry.write(
        { ...old, offset, length: item.length },
        table.slice(old.at, old.at + metadataEntry.size),
      ),
    },
  ]
}

/** A metadata table with these entries only. */
function withoutLocator(table: Uint8Array, kept: readonly TableEntry[]): Uint8Array {
  const shorter = new Uint8Array(tableSize)
  shorter.set(metadataTableHeader.write({ ...metadataTableHeader.read(table), entryCount: kept.length }))
  for (const [index, { at }] of kept.entries())
    shorter.set(table.subarray(at, at + metadataEntry.size), metadataTableHeader.size + index * metadataEntry.size)
  return shorter
}

/** The file parameters of a disk that has no parent any more. */
function withoutParent(journal: WriteSession['journal'], position: number): Change {
  const bytes = new Uint8Array(fileParameters.size)
  journal.read(position, bytes)
  const values = fileParameters.read(bytes)
  return { position, bytes: fileParameters.write({ ...values, flags: values.flags - hasParent }, bytes) }
}

/** The first gap between items; the log changes all at once, so that the old item's place is one. */
function roomFor(
  length: number,
  end: number,
  items: readonly { readonly offset: number; readonly length: number }[],
): number | undefined {
  let free = tableSize
  for (const item of [...items].sort((left, right) => left.offset - right.offset)) {
    if (free + length <= item.offset) return free
    free = Math.max(free, roundUp(item.offset + item.length, 8))
  }
  return free + length <= end ? free : undefined
}
