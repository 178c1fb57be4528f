import { hex32 } from '../../../binary/hex.js'
import type { Work } from '../../../block/work.js'
import { roundUp } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { isImageError } from '../../../errors.js'
import type { OpenContext, RepairAction } from '../../driver.js'
import { BlockTable } from '../format/bat.js'
import { checkVhd } from './check.js'
import type { DynamicLayout } from '../format/dynamic.js'
import { blockEntry } from '../format/entries.js'
import { findFooters, isSparse, windowLength, type FoundFooter } from '../format/footer.js'
import { bitmapLength } from '../format/layout.js'
import {
  dynamicHeader,
  dynamicHeaderChecksum,
  footer as footerStruct,
  footerChecksum,
  sectorLength,
} from '../format/structs.js'
import { refuseSplit } from '../format/split.js'
import { readStructures, type Structures } from '../format/structures.js'

/**
 * Mends a VHD where something else proves what is right: the footer from its copy and the copy from the footer, a
 * footer whose end is cut
 * off, the checksum of a dynamic header that everything in the file agrees with. Places of blocks are never guessed.
 * @throws ImageError as opening does, where nothing can be made of the file.
 */
export function* repairVhd(store: ByteStore, context: OpenContext): Work<void, RepairAction> {
  yield* completeFooter(store)
  const structures = readAnyChecksum(store, context)
  if (structures.chosen.place === 'copy') refuseSplit(context.self)
  yield* repairFooter(store, structures)
  if (structures.subformat !== 'fixed') yield* repairCopy(store, structures)
  if (structures.dynamic?.intact === false) yield* repairHeader(store, structures, structures.dynamic)
}

/** A wrong checksum of the dynamic header alone keeps nothing from being looked at. */
function readAnyChecksum(store: ByteStore, context: OpenContext): Structures {
  try {
    return readStructures(store, context)
  } catch (error) {
    if (!isImageError(error) || error.code !== 'E_CHECKSUM') throw error
    const structures = readStructures(store, { ...context, options: { ...context.options, 'ignore-checksums': true } })
    if (!structures.chosen.footer.intact) throw error
    return structures
  }
}

/** What follows a footer's fields is zero: when only that is missing, the checksum over the whole proves it. */
function* completeFooter(store: ByteStore): Generator<RepairAction> {
  const { cut, end, copy } = ends(store)
  const bytes = new Uint8Array(footerStruct.size)
  if (cut !== undefined) {
    store.read(cut.position, bytes.subarray(0, cut.available))
    const values = footerStruct.read(bytes)
    if (values.checksum !== footerChecksum(bytes)) return
    // It may be the footer of a disk in the disk.
    const own = isSparse(values)
      ? copy?.intact !== true || copy.values.uniqueId === values.uniqueId
      : Number(values.currentSize) === cut.position
    if (!own) return
    put(store, cut.position, bytes)
    yield {
      code: 'E_TRUNCATED',
      structure: 'footer',
      position: cut.position,
      message:
        `complete the footer, of which ${footerStruct.size - cut.available} bytes at the end of the file ` +
        'are missing; its checksum proves it',
    }
  } else if (end?.length === 511 && end.intact) {
    put(store, end.position, end.bytes)
    yield {
      code: 'W_FOOTER_511',
      structure: 'footer',
      position: end.position,
      message: 'add the last byte of the footer, which Virtual PC before 2004 left out',
    }
  }
}

function ends(store: ByteStore): ReturnType<typeof findFooters> {
  const length = Math.min(store.size, windowLength)
  const [head, tail] = [new Uint8Array(length), new Uint8Array(length)]
  store.read(0, head)
  store.read(store.size - length, tail)
  return findFooters(head, tail, store.size)
}

