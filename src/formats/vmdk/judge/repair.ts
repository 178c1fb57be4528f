import { ceilDivide, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import type { Work } from '../../../block/work.js'
import { printable } from '../../../errors.js'
import type { OpenContext, RepairAction } from '../../driver.js'
import { looksLikeDescriptor, maximumDescriptor, parseDescriptor } from '../format/descriptor.js'
import { Directory, KeptTables } from '../format/kept-tables.js'
import { readSparseHeader, sparseLayout, type SparseLayout } from '../format/sparse-layout.js'
import { gdAtEnd, sectorLength, sparseMagic, uncleanAt } from '../format/structs.js'

/**
 * Mends a sparse extent from what it has twice: a directory entry that leads nowhere, a table entry that cannot be,
 * tables that differ because the image was not closed (the table is what is read, and counts). Where an image was
 * closed and both copies can be right, nothing proves which one is, and both stay.
 * @throws ImageError where nothing can be made of the header.
 */
export function* repairVmdk(store: ByteStore, context: OpenContext): Work<void, RepairAction> {
  if (isSparse(store)) yield* repairSparse(store)
  else yield* repairExtents(store, context)
}

/** The sparse extents that a descriptor lists, one after the other. */
function* repairExtents(store: ByteStore, context: OpenContext): Work<void, RepairAction> {
  if (store.size > maximumDescriptor) return
  const bytes = new Uint8Array(store.size)
  store.read(0, bytes)
  if (looksLikeDescriptor(bytes) === 'no') return
  const done = new Set<string>()
  for (const { type, names } of parseDescriptor(bytes, store.name).extents)
    for (const name of type === 'SPARSE' ? names : []) {
      if (done.has(name)) break
      const extent = context.openReference({ role: 'extent', path: name })
      if (extent === undefined) continue
      done.add(name)
      try {
        if (isSparse(extent))
          for (const step of repairSparse(extent))
            yield 'code' in step ? { ...step, structure: `${printable(name)}: ${step.structure}` } : step
      } finally {
        extent[Symbol.dispose]()
      }
      break
    }
}

function* repairSparse(store: ByteStore): Work<void, RepairAction> {
  const header = readSparseHeader(store)
  if (header.values.gdOffset === gdAtEnd || header.values.capacity === 0n) return
  const layout = sparseLayout(store, header, 0)
  const unclean = header.values.uncleanShutdown !== 0
  let agree = true
  if (layout.rgdPosition !== undefined && !layout.compressed) {
    for (let index = 0; index < layout.tables; index++) {
      const { action, agrees } = mendTable(store, layout, layout.rgdPosition, index, unclean)
      if (action !== undefined) yield action
      agree &&= agrees
      if (index % 64 === 63) yield { done: index, total: layout.tables }
    }
  }
  if (!unclean || !agree || layout.notes.length > 0) return
  const bytes = Uint8Array.from(header.bytes)
  bytes[uncleanAt] = 0
  store.write(0, bytes)
  store.flush()
  yield { code: 'W_UNCLEAN', structure: 'header', position: uncleanAt, message: 'mark the image as closed' }
}

function isSparse(store: ByteStore): boolean {
  if (store.size < sectorLength) return false
  const magic = new Uint8Array(4)
  store.read(0, magic)
  return Buffer.from(magic).toString('latin1') === sparseMagic
}

interface Mended {
  readonly action?: RepairAction
  /** Whether both copies can be read, and say the same. */
  readonly agrees: boolean
}

function mendTable(store: ByteStore, layout: SparseLayout, rgd: number, index: number, unclean: boolean): Mended {
  const kept = new KeptTables(store)
  const [directory, copies] = [layout.gdPosition, rgd].map((at) => new Directory(kept, at, layout.tables))
  const length = layout.entriesPerTable * 4
  if (directory === undefined || copies === undefined) return { agrees: false }
  const isTable = (sector: number): boolean => sector > 0 && sector * sectorLength + length <= store.size
  const [entry, copy] = [directory.word(index), copies.word(index)]
  if (!isTable(entry) && !isTable(copy)) return { agrees: entry === 0 && copy === 0 }
  if (!isTable(entry)) return lead(store, layout, directory, index, copy, 'the grain directory')
  if (!isTable(copy)) return lead(store, layout, copies, index, entry, 'the copy of the grain directory')
  const [one, other] = [new Uint8Array(length), new Uint8Array(length)]
  store.read(entry * sectorLength, one)
  store.read(copy * sectorLength, other)
  if (Buffer.compare(one, other) === 0) return { agrees: true }
  const [table, second] = [viewOf(one), viewOf(other)]
  let agrees = true
  for (let at = 0; at < length; at += 4) {
    const [word, twin] = [table.getUint32(at, true), second.getUint32(at, true)]
    if (word === twin) continue
    if (canBe(word, layout, store) && (unclean || !canBe(twin, layout, store))) second.setUint32(at, word, true)
    else if (!canBe(word, layout, store) && canBe(twin, layout, store)) table.setUint32(at, twin, true)
    else agrees = false
  }
  const before = [new Uint8Array(length), new Uint8Array(length)] as const
  store.read(entry * sectorLength, before[0])
  store.read(copy * sectorLength, before[1])
  if (Buffer.compare(before[0], one) === 0 && Buffer.compare(before[1], other) === 0) return { agrees }
  store.write(copy * sectorLength, other)
  store.flush()
  store.write(entry * sectorLength, one)
  store.flush()
  return {
    agrees,
    action: {
      code: unclean ? 'W_TABLES_DIFFER' : 'E_TABLES_DIFFER',
      structure: `grain table ${index}`,
      position: entry * sectorLength,
      message: 'make the table and its copy say the same',
    },
  }
}

function canBe(word: number, { overhead, zeroedGrains }: SparseLayout, { size }: ByteStore): boolean {
  if (word === 0 || (word === 1 && zeroedGrains)) return true
  return word * sectorLength >= overhead && word * sectorLength < size
}

/** An entry of a directory that leads nowhere: to where its table belongs, filled from the other one. */
function lead(
  store: ByteStore,
  layout: SparseLayout,
  directory: Directory,
  index: number,
  other: number,
  name: string,
): Mended {
  const length = layout.entriesPerTable * 4
  const own = directory.position + ceilDivide(layout.tables * 4, sectorLength) * sectorLength + index * length
  const fits = own + length <= layout.overhead && own !== other * sectorLength
  const sector = fits ? own / sectorLength : other
  if (fits) {
    const bytes = new Uint8Array(length)
    store.read(other * sectorLength, bytes)
    store.write(own, bytes)
    store.flush()
  }
  const word = new Uint8Array(4)
  viewOf(word).setUint32(0, sector, true)
  store.write(directory.place(index), word)
  store.flush()
  return {
    agrees: fits,
    action: {
      code: 'E_GRAIN_DIRECTORY',
      structure: `${name}, entry ${index}`,
      position: directory.place(index),
      message: 'lead to the grain table again, filled from its copy',
    },
  }
}
