import { isPowerOfTwo } from '../../binary/integers.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource } from '../../block/types.js'
import { Issues } from '../identification.js'
import type { Filesystem, FilesystemFamily, ByteRun } from '../types.js'
import { bytesAt } from '../volume-reader.js'
import { identifyHfsPlus } from './plus.js'
import { headerPosition, masterBlock, signatures } from './structs.js'
import { hfsUuid } from './uuid.js'

/** HFS+, HFSX, HFS, and HFS+ within HFS (the sheet's section 9). */
export const hfs: FilesystemFamily = {
  id: 'hfs',
  identify: (volume) => {
    const bytes = bytesAt(volume, headerPosition, 512)
    if (bytes === undefined) return []
    const { signature } = masterBlock.read(bytes)
    if (signature === signatures.plus || signature === signatures.extended) return [identifyHfsPlus(volume, bytes)]
    if (signature !== signatures.hfs) return []
    return [embedded(volume, bytes) ?? classic(volume, bytes)]
  },
}

/** Old systems see a small HFS that says that they cannot read the disk; new ones the HFS+ in it. */
function embedded(volume: BlockSource, bytes: Uint8Array): Filesystem | undefined {
  const outer = masterBlock.read(bytes)
  if (outer.embedded !== signatures.plus && outer.embedded !== signatures.extended) return undefined
  const offset = outer.firstBlock * 512 + outer.embeddedStart * outer.blockSize
  const length = outer.embeddedCount * outer.blockSize
  if (offset + length > volume.capacity || length < headerPosition + 512) return undefined
  const inner = new SliceSource(volume, offset, length)
  const header = bytesAt(inner, headerPosition, 512)
  if (header === undefined || ![signatures.plus, signatures.extended].includes(masterBlock.read(header).signature))
    return undefined
  const found = identifyHfsPlus(inner, header)
  return {
    ...found,
    facts: [...found.facts, { name: 'wrapperOffset', label: 'begins within HFS at', value: offset, unit: 'bytes' }],
    usedRuns: (options) => moved(found.usedRuns?.(options) ?? [{ offset: 0, length }], offset, length, volume.capacity),
  }
}

/** What surrounds the inner filesystem is in use. */
function* moved(runs: Iterable<ByteRun>, offset: number, length: number, end: number): Generator<ByteRun> {
  if (offset > 0) yield { offset: 0, length: offset }
  for (const run of runs) yield { offset: run.offset + offset, length: run.length }
  if (end > offset + length) yield { offset: offset + length, length: end - offset - length }
}

function classic(volume: BlockSource, bytes: Uint8Array): Filesystem {
  const { attributes, blocks, blockSize, freeBlocks, labelLength, label, identifier, firstBlock } =
    masterBlock.read(bytes)
  const issues = new Issues('HFS')
  const size = firstBlock * 512 + blocks * blockSize
  issues.checkSize(size, volume.capacity)
  const text = Buffer.from(label.subarray(0, labelLength)).toString('latin1')
  const id = hfsUuid(identifier)
  const free = Math.min(freeBlocks, blocks) * blockSize
  return {
    type: 'hfs',
    title: 'HFS',
    kind: 'filesystem',
    issues: issues.list,
    facts: [],
    size,
    free,
    used: size - free,
    // Bit 8: it was unmounted.
    state: Math.floor(attributes / 256) % 2 === 1 ? 'clean' : 'dirty',
    ...(isPowerOfTwo(blockSize) ? { blockSize } : {}),
    ...(text === '' ? {} : { label: text }),
    uuid: id,
  }
}