/** Puts the footer at the end of the file. */
function* repairFooter(
  store: ByteStore,
  { chosen: { footer, place, footers }, dynamic, capacity }: Structures,
): Generator<RepairAction> {
  const blocksEnd = dynamic === undefined ? 0 : lastBlockEnd(store, dynamic, capacity)
  if (place === 'copy') {
    // What is left of the footer is written over, unless it lies in a block: then it is the content of a disk in the
    // disk.
    const remains = footers.cut?.position ?? (footers.end?.intact === false ? footers.end.position : undefined)
    const position = remains !== undefined && remains >= blocksEnd ? remains : roundUp(store.size, sectorLength)
    put(store, position, footer.bytes)
    yield {
      code: 'E_FOOTER_COPY_USED',
      structure: 'footer',
      position,
      message: 'write the footer at the end of the file, from its copy at byte 0',
    }
  } else if (place === 'inside' && blocksEnd <= footer.position) {
    const end = footer.position + footer.length
    const after = store.size - end
    store.truncate(end)
    store.flush()
    yield {
      code: 'E_FOOTER_NOT_AT_END',
      structure: 'footer',
      position: end,
      message: `cut off the ${after} bytes that follow the footer and belong to nothing`,
    }
  }
}

/** Where the last block of the file ends, as far as the disk shows it; 0 without blocks. */
function lastBlockEnd(
  store: ByteStore,
  { tablePosition, entries, blocks, blockSize }: DynamicLayout,
  capacity: number,
): number {
  const table = new BlockTable(store, tablePosition, entries)
  const bitmap = bitmapLength(blockSize)
  let end = 0
  for (let block = 0; block < blocks; block = table.runEnd(block, blocks)) {
    const entry = blockEntry(table.word(block))
    if (entry.kind === 'allocated' && entry.position < store.size)
      end = Math.max(end, entry.position + bitmap + Math.min(blockSize, capacity - block * blockSize))
  }
  return end
}

/**
 * Puts the copy at byte 0. Two intact footers that describe different disks are left alone: it cannot be known which
 * one is right.
 */
function* repairCopy(
  store: ByteStore,
  {
    chosen: {
      footer,
      place,
      footers: { copy },
    },
  }: Structures,
): Generator<RepairAction> {
  if (place === 'copy' || !footer.intact) return
  if (copy !== undefined && Buffer.compare(copy.bytes, footer.bytes) === 0) return
  if (copy?.intact === true && !describesSame(copy, footer)) return
  put(store, 0, footer.bytes)
  const code = copy?.intact === true ? 'E_FOOTERS_DIFFER' : 'E_FOOTER_COPY_DAMAGED'
  yield {
    code,
    structure: 'footer copy',
    position: 0,
    message: `write the copy of the footer, from the footer at byte ${footer.position}`,
  }
}

function describesSame({ values: one }: FoundFooter, { values: other }: FoundFooter): boolean {
  return (
    one.dataOffset === other.dataOffset &&
    one.currentSize === other.currentSize &&
    one.diskType === other.diskType &&
    one.uniqueId === other.uniqueId
  )
}

/**
 * Gives the dynamic header the checksum of its bytes, if they are proved: the table they lead to has blocks in it, all
 * of them in their
 * place, none upon another, and together with the structures they fill the file. What a child says of its parent
 * nothing else proves.
 */
function* repairHeader(store: ByteStore, structures: Structures, dynamic: DynamicLayout): Work<void, RepairAction> {
  const { position, bytes, values, entries, blocks } = dynamic
  if (
    structures.subformat !== 'dynamic' ||
    entries !== blocks ||
    lastBlockEnd(store, dynamic, structures.capacity) === 0
  )
    return
  const proof = readStructures(store, { options: { 'ignore-checksums': true } })
  const { place, footer } = proof.chosen
  for (const item of checkVhd(store, proof, { limit: place === 'end' ? footer.position : store.size, deep: false })) {
    if (!('severity' in item)) yield item
    else if (item.code !== 'E_CHECKSUM' && (item.severity !== 'warning' || item.structure === 'dynamic header')) return
  }
  const checksum = dynamicHeaderChecksum(bytes)
  put(store, position, dynamicHeader.write({ ...values, checksum }, bytes))
  yield {
    code: 'E_CHECKSUM',
    structure: 'dynamic header',
    position: position + 36,
    message:
      `set the checksum to 0x${hex32(checksum)} instead of 0x${hex32(values.checksum)}: the blocks of the file ` +
      'prove what the header says',
  }
}

/** A write that is on the medium when it returns. */
function put(store: ByteStore, position: number, bytes: Uint8Array): void {
  store.write(position, bytes)
  store.flush()
}
